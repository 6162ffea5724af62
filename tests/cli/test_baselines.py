"""`studio baselines` says what needs no training, as text and as JSON, and measures once."""

import json
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.evaluate import baselines
from studio.evaluate.baselines import Baseline, Baselines
from studio.evaluate.paired import estimate_share
from studio.plan import load

RIGHT = {"base": 10, "few_shot": 20}
SHOTS = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})


@pytest.fixture
def measured_plan(plan_file):
    """The file of a plan whose baselines were measured."""
    file = plan_file()
    entries = tuple(
        Baseline(name, estimate_share([True] * right + [False] * (40 - right)), 8.0, 0.25, shots)
        for (name, right), shots in zip(RIGHT.items(), ((), SHOTS), strict=True)
    )
    baselines.keep(load(Path(file)), Baselines("exact_match", "hits", "test", 40, 50, 0, 90, entries))
    return file


def test_it_says_what_was_measured_with_intervals_cost_and_latency(measured_plan, capsys):
    assert main(["baselines", measured_plan]) == 0
    title, base, few_shot, conclusion, rows = capsys.readouterr().out.splitlines()
    assert title == "share of answers that are exactly the wanted ones (exact match):"
    words = "Base model as it is 25% (14–40%) 8.0 s in all, 0.25 s for one answer of up to 48 tokens"
    assert " ".join(base.split()) == words
    assert "Base model with 1 of your examples in the prompt (few-shot)  50% (35–65%)" in few_shot
    assert conclusion.startswith("There is room for training: the best without it")
    assert rows == "Measured on 40 of 50 test rows, the same for all."
    assert main(["baselines", measured_plan, "--language", "zh"]) == 0
    assert "基础模型，不训练" in capsys.readouterr().out


def test_as_json_it_holds_every_figure_and_the_prompt(measured_plan, capsys):
    assert main(["baselines", measured_plan, "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["best"], output["is_enough"], output["n"]) == ("few_shot", False, 40)
    assert output["entries"][1]["shots"] == list(SHOTS)
    assert [entry["score"]["value"] for entry in output["entries"]] == [0.25, 0.5]
