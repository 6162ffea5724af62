"""A plan that is put back into the form's fields makes the same plan again."""

import pytest
from form_fields import SAMPLE_COLUMNS, form_fields

from studio import methods
from studio.ui.form import plan_form, plan_values
from studio.ui.form.form_state import read_form

# The tasks of a method, one that a sample has.
TASKS = {
    method.name: next(task for task in SAMPLE_COLUMNS if task in method.tasks)
    for method in methods.METHODS
    if set(SAMPLE_COLUMNS) & set(method.tasks)
}
SAMPLES = {"chat": "sample:support-tone", "classify": "sample:ticket-triage"}


def build(method, **changed):
    task = TASKS[method]
    model = "minilm-l6" if task == "classify" else "smollm2-135m"
    return plan_form.build_plan(read_form(form_fields(task, SAMPLES[task], model, method, **changed)))


def build_from_fields(plan):
    """The plan of a form that holds the values of another plan."""
    values = plan_values.list_values(plan)
    return build(plan.method.name, name=plan.name, **values)


@pytest.mark.parametrize("method", TASKS)
def test_the_fields_of_a_plan_make_the_same_plan(method):
    plan = build(
        method,
        name="First",
        epochs=7,
        batch_size=2,
        test_share=0.25,
        learning_rate=3e-4,
        gradient_checkpointing=True,
        seed=9,
        max_minutes=12,
    )
    assert build_from_fields(plan) == plan


def test_a_setting_that_is_not_the_default_comes_back():
    plan = build("lora", name="First", test_share=0, lora_rank=5, lora_targets="attention")
    assert plan.method.settings["rank"] == 5
    assert build_from_fields(plan) == plan


def test_what_a_plan_leaves_open_has_the_value_that_its_run_takes():
    plan = build("lora")
    open_training = plan.training.model_copy(update={"epochs": None, "batch_size": None})
    values = plan_values.list_values(plan.model_copy(update={"training": open_training}))
    # The sample has 150 examples: a fifth validates, and 20 of them, in steps of 5 %, are 15 % for the test.
    assert (values["epochs"], values["batch_size"], values["test_share"]) == (3, 8, 0.15)
    assert values["learning_rate"] is None


def test_a_setting_that_its_field_cannot_take_any_more_is_left_out():
    plan = build("lora")
    method = plan.method.model_copy(update={"settings": {"rank": -3}})
    values = plan_values.list_values(plan.model_copy(update={"method": method}))
    assert "lora_rank" not in values
    assert "lora_alpha" in values


@pytest.mark.parametrize(
    ("name", "value"), [("gradient_accumulation_steps", 2), ("padding_free", False), ("cuda_graphs", True)]
)
def test_what_no_field_shows_is_named(name, value):
    plan = build("lora")
    assert plan_values.find_keys_without_field(plan) == []
    training = plan.training.model_copy(update={name: value})
    changed = plan.model_copy(update={"training": training})
    assert plan_values.find_keys_without_field(changed) == [f"training.{name}"]
