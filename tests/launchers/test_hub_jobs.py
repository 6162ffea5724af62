"""A run at Hugging Face Jobs, by the real client and a hub of this machine that runs the command."""

import dataclasses
import json
import time
from datetime import date

import pytest
import yaml
from bench_line import print_times
from followed import followed, resume, steps, stop_once_trained, wait_for
from huggingface_hub.utils import _http
from refusals import assert_message
from stand_in import OTHERS_TOKEN, TOKEN, Repo

from studio import launchers, runs
from studio.errors import NotPossible
from studio.estimate import all_methods, estimate_one, history
from studio.hub import push, refusals
from studio.launchers import bundle, consent, follower, hub_jobs, job_worker, record, resumption
from studio.launchers.follower import GONE
from studio.launchers.record import Record
from studio.launchers.spec import ConnectionLost, LauncherRefused
from studio.training import launcher
from studio.training import setup as run_setup


@pytest.fixture
def make_run(make_plan):
    def make(max_minutes=30.0, keep=False, **training):
        plan = make_plan("lora", "chat", **training)
        run = runs.create(plan.model_copy(update={"where": "hf-t4-small"}))
        Record(agreed=True, max_minutes=max_minutes, keep=keep).write(run)
        return run

    return make


def texts_of(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            yield path, path.read_bytes()


@pytest.mark.thorough
def test_the_same_folder_comes_back_and_no_token_is_written(ada, make_run, studio_home):
    run, started = make_run(epochs=2), time.monotonic()
    follower.follow(run.id)
    assert runs.status(run).state == "done", runs.status(run)
    assert runs.complete_report(run)["trained_at"] == "Hugging Face t4-small"
    (job,) = ada.jobs.values()
    assert (job.spec["flavor"], job.spec["timeoutSeconds"]) == ("t4-small", 30 * 60)
    assert job.spec["secrets"] == {"HF_TOKEN": TOKEN}
    assert TOKEN not in json.dumps({**job.spec, "secrets": {}}), "no argument and no variable holds it"
    assert TOKEN not in "\n".join(job.lines)
    for path, content in (*texts_of(studio_home), *texts_of(job.folder)):
        assert TOKEN.encode() not in content, path
    assert ada.repos == {}, "data and result are deleted at the hub"
    print_times("job (stand-in)", record.read(run), time.monotonic() - started)


def only_job(hub):
    (job,) = hub.jobs.values()
    return job


@pytest.mark.exhaustive
def test_a_log_that_breaks_off_costs_no_point_and_doubles_none(ada, make_run, behave):
    ada.cut_logs |= {2, 5}
    run = make_run()
    follower.follow(run.id)
    assert runs.status(run).state == "done"
    assert steps(run) == [1, 2, 3, 4, 5]
    assert runs.report(run)["trained_at"] == "Hugging Face t4-small"
    assert ada.repos == {}


def test_what_is_kept_stays_private(ada, make_run, behave):
    follower.follow(make_run(keep=True).id)
    (repo,) = ada.repos.values()
    assert repo.private
    assert "result/report.json" in repo.files


def test_a_stop_goes_by_the_repository_and_brings_back_what_was_learned(ada, make_run, behave):
    behave("waits")
    run = make_run()
    assert stop_once_trained(run) == []
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)


def test_a_job_that_still_waits_for_a_machine_is_cancelled(ada, make_run, behave):
    ada.holds_jobs = True
    run = make_run()
    with followed(run) as errors:
        wait_for(lambda: ada.jobs)
        launcher.stop(run)
    assert errors == []
    assert only_job(ada).stage == "CANCELED"
    assert runs.status(run).state == "stopped"
    assert ada.repos == {}, "its rows are deleted"


@pytest.mark.exhaustive
def test_a_stopped_job_may_take_its_time_to_upload_what_it_learned(ada, make_run, behave, monkeypatch):
    monkeypatch.setattr(follower, "STOP_PATIENCE_SECONDS", 0.5)
    behave("lingers")
    run = make_run()
    assert stop_once_trained(run) == []
    assert only_job(ada).stage == "COMPLETED"
    assert runs.is_usable(run)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_hub_that_is_busy_is_asked_again_whatever_it_was_asked(ada, status):
    jobs_launcher = launchers.create(launchers.find_machine("hf-t4-small"))
    job = {"namespace": "ada", "repo": "ada/x", "id": "1"}
    ada.refuse("GET", "/api/whoami", status)
    with pytest.raises(ConnectionLost):
        jobs_launcher.status(job)
    ada.refusals.clear()
    ada.refuse("GET", "/api/jobs", status)
    with pytest.raises(ConnectionLost):
        jobs_launcher.status(job)


@pytest.fixture
def fetch(ada, tmp_path, set_clock):
    """`fetch()`: the names of the files that came back of a result that lies at the hub."""
    set_clock(_http, sleep=lambda seconds: None)  # the client asks again before it gives up
    names = ("bundle/plan.yaml", "result/model/weights", "result/report.json", "result/status.json")
    ada.repos["ada/x"] = Repo("dataset", True, {}, {name: name.encode() for name in names})
    jobs_launcher = launchers.create(launchers.find_machine("hf-t4-small"))
    folder = tmp_path / "result"

    def fetch_result():
        jobs_launcher.fetch({"namespace": "ada", "repo": "ada/x", "id": "1"}, folder)
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    return fetch_result


WHOLE_RESULT = ["model/weights", "report.json", "status.json"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/datasets"), ("GET", "/tree/"), ("HEAD", "/resolve/")]
)
def test_a_result_that_the_hub_does_not_hand_out_now_is_asked_for_again(ada, fetch, method, path):
    ada.refuse(method, path, 503)
    with pytest.raises(ConnectionLost):
        fetch()
    ada.refusals.clear()
    assert fetch() == WHOLE_RESULT


def test_half_of_a_result_is_not_taken_for_all_of_it(ada, fetch, tmp_path):
    client_cache = tmp_path / "result" / ".download" / ".cache" / "huggingface"
    client_cache.mkdir(parents=True)
    (client_cache / "trees").touch()  # where it would keep the list of files
    ada.refuse("HEAD", "/result/report.json", 503)
    with pytest.raises(ConnectionLost):
        fetch()
    ada.refusals.clear()
    ada.refuse("GET", "/tree/", 503)
    with pytest.raises(ConnectionLost):
        fetch()
    ada.refusals.clear()
    assert fetch() == WHOLE_RESULT


@pytest.mark.exhaustive
def test_the_hub_is_asked_once_whose_token_it_is(ada, make_run, behave):
    follower.follow(make_run().id)
    assert ada.asked_paths.count("/api/whoami-v2") == 1


def test_a_job_of_another_account_is_not_taken_for_lost(ada, make_run, monkeypatch):
    job = {"namespace": "ada", "repo": "ada/x", "id": "1"}
    monkeypatch.setenv("HF_TOKEN", OTHERS_TOKEN)
    with pytest.raises(LauncherRefused) as caught:
        launchers.create(launchers.find_machine("hf-t4-small")).status(job)
    assert_message(caught.value, hub_jobs.OTHER_ACCOUNT, owner="ada", account="bob")


def test_a_run_is_rented_by_the_account_that_was_agreed_to(ada, make_run, behave, monkeypatch):
    run, machine = make_run(), launchers.find_machine("hf-t4-small")
    consent.record_agreement(run, consent.describe(run.plan, machine, None), keep=False)
    monkeypatch.setenv("HF_TOKEN", OTHERS_TOKEN)
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(run.id)
    assert_message(caught.value, hub_jobs.OTHER_ACCOUNT, owner="ada", account="bob")
    assert ada.repos == {}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    launcher.requeue(run)
    follower.follow(run.id)
    assert runs.status(run).state == "done"


class BusyApi:
    """A hub that takes no upload for the first eight times."""

    n_tries = 0

    def upload_folder(self, **_):
        self.n_tries += 1
        if self.n_tries < 9:
            raise OSError("busy")


def test_a_result_is_uploaded_for_most_of_the_minutes_after_the_training(monkeypatch, tmp_path):
    waited = []
    monkeypatch.setattr(job_worker.time, "sleep", waited.append)
    api = BusyApi()
    job_worker._upload(api, "ada/x", tmp_path, [], job_worker.RESULT_UPLOAD_SECONDS)
    assert api.n_tries == 9
    assert sum(waited) < job_worker.RESULT_UPLOAD_SECONDS < 60 * hub_jobs.MAX_UPLOAD_MINUTES
    with pytest.raises(OSError):
        job_worker._upload(BusyApi(), "ada/x", tmp_path, [], 0.0)


def test_a_token_that_the_hub_does_not_know_is_told_and_nothing_is_made(ada, make_run, behave, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    run = make_run()
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(run.id)
    assert_message(caught.value, refusals.WRONG_TOKEN)
    assert runs.status(run).message.text == refusals.WRONG_TOKEN.text
    assert runs.is_resumable(run)
    assert (ada.repos, ada.jobs) == ({}, {})


def test_a_job_that_the_hub_ends_leaves_a_run_that_goes_on(ada, make_run, behave):
    behave("hangs")
    run = make_run()
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        only_job(ada).end("ERROR", "Job timeout")
    assert_message(errors[0], hub_jobs.ENDED_BADLY)
    assert "Job timeout" in runs.status(run).failure_text()
    behave()
    assert resume(run)[0] == "done"
    assert len(ada.jobs) == 2


@pytest.fixture
def stopped_run(ada, make_run, behave):
    """A run that was stopped, and whose result stays at the hub."""
    run = make_run(keep=True)
    behave("waits")
    assert stop_once_trained(run) == []
    record.read(run).write(run, agreed=True)
    launcher.requeue(run)
    return run


@pytest.mark.thorough
def test_a_kept_result_is_not_taken_for_one_that_the_hub_did_not_take(stopped_run, behave):
    behave("unsent")
    follower.follow(stopped_run.id)
    assert runs.status(stopped_run).state == "failed"
    assert runs.status(stopped_run).message.text == follower.NO_RESULT.text


@pytest.mark.thorough
def test_a_kept_result_does_not_hide_why_the_next_job_ended(ada, stopped_run, behave):
    behave("hangs")
    with followed(stopped_run) as errors:
        wait_for(lambda: len(ada.jobs) == 2)
        list(ada.jobs.values())[-1].end("ERROR", "Job timeout")
    assert_message(errors[0], hub_jobs.ENDED_BADLY)


@pytest.mark.exhaustive
def test_a_hub_that_is_silent_for_a_while_is_asked_again(ada, make_run, behave):
    behave("waits")
    run = make_run()
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        ada.refuse("GET", "/api/", 503)
        only_job(ada).end("ERROR", "node lost")  # ends the log, so the hub is asked where the job stands
        wait_for(lambda: (runs.status(run).message or GONE).text == follower.RETRYING.text)
        assert runs.status(run).state == "training"
        ada.refusals.clear()
    assert_message(errors[0], hub_jobs.ENDED_BADLY)


def test_an_answer_that_was_lost_starts_no_second_job(ada, make_run, behave):
    behave("waits")
    run = make_run()
    jobs_launcher = launchers.create(launchers.find_machine("hf-t4-small"))
    run_setup.prepare_data(run, run.plan)
    first = jobs_launcher.submit(run, 0, lambda *_: None)
    assert jobs_launcher.submit(run, 0, lambda *_: None) == first
    assert len(ada.jobs) == 1
    only_job(ada).end("CANCELED")


def test_a_repository_that_everyone_sees_is_refused(ada, make_run, behave):
    run = make_run()
    ada.repos[f"ada/studio-run-{run.id[:12]}"] = Repo("dataset", False, {})
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(run.id)
    assert_message(caught.value, push.IS_PUBLIC)
    assert ada.jobs == {}


def test_the_price_is_the_hub_s_of_today_or_the_catalogue_s_with_its_date(ada):
    machine = launchers.find_machine("hf-t4-small")
    hub_jobs._prices_of.cache_clear()
    ada.anonymous = True
    priced = hub_jobs.current_price(machine)
    assert priced.price_per_hour == pytest.approx(0.45)
    assert priced.price_source.date == date.today()
    hub_jobs._prices_of.cache_clear()
    ada.refuse("GET", "/api/jobs/hardware", 500)
    assert hub_jobs.current_price(machine) == machine


@pytest.mark.parametrize(
    ("cap", "money", "longest", "expected"),
    [
        (None, None, None, 80),
        (None, None, 3.0, 30),
        (None, None, 100.2, 221),
        (12.0, None, 100.0, 32),
        (None, 0.2, 100.0, 30),  # half an hour, at 0.40 an hour
        (12.0, 0.2, 100.0, 30),
        (5.0, 0.2, 100.0, 25),
    ],
)
def test_every_job_ends_and_costs_no_more_than_its_cap(make_plan, cap, money, longest, expected):
    plan, machine = make_plan("lora", "chat", max_minutes=cap, max_money=money), find_t4()
    max_minutes = hub_jobs.choose_max_minutes(plan, longest, machine)
    assert max_minutes == expected
    assert money is None or consent.round_up_cost(machine, max_minutes) <= money


def find_t4():
    return launchers.find_machine("hf-t4-small")


@pytest.mark.parametrize(
    ("max_minutes", "gone", "used", "left"),
    [(30, 4, 0, 18.5), (30, 4, 10, 28.5), (120, 4, 0, 100), (30, 25, 0, 1)],
)
def test_the_training_ends_in_time_for_its_upload_whatever_came_before_it(
    make_run, max_minutes, gone, used, left
):
    run = make_run()
    (run.folder / "use.json").write_text(json.dumps({"seconds": 60 * used}), encoding="utf-8")
    job_worker.write_cap(run, max_minutes, ends_at=time.time() + 60 * (max_minutes - gone))
    assert runs.get(run.id).plan.training.max_minutes == pytest.approx(left, abs=0.1)


def test_a_cap_of_the_plan_that_is_smaller_stays(make_plan):
    plan = make_plan("lora", "chat", max_minutes=2.0)
    assert hub_jobs.with_cap(plan, 30, 4.0).training.max_minutes == 2.0


def test_a_run_that_goes_on_has_what_its_caps_leave(ada, make_plan):
    run = runs.create(make_plan("lora", "chat", max_money=0.2).model_copy(update={"where": "hf-t4-small"}))
    (run.folder / "use.json").write_text('{"seconds": 600}', encoding="utf-8")
    assert resumption.describe(run, find_t4()).max_minutes == 30 - 10 - 3, "and it is started once more"


def test_a_cap_on_money_that_pays_for_little_more_than_the_start_is_refused(ada, make_plan):
    machine = find_t4()
    plan = make_plan("lora", "chat", max_money=0.03)
    with pytest.raises(NotPossible) as caught:
        consent.describe(plan, machine, None)
    assert_message(caught.value, hub_jobs.CAP_TOO_SMALL, minutes=4.5, setup=3.0)
    enough = 0.03 + caught.value.hint.values["least"]
    plan = make_plan("lora", "chat", max_money=enough)
    assert consent.describe(plan, machine, None).max_minutes == 6


def test_a_cap_on_money_counts_by_the_price_that_was_agreed_to(ada, make_run, behave):
    run, machine = make_run(keep=True), launchers.find_machine("hf-t4-small")
    agreed = dataclasses.replace(machine, price_per_hour=0.45)
    consent.record_agreement(run, consent.Consent(agreed, "ada", 30.0, ()), keep=True)
    follower.follow(run.id)
    (repo,) = ada.repos.values()
    rows = yaml.safe_load(repo.files["bundle/machines.yaml"])["machines"]
    assert rows["here"]["price"]["per_hour"] == 0.45


def test_the_consent_says_what_it_costs_at_most(ada, make_run):
    plan, machine = make_run().plan, launchers.find_machine("hf-t4-small")
    agreement = consent.describe(plan, machine, None)
    (cap,) = [line for line in agreement.lines if line.text == consent.CAP.text]
    assert agreement.max_minutes == 80
    assert cap.values["most"] == 0.54  # 80 minutes at 0.40 an hour, rounded up to the cent
    assert cap.values["before"] == 16
    lines = [line.text for line in agreement.lines]
    assert {consent.JOB_DATA.text, consent.PRICE_ONLY.text, consent.DELETED.text} <= set(lines)


def test_the_minutes_before_a_job_are_one_figure_in_table_consent_cap_and_receipt(ada, make_run, tmp_path):
    run, machine = make_run(), launchers.find_machine("hf-t4-small")
    estimate = all_methods.estimate_chosen_method(run.plan, machine)
    lines = consent.describe(run.plan, machine, estimate).lines
    (setup,) = [line for line in lines if line.text == consent.SETUP.text]
    history.save_estimate(run, estimate, machine)
    on_receipt = history.load_estimate(run)["price"]["start_minutes"]
    assert setup.values["minutes"] == estimate.startup_minutes == on_receipt
    bundle.write_price(run, machine, tmp_path)
    there = yaml.safe_load((tmp_path / "machines.yaml").read_text(encoding="utf-8"))["machines"]["here"]
    fetching = estimate.fetched_gb * 1e9 / estimate_one.FETCH_BYTES_PER_SECOND / 60
    assert there["start_minutes"] + fetching == pytest.approx(estimate.startup_minutes)
