"""The queue on the page: why each run waits, moved and cancelled, and on a shared page one's own alone."""

from types import SimpleNamespace

import pytest
from form_fields import CHINESE, ENGLISH

from studio import runs
from studio.training import launcher
from studio.training import queue as run_queue
from studio.ui.train import live_view, queue_panel


@pytest.fixture
def queued(make_plan, monkeypatch):
    """One run that trains and two that wait for it."""
    monkeypatch.setenv("STUDIO_MAX_RUNS", "1")
    queued = []
    for number, name in enumerate(("Trains", "First", "Second")):
        run = runs.create(make_plan().model_copy(update={"name": name}))
        queued.append(run)
        runs.set_status(run, "waiting" if number else "training", "queue" if number else "train")
    return queued


@pytest.fixture
def shared(monkeypatch):
    """Others reach the page."""
    monkeypatch.setattr(queue_panel.access, "is_open_to_others", lambda: True)


def names(value):
    return [row["name"] for row in value["waiting"]]


def press(run, action, browser_runs=()):
    event = SimpleNamespace(id=run.id, action=action)
    return queue_panel.change(list(browser_runs), event, ENGLISH)


def test_the_section_is_there_only_where_something_waits(queued):
    value = queue_panel.show([], ENGLISH)
    assert names(value) == ["First", "Second"]
    assert "Trains" in value["waiting"][0]["why"]
    assert queue_panel.show([], CHINESE)["heading"] != value["heading"]
    for run in queued:
        runs.set_status(run, "done", "after")
    assert queue_panel.show([], ENGLISH) == {}


def test_a_run_is_moved_to_the_front_and_cancelled(queued):
    notice, value = press(queued[2], "front")
    assert (notice["kind"], names(value)) == ("info", ["Second", "First"])
    press(queued[2], "cancel")
    assert launcher.is_stopping(queued[2])
    assert press(queued[1], "sell")[0]["kind"] == "bad"
    assert press(queued[0], "cancel")[0]["kind"] == "bad"


def test_where_others_reach_the_page_only_ones_own_runs_show_and_none_is_moved(queued, shared):
    own = queued[2]
    value = queue_panel.show([own.id], ENGLISH)
    assert names(value) == ["Second"]
    assert "First" not in value["waiting"][0]["why"]
    assert [action["action"] for action in value["waiting"][0]["actions"]] == ["cancel"]
    assert press(own, "front", [own.id])[0]["kind"] == "bad"
    assert press(queued[1], "cancel", [own.id])[0]["kind"] == "bad"
    assert not queued[1].stop_file.exists()


def test_the_card_of_a_waiting_run_names_no_run_of_others(queued, shared):
    wait = run_queue.find_wait(queued[1], run_queue.read())
    runs.set_status(queued[1], "waiting", "queue", steps=1, message=wait.message)
    assert "Trains" not in live_view.poll([queued[1].id, 0, "en"])["line"]


def test_a_wrong_number_of_runs_at_once_is_said_and_breaks_nothing(queued, monkeypatch):
    monkeypatch.setenv("STUDIO_MAX_RUNS", "many")
    assert "many" in queue_panel.show([], ENGLISH)["waiting"][0]["why"]
