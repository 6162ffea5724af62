"""A run is a folder of plain files, and whatever happens to its process, its status tells the truth."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from studio import run_format, runs
from studio.errors import BadPlan, NotPossible, RunNotFound
from studio.i18n import Message
from studio.runs import Status
from studio.storage import write_json


@pytest.fixture
def run(make_plan):
    return runs.create(make_plan())


@pytest.fixture
def process():
    """A process of no use that the test may kill."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield sleeper
    sleeper.kill()
    sleeper.wait()


def long_ago(run, state="training", **values):
    """The status as a worker wrote it a minute ago."""
    status = {"state": state, "stage": "train", "updated": time.time() - 60, **values}
    (run.folder / "status.json").write_text(json.dumps(status))
    os.utime(run.folder / "plan.yaml", (time.time() - 60,) * 2)
    return runs.get(run.id)


def test_a_new_run_waits_with_its_plan_and_no_points(run, make_plan):
    assert runs.status(run).state == "waiting"
    assert run.plan == make_plan()
    assert list(runs.read_points(run)) == []
    assert {path.name for path in run.folder.iterdir()} == {
        "format.json",
        "plan.yaml",
        "status.json",
        "metrics.jsonl",
        "worker.log",
    }
    assert not runs.is_usable(run)


def test_a_run_is_found_by_its_id_its_beginning_or_last(make_plan):
    first, second = runs.create(make_plan()), runs.create(make_plan())
    os.utime(first.folder / "plan.yaml", (1, 1))
    assert runs.get(first.id) == first
    assert runs.find(first.id) == first
    assert runs.find(second.id[:8]) == second
    assert runs.find("last") == second
    assert runs.all_runs() == [second, first]


@pytest.mark.parametrize("text", ["", "abc", "0" * 32, "last", "../..", "zz" * 16])
def test_what_names_no_run_is_told(text):
    with pytest.raises(RunNotFound, match="studio runs"):
        runs.find(text)


def test_a_beginning_that_fits_several_runs_names_none(make_plan):
    for number in range(2):
        folder = runs.folder() / f"abcd{number}".ljust(32, "0")
        runs.create(make_plan()).folder.rename(folder)
    with pytest.raises(RunNotFound, match="names 2 runs"):
        runs.find("abcd")


@pytest.mark.parametrize(
    "text",
    [
        "../outside",
        "..",
        ".",
        "/etc",
        "a/../b",
        "A" * 32,
        "g" * 32,
        "0" * 31,
        "0" * 33,
        "0" * 32 + "\n",
        "0" * 32 + "/..",
        "\0",
    ],
)
def test_only_a_run_id_opens_a_folder(run, text):
    outside = runs.folder().parent / "outside"
    shutil.copytree(run.folder, outside)
    with pytest.raises(RunNotFound):
        runs.get(text)


def test_a_folder_that_is_no_run_is_not_listed(run):
    (runs.folder() / ".new-0123").mkdir()
    (runs.folder() / "notes").mkdir()
    assert runs.all_runs() == [run]


def test_a_run_that_is_being_deleted_does_not_spoil_the_list(run, make_plan):
    half = runs.create(make_plan())
    (half.folder / "plan.yaml").unlink()  # rmtree is half way
    assert runs.all_runs() == [run]


def test_a_deleted_run_is_gone(run):
    runs.delete(run)
    assert runs.all_runs() == []
    with pytest.raises(RunNotFound):
        runs.get(run.id)


@pytest.mark.parametrize("sent", [None, 5, {"a": 1}, [], "../other", "/etc"])
def test_what_is_no_id_names_no_run(sent, run):
    with pytest.raises(RunNotFound):
        runs.get(sent)


def test_points_are_numbered_and_timed(run):
    before = time.time()
    for step in range(3):
        runs.add_point(run, "train", step, step / 3, loss=2.0 - step)
    points = list(runs.read_points(run))
    assert [point["seq"] for point in points] == [0, 1, 2]
    assert [point["loss"] for point in points] == [2.0, 1.0, 0.0]
    assert all(before - 1 <= point["time"] <= time.time() + 1 for point in points)
    assert points[1]["epoch"] == 0.3333


def test_numbering_goes_on_behind_a_long_file(run):
    for step in range(200):
        runs.add_point(run, "train", step, 0, note="x" * 100)
    assert [point["seq"] for point in runs.read_points(run)] == list(range(200))


def test_a_half_written_line_is_ignored(run):
    runs.add_point(run, "train", 1, 0.1, loss=1.0)
    with run.metrics_path.open("ab") as file:
        file.write(b'{"seq": 1, "lo')
    assert [point["seq"] for point in runs.read_points(run)] == [0]


@pytest.mark.parametrize(
    "line", ['{"stage": []}', '{"step": 1}', '{"stage": "train", "step": "x"}', "[" * 100_000]
)
def test_a_damaged_point_is_left_out(run, line):
    runs.add_point(run, "train", 1, 0.1, loss=2.0)
    with run.metrics_path.open("a") as file:
        file.write(line + "\n")
    assert [point["step"] for point in runs.read_points(run)] == [1]


def test_a_run_whose_points_are_gone_has_none(run):
    run.metrics_path.unlink()
    assert list(runs.read_points(run)) == []
    run.metrics_path.mkdir()
    assert list(runs.read_points(run)) == []


def test_a_status_is_read_back_and_an_unknown_state_refused(run):
    runs.set_status(run, "done", "after", step=4, steps=9, seconds_left=1.5)
    status = runs.status(run)
    assert (status.state, status.stage, status.step, status.steps, status.seconds_left) == (
        "done",
        "after",
        4,
        9,
        1.5,
    )
    with pytest.raises(ValueError, match="finished"):
        runs.set_status(run, "finished")


def test_keys_of_a_later_studio_in_a_status_do_no_harm(run):
    (run.folder / "status.json").write_text('{"state": "done", "colour": "blue"}')
    assert runs.status(run) == Status("done")


DAMAGED_STATUS = [
    "",
    "{",
    "[]",
    "null",
    "{}",
    '{"stage": "train"}',
    '{"state": "dancing"}',
    '{"state": "done", "updated": "soon"}',
    '{"state": "done", "step": null}',
    '{"state": "done", "seconds_left": NaN}',
    '{"state": "failed", "message": {"text": "x", "values": 5}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", DAMAGED_STATUS)
def test_a_status_that_cannot_be_read_counts_as_failed_with_a_sentence(run, text):
    (run.folder / "status.json").write_text(text)
    status = runs.status(run)
    assert status.state == "failed"
    assert status.message == runs.STATUS_UNREADABLE.format(file=run.folder / "status.json")
    assert status.hint == runs.START_AGAIN


def test_a_reader_never_sees_half_a_status(run):
    finished, states = threading.Event(), set()

    def read():
        while not finished.is_set():
            states.add(runs.status(run).state)

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(60):
        runs.set_status(run, "done", step=step)
    finished.set()
    reader.join()
    assert states <= {"waiting", "done"}


def test_a_run_whose_process_works_is_what_it_says(run, process):
    runs.claim(run, process.pid)
    run = long_ago(run, step=3, steps=9)
    assert runs.is_alive(run)
    assert runs.status(run).state == "training"


def test_a_killed_process_means_a_failed_run(run, process):
    runs.claim(run, process.pid)
    runs.add_point(run, "train", 3, 0.3, memory_gb=1.25)
    run = long_ago(run, step=3, steps=9)
    process.kill()
    process.wait()
    status = runs.status(run)
    assert (status.state, status.step, status.steps) == ("failed", 3, 9)
    assert status.message == runs.KILLED.format(memory=runs.MEMORY_IN_USE.format(memory=1.25))
    assert status.hint == runs.KILLED_HINT
    assert status.failure_text() == f"{status.message.render()} {status.hint.render()}"
    assert "1.2 GB" in status.failure_text()
    assert "1.2 GB" in status.failure_text("zh")


def test_a_failure_that_an_earlier_studio_told_in_english_is_told_in_english(run):
    (run.folder / "status.json").write_text(
        '{"state": "failed", "what": "No disk.", "what_to_do": "Free some."}'
    )
    assert runs.status(run).failure_text("zh") == runs.status(run).failure_text() == "No disk. Free some."


def test_a_failure_is_stored_in_both_languages_with_its_values(run):
    message = Message("No “{name}”.", translations={"zh": "没有“{name}”。"}).format(name="{x}")
    hint = Message("Look.", translations={"zh": "请看。"})
    runs.set_status(run, "failed", message=message, hint=hint)
    assert (runs.status(run).failure_text(), runs.status(run).failure_text("zh")) == (
        "No “{x}”. Look.",
        "没有“{x}”。请看。",
    )


def test_a_dead_child_that_nobody_has_collected_is_not_alive(run, process):
    runs.claim(run, process.pid)
    process.kill()
    for _ in range(200):
        if psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.01)
    assert psutil.pid_exists(process.pid)
    assert not runs.is_alive(run)


def test_another_process_under_the_same_number_is_not_the_run(run):
    runs.claim(run, os.getpid())
    path = run.folder / "process.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "started": info["started"] - 100}))
    assert not runs.is_alive(run)


@pytest.mark.skipif(not psutil.LINUX, reason="other systems keep the time itself")
def test_a_clock_that_is_set_while_a_run_works_changes_nothing(run, process, monkeypatch):
    runs.claim(run, process.pid)
    hour_later = psutil.boot_time() + 3600
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: hour_later)
    assert runs.is_alive(run)


@pytest.mark.parametrize("pid", ["null", '"x"', "[]", "-1", "0", "true", "1e9", str(10**30)])
def test_a_damaged_note_of_the_process_means_that_there_is_none(run, pid):
    (run.folder / "process.json").write_text(f'{{"pid": {pid}, "started": 5}}')
    assert not runs.is_alive(run)
    assert runs.status(run).state == "failed"


def test_an_ended_run_stays_ended_without_a_process(run):
    for state in runs.ENDED_STATES:
        assert runs.status(long_ago(run, state)).state == state


def test_a_new_run_without_a_process_yet_is_given_time(run):
    assert runs.status(run).state == "waiting"
    assert runs.status(long_ago(run, "waiting")).state == "failed"


def test_a_run_is_described_by_name_and_short_id(run):
    assert runs.describe(run).startswith("lora on toys · ")
    assert runs.describe(run).endswith(run.id[:8])


def test_a_run_with_a_spoilt_plan_is_still_described(run):
    (run.folder / "plan.yaml").write_text("nonsense")
    assert runs.describe(run).startswith("? · ")


def test_a_report_that_lacks_something_costs_a_sentence_that_names_what(run):
    run.model.mkdir()
    entries = {
        "after": {},
        "learning_rate": 1e-3,
        "seconds": 60.0,
        "device": "cpu",
        "best_step": 8,
        "texts": {},
    }
    sections = {name: dict.fromkeys(keys, 1) for name, keys in run_format.REQUIRED_ENTRIES.items()}
    del sections["base"]["hub"]
    write_json(run.folder / "report.json", {**entries, **sections})
    with pytest.raises(NotPossible, match=r"lacks labels, base\.hub\."):
        runs.complete_report(run)


def test_a_report_that_is_not_there_or_spoilt_is_empty(run):
    assert runs.report(run) == {}
    (run.folder / "report.json").write_text("[1")
    assert runs.report(run) == {}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"before": {"loss": 2.0}, "linear_baseline": {}}, {"loss": 2.0}),
        ({"before": {"loss": 2.0}, "linear_baseline": {"loss": 0.5}}, {"loss": 0.5}),
        ({"before": {"loss": 2.0}}, {"loss": 2.0}),  # an earlier studio fitted none
        ({"before": "spoilt"}, {}),
        ({}, {}),
    ],
)
def test_a_result_is_compared_with_the_linear_fit_of_a_classifier_and_else_with_the_base(report, expected):
    assert runs.start_scores(report) == expected


def test_a_run_whose_process_is_suspended_stands_still(run, process):
    runs.claim(run, process.pid)
    runs.set_status(run, "training", "train", step=3, steps=9, patience=60.0)
    assert runs.stalled_since(run, runs.status(run)) is None
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(200):
        if psutil.Process(process.pid).status() == psutil.STATUS_STOPPED:
            break
        time.sleep(0.01)
    since = runs.stalled_since(run, runs.status(run))
    assert since == pytest.approx(time.time(), abs=5)
    os.kill(process.pid, signal.SIGCONT)


def test_a_run_that_is_silent_for_longer_than_its_pace_explains_stands_still(run, process, set_clock):
    runs.claim(run, process.pid)
    runs.set_status(run, "training", "train", step=3, steps=9, patience=60.0)
    status, now, wall = runs.status(run), time.monotonic(), time.time()
    set_clock(runs, monotonic=lambda: now + 59)
    assert runs.stalled_since(run, status) is None
    set_clock(runs, monotonic=lambda: now + 61)
    assert runs.stalled_since(run, status) == pytest.approx(wall - 61, abs=5)
    for stage in runs.UNHURRIED_STAGES:  # it waits for a place elsewhere, or is on its way
        runs.set_status(run, "preparing", stage, patience=-1.0)
        assert runs.stalled_since(run, runs.status(run)) is None


def test_a_clock_that_is_set_makes_no_run_stand_still(run, process, set_clock):
    runs.claim(run, process.pid)
    runs.set_status(run, "training", "train", patience=60.0)
    status, hour_later = runs.status(run), time.time() + 3600
    set_clock(runs, time=lambda: hour_later)
    assert runs.stalled_since(run, status) is None


def test_a_run_that_has_ended_does_not_stand_still(run, process):
    runs.claim(run, process.pid)
    runs.set_status(run, "done", patience=0.0)
    assert runs.stalled_since(run, runs.status(run)) is None


def test_a_process_that_the_system_ended_for_lack_of_memory_is_told_apart(run, process, monkeypatch):
    kills = [4]
    monkeypatch.setattr(runs.processes, "count_memory_kills", lambda: kills[0])
    runs.claim(run, process.pid)
    process.kill()
    process.wait()
    assert runs.status(run).cause == "killed"
    kills[0] = 5
    status = runs.status(run)
    assert (status.cause, status.message.text) == ("memory", runs.KILLED_FOR_MEMORY.text)
    kills[0] = None
    assert runs.status(run).cause == "killed"


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"[]", b'{"stage": "train"}', b'{"step": 1, "stage": "a"}, {"step": 2, "stage": "b"}'],
)
def test_many_points_are_read_at_once_and_without_the_damaged_ones(damaged):
    good = [b'{"step": 1, "stage": "train", "right": 0.5}', b'{"step": 2, "stage": "train"}']
    points = runs.parse_points([good[0], damaged, good[1]])
    assert points == [{"step": 1, "stage": "train", "answer_accuracy": 0.5}, {"step": 2, "stage": "train"}]


@pytest.mark.parametrize("depth", [400, 900, 5000])
def test_a_plan_nested_without_end_is_unreadable_and_nothing_more(make_plan, depth):
    run = runs.create(make_plan())
    for text in (
        "name: " + "[" * depth + "]" * depth,
        "- " * depth + "x",
        "name: " + "{a: " * depth + "}" * depth,
    ):
        (run.folder / "plan.yaml").write_text(text)
        with pytest.raises(BadPlan):
            _ = run.plan


def test_many_runs_are_listed_without_a_look_at_the_home_for_each(make_plan, monkeypatch):
    made = {runs.create(make_plan()).id for _ in range(5)}
    (runs.folder() / "notes").mkdir()
    (runs.folder() / ("0" * 32)).mkdir()
    looks, home = [], runs.home
    monkeypatch.setattr(runs, "home", lambda: looks.append(1) or home())
    assert {run.id for run in runs.all_runs()} == made
    assert len(looks) == 1


def test_a_run_that_is_claimed_while_it_is_looked_at_has_not_failed(make_plan, monkeypatch):
    run = runs.create(make_plan("lora", "chat"))

    def claimed_just_behind(looked_at):
        runs.claim(looked_at, os.getpid())
        return False

    monkeypatch.setattr(runs, "is_alive", claimed_just_behind)
    assert runs.status(run).state == "waiting"
