"""Where one stands is said above all tabs, and never more than is known."""

import pytest

from studio import methods
from studio.tabs import estimates, story

KNOBS = {f"{method.name}_{knob.name}": knob.default for method in methods.METHODS for knob in method.knobs}
FIELDS = {**KNOBS, "task": "chat", "columns": '{"prompt": "customer", "response": "reply"}', "chosen": "lora", "machine": "here"}


def told(source="sample:support-tone", model="smollm2-135m", lang="en", **changed):
    return story.content(estimates.asked(source=source, model=model, **{**FIELDS, **changed}), lang)


def test_without_data_the_first_step_comes_next():
    found = told(source="")
    assert [step["state"] for step in found["steps"]] == ["open", "open", "next"]
    assert found["steps"][0]["said"].startswith("bring examples")
    assert "min" not in found["steps"][1]["said"]


def test_with_data_and_a_method_it_says_what_that_costs():
    data, method, after = told()["steps"]
    assert (data["state"], data["said"]) == ("done", "140 examples")
    assert method["said"].startswith("LoRA on SmolLM2 135M Instruct: ")
    assert "GB" in method["said"]
    assert after["said"] == "look at the settings, then train"


@pytest.mark.parametrize(("machine", "said"), [("here", "no price known"), ("hf-cpu-basic", "no money"), ("hf-l40sx1", "$")])
def test_money_nobody_knows_is_not_called_no_money(machine, said):
    assert said in told(machine=machine)["steps"][1]["said"]


def test_a_run_that_does_not_fit_comes_first_of_all():
    found = told(model="qwen3-8b", chosen="full", machine="hf-t4-small")
    assert found["steps"][2]["said"].startswith("make it fit")


def test_a_model_nobody_knows_has_no_cost():
    assert told(model="owner/name")["steps"][1]["said"] == "LoRA on name"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_speaks_both_languages(lang):
    assert told(lang=lang)["about"] == {"en": "Where you stand", "zh": "当前进度"}[lang]
