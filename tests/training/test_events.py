"""Events: what a worker prints of its run is written into the run's folder elsewhere, and nothing else is."""

import io
import json

import pytest

from studio import runs
from studio.i18n import Message
from studio.storage import write_json
from studio.training import events
from studio.training.events import Event


@pytest.fixture
def printed(make_plan, monkeypatch):
    """A run whose changes are printed, and the stream."""
    monkeypatch.setattr(runs, "LISTENERS", [])
    run, stream = runs.create(make_plan("lora", "chat")), io.StringIO()
    events.print_events(run, 3, stream)
    return run, stream


def read_events(stream):
    return [events.parse(line) for line in stream.getvalue().splitlines()]


def test_each_change_is_a_numbered_line_and_makes_the_same_folder(printed, make_plan):
    run, stream = printed
    for step in (1, 2, 3):
        runs.add_point(run, "train", step, 0.1, loss=1.0 / step)
    runs.rewind(run, "train", 1)
    runs.add_point(run, "train", 2, 0.2, loss=0.4)
    write_json(run.folder / "notes.json", {"x": []})
    runs.set_status(run, "failed", "train", message=Message("{n} rows").format(n=3), cause="memory")
    sent = read_events(stream)
    assert [event.seq for event in sent] == list(range(3, 10))
    assert [event.kind for event in sent] == [*["point"] * 3, "rewind", "point", "file", "status"]
    copy = runs.create(make_plan("lora", "chat"))
    status = [events.apply(copy, event) for event in sent][-1]
    assert list(runs.read_points(copy)) == list(runs.read_points(run))
    assert (copy.folder / "notes.json").read_text() == (run.folder / "notes.json").read_text()
    assert (status.state, status.cause) == ("failed", "memory")
    assert status.message.render() == "3 rows"


def test_a_point_that_comes_twice_is_written_once(printed):
    run, stream = printed
    runs.add_point(run, "train", 1, 0.1, loss=1.0)
    for event in read_events(stream):
        events.apply(run, event)
    assert len(list(runs.read_points(run))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Downloading torch",
        "{",
        "[1]",
        '{"seq": "1"}',
        '{"seq": 1, "event": "exec", "values": {}}',
        "[" * 9999,
    ],
)
def test_other_lines_of_a_log_are_no_events(line):
    assert events.parse(line) is None


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("file", {"name": "../../plan.yaml", "text": "x"}),
        ("file", {"name": "plan.yaml", "text": "x"}),
        ("file", {}),
        ("point", {"stage": 3, "step": 1}),
        ("point", {"stage": "train", "step": 1, "seq": "x"}),
        ("rewind", {"stage": "train"}),
        ("status", {"state": "owned"}),
        ("status", {"state": "done", "step": "x", "message": 5}),
        ("status", {}),
    ],
)
def test_an_event_that_makes_no_sense_changes_nothing(printed, kind, values):
    run, _ = printed
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    assert events.apply(run, Event(0, kind, values)) is None
    assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before


def test_a_line_survives_its_way(printed):
    event = Event(7, "point", {"stage": "train", "note": "“é” 中"})
    assert events.parse(event.to_line()) == event
    assert json.loads(event.to_line())["seq"] == 7
