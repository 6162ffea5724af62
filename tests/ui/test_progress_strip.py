"""The progress strip says where one stands, above all tabs, and never more than is known."""

import os
import time

import pytest
from form_fields import form_fields

from studio import export, runs
from studio.ui import progress_strip
from studio.ui.form.form_state import read_form
from studio.ui.method import estimates
from studio.ui.method.estimate_inputs import load_inputs


def strip(lang="en", run_id="", **changed):
    """The strip for the fields."""
    inputs = load_inputs(read_form(form_fields(**changed)))
    estimate = estimates.estimate_all_methods(inputs).get(inputs.plan.method.name)
    return progress_strip.render_strip(inputs, estimate, lang, run_id)


def test_without_data_the_first_step_comes_next():
    data, next_step = strip(source="")["steps"]
    assert [data["state"], next_step["state"]] == ["open", "next"]
    assert data["said"] == progress_strip.NO_EXAMPLES.text
    assert next_step["said"] == progress_strip.BRING_EXAMPLES.text
    assert strip(source="")["done"] == []


def test_data_that_cannot_be_used_yet_is_not_called_missing():
    data, next_step = strip(columns={"prompt": "no such column", "response": "reply"})["steps"]
    assert (data["said"], next_step["said"]) == (
        progress_strip.NOT_READY.text,
        progress_strip.FIX_DATA.text,
    )
    plan = load_inputs(read_form(form_fields(columns={}))).plan
    assert progress_strip._describe_missing_data(plan)[0] is progress_strip.ESTIMATING


def test_with_data_and_a_method_it_says_what_that_costs():
    data, method, next_step = strip()["steps"]
    assert (data["state"], data["said"]) == ("done", progress_strip.EXAMPLE_COUNT.render("en", count=140))
    assert method["said"].startswith("LoRA on SmolLM2 135M Instruct: ")
    assert "GB" in method["said"]
    assert next_step["said"] == progress_strip.READY_TO_TRAIN.text


@pytest.mark.parametrize(("machine", "has_bill"), [("here", False), ("hf-l40sx1", True)])
def test_money_is_mentioned_where_there_is_a_bill(machine, has_bill):
    assert ("$" in strip(machine=machine)["steps"][1]["said"]) == has_bill


def test_the_figures_name_the_plan_that_they_belong_to():
    value = strip(model="", source="")
    assert value["plan"] == ["", "chat", "", "lora"]
    assert strip()["plan"] == ["sample:support-tone", "chat", "smollm2-135m", "lora"]
    assert [bool(step["soon"]) for step in strip()["steps"]] == [True, True, False]


def test_a_run_that_does_not_fit_comes_first_of_all():
    next_step = strip(model="qwen3-8b", method="full", machine="hf-t4-small")["steps"][2]
    assert next_step["said"] == progress_strip.MAKE_IT_FIT.text


def test_a_model_nobody_knows_has_no_cost():
    text = progress_strip.METHOD_ON_MODEL.render("en", method="LoRA", model="name")
    assert strip(model="owner/name")["steps"][1]["said"] == text


def after(run, source=None, lang="en"):
    """Run and next step, as the strip says them for the data of a run."""
    heads = {step.render(lang) for step in (progress_strip.TRAINING_STEP, progress_strip.NEXT_STEP)}
    steps = strip(lang, run.id, source=source or run.plan.data.source)["steps"]
    return [(step["said"], step["state"]) for step in steps if step["head"] in heads]


def said_of(stage, status, run, lang="en"):
    """What is to be said of a run, and what comes next."""
    state = "done" if status is progress_strip.RUN_TRAINED else "open"
    next_step = progress_strip.NEXT_AFTER[stage]
    return [(status.render(lang, name=run.plan.name), state), (next_step.render(lang), "next")]


def test_after_the_training_it_leads_on_to_comparing_sharing_and_the_next_run(finished):
    run = finished("lora")
    trained = progress_strip.RUN_TRAINED
    assert after(run) == said_of("trained", trained, run)
    (run.folder / "playground.log").touch()  # both models have been opened
    assert after(run) == said_of("compared", trained, run)
    export.build_zip(run, "adapter")
    assert after(run) == said_of("exported", trained, run)
    assert after(run, lang="zh") == said_of("exported", trained, run, "zh")
    os.utime(run.folder / "report.json", (time.time() + 9,) * 2)  # it went on, and what was packed is old
    assert after(run) == said_of("compared", trained, run)


def test_the_tabs_are_ticked_as_far_as_the_run_on_this_data_has_come(finished):
    run = finished("lora")
    assert strip(run_id=run.id)["done"] == ["data", "method"], "the run learned from other data"
    inputs = load_inputs(read_form(form_fields()))
    assert progress_strip._finished_tabs(inputs, None, run) == ["data", "method", "train"]
    (run.folder / "playground.log").touch()
    export.build_zip(run, "adapter")
    assert progress_strip._finished_tabs(inputs, None, run) == [
        "data",
        "method",
        "train",
        "playground",
        "share",
    ]


def test_a_run_that_goes_on_stays_beside_other_data_and_the_next_step_is_that_of_the_plan(make_plan):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    ready = (progress_strip.READY_TO_TRAIN.text, "next")
    for state, stage, status in (
        ("waiting", "waiting", progress_strip.RUN_WAITING),
        ("training", "training", progress_strip.RUN_TRAINING),
    ):
        runs.set_status(run, state)
        assert after(run) == said_of(stage, status, run)
        assert after(run, "sample:support-tone") == [said_of(stage, status, run)[0], ready]
    runs.set_status(run, "failed")
    assert after(run) == said_of("failed", progress_strip.RUN_FAILED, run)
    assert after(run, "sample:support-tone") == [ready]


def test_a_stopped_run_is_not_called_trained(finished):
    run = finished("lora")
    runs.set_status(run, "stopped")
    assert after(run) == said_of("trained", progress_strip.RUN_STOPPED, run)


def test_all_runs_that_go_on_are_watched_and_else_the_last_one(make_plan):
    first, second = runs.create(make_plan()), runs.create(make_plan())
    run_ids, stages, timer = progress_strip.read_run_stages(first.id, [])
    assert run_ids.split() == [first.id, second.id]
    assert timer.active
    runs.set_status(first, "failed")
    runs.set_status(second, "failed")
    ended_ids, ended_stages, ended_timer = progress_strip.read_run_stages(first.id, [])
    assert ended_ids == first.id
    assert ended_stages != stages
    assert not ended_timer.active
    for unknown in ("../x", None):
        assert progress_strip.read_run_stages(unknown, [])[:2] == ("", "")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_speaks_both_languages(lang):
    assert strip(lang)["about"] == progress_strip.STRIP_LABEL.render(lang)
