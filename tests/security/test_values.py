"""Whatever is sent to whichever event: a sentence comes back, no traceback, and nothing of anybody else."""

import json

import pytest
from sampling import sample

from studio.data import store

# A text that only another visitor's data holds, and one that only a file of the machine holds.
CANARY, MACHINE_FILE = "canary-of-another-visitor", "/etc/passwd"
FILE = {"path": MACHINE_FILE, "orig_name": "a.csv", "meta": {"_type": "gradio.FileData"}}
HOSTILE_VALUES = {
    "nothing": None,
    "a number out of range": -1e308,
    "a nested dict": {"value": {"a": [None]}, "source": [1]},
    "a path": MACHINE_FILE,
    "a file of the machine": FILE,
    "many ids": ["*", "", "../", "dataset:"],
}
TRACEBACK = "Traceback (most recent call last)"
# These start a process that reads what they are handed: worth their seconds where that is a path.
READING_EVENTS, FILE_KINDS = ("paste", "fetch"), ("a path", "a file of the machine")
FAST_KINDS = ("a nested dict", "a path")


@pytest.fixture(scope="session")
def events(visitor):
    """The events of the page that its server handles."""
    return [event for event in visitor.get("/config").json()["dependencies"] if event["backend_fn"]]


@pytest.fixture
def other_visitors_data(studio_home, tmp_path):
    """A data set that another visitor has brought."""
    file = tmp_path / "rows.csv"
    file.write_text(f"text,label\n{CANARY},a\nsecond,b\n", encoding="utf-8")
    return store.add(file, name=f"{CANARY}.csv")


def call(client, event, values, session="an-attack"):
    """Fire an event with these values; what the server replies."""
    body = {"fn_index": event["id"], "data": values, "session_hash": session}
    if event["queue"] is False:
        return client.post("/gradio_api/run/predict", json=body)
    reply = client.post("/gradio_api/queue/join", json=body)
    if reply.status_code != 200:
        return reply
    return client.get("/gradio_api/queue/data", params={"session_hash": session})


@pytest.mark.parametrize("kind", sample(HOSTILE_VALUES, FAST_KINDS))
def test_no_event_breaks_or_tells_anything(kind, events, visitor, other_visitors_data, capfd):
    for event in events:
        if event["api_name"] in READING_EVENTS and kind not in FILE_KINDS:
            continue
        reply = call(visitor, event, [HOSTILE_VALUES[kind]] * len(event["inputs"]))
        what = (event["api_name"], kind, reply.text[:500])
        assert "root:x:" not in reply.text, what
        assert CANARY not in reply.text, what
        check_sentence(reply, what)
    assert TRACEBACK not in capfd.readouterr().err


@pytest.mark.parametrize("difference", sample([-1, 3], [-1]))
def test_no_event_breaks_by_the_number_of_its_values(difference, events, visitor, capfd):
    for event in events:
        reply = call(visitor, event, ["x"] * max(0, len(event["inputs"]) + difference))
        check_sentence(reply, (event["api_name"], difference))
    assert TRACEBACK not in capfd.readouterr().err


def check_sentence(reply, what):
    """A failure is told in a sentence of the studio, and in none of Python's."""
    if reply.status_code == 500:
        assert json.loads(reply.text)["error"].endswith((".", "。")), what


@pytest.mark.parametrize("fn_index", [-1, 10**9, None, "x", 1.5, [1]])
def test_an_event_that_the_page_does_not_have_is_refused(fn_index, visitor, capfd):
    body = {"fn_index": fn_index, "data": [], "session_hash": "an-attack"}
    for path in ("run/predict", "run/nothing", "queue/join", "call/predict", "component_server"):
        assert 400 <= visitor.post(f"/gradio_api/{path}", json=body).status_code < 500, path
    assert TRACEBACK not in capfd.readouterr().err


@pytest.mark.parametrize("body", [[], 5, None, {}, {"data": 1}, {"data": [], "session_hash": {"a": 1}}])
def test_a_body_that_is_no_event_is_refused(body, visitor, capfd):
    for path in ("run/predict", "queue/join", "component_server", "cancel", "reset"):
        assert 400 <= visitor.post(f"/gradio_api/{path}", json=body).status_code < 500, path
    assert TRACEBACK not in capfd.readouterr().err


@pytest.mark.parametrize("kind", HOSTILE_VALUES)
def test_no_function_of_a_component_breaks(kind, page, visitor, capfd):
    functions = [
        (component_id, name)
        for component_id, component in page.blocks.items()
        for name in getattr(component, "server_fns", ())
    ]
    assert functions
    for component_id, name in functions:
        body = {
            "component_id": component_id,
            "fn_name": getattr(name, "__name__", name),
            "data": HOSTILE_VALUES[kind],
            "session_hash": "an-attack",
        }
        reply = visitor.post("/gradio_api/component_server", json=body)
        assert reply.status_code < 500, (name, kind)
        assert "root:x:" not in reply.text
    assert TRACEBACK not in capfd.readouterr().err
