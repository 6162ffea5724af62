"""A run as a process of its own: it starts, waits for its turn, ends, and its death is noticed."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from studio import processes, runs
from studio.errors import NotPossible
from studio.storage import write_json
from studio.training import launcher, worker
from studio.training import queue as run_queue

# Only an emergency brake: a machine that computes something else as well takes many times as long.
LIMIT_SECONDS = 300


def wait_until(condition):
    """Wait for something to become true, checking often."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def process_of(run):
    return psutil.Process(json.loads((run.folder / "process.json").read_text())["pid"])


@pytest.fixture
def start():
    """Start a run; whatever still works when the test is over is ended."""
    started_runs = []

    def start(run):
        launcher.start(run)
        started_runs.append(run)
        return run

    yield start
    for run in started_runs:
        if runs.is_alive(run):
            process_of(run).kill()


def test_of_many_who_resume_a_run_at_once_one_starts_it(make_plan, monkeypatch):
    run = runs.create(make_plan())
    runs.set_status(run, "stopped")
    workers = []

    def start_sleeper(*_, **__):
        workers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return workers[-1].pid

    monkeypatch.setattr(processes, "start_detached", start_sleeper)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(launcher.resume, run) for _ in range(8)]
    refusals = [error for future in futures if (error := future.exception())]
    assert [type(error) for error in refusals] == [NotPossible] * 7
    assert len(workers) == 1
    workers[0].kill()
    workers[0].wait()


def test_a_second_worker_leaves_a_run_to_the_first(make_plan):
    run = runs.create(make_plan())
    first = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    runs.claim(run, first.pid)
    with pytest.raises(NotPossible, match=str(first.pid)):
        worker.run(run.id)
    assert runs.status(run).state == "waiting"
    first.kill()
    first.wait()


@pytest.mark.exhaustive
def test_two_runs_train_one_after_the_other(make_plan, start):
    first = start(runs.create(make_plan(epochs=0.25, eval_count=1)))
    second = start(runs.create(make_plan(epochs=0.25, eval_count=1)))
    wait_until(lambda: runs.status(second).stage == "queue")
    assert runs.status(second).state == "waiting"
    assert runs.status(first).state not in runs.ENDED_STATES
    wait_until(lambda: runs.status(second).state in runs.ENDED_STATES)
    for run in (first, second):
        assert runs.status(run).state == "done", (run.folder / "worker.log").read_text()
        assert runs.is_usable(run)
    last_of_first = max(point["time"] for point in runs.read_points(first))
    assert last_of_first <= min(point["time"] for point in runs.read_points(second))


@pytest.mark.exhaustive  # test_queue.py has two that train at once in one process
def test_of_three_runs_two_train_at_once_where_a_person_allows_two(make_plan, start, monkeypatch):
    monkeypatch.setenv("STUDIO_MAX_RUNS", "2")
    three = [runs.create(make_plan(epochs=2, eval_count=1)) for _ in range(3)]
    for run in three:
        write_json(run.folder / "estimate.json", {"memory_gb": {"high": 0.1}})
        start(run)
    n_active = []

    def have_ended():
        states = [runs.status(run).state for run in reversed(three)]  # the one that waits first
        n_active.append(sum(state not in ("waiting", *runs.ENDED_STATES) for state in states))
        return all(state in runs.ENDED_STATES for state in states)

    wait_until(have_ended)
    assert [runs.status(run).state for run in three] == ["done"] * 3
    assert max(n_active) == 2
    assert all((run.folder / run_queue.SHARED_FILE).exists() for run in three[:2])


@pytest.mark.thorough
def test_a_waiting_process_holds_no_torch(make_plan, start):
    older, run = runs.create(make_plan()), runs.create(make_plan())
    runs.set_status(older, "training", "train")
    start(run)
    wait_until(lambda: runs.status(run).stage == "queue")
    libraries = [region.path for region in process_of(run).memory_maps()]
    launcher.stop(run)
    wait_until(lambda: not runs.is_alive(run))
    assert runs.status(run).state == "stopped"
    assert not [path for path in libraries if "libtorch" in path]


def test_a_worker_killed_from_outside_is_reported_as_failed(make_plan, start):
    older, run = runs.create(make_plan()), runs.create(make_plan())
    runs.set_status(older, "training", "train")
    start(run)
    wait_until(lambda: runs.status(run).stage == "queue")
    os.kill(process_of(run).pid, signal.SIGKILL)
    wait_until(lambda: not runs.is_alive(run))
    status = runs.status(run)
    assert (status.state, status.message.text, status.hint) == ("failed", runs.KILLED.text, runs.KILLED_HINT)


@pytest.mark.thorough
def test_a_failure_in_the_process_is_told_in_status_and_log_without_a_traceback(make_plan, start):
    run = start(runs.create(make_plan().model_copy(update={"model": "no-such-model"})))
    wait_until(lambda: runs.status(run).state == "failed")
    wait_until(lambda: not runs.is_alive(run))
    message = runs.status(run).message
    assert message.values["model"] == "no-such-model"
    log = (run.folder / "worker.log").read_text()
    assert message.render() in log
    assert "Traceback" not in log


def test_a_child_gets_no_secrets_and_the_same_home(monkeypatch, studio_home):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    env = processes.child_environment(processes.WORKER)
    assert "secret" not in env.values()
    assert env["STUDIO_HOME"] == str(studio_home)
    assert env["HTTPS_PROXY"] == "http://proxy:1"
    assert env["PATH"] == os.environ["PATH"]


def test_a_stop_counts_until_the_run_has_ended(make_plan):
    run = runs.create(make_plan())
    assert not launcher.is_stopping(run)
    launcher.stop(run)
    assert launcher.is_stopping(run)
    runs.set_status(run, "stopped")
    assert not launcher.is_stopping(run)


def test_on_an_open_page_a_worker_gets_no_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert processes.child_environment(processes.WORKER)["HF_TOKEN"] == "secret"
    monkeypatch.setenv("STUDIO_OPEN", "1")
    env = processes.child_environment(processes.WORKER)
    assert "secret" not in env.values()
    assert env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] == "1"


def test_a_worker_sees_one_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert processes.child_environment(processes.WORKER)["CUDA_VISIBLE_DEVICES"] == "2"


@pytest.mark.parametrize(
    ("state", "is_older", "is_ahead"),
    [
        ("waiting", True, True),
        ("waiting", False, False),
        ("training", False, True),
        ("preparing", False, True),
        ("done", True, False),
    ],
)
def test_a_run_waits_for_whoever_goes_and_for_older_ones_that_wait(make_plan, state, is_older, is_ahead):
    first, second = runs.create(make_plan()), runs.create(make_plan())
    os.utime(second.folder / "plan.yaml", (first.created + 9, first.created + 9))
    second = runs.get(second.id)
    other, run = (first, second) if is_older else (second, first)
    runs.set_status(other, state, "train")
    assert bool(run_queue.find_wait(run, run_queue.read())) == is_ahead


def test_a_run_that_stands_still_is_ended_by_a_stop(make_plan):
    run = runs.create(make_plan())
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        runs.claim(run, process.pid)
        runs.set_status(run, "training", "train", patience=60.0)
        launcher.stop(run)
        assert process.poll() is None, "one that works ends by itself"
        runs.set_status(run, "training", "train", patience=-1.0)
        launcher.stop(run)
        assert process.wait() < 0
    assert runs.status(run).state == "failed"
    assert runs.is_resumable(run)
