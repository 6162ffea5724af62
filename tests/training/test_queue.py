"""The queue of runs: its order, what each run waits for, and how many train at once."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from studio import runs
from studio.errors import NotPossible
from studio.estimate import history
from studio.storage import home, write_json
from studio.training import launcher
from studio.training import queue as run_queue


@pytest.fixture
def add_run(make_plan, monkeypatch):
    """`add_run(name, state, needs_gb)`: a run, each a second younger than the one before."""
    n_runs = [0]

    def add(name, state="waiting", needs_gb=None):
        run = runs.create(make_plan().model_copy(update={"name": name}))
        n_runs[0] += 1
        os.utime(run.folder / "plan.yaml", (n_runs[0], n_runs[0]))
        runs.set_status(run, state, "queue" if state == "waiting" else "train")
        if needs_gb is not None:
            write_json(run.folder / "estimate.json", {"memory_gb": {"high": needs_gb}})
        return runs.get(run.id)

    monkeypatch.setattr(runs, "_is_young", lambda run, status: True)  # as if each had its process
    return add


@pytest.fixture
def free_memory(monkeypatch):
    """`free_memory(gb, held_gb)`: so much is free, and so much each active run holds; four cores a run."""

    def set_free(gb, held_gb=0.0):
        reserved = run_queue.hardware.RESERVED_BYTES
        monkeypatch.setattr(run_queue.hardware, "query_gpu", lambda: None)
        monkeypatch.setattr(run_queue.hardware, "free_memory", lambda: int(gb * 1e9) + reserved)
        monkeypatch.setattr(run_queue.hardware, "held_bytes", lambda run, on_gpu: int(held_gb * 1e9))
        monkeypatch.setattr(run_queue.cgroups, "available_cores", lambda: 8.0)

    return set_free


def waiting_names():
    return [run.plan.name for run in run_queue.read().waiting]


def find_wait(run):
    return run_queue.find_wait(run, run_queue.read())


def test_a_run_is_moved_up_and_to_the_front_and_newer_ones_come_last(add_run):
    _, second, third = add_run("A"), add_run("B"), add_run("C")
    assert waiting_names() == ["A", "B", "C"]
    run_queue.move_up(third)
    assert waiting_names() == ["A", "C", "B"]
    run_queue.move_up(second, to_front=True)
    assert waiting_names() == ["B", "A", "C"]
    run_queue.move_up(second)  # it stays where it is
    add_run("D")
    assert waiting_names() == ["B", "A", "C", "D"]


def test_what_does_not_wait_is_neither_moved_nor_cancelled(add_run):
    run = add_run("A", "training")
    with pytest.raises(NotPossible):
        run_queue.move_up(run)
    with pytest.raises(NotPossible):
        run_queue.cancel(run)
    assert not run.stop_file.exists()


def test_a_cancelled_run_is_asked_to_stop(add_run):
    run = add_run("A")
    run_queue.cancel(run)
    assert run_queue.wait_for_turn(run) == 0
    assert launcher.is_stopping(run)
    assert waiting_names() == []


@pytest.mark.parametrize("damage", ["", "[]", '{"order": 5}', '{"order": [1, null]}', "{"])
def test_a_damaged_order_counts_as_none(add_run, damage):
    add_run("A")
    add_run("B")
    (home() / run_queue.ORDER_FILE).write_text(damage)
    assert waiting_names() == ["A", "B"]


def test_each_run_says_what_it_waits_for(add_run, monkeypatch):
    monkeypatch.setenv("STUDIO_MAX_RUNS", "1")
    add_run("Trains", "training")
    first, second = add_run("First"), add_run("Second")
    wait = find_wait(first)
    assert (wait.message.text, wait.n_before) == (run_queue.NEEDS_TURN.text, 1)
    assert wait.message.values["name"] == "Trains"
    wait = find_wait(second)
    assert (wait.message.text, wait.n_before) == (run_queue.BEHIND.text, 2)
    assert wait.message.values == {"name": "First", "position": 2}


def test_a_run_joins_another_only_where_both_fit(add_run, free_memory):
    # 4 GB are free, and the active run, which holds 1 of its 3 GB, will take 2 of them.
    free_memory(4, held_gb=1)
    add_run("Trains", "training", needs_gb=3)
    small, large = add_run("Small", needs_gb=1.9), add_run("Large", needs_gb=2.1)
    assert find_wait(small) is None
    run_queue.move_up(large, to_front=True)
    wait = find_wait(large)
    assert wait.message.text == run_queue.NEEDS_MEMORY.text
    assert wait.message.values == {"name": "Trains", "need": 2.1, "free": 2.0}


def test_a_run_that_nobody_has_estimated_trains_alone(add_run, free_memory):
    free_memory(100)
    add_run("Trains", "training")
    assert find_wait(add_run("A", needs_gb=1)).message.text == run_queue.NEEDS_UNKNOWN.text


def test_the_number_at_once_follows_the_cores_unless_it_is_set(free_memory, monkeypatch):
    free_memory(1)
    assert run_queue.max_runs() == 2  # 8 cores
    monkeypatch.setattr(run_queue.cgroups, "available_cores", lambda: 2.0)
    assert run_queue.max_runs() == 1
    monkeypatch.setenv("STUDIO_MAX_RUNS", "3")
    assert run_queue.max_runs() == 3


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "65"])
def test_a_number_that_is_none_is_refused_with_its_value(value, monkeypatch):
    monkeypatch.setenv("STUDIO_MAX_RUNS", value)
    with pytest.raises(NotPossible) as refusal:
        run_queue.max_runs()
    assert value in refusal.value.render()


def test_of_eight_runs_that_see_their_turn_at_once_one_begins(add_run, monkeypatch):
    waiting = [add_run(str(number)) for number in range(8)]
    monkeypatch.setenv("STUDIO_MAX_RUNS", "1")
    # Each of them believes that nobody waits before it.
    monkeypatch.setattr(run_queue, "read", lambda: run_queue.Queue(_active(waiting), ()))
    with ThreadPoolExecutor(8) as pool:
        began = list(pool.map(run_queue._take_turn, waiting))
    assert began.count(True) == 1
    assert len(_active(waiting)) == 1


def _active(candidates):
    return tuple(run for run in candidates if runs.status(run).state == "preparing")


def test_runs_that_share_the_machine_are_marked_and_teach_no_time(add_run, free_memory):
    free_memory(10)
    active, run, later = (
        add_run("Trains", "training", 1),
        add_run("Joins", needs_gb=1),
        add_run("Alone", needs_gb=1),
    )
    assert run_queue.wait_for_turn(run) == 1
    assert (active.folder / run_queue.SHARED_FILE).exists()
    assert (run.folder / run_queue.SHARED_FILE).exists()
    assert not (later.folder / run_queue.SHARED_FILE).exists()
    assert runs.status(run).state == "preparing"


def test_a_run_that_arrives_elsewhere_has_the_machine_for_itself(add_run, free_memory):
    free_memory(10)
    run = add_run("Sent", "preparing")  # the state in which its folder was sent
    assert run_queue.wait_for_turn(run) == 0
    assert not (run.folder / run_queue.SHARED_FILE).exists()


def test_a_run_that_joins_another_computes_with_its_share_of_the_cores(free_memory, monkeypatch):
    from studio.training import worker

    free_memory(1)  # and 8 cores
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    worker._share_cores(0)
    assert os.environ["OMP_NUM_THREADS"] == "8"
    worker._share_cores(2)
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_two_runs_train_at_once_where_memory_and_the_setting_allow(make_plan, monkeypatch):
    from studio.training import worker

    monkeypatch.setenv("STUDIO_MAX_RUNS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first, second = (runs.create(make_plan(epochs=0.25, eval_count=1)) for _ in range(2))
    for run in (first, second):
        write_json(run.folder / "estimate.json", {"memory_gb": {"high": 0.1}})
    runs.set_status(first, "training", "train")
    runs.claim(first, os.getpid())
    worker.run(second.id)
    assert runs.status(second).state == "done"
    assert runs.status(first).state == "training"
    assert history.load_entries() == []


def test_a_run_that_has_ended_is_read_again_once_it_goes_on(add_run, monkeypatch):
    run = add_run("A", "stopped")
    assert run_queue.read() == run_queue.Queue((), ())
    n_reads = []
    status = runs.status
    monkeypatch.setattr(runs, "status", lambda run: n_reads.append(run) or status(run))
    run_queue.read()
    assert n_reads == []
    launcher.requeue(run)
    assert run_queue.read().waiting == (run,)


def test_a_run_far_back_looks_less_often_and_hears_a_stop_as_soon(
    add_run, free_memory, set_clock, monkeypatch
):
    free_memory(8)
    monkeypatch.setenv("STUDIO_MAX_RUNS", "1")
    *_, last = (add_run("active", "training"), *(add_run(f"R{number}") for number in range(7)))
    now, looks = [0.0], []
    read = run_queue.read

    def look():
        looks.append(now[0])
        return read()

    def sleep(seconds):
        now[0] += seconds
        if now[0] >= 30:
            launcher.stop(last)

    monkeypatch.setattr(run_queue, "read", look)
    set_clock(run_queue, monotonic=lambda: now[0], sleep=sleep)
    run_queue.wait_for_turn(last)
    assert looks == [0.0, 7.0, 14.0, 21.0, 28.0]
    assert now[0] == 30.0
