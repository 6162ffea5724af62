"""`studio estimate` and `studio measure` in the terminal, and the child process behind them."""

import json
import os

import pytest
import yaml

from studio import methods, runs
from studio.__main__ import main
from studio.errors import NotPossible
from studio.estimate import desk, machines, measure, rates, table
from studio.estimate.rates import Rates
from studio.home import home, read_json, write_json

NAMES = {method.name for method in methods.METHODS}
KEYS = {"trainable_parameters", "total_parameters", "peak_memory_gb", "minutes", "dollars", "disk_mb", "fits", "why_not"}


@pytest.fixture(autouse=True)
def no_child_left():
    yield
    desk.close()
    desk._refused.clear()


@pytest.fixture
def plan_file(make_plan, tmp_path):
    def write(**training):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(make_plan(epochs=2, **training).model_dump(mode="json", exclude_none=True)))
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
        assert sum(one["peak_memory_gb"]["parts"].values()) == pytest.approx(one["peak_memory_gb"]["likely"], rel=0.01)
        assert one["minutes"]["low"] < one["minutes"]["likely"] < one["minutes"]["high"]
        assert one["from"] == "traced", name
        assert one["dollars"] is None, "nobody knows what this machine costs"
    assert sum(one["fits"] is True for one in found.values()) >= 7


def test_another_machine_has_its_price_and_one_method_stands_alone(plan_file, capsys):
    found = told(capsys, plan_file(), "--machine", "hf-t4-small")
    assert set(found) == {"lora"}
    one, place = found["lora"], machines.places()["hf-t4-small"]
    assert one["machine"] == "hf-t4-small"
    assert one["dollars"]["likely"] == pytest.approx(machines.cost(place, one["minutes"]["likely"]))


def test_the_table_in_the_terminal_shows_the_figures_of_the_json(plan_file, capsys):
    path = plan_file()
    one = told(capsys, path)["lora"]
    assert main(["estimate", path]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.split()[0] == "lora" and "on toys" not in line)
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
            assert [one[name] for name in ("trainable_parameters", "peak_memory_gb", "minutes", "disk_mb")] == [None] * 4
            assert one["missing"]
    assert any(one["fits"] is None for one in found.values())


def test_a_question_is_answered_once_and_remembered_over_a_restart(make_plan, monkeypatch):
    plan, here = make_plan(), machines.here()
    method, base = methods.get("lora"), table.base(plan.model)
    lengths = table.load.lengths(plan, base.folder)
    settings = method.settle({})
    assert table.lacks(plan, method, settings, here, base, lengths)
    assert table.sharpen(plan, method, settings, here, base, lengths)
    assert not table.lacks(plan, method, settings, here, base, lengths)
    desk.close()
    desk._answers.clear()
    monkeypatch.setattr(desk, "_started", lambda: pytest.fail("asked again"))
    assert table.sharpen(plan, method, settings, here, base, lengths)


def test_a_child_that_dies_or_does_not_know_costs_the_answer_and_no_more(monkeypatch):
    assert "sing" in desk.ask({"what": "sing"})["problem"]["en"]
    assert desk.known({"what": "sing"}) is None, "a problem is not remembered"
    desk._child[0].kill()
    desk._child[0].wait()
    assert "sing" in desk.ask({"what": "sing"})["problem"]["en"], "not asked again at once"
    monkeypatch.setattr(desk, "AGAIN", 0.0)
    assert "sing" in desk.ask({"what": "sing"})["problem"]["en"], "another was started"
    assert desk._child[0].poll() is None
    monkeypatch.setattr(desk, "PATIENCE", 0.01)
    found = desk.ask({"what": "trace", "model": {}, "pass": {}, "states": True})
    assert found["problem"]["zh"]


def test_a_step_that_cannot_be_traced_is_said_and_not_promised_again(make_plan, monkeypatch):
    monkeypatch.setattr(desk, "_fetched", lambda asked: {"problem": {"en": "No such kernel.", "zh": "没有这个内核。"}})
    plan, here = make_plan(), machines.here()
    method, base = methods.get("lora"), table.base(plan.model)
    lengths, settings = table.load.lengths(plan, base.folder), method.settle({})
    assert table.lacks(plan, method, settings, here, base, lengths)
    assert not table.sharpen(plan, method, settings, here, base, lengths)
    assert not table.lacks(plan, method, settings, here, base, lengths)
    (made,) = table.estimates(plan, here, {}, base, lengths, only="lora").values()
    assert any("No such kernel." in said.en for said in made.missing)
    assert made.level == "formula"


def test_texts_of_a_data_set_are_not_written_beside_the_estimates(monkeypatch):
    monkeypatch.setattr(desk, "_fetched", lambda asked: {"seen": [["a customer's words", True]]})
    assert desk.ask({"what": "seen", "source": "dataset:x"})["seen"]
    assert not list((home() / "estimates").glob("*.json"))


def test_texts_that_an_earlier_version_wrote_down_are_removed_at_the_start(monkeypatch, studio_home):
    folder = home() / "estimates"
    folder.mkdir()
    write_json(folder / "texts.json", {"seen": [["a customer's words", True]]})
    write_json(folder / "lengths.json", {"lengths": [3, 4]})
    monkeypatch.setattr("studio.app.serve", lambda host, port: 0)
    assert main(["--home", str(studio_home)]) == 0
    assert [path.name for path in folder.iterdir()] == ["lengths.json"]


def test_the_rates_that_explain_times_are_found_from_the_times():
    from studio.estimate.calibrate import fitted
    from studio.estimate.tally import Tally

    true = Rates(1e12, 2e11, 3e10, 5e-6, 0.0)
    work = [
        Tally(flop_32=a * 1e9, moved=b * 1e9, operations=c)
        for a, b, c in ((40, 1, 900), (300, 6, 900), (60, 9, 2000), (500, 60, 2000), (10, 3, 400))
    ]
    found = fitted(work, [true.seconds(one) for one in work], Rates(1e12, 1.4e11, 2e10, 1e-5, 0.0))
    for one in work:
        assert found.seconds(one) == pytest.approx(true.seconds(one), rel=0.12)
    slow = fitted(work, [3 * true.seconds(one) for one in work], Rates(1e12, 1.4e11, 2e10, 1e-5, 0.0))
    assert slow.flop_32 == pytest.approx(found.flop_32 / 3, rel=0.01), "a machine three times as slow is seen as such"


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
    place = machines.here()
    seen = list(measure.measure(SMALL, False, place))
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    found = seen[-1][1]
    assert rates.of(place) == found
    assert found.measured
    assert found.flop_32 > 1e8
    assert 0.1e9 < found.runtime < 2e9
    assert 1 < found.start < 120
    assert 1e-11 < found.draw < 1e-6
    assert 1e-11 < found.unpack < 1e-6


def test_what_an_earlier_studio_measured_is_measured_again():
    place = machines.here()
    rates.keep(place, rates.promised(place))
    kept = read_json(home() / "rates.json")
    del kept["rates"]["draw"]
    write_json(home() / "rates.json", kept | {"rates": {**kept["rates"], "flop_32": 7.0, "when": 5.0}})
    assert rates.of(place) == rates.promised(place)


def test_a_measurement_that_is_called_off_leaves_no_rates_and_no_process():
    place = machines.here()
    going = measure.measure(SMALL, False, place)
    next(going)
    going.close()
    assert not rates.of(place).measured


@pytest.mark.parametrize("kind", ["qwen3", "gemma3_text", "modernbert"])
def test_what_a_config_lists_layer_by_layer_is_cut_with_the_layers(kind):
    from transformers import AutoConfig

    from studio.estimate.calibrate import LAYERS, cut

    whole = AutoConfig.for_model(kind, num_hidden_layers=8).to_dict()
    assert len(whole["layer_types"]) == 8
    found = AutoConfig.for_model(**{name: value for name, value in cut(whole).items() if name != "transformers_version"})
    assert (found.num_hidden_layers, len(found.layer_types)) == (LAYERS, LAYERS)


def test_nothing_is_measured_beside_a_run(make_plan):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    runs.set_status(run, "training", "train")
    with pytest.raises(NotPossible, match="“lora on toys” is training"):
        next(measure.measure(SMALL, False, machines.here()))
    runs.set_status(run, "waiting", "queue")
    going = measure.measure(SMALL, False, machines.here())
    next(going)
    runs.set_status(run, "training", "train")
    with pytest.raises(NotPossible, match="“lora on toys” began to train meanwhile"):
        list(going)
    assert not rates.of(machines.here()).measured


def test_a_measurement_that_cannot_be_done_says_why():
    from studio.errors import StudioError

    with pytest.raises(StudioError, match="ended without a result"):
        list(measure.measure({**SMALL, "model_type": "no-such-thing"}, False, machines.here()))
