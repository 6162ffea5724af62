"""Trackio as a second place for points, against a stand-in: what is written, and that nothing is sent."""

import json
import os
import sys
import time
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

from studio import processes, runs
from studio.cli.main import main
from studio.errors import NotPossible
from studio.training import trackio_writer


class TrackioStandIn:
    """Keeps what it is given; like trackio 0.43, it goes on with a run of the same name."""

    __spec__ = ModuleSpec("trackio", loader=None)

    def __init__(self):
        self.opened, self.points, self.finished, self.remote = [], [], 0, []
        self.breaks = False

    def init(self, project, **options):
        print("* Trackio project initialized")
        self.opened.append((project, options["name"], options["resume"]))
        self.remote += [name for name in os.environ if name.startswith("TRACKIO_")]
        return SimpleNamespace(log=self.log)

    def log(self, metrics, step):
        if self.breaks:
            raise OSError("database is locked")
        self.points.append((step, metrics))

    def finish(self):
        self.finished += 1


@pytest.fixture
def trackio(monkeypatch):
    stand_in = TrackioStandIn()
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    monkeypatch.setattr(trackio_writer, "INTERVAL_SECONDS", 0.01)
    return stand_in


@pytest.fixture
def run(make_plan):
    run = runs.create(make_plan())
    for step in (1, 2, 3):
        runs.add_point(run, "train", step, step / 3, loss=1 / step)
    return run


def test_unasked_nothing_is_written(trackio, run, monkeypatch):
    monkeypatch.delenv(trackio_writer.SWITCH, raising=False)
    for value in (None, "", "0"):
        if value is not None:
            monkeypatch.setenv(trackio_writer.SWITCH, value)
        with trackio_writer.following(run):
            pass
    assert trackio.opened == []


def test_a_run_writes_its_points_while_it_trains(trackio, run, monkeypatch):
    monkeypatch.setenv(trackio_writer.SWITCH, "1")
    with trackio_writer.following(run):
        while len(trackio.points) < 3:
            time.sleep(0.01)
        runs.add_point(run, "after", 3, 1.0, loss=0.2)
    assert trackio.opened == [("training-studio", f"{run.plan.name} {run.id[:8]}", "allow")]
    assert trackio.points[0] == (1, {"train/epoch": 0.3333, "train/loss": 1.0})
    assert trackio.points[3:] == [(3, {"after/epoch": 1.0, "after/loss": 0.2})]
    assert trackio.finished == 1


def test_no_point_is_written_twice_also_where_a_run_goes_on_from_an_earlier_step(trackio, run, capsys):
    assert trackio_writer.write(run) == 3
    assert trackio_writer.write(run) == 0
    runs.rewind(run, "train", 1)
    runs.add_point(run, "train", 2, 2 / 3, loss=0.5)
    runs.add_point(run, "train", 3, 1.0, loss=1 / 3)
    runs.add_point(run, "train", 4, 4 / 3, loss=0.25)
    assert trackio_writer.write(run) == 1
    assert [step for step, _ in trackio.points] == [1, 2, 3, 4]
    assert capsys.readouterr().out == ""


def test_points_stay_on_this_machine_whatever_the_environment_says(trackio, run, monkeypatch):
    for name in trackio_writer.REMOTE_VARIABLES:
        monkeypatch.setenv(name, "https://elsewhere.example")
    monkeypatch.setenv("TRACKIO_DIR", "/here")
    assert "TRACKIO_SPACE_ID" not in processes.child_environment(processes.WORKER)
    assert processes.child_environment(processes.WORKER)["TRACKIO_DIR"] == "/here"
    trackio_writer.write(run)
    assert trackio.remote == ["TRACKIO_DIR"]


def test_a_training_outlives_trackio(trackio, run, monkeypatch, capsys):
    monkeypatch.setenv(trackio_writer.SWITCH, "1")
    trackio.breaks = True
    with trackio_writer.following(run):
        runs.add_point(run, "train", 4, 1.0, loss=0.1)
    errors = capsys.readouterr().err
    assert "database is locked" in errors
    assert trackio_writer.BROKE_OFF.render(id=run.id[:8]) in errors
    trackio.breaks = False
    assert trackio_writer.write(run) == 4


def test_a_run_that_is_wanted_in_trackio_says_that_it_is_not_installed(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.setenv(trackio_writer.SWITCH, "1")
    with pytest.raises(NotPossible) as refusal, trackio_writer.following(run):
        pass
    assert refusal.value.message.text == trackio_writer.NOT_INSTALLED.text


def test_a_run_that_has_ended_is_written_from_the_terminal(trackio, run, capsys):
    (run.folder / trackio_writer.STATE_FILE).write_text(json.dumps({"seq": "no number", "name": 5}))
    assert main(["runs", "--trackio", run.id]) == 0
    assert len(trackio.points) == 3
    assert run.plan.name in capsys.readouterr().out
