"""A run at a Ray cluster is the same run: its folder comes back whole, and each fault is a sentence."""

import os
import signal
import sys
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from fake_ray import TOKEN
from followed import followed, resume, steps, stop_once_trained, wait_for
from refusals import assert_message

from studio import launchers, processes, runs
from studio.errors import NotPossible, StudioError
from studio.estimate.machines import catalogue
from studio.launchers import bundle, consent, follower, ray_driver, ray_jobs, record
from studio.launchers.record import Record
from studio.launchers.spec import ConnectionLost, JobLost, LauncherRefused
from studio.models import ranks
from studio.training import before_start, launcher


def write_checkpoint(folder, step):
    path = folder / "checkpoints" / "train" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "watch.json").write_text('{"step": 1}', encoding="utf-8")


@pytest.fixture
def make_run(make_plan):
    def make(**training):
        plan = make_plan("lora", "chat", **training)
        run = runs.create(plan.model_copy(update={"where": "cluster"}))
        Record(agreed=True).write(run)
        return run

    return make


def test_the_result_comes_back_and_no_token_is_written(cluster, make_run, studio_home):
    run = make_run()
    follower.follow(run.id)
    assert runs.status(run).state == "done", runs.status(run)
    assert steps(run) == [1, 2, 3, 4, 5]
    assert runs.report(run)["trained_at"] == "cluster"
    assert (run.model / "adapter_config.json").is_file()
    assert not cluster.run_folder(run).exists(), "what lay there is deleted"
    assert cluster.jobs == {}, "the cluster has forgotten its jobs"
    assert record.read(run).job == {}
    assert not list(cluster.packages.rglob("train.jsonl")), (
        "the node's copy of what was sent has no rows left"
    )

    check_token(cluster, studio_home)


def check_token(cluster, studio_home):
    """The token went to the cluster with each request, and lies nowhere."""
    assert {headers.get("Authorization") for headers in cluster.headers_seen} == {f"Bearer {TOKEN}"}
    files = [*studio_home.rglob("*"), *cluster.home.rglob("*"), *cluster.logs.rglob("*")]
    files += [path for path in cluster.packages.rglob("*") if path.suffix != ".zip"]
    for path in files:
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def test_only_what_reaches_the_cluster_gets_the_token(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    assert "RAY_AUTH_TOKEN" not in processes.child_environment(processes.WORKER)
    assert processes.child_environment(processes.FOLLOWER)["RAY_AUTH_TOKEN"] == TOKEN
    monkeypatch.setenv("STUDIO_OPEN", "1")
    assert "RAY_AUTH_TOKEN" not in processes.child_environment(processes.FOLLOWER)


def test_a_stop_reaches_the_cluster_and_brings_back_what_was_learned(cluster, make_run):
    run = make_run()
    cluster.behave("waits")
    assert stop_once_trained(run) == []
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)


@pytest.mark.exhaustive
def test_a_driver_that_does_not_stop_is_ended_by_ray(cluster, make_run, monkeypatch):
    monkeypatch.setattr(follower, "STOP_PATIENCE_SECONDS", 0.5)
    run = make_run()
    cluster.behave("hangs")
    assert stop_once_trained(run) == []
    assert runs.status(run).state == "stopped"


def test_a_driver_that_dies_leaves_a_run_that_goes_on(cluster, make_run):
    run = make_run()
    cluster.behave("dies")
    with pytest.raises(StudioError) as caught:
        follower.follow(run.id)
    assert_message(caught.value, ray_jobs.ENDED_BADLY)
    assert runs.has_saved_state(run), "its checkpoint came back"
    cluster.behave("")
    assert resume(run) == ("done", [1, 2, 3, 4, 5])


@pytest.mark.exhaustive
def test_a_cluster_that_was_started_anew_loses_the_job_and_the_run_goes_on_from_what_lies_there(
    cluster, make_run
):
    run = make_run()
    cluster.behave("waits")
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        for process in cluster.processes.values():
            os.killpg(process.pid, signal.SIGKILL)
        cluster.jobs.clear()
    assert_message(errors[0], ray_jobs.NO_JOB, machine="cluster")
    assert runs.is_resumable(run)
    cluster.behave("")
    assert resume(run) == ("done", [1, 2, 3, 4, 5])


@pytest.mark.exhaustive
def test_a_lost_connection_is_told_and_taken_up_again(cluster, make_run):
    run = make_run()
    cluster.behave("waits")
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        cluster.is_down = True
        wait_for(lambda: (runs.status(run).message or follower.GONE).text == follower.RETRYING.text)
        cluster.is_down = False
        time.sleep(0.3)
        launcher.stop(run)
    assert errors == []
    assert runs.status(run).state == "stopped"
    assert steps(run) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("there", "sent", "kept"), [(20, 10, 20), (10, 20, 20), (20, 0, 20), (0, 10, 10)])
def test_of_what_lies_there_and_what_is_sent_the_one_that_is_further_counts(
    tmp_path, monkeypatch, there, sent, kept
):
    for folder, step in ((tmp_path / "there", there), (tmp_path / "work" / "run", sent)):
        folder.mkdir(parents=True)
        (folder / "plan.yaml").touch()
        if step:
            write_checkpoint(folder, step)
    monkeypatch.chdir(tmp_path / "work")
    ray_driver._unpack(tmp_path / "there")
    found = [path.name for path in (tmp_path / "there" / "checkpoints" / "train").iterdir()]
    assert found == [f"checkpoint-{kept}"]
    assert not (tmp_path / "work" / "run").exists()


def test_each_rank_of_a_node_computes_on_a_gpu_of_its_own(cluster, make_run, monkeypatch, tmp_path):
    requests = []
    monkeypatch.setattr(cluster, "start", lambda request: requests.append(request))
    launched, run = ray_jobs.RayLauncher(launchers.find_machine("cluster")), make_run()
    launched.submit(run, 0, lambda *_: None)
    (request,) = requests
    variables = request["runtime_env"]["env_vars"]
    assert variables["TRAIN_ENABLE_SHARE_CUDA_VISIBLE_DEVICES"] == "0", "a rank sees one GPU, its first"
    # Ray numbers the ranks of a node: the second one has the number 1, and its GPU the number 0.
    rank = SimpleNamespace(get_device=lambda: SimpleNamespace(type="cuda", index=0))
    ray = SimpleNamespace(train=SimpleNamespace(torch=rank))
    for name, module in (("ray", ray), ("ray.train", ray.train), ("ray.train.torch", rank)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("STUDIO_HOME", "")
    monkeypatch.chdir(tmp_path)
    arguments = ray_driver.Arguments(run.id, 0, 2, on_gpu=True, folder=str(tmp_path / "there"))
    with pytest.raises(RuntimeError, match=ray_driver.NO_FOLDER):
        ray_driver.train_rank(asdict(arguments))
    assert os.environ["LOCAL_RANK"] == "0"


def test_a_token_that_is_missing_or_wrong_is_a_sentence(cluster, make_run, monkeypatch, tmp_path):
    machine = launchers.find_machine("cluster")
    for token, message in (("wrong", ray_jobs.TOKEN_REFUSED), ("", ray_jobs.TOKEN_MISSING)):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
        with pytest.raises(LauncherRefused) as caught:
            launchers.create(machine).look()
        assert_message(caught.value, message, machine="cluster")
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert launchers.create(machine).look() == "2.60.0"


@pytest.mark.exhaustive
def test_checkpoints_larger_than_a_package_come_back_from_a_run_that_goes_on(cluster, make_run, monkeypatch):
    monkeypatch.setattr(ray_jobs, "MAX_PACKAGE_BYTES", 4_000_000)
    monkeypatch.setattr(ray_jobs, "PIECE_MIB", 2)
    run = make_run()
    cluster.behave("dies")
    with pytest.raises(StudioError):
        follower.follow(run.id)
    optimizer = run.folder / "checkpoints" / "train" / "checkpoint-1" / "optimizer.pt"
    state = os.urandom(5_000_000)
    optimizer.write_bytes(state)
    cluster.behave("")
    assert resume(run) == ("done", [1, 2, 3, 4, 5])
    assert optimizer.read_bytes() == state, "it was there while the run trained on"
    assert len(cluster.package_sizes) > 3, "one for each piece, and the studio"
    assert max(cluster.package_sizes) <= 4_000_000
    assert not list(cluster.packages.rglob("piece")), "no copy of what was sent stays with the node"
    assert not cluster.run_folder(run).exists()


def test_a_run_that_is_stopped_between_two_pieces_leaves_none_there(cluster, make_run, monkeypatch):
    monkeypatch.setattr(ray_jobs, "MAX_PACKAGE_BYTES", 4_000_000)
    monkeypatch.setattr(ray_jobs, "PIECE_MIB", 2)
    run = make_run()
    write_checkpoint(run.folder, 1)
    (run.folder / "checkpoints" / "train" / "optimizer.pt").write_bytes(os.urandom(5_000_000))
    send = ray_jobs.RayLauncher._run_there

    def send_and_stop(launched, command, package=""):
        send(launched, command, package)
        launcher.stop(run)

    monkeypatch.setattr(ray_jobs.RayLauncher, "_run_there", send_and_stop)
    follower.follow(run.id)
    assert (runs.status(run).state, runs.status(run).stage) == ("stopped", "before")
    assert len(cluster.package_sizes) == 1
    assert not cluster.run_folder(run).exists()


def test_what_the_disk_there_cannot_hold_is_a_sentence(cluster, make_run):
    run = make_run()
    cluster.refused_path = "packages"
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(run.id)
    assert "No space left" in str(caught.value)
    assert runs.is_resumable(run)


def test_a_result_that_is_too_large_or_leads_elsewhere_is_refused(cluster, make_run, monkeypatch):
    run = make_run()
    monkeypatch.setattr(ray_jobs, "MAX_RESULT_BYTES", 100)
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(run.id)
    assert_message(caught.value, ray_jobs.RESULT_TOO_LARGE, machine="cluster")
    launched = ray_jobs.RayLauncher(launchers.find_machine("cluster"))
    link = ray_driver.link_name("a")
    for name in (f"{link}/../../escaped", f"{link}//etc/passwd", "other/file", f"{link}/a\\b"):
        monkeypatch.setattr(
            launched, "_ask", lambda *_, name=name, **__: {"data": {"result": {"internal": [name]}}}
        )
        with pytest.raises(StudioError) as caught:
            launched._list_files("head", link)
        assert_message(caught.value, bundle.NOT_A_RUN, machine="cluster")


def test_a_job_of_an_answer_that_was_lost_is_not_started_twice(cluster, make_run):
    run = make_run()
    cluster.behave("waits")
    launched = ray_jobs.RayLauncher(launchers.find_machine("cluster"))
    from studio.training import setup

    setup.prepare_data(run, run.plan)
    job = launched.submit(run, 0, lambda *_: None)
    assert launched.submit(run, 0, lambda *_: None) == job
    assert len(cluster.jobs) == 1
    launched.cancel(job, at_once=True)
    assert launched.status(job).state == "ended"
    with pytest.raises(JobLost):
        launched.status({**job, "id": "another"})
    cluster.is_down = True
    with pytest.raises(ConnectionLost):
        launched.status(job)


def test_what_a_person_agrees_to(cluster, make_plan, add_machine, studio_home, monkeypatch):
    plan = make_plan("lora", "chat", batch_size=8).model_copy(update={"where": "cluster"})
    add_machine(studio_home, "cluster", ray=cluster.address, cards=2)
    sheet = consent.describe(plan, launchers.find_machine("cluster"), None)
    texts = [line.text for line in sheet.lines]
    assert consent.CLUSTER_DATA.text in texts
    assert consent.SEVERAL_GPUS.text in texts
    assert consent.READABLE_ON_THE_WAY.text not in texts, "it leads to this machine alone"
    add_machine(studio_home, "cluster", ray=cluster.address, cards=3)
    with pytest.raises(NotPossible) as caught:
        before_start.require_machine(plan, launchers.find_machine("cluster"))
    assert_message(caught.value, ranks.INDIVISIBLE, batch=8, count=3)
    monkeypatch.setattr(ray_jobs, "LOOPBACK_HOSTS", ())
    add_machine(studio_home, "cluster", ray=cluster.address)
    sheet = consent.describe(plan, launchers.find_machine("cluster"), None)
    assert consent.READABLE_ON_THE_WAY.text in [line.text for line in sheet.lines]


def test_several_gpus_of_a_box_are_refused_where_no_cluster_uses_them(make_plan, add_machine, studio_home):
    add_machine(studio_home, "box", ssh="ada@box", cards=2)
    plan = make_plan("lora", "chat").model_copy(update={"where": "box"})
    with pytest.raises(NotPossible) as caught:
        consent.describe(plan, launchers.find_machine("box"), None)
    assert_message(caught.value, consent.SEVERAL_NEED_RAY, machine="box", count=2)


def test_an_address_that_could_be_something_else_is_refused(studio_home, add_machine):
    add_machine(studio_home, "cluster", ray="file:///etc/passwd")
    with pytest.raises(StudioError):
        catalogue.load_machines()
