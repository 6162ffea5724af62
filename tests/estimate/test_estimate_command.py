"""`studio estimate` and `studio measure` in the terminal, and the child process behind them."""

import json
import os

import pytest
import yaml

from studio import methods, runs
from studio.cli.main import main
from studio.errors import NotPossible
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue, rates
from studio.estimate.machines.rates import Rates
from studio.estimate.tracing import client as tracing_client
from studio.i18n import Message
from studio.storage import home, read_json, write_json

NAMES = {method.name for method in methods.METHODS}
KEYS = {
    "trainable_parameters",
    "total_parameters",
    "peak_memory_gb",
    "minutes",
    "dollars",
    "disk_mb",
    "fits",
    "why_not",
}


@pytest.fixture(autouse=True)
def no_child_left():
    yield
    tracing_client.stop_server()
    tracing_client._failures.clear()


@pytest.fixture
def plan_file(make_plan, tmp_path):
    def write(**training):
        path = tmp_path / "plan.yaml"
        path.write_text(
            yaml.safe_dump(make_plan(epochs=2, **training).model_dump(mode="json", exclude_none=True))
        )
        return str(path)

    return write


def told(capsys, *words):
    assert main(["estimate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_all_ten_methods_are_estimated_as_json_and_those_that_do_not_go_say_why(plan_file, capsys):
    found = told(capsys, plan_file(), "--all")
    assert set(found) == NAMES
    for name, one in found.items():
        assert set(one) >= KEYS
        if one["fits"] is False:
            assert one["why_not"], name
            assert (one["minutes"], one["peak_memory_gb"]) == (None, None), "what cannot run has no figures"
            continue
        assert one["peak_memory_gb"]["low"] < one["peak_memory_gb"]["likely"] < one["peak_memory_gb"]["high"]
        assert sum(one["peak_memory_gb"]["parts"].values()) == pytest.approx(
            one["peak_memory_gb"]["likely"], rel=0.01
        )
        assert one["minutes"]["low"] < one["minutes"]["likely"] < one["minutes"]["high"]
        assert one["from"] == "traced", name
        assert one["dollars"] is None, "nobody knows what this machine costs"
    assert sum(one["fits"] is True for one in found.values()) >= 7


def test_another_machine_has_its_price_and_one_method_stands_alone(plan_file, capsys):
    found = told(capsys, plan_file(), "--machine", "hf-t4-small")
    assert set(found) == {"lora"}
    one, place = found["lora"], catalogue.load_machines()["hf-t4-small"]
    assert one["machine"] == "hf-t4-small"
    assert one["dollars"]["likely"] == pytest.approx(
        catalogue.cost_of_minutes(place, one["minutes"]["likely"])
    )


def test_the_table_in_the_terminal_shows_the_figures_of_the_json(plan_file, capsys):
    path = plan_file()
    one = told(capsys, path)["lora"]
    assert main(["estimate", path]) == 0
    row = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if line.split()[0] == "lora" and "on toys" not in line
    )
    assert f"{one['trainable_parameters']:,}" in row
    assert f"{one['peak_memory_gb']['likely']:.1f}" in row


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--machine", "cray-1"], "expected here or one of"),
        (["--set", "training.batch_size=0"], "batch_size"),
        (["--set", "method.name=magic"], "magic"),
    ],
    ids=["machine", "value", "method"],
)
def test_a_wrong_word_is_answered_with_a_sentence_and_two(plan_file, capsys, words, said):
    assert main(["estimate", plan_file(), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_model_nobody_knows_shows_no_number(plan_file, capsys):
    found = told(capsys, plan_file(), "--all", "--set", "model=someone/unknown")
    for one in found.values():
        if one["fits"] is None:
            assert [
                one[name] for name in ("trainable_parameters", "peak_memory_gb", "minutes", "disk_mb")
            ] == [None] * 4
            assert one["missing"]
    assert any(one["fits"] is None for one in found.values())


def test_a_question_is_answered_once_and_remembered_over_a_restart(make_plan, monkeypatch):
    plan, here = make_plan(), catalogue.local_machine()
    method, base = methods.get("lora"), all_methods.find_base_model(plan.model)
    lengths = dataset_lengths.measure_lengths(plan, base.folder)
    settings = method.resolve_settings({})
    assert all_methods.needs_tracing(plan, method, settings, here, base, lengths)
    assert all_methods.trace_missing(plan, method, settings, here, base, lengths)
    assert not all_methods.needs_tracing(plan, method, settings, here, base, lengths)
    tracing_client.stop_server()
    tracing_client._responses.clear()
    monkeypatch.setattr(tracing_client, "_ensure_server", lambda: pytest.fail("asked again"))
    assert all_methods.trace_missing(plan, method, settings, here, base, lengths)


def test_a_child_that_dies_or_does_not_know_costs_the_answer_and_no_more(monkeypatch):
    assert "sing" in str(tracing_client.send_request({"what": "sing"})["problem"])
    assert tracing_client.cached_response({"what": "sing"}) is None, "a problem is not remembered"
    tracing_client._servers[0].kill()
    assert "sing" in str(tracing_client.send_request({"what": "sing"})["problem"]), "not asked again at once"
    monkeypatch.setattr(tracing_client, "RETRY_AFTER_SECONDS", 0.0)
    assert "sing" in str(tracing_client.send_request({"what": "sing"})["problem"]), "another was started"
    assert tracing_client._servers[0].is_alive
    monkeypatch.setattr(tracing_client, "TIMEOUT_SECONDS", 0.01)
    found = tracing_client.send_request({"what": "trace", "model": {}, "pass": {}, "states": True})
    assert Message.from_json(found["problem"]).render("zh") != Message.from_json(found["problem"]).render()


def test_a_step_that_cannot_be_traced_is_said_and_not_promised_again(make_plan, monkeypatch):
    monkeypatch.setattr(
        tracing_client,
        "_fetch_response",
        lambda asked: {"problem": {"en": "No such kernel.", "zh": "没有这个内核。"}},
    )
    plan, here = make_plan(), catalogue.local_machine()
    method, base = methods.get("lora"), all_methods.find_base_model(plan.model)
    lengths, settings = dataset_lengths.measure_lengths(plan, base.folder), method.resolve_settings({})
    assert all_methods.needs_tracing(plan, method, settings, here, base, lengths)
    assert not all_methods.trace_missing(plan, method, settings, here, base, lengths)
    assert not all_methods.needs_tracing(plan, method, settings, here, base, lengths)
    (made,) = all_methods.estimate_all_methods(plan, here, {}, base, lengths, only_method="lora").values()
    assert any("No such kernel." in said.render() for said in made.missing)
    assert made.level == "formula"


def test_texts_of_a_data_set_are_not_written_beside_the_estimates(monkeypatch):
    monkeypatch.setattr(
        tracing_client, "_fetch_response", lambda asked: {"seen": [["a customer's words", True]]}
    )
    assert tracing_client.send_request({"what": "seen", "source": "dataset:x"})["seen"]
    assert not list((home() / "estimates").glob("*.json"))


def test_texts_that_an_earlier_version_wrote_down_are_removed_at_the_start(monkeypatch, studio_home):
    folder = home() / "estimates"
    folder.mkdir()
    write_json(folder / "texts.json", {"seen": [["a customer's words", True]]})
    write_json(folder / "lengths.json", {"lengths": [3, 4]})
    monkeypatch.setattr("studio.ui.app.serve", lambda host, port: 0)
    assert main(["--home", str(studio_home)]) == 0
    assert [path.name for path in folder.iterdir()] == ["lengths.json"]


def test_the_rates_that_explain_times_are_found_from_the_times():
    from studio.estimate.benchmark.calibrate import fit_rates
    from studio.estimate.op_counts import OpCounts

    true = Rates(1e12, 2e11, 3e10, 5e-6, 0.0)
    work = [
        OpCounts(flop_32=a * 1e9, moved=b * 1e9, operations=c)
        for a, b, c in ((40, 1, 900), (300, 6, 900), (60, 9, 2000), (500, 60, 2000), (10, 3, 400))
    ]
    found = fit_rates(
        work, [true.estimate_seconds(one) for one in work], Rates(1e12, 1.4e11, 2e10, 1e-5, 0.0)
    )
    for one in work:
        assert found.estimate_seconds(one) == pytest.approx(true.estimate_seconds(one), rel=0.12)
    slow = fit_rates(
        work, [3 * true.estimate_seconds(one) for one in work], Rates(1e12, 1.4e11, 2e10, 1e-5, 0.0)
    )
    assert slow.flop_32 == pytest.approx(found.flop_32 / 3, rel=0.01), (
        "a machine three times as slow is seen as such"
    )


SMALL = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 640,
    "tie_word_embeddings": True,
}


def test_this_machine_is_measured_and_its_rates_are_kept():
    place = catalogue.local_machine()
    seen = list(measure.measure_machine(SMALL, False, place))
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    found = seen[-1][1]
    assert rates.load_rates(place) == found
    assert found.is_measured
    assert found.flop_32 > 1e8
    assert 0.1e9 < found.runtime < 2e9
    assert 1 < found.start < 120
    assert 1e-11 < found.draw < 1e-6
    assert 1e-11 < found.unpack < 1e-6


def test_what_an_earlier_studio_measured_is_measured_again():
    place = catalogue.local_machine()
    rates.save_rates(place, rates.rates_from_spec(place))
    kept = read_json(home() / "rates.json")
    del kept["rates"]["draw"]
    write_json(home() / "rates.json", kept | {"rates": {**kept["rates"], "flop_32": 7.0, "when": 5.0}})
    assert rates.load_rates(place) == rates.rates_from_spec(place)


def test_a_measurement_that_is_called_off_leaves_no_rates_and_no_process():
    place = catalogue.local_machine()
    going = measure.measure_machine(SMALL, False, place)
    next(going)
    going.close()
    assert not rates.load_rates(place).is_measured


@pytest.mark.parametrize("kind", ["qwen3", "gemma3_text", "modernbert"])
def test_what_a_config_lists_layer_by_layer_is_cut_with_the_layers(kind):
    from transformers import AutoConfig

    from studio.estimate.benchmark.calibrate import MAX_LAYERS, truncate_config

    whole = AutoConfig.for_model(kind, num_hidden_layers=8).to_dict()
    assert len(whole["layer_types"]) == 8
    found = AutoConfig.for_model(
        **{name: value for name, value in truncate_config(whole).items() if name != "transformers_version"}
    )
    assert (found.num_hidden_layers, len(found.layer_types)) == (MAX_LAYERS, MAX_LAYERS)


def test_nothing_is_measured_beside_a_run(make_plan):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    runs.set_status(run, "training", "train")
    with pytest.raises(NotPossible, match="“lora on toys” is training"):
        next(measure.measure_machine(SMALL, False, catalogue.local_machine()))
    runs.set_status(run, "waiting", "queue")
    going = measure.measure_machine(SMALL, False, catalogue.local_machine())
    next(going)
    runs.set_status(run, "training", "train")
    with pytest.raises(NotPossible, match="“lora on toys” began to train meanwhile"):
        list(going)
    assert not rates.load_rates(catalogue.local_machine()).is_measured


def test_a_measurement_that_cannot_be_done_says_why():
    from studio.errors import StudioError

    with pytest.raises(StudioError, match="ended without a result"):
        list(
            measure.measure_machine(
                {**SMALL, "model_type": "no-such-thing"}, False, catalogue.local_machine()
            )
        )
