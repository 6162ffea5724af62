"""A checkpoint is complete or absent, and one that is damaged is passed over for the one before it."""

import time
from types import SimpleNamespace

import pytest
import torch

from studio import runs
from studio.training import callback, checkpoints


def write_checkpoint(folder, step, **state):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "optimizer.pt").write_bytes(bytes(range(200)))
    checkpoints.complete(path, {"best_step": step, **state})
    return path


def test_the_newest_checkpoint_counts(tmp_path):
    write_checkpoint(tmp_path, 9)
    newest = write_checkpoint(tmp_path, 10)
    assert checkpoints.choose(tmp_path) == newest
    assert checkpoints.read_state(newest)["best_step"] == 10


@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted", "unmarked", "mark emptied"])
def test_a_damaged_checkpoint_is_passed_over_and_said(damage, tmp_path, capfd):
    before, newest = write_checkpoint(tmp_path, 9), write_checkpoint(tmp_path, 10)
    file, mark = newest / "optimizer.pt", newest / checkpoints.STATE_FILE
    if damage == "flipped":
        file.write_bytes(bytes([1, *file.read_bytes()[1:]]))
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "deleted":
        file.unlink()
    elif damage == "unmarked":
        mark.unlink()
    else:
        mark.write_bytes(b"")
    assert checkpoints.choose(tmp_path) == before
    assert "checkpoint-10" in capfd.readouterr().err
    assert not newest.exists(), "it takes up room, and would be counted among those that are kept"


def test_a_checkpoint_of_an_earlier_studio_has_no_checksums(tmp_path):
    path = tmp_path / "checkpoint-3"
    path.mkdir()
    (path / checkpoints.STATE_FILE).write_text('{"best_step": 3}')
    assert checkpoints.choose(tmp_path) == path


def test_without_a_checkpoint_a_stage_begins(tmp_path):
    assert checkpoints.choose(tmp_path / "train") is None


@pytest.mark.parametrize(
    ("age", "left", "saving", "is_due"),
    [
        (301, 1e6, 1, True),  # no checkpoint is older than five minutes
        (290, 1e6, 1, False),
        (20, 100, 0.1, True),  # nor than a tenth of the training
        (5, 100, 0.05, False),
        (301, 1e6, 10, False),  # but at most a fiftieth of the time is spent on saving
    ],
)
def test_a_checkpoint_is_due_by_time(age, left, saving, is_due, make_plan, monkeypatch):
    monitor = callback.MonitorCallback(runs.create(make_plan()), "train", torch.nn.Linear(1, 1), None)
    monkeypatch.setattr(monitor, "_seconds_left", lambda: left)
    monitor._began_at = time.monotonic()
    monitor._saved_at, monitor._save_seconds = monitor._began_at - age, saving
    assert monitor._is_checkpoint_due() is is_due


@pytest.mark.parametrize(("writing", "is_due"), [(0.1, True), (1.0, False)])
def test_the_first_checkpoint_is_dear_where_the_best_state_was(writing, is_due, make_plan, monkeypatch):
    """Before it nothing is known but what writing the weights took, a third of a checkpoint: 0.3 or 3 s."""
    monitor = callback.MonitorCallback(runs.create(make_plan()), "train", torch.nn.Linear(1, 1), None)
    monkeypatch.setattr(monitor, "_seconds_left", lambda: 60.0)
    monitor._began_at, monitor._write_seconds = time.monotonic(), writing
    monitor._saved_at = monitor._began_at - 20
    assert monitor._is_checkpoint_due() is is_due


def test_a_run_may_be_silent_as_long_as_its_own_pace_explains(make_plan):
    run = runs.create(make_plan())
    monitor = callback.MonitorCallback(run, "train", torch.nn.Linear(1, 1), lambda: {"loss": 1.0})
    assert monitor._patience_seconds() == runs.PATIENCE_SECONDS, "no validation was timed yet"
    monitor._validation_seconds, monitor._slowest_step_seconds = 30.0, 8.0
    assert monitor._patience_seconds() == 10 * 8 + 5 * 30


def test_two_checkpoints_are_kept(make_job):
    from studio.methods.training import supervised

    arguments = supervised.training_arguments(make_job("lora", "chat"), "train")
    assert SimpleNamespace(**arguments).save_total_limit == 2
