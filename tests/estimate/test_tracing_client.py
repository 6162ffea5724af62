"""The client of the tracing server: each request is sent once, remembered over a restart, and may fail."""

import pytest

from studio import methods
from studio.cli.main import main
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.all_methods import EstimateContext
from studio.estimate.machines import catalogue
from studio.estimate.tracing import client as client_module
from studio.estimate.tracing.client import TracingClient, tracing_client
from studio.i18n import Message
from studio.storage import home, write_json

LORA = methods.get("lora")
UNKNOWN_REQUEST = {"what": "sing"}


@pytest.fixture(autouse=True)
def tracing_child():
    """The server is a child process here."""
    yield
    tracing_client.stop_server()
    tracing_client.clear_memory()


def make_context(plan, machine=None):
    base_model = all_methods.find_base_model(plan.model)
    lengths = dataset_lengths.measure_lengths(plan, base_model.folder)
    return EstimateContext(plan, machine or catalogue.local_machine(), base_model, lengths, settings={})


def refuse_to_fetch(client, request):
    pytest.fail(f"sent again: {request}")


@pytest.mark.thorough
def test_a_request_is_answered_once_and_remembered_over_a_restart(make_plan, monkeypatch):
    # One micro batch in all, so that few passes need tracing.
    context = make_context(make_plan(batch_size=64))
    assert all_methods.needs_tracing(context, LORA)
    assert all_methods.estimate_all_methods(context, "lora")["lora"].has_untraced_passes
    assert all_methods.trace_missing(context, LORA)
    assert not all_methods.needs_tracing(context, LORA)
    assert not all_methods.estimate_all_methods(context, "lora")["lora"].has_untraced_passes
    tracing_client.stop_server()
    tracing_client.clear_memory()
    monkeypatch.setattr(TracingClient, "_fetch", refuse_to_fetch)
    assert all_methods.trace_missing(context, LORA)


def test_a_server_that_dies_or_does_not_know_costs_the_response_and_no_more(monkeypatch):
    assert "sing" in str(tracing_client.send_request(UNKNOWN_REQUEST)["problem"])
    assert tracing_client.cached_response(UNKNOWN_REQUEST) is None, "a problem is not remembered"
    tracing_client.stop_server()
    with monkeypatch.context() as patch:
        patch.setattr(TracingClient, "_fetch", refuse_to_fetch)
        assert "sing" in str(tracing_client.send_request(UNKNOWN_REQUEST)["problem"]), (
            "not sent again at once"
        )
    monkeypatch.setattr(client_module, "RETRY_AFTER_SECONDS", 0.0)
    assert "sing" in str(tracing_client.send_request(UNKNOWN_REQUEST)["problem"])
    assert tracing_client._server.is_alive, "another was started"
    monkeypatch.setattr(client_module, "TIMEOUT_SECONDS", 0.01)
    response = tracing_client.send_request({"what": "trace", "model": {}, "pass": {}, "states": True})
    assert Message.from_json(response["problem"]) == client_module.SERVER_ENDED


def test_a_step_that_cannot_be_traced_is_named_and_not_promised_again(make_plan, monkeypatch):
    problem = {"problem": {"en": "No such kernel.", "zh": "没有这个内核。"}}
    monkeypatch.setattr(TracingClient, "_fetch", lambda client, request: problem)
    context = make_context(make_plan())
    assert all_methods.needs_tracing(context, LORA)
    assert not all_methods.trace_missing(context, LORA)
    assert not all_methods.needs_tracing(context, LORA)
    estimate = all_methods.estimate_all_methods(context, only_method="lora")["lora"]
    assert any("No such kernel." in message.render() for message in estimate.missing)
    assert estimate.level == "formula"


def test_texts_of_a_data_set_are_not_written_beside_the_estimates(monkeypatch):
    monkeypatch.setattr(
        TracingClient, "_fetch", lambda client, request: {"seen": [["a customer's words", True]]}
    )
    assert tracing_client.send_request({"what": "seen", "source": "dataset:x"})["seen"]
    assert not list((home() / "estimates").glob("*.json"))


def test_texts_that_an_earlier_version_wrote_down_are_removed_at_the_start(monkeypatch, studio_home):
    folder = home() / "estimates"
    folder.mkdir()
    write_json(folder / "texts.json", {"seen": [["a customer's words", True]]})
    write_json(folder / "lengths.json", {"lengths": [3, 4]})
    monkeypatch.setattr("studio.ui.app.serve", lambda *_: 0)
    assert main(["--home", str(studio_home)]) == 0
    assert [path.name for path in folder.iterdir()] == ["lengths.json"]


def test_memory_is_bounded_and_what_was_used_last_stays(monkeypatch):
    client = TracingClient(max_cached=3)
    monkeypatch.setattr(TracingClient, "_fetch", lambda client, request: {"rows": [request["index"]]})
    for index in range(3):
        client.send_request({"what": "lengths", "index": index})
    assert client.cached_response({"what": "lengths", "index": 0})
    for index in range(3, 5):
        client.send_request({"what": "lengths", "index": index})
    in_memory = {response["rows"][0] for response in client._responses._values.values()}
    assert in_memory == {0, 3, 4}
    for file in (home() / "estimates").glob("*.json"):
        file.unlink()
    assert client.cached_response({"what": "lengths", "index": 0}) == {"rows": [0]}
    assert client.cached_response({"what": "lengths", "index": 1}) is None


def test_failures_in_memory_are_bounded(monkeypatch):
    client = TracingClient(max_cached=2)
    failure = {"problem": Message("No such kernel.").to_json()}
    monkeypatch.setattr(TracingClient, "_fetch", lambda client, request: failure)
    requests = [{"what": "trace", "index": index} for index in range(3)]
    for request in requests:
        client.send_request(request)
    assert client.failure_reason(requests[0]) is None
    assert client.failure_reason(requests[2]) == Message("No such kernel.")
