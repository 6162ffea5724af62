"""`studio queue` lists what trains and what waits for what, and moves or cancels one run."""

import pytest

from studio import runs
from studio.cli.main import main
from studio.training import launcher


@pytest.fixture
def queued(make_plan, monkeypatch):
    """One run that trains and two that wait."""
    monkeypatch.setenv("STUDIO_MAX_RUNS", "1")
    queued = [runs.create(make_plan().model_copy(update={"name": name})) for name in ("T", "A", "B")]
    runs.set_status(queued[0], "training", "train")
    return queued


def test_the_list_says_what_trains_and_what_each_waits_for(queued, capsys):
    assert main(["queue"]) == 0
    trains, first, second, limit = capsys.readouterr().out.splitlines()
    assert "T" in trains
    assert first.startswith("waits 1  A")
    assert first.endswith("1 run trains at a time on this machine.")
    assert second.endswith("Number 2 in the queue, behind “A”.")
    assert "1 run trains at once" in limit


def test_a_run_is_moved_to_the_front_up_and_cancelled(queued, capsys):
    _, first, second = queued
    assert main(["queue", "--first", second.id[:8]]) == 0
    assert "“B” is number 1" in capsys.readouterr().out
    assert main(["queue", "--up", first.id[:8]]) == 0
    assert "“A” is number 1" in capsys.readouterr().out
    assert main(["queue", "--cancel", first.id]) == 0
    assert launcher.is_stopping(first)
    assert f"--resume {first.id[:8]}" in capsys.readouterr().out


def test_what_does_not_wait_is_not_cancelled(queued, capsys):
    assert main(["queue", "--cancel", queued[0].id]) == 1
    assert "training" in capsys.readouterr().err


def test_an_empty_queue_says_so(capsys):
    assert main(["queue"]) == 0
    assert capsys.readouterr().out.startswith("No run trains")
