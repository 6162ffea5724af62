"""A run as a process of its own: it starts, waits for its turn, ends, and its death is noticed."""

import json
import os
import signal
import time

import psutil
import pytest

from studio import runs
from studio.training import launcher


def until(condition, seconds=60):
    """Wait for something to become true, looking often."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def process_of(run):
    return psutil.Process(json.loads((run.folder / "process.json").read_text())["pid"])


@pytest.fixture
def start():
    """Start a run; whatever still works when the test is over is ended."""
    begun = []

    def start(run):
        launcher.start(run)
        begun.append(run)
        return run

    yield start
    for run in begun:
        if runs.is_alive(run):
            process_of(run).kill()


@pytest.mark.thorough
def test_two_runs_train_one_after_the_other(make_plan, start):
    first = start(runs.create(make_plan(epochs=1)))
    second = start(runs.create(make_plan(epochs=1)))
    until(lambda: runs.status(second).stage == "queue")
    assert runs.status(second).state == "waiting"
    assert runs.status(first).state not in runs.ENDED_STATES
    until(lambda: runs.status(second).state in runs.ENDED_STATES)
    for run in (first, second):
        assert runs.status(run).state == "done", (run.folder / "worker.log").read_text()
        assert runs.is_usable(run)
    assert max(point["time"] for point in runs.read_points(first)) <= min(
        point["time"] for point in runs.read_points(second)
    )


def test_a_waiting_process_holds_no_torch(make_plan, start):
    older, run = runs.create(make_plan()), runs.create(make_plan())
    runs.set_status(older, "training", "train")
    start(run)
    until(lambda: runs.status(run).stage == "queue")
    loaded = [part.path for part in process_of(run).memory_maps()]
    launcher.stop(run)
    until(lambda: not runs.is_alive(run))
    assert runs.status(run).state == "stopped"
    assert not [path for path in loaded if "libtorch" in path]


def test_a_worker_killed_from_outside_is_reported_as_failed(make_plan, start):
    run = start(runs.create(make_plan(epochs=100)))
    until(lambda: runs.status(run).state == "preparing")
    os.kill(process_of(run).pid, signal.SIGKILL)
    until(lambda: not runs.is_alive(run), 5)
    status = runs.status(run)
    assert status.state == "failed"
    assert status.message.render().startswith("The training process stopped unexpectedly")
    assert "smaller batch" in status.hint.render()


def test_a_failure_in_the_process_is_told_in_status_and_log_without_a_traceback(make_plan, start):
    run = start(runs.create(make_plan().model_copy(update={"model": "no-such-model"})))
    until(lambda: runs.status(run).state == "failed")
    until(lambda: not runs.is_alive(run))
    assert runs.status(run).message.render() == "There is no model “no-such-model”."
    log = (run.folder / "worker.log").read_text()
    assert "There is no model “no-such-model”." in log
    assert "Traceback" not in log


def test_a_stop_counts_until_the_run_has_ended(make_plan):
    run = runs.create(make_plan())
    assert not launcher.is_stopping(run)
    launcher.stop(run)
    assert launcher.is_stopping(run)
    runs.set_status(run, "stopped")
    assert not launcher.is_stopping(run)
