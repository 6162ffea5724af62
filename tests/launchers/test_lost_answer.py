"""The answer to “start the job” that is lost: no job is paid or trained twice, and none stays unknown."""

import pytest
from followed import followed, resume, steps, wait_for
from refusals import assert_message
from sampling import sample

from studio import launchers, runs
from studio.errors import NotPossible, StudioError
from studio.launchers import follower, ray_jobs, record, resumption
from studio.launchers.record import Record
from studio.training import launcher, setup

# In CI one of them is tried with each claim.
MACHINES = ("box", "cluster", "hf-t4-small")


@pytest.fixture
def elsewhere(request):
    """A machine of each kind, where nothing really trains, and how often a job was started there."""
    if request.param == "box":
        box = request.getfixturevalue("quick_box")
        return request.param, lambda: box.calls.count("nohup")
    if request.param == "cluster":
        cluster = request.getfixturevalue("cluster")
        return request.param, lambda: cluster.n_drivers
    request.getfixturevalue("behave")
    hub = request.getfixturevalue("ada")
    return request.param, lambda: len(hub.jobs)


@pytest.fixture
def make_run(make_plan):
    def make(where, **values):
        run = runs.create(make_plan("lora", "chat").model_copy(update={"where": where}))
        Record(max_minutes=30.0, **{"agreed": True, **values}).write(run)
        return run

    return make


def lose_answer(run):
    """Start the run's job, and note what is known of it here: that it was asked for."""
    setup.prepare_data(run, run.plan)
    launched = launchers.create(launchers.find_machine(run.plan.where))
    job = launched.submit(run, 0, lambda *_: None)
    record.read(run).write(run, machine="there", sent=True, asked=True, agreed=False)
    runs.set_status(run, "failed", "send", message=follower.STILL_THERE)
    return launched, job


@pytest.mark.parametrize("elsewhere", sample(MACHINES, ["box"]), indirect=True)
def test_a_job_that_ended_before_its_answer_came_is_brought_back_and_not_started_again(elsewhere, make_run):
    where, count_jobs = elsewhere
    run = make_run(where)
    launched, job = lose_answer(run)
    wait_for(lambda: launched.status(job).state == "ended")
    launcher.requeue(run)
    follower.follow(run.id)
    assert runs.status(run).state == "done"
    assert steps(run) == [1, 2, 3, 4, 5]
    assert count_jobs() == 1


def test_the_job_of_an_answer_that_was_lost_is_looked_for_when_the_page_starts(quick_box, make_run):
    quick_box.behave("waits")
    run = make_run("box")
    launched, job = lose_answer(run)
    launchers.follow_again()
    wait_for(lambda: record.read(run).job == job)
    launched.cancel(job)
    wait_for(lambda: runs.status(run).state == "stopped")
    assert quick_box.calls.count("nohup") == 1


@pytest.mark.parametrize("elsewhere", sample(MACHINES, ["hf-t4-small"]), indirect=True)
def test_where_no_job_is_found_none_is_started_before_somebody_agrees(elsewhere, make_run):
    where, count_jobs = elsewhere
    run = make_run(where, agreed=False, sent=True, asked=True)
    runs.set_status(run, "failed", "send")
    assert not resumption.needs_agreement(run), "the studio looks there first"
    launcher.requeue(run)
    with pytest.raises(NotPossible) as caught:
        follower.follow(run.id)
    assert_message(caught.value, follower.NOT_STARTED)
    assert count_jobs() == 0
    assert resumption.needs_agreement(run)
    assert resume(run)[0] == "done"


@pytest.mark.exhaustive
def test_an_answer_that_is_lost_is_asked_for_again_at_once(cluster, make_run, monkeypatch):
    start, losses = ray_jobs.RayLauncher._start, []

    def start_and_lose(launched, job_id, command, package=""):
        start(launched, job_id, command, package)
        if "ray_job" in command and not losses:
            losses.append(job_id)
            raise launched._lost("cut")

    monkeypatch.setattr(ray_jobs.RayLauncher, "_start", start_and_lose)
    run = make_run("cluster")
    follower.follow(run.id)
    assert losses
    assert (runs.status(run).state, cluster.n_drivers) == ("done", 1)


@pytest.mark.exhaustive
def test_a_run_may_be_stopped_while_its_answer_is_asked_for(cluster, make_run, monkeypatch):
    def be_lost(request):
        cluster.is_down = True
        raise ConnectionError

    monkeypatch.setattr(cluster, "start", be_lost)
    run = make_run("cluster")
    with followed(run) as errors:
        wait_for(lambda: (runs.status(run).message or follower.GONE).text == follower.SENDING_AGAIN.text)
        launcher.stop(run)
    assert errors == []
    assert runs.status(run).state == "stopped"
    assert runs.status(run).message.text == follower.CALLED_OFF.text


@pytest.mark.exhaustive
def test_a_job_that_broke_off_before_its_first_event_is_not_taken_for_the_next_one(cluster, make_run):
    cluster.behave("mute")
    run = make_run("cluster", keep=True)
    with pytest.raises(StudioError):
        follower.follow(run.id)
    cluster.behave("")
    assert resume(run) == ("done", [1, 2, 3, 4, 5])
