"""Where one stands is said above all tabs, and never more than is known."""

import os
import time

import pytest

from studio import export, methods, runs
from studio.ui import progress_strip
from studio.ui.method import estimates as table_estimates

KNOBS = {f"{method.name}_{knob.name}": knob.default for method in methods.METHODS for knob in method.settings}
FIELDS = {
    **KNOBS,
    "task": "chat",
    "columns": '{"prompt": "customer", "response": "reply"}',
    "chosen": "lora",
    "machine": "here",
}


def told(source="sample:support-tone", model="smollm2-135m", lang="en", **changed):
    return strip(table_estimates.read_form(source=source, model=model, **{**FIELDS, **changed}), lang)


def strip(found, *rest):
    return progress_strip.render_strip(
        found, table_estimates.estimate_all_methods(found).get(found.plan.method.name), *rest
    )


def test_without_data_the_first_step_comes_next():
    found = told(source="")
    assert [step["state"] for step in found["steps"]] == ["open", "open", "next"]
    assert (found["steps"][0]["said"], found["steps"][2]["said"][:14]) == ("none yet", "bring examples")
    assert "min" not in found["steps"][1]["said"]


def test_with_data_and_a_method_it_says_what_that_costs():
    data, method, after = told()["steps"]
    assert (data["state"], data["said"]) == ("done", "140 examples")
    assert method["said"].startswith("LoRA on SmolLM2 135M Instruct: ")
    assert "GB" in method["said"]
    assert after["said"] == "look at the settings, then train"


@pytest.mark.parametrize(
    ("machine", "said"), [("here", "no price known"), ("hf-cpu-basic", "no money"), ("hf-l40sx1", "$")]
)
def test_money_nobody_knows_is_not_called_no_money(machine, said):
    assert said in told(machine=machine)["steps"][1]["said"]


def test_a_run_that_does_not_fit_comes_first_of_all():
    found = told(model="qwen3-8b", chosen="full", machine="hf-t4-small")
    assert found["steps"][2]["said"].startswith("make it fit")


def test_a_model_nobody_knows_has_no_cost():
    assert told(model="owner/name")["steps"][1]["said"] == "LoRA on name"


def after(run, source=None, lang="en"):
    """Training and next step, as the strip says them for the data of a run."""
    found = table_estimates.read_form(source=source or run.plan.data.source, model="smollm2-135m", **FIELDS)
    return [(step["said"], step["state"]) for step in strip(found, lang, run.id)["steps"][2:]]


def test_after_the_training_it_leads_on_to_comparing_taking_home_and_the_next_one(finished):
    run = finished("lora")
    trained = (f"“{run.plan.name}” has been trained", "done")
    assert after(run) == [trained, ("compare both models on the Playground tab", "next")]
    (run.folder / "playground.log").touch()  # both models have been opened
    assert after(run) == [trained, ("take it home on the Share tab, or go on comparing", "next")]
    export.build_zip(run, "adapter")
    assert after(run)[0] == (f"“{run.plan.name}” has been trained and packed", "done")
    assert after(run, lang="zh")[1] == ("拿去用，或改一改再训练一次", "next")
    os.utime(run.folder / "report.json", (time.time() + 9,) * 2)  # it went on, and what was packed is old
    assert after(run)[0] == trained


def test_a_run_that_is_going_on_is_told_and_one_on_other_data_or_without_a_result_is_not(make_plan):
    run = runs.create(make_plan())
    assert after(run)[0] == (f"“{run.plan.name}” is under way", "open")
    assert after(run, "sample:support-tone") == [("look at the settings, then train", "next")]
    runs.set_status(run, "failed")
    assert [state for _, state in after(run)] == ["next"]
    assert progress_strip.read_run_stage("../x") == progress_strip.read_run_stage(None) == ""


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_speaks_both_languages(lang):
    assert told(lang=lang)["about"] == {"en": "Where you stand", "zh": "当前进度"}[lang]
