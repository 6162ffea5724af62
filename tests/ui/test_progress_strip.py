"""The progress strip says where one stands, above all tabs, and never more than is known."""

import os
import time

import pytest
from form_fields import form_fields

from studio import export, runs
from studio.ui import progress_strip
from studio.ui.form.form_state import read_form
from studio.ui.method import estimates, table_messages
from studio.ui.method.estimate_inputs import load_inputs


def strip(lang="en", run_id="", **changed):
    """The strip for the fields."""
    inputs = load_inputs(read_form(form_fields(**changed)))
    estimate = estimates.estimate_all_methods(inputs).get(inputs.plan.method.name)
    return progress_strip.render_strip(inputs, estimate, lang, run_id)


def test_without_data_the_first_step_comes_next():
    data, method, next_step = strip(source="")["steps"]
    assert [data["state"], method["state"], next_step["state"]] == ["open", "open", "next"]
    assert data["said"] == progress_strip.NO_EXAMPLES.text
    assert next_step["said"] == progress_strip.BRING_EXAMPLES.text
    assert "min" not in method["said"]


def test_with_data_and_a_method_it_says_what_that_costs():
    data, method, next_step = strip()["steps"]
    assert (data["state"], data["said"]) == ("done", progress_strip.EXAMPLE_COUNT.render("en", count=140))
    assert method["said"].startswith("LoRA on SmolLM2 135M Instruct: ")
    assert "GB" in method["said"]
    assert next_step["said"] == progress_strip.READY_TO_TRAIN.text


@pytest.mark.parametrize(
    ("machine", "money"),
    [
        ("here", table_messages.NO_PRICE.text),
        ("hf-cpu-basic", progress_strip.NO_COST.text),
        ("hf-l40sx1", "$"),
    ],
)
def test_money_nobody_knows_is_not_called_no_money(machine, money):
    assert money in strip(machine=machine)["steps"][1]["said"]


def test_a_run_that_does_not_fit_comes_first_of_all():
    next_step = strip(model="qwen3-8b", method="full", machine="hf-t4-small")["steps"][2]
    assert next_step["said"] == progress_strip.MAKE_IT_FIT.text


def test_a_model_nobody_knows_has_no_cost():
    text = progress_strip.METHOD_ON_MODEL.render("en", method="LoRA", model="name")
    assert strip(model="owner/name")["steps"][1]["said"] == text


def after(run, source=None, lang="en"):
    """Training and next step, as the strip says them for the data of a run."""
    steps = strip(lang, run.id, source=source or run.plan.data.source)["steps"]
    return [(step["said"], step["state"]) for step in steps[2:]]


def said_of(stage, run, lang="en"):
    """What is to be said of a run at a stage, and what comes next."""
    status, next_step = progress_strip.RUN_STAGES[stage]
    state = "open" if stage == "training" else "done"
    return [(status.render(lang, name=run.plan.name), state), (next_step.render(lang), "next")]


def test_after_the_training_it_leads_on_to_comparing_taking_home_and_the_next_one(finished):
    run = finished("lora")
    assert after(run) == said_of("trained", run)
    (run.folder / "playground.log").touch()  # both models have been opened
    assert after(run) == said_of("compared", run)
    export.build_zip(run, "adapter")
    assert after(run) == said_of("exported", run)
    assert after(run, lang="zh") == said_of("exported", run, "zh")
    os.utime(run.folder / "report.json", (time.time() + 9,) * 2)  # it went on, and what was packed is old
    assert after(run) == said_of("compared", run)


def test_a_run_that_is_going_on_is_told_and_one_on_other_data_or_without_a_result_is_not(make_plan):
    run = runs.create(make_plan())
    assert after(run) == said_of("training", run)
    ready = (progress_strip.READY_TO_TRAIN.text, "next")
    assert after(run, "sample:support-tone") == [ready]
    runs.set_status(run, "failed")
    assert [state for _, state in after(run)] == ["next"]
    assert progress_strip.read_run_stage("../x") == progress_strip.read_run_stage(None) == ""


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_speaks_both_languages(lang):
    assert strip(lang)["about"] == progress_strip.STRIP_LABEL.render(lang)
