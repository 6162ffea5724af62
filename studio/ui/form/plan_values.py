"""A plan as values of the form's fields: the way back from `plan_form.build_plan`."""

from studio import methods
from studio.data import split
from studio.plan import Plan, Value
from studio.ui.form import plan_form
from studio.ui.form.saved_settings import SUGGESTED_FIELDS, is_valid_saved_value
from studio.ui.form.training_fields import TRAINING_FIELDS

# What a plan can say and no field of the page shows, by its key, and what a plan of the page has there.
WITHOUT_FIELD = {
    "data.train_share": 1.0,
    "training.gradient_accumulation_steps": None,
    "training.padding_free": None,
    "training.cuda_graphs": False,
}


def list_values(run_plan: Plan) -> dict[str, Value | None]:
    """The training fields and the settings of the plan's method (METHOD_SETTING), each with its value.

    What the plan leaves to the amount of data has the value that its run would take.

    Raises:
        StudioError: The plan's data cannot be read, or its method is unknown.
    """
    values = {**_list_training_values(run_plan), **_list_settings(run_plan)}
    return {
        name: value for name, value in values.items() if value is None or is_valid_saved_value(name, value)
    }


def _list_training_values(run_plan: Plan) -> dict[str, Value | None]:
    values = {**run_plan.training.model_dump(), **run_plan.data.model_dump(include={"validation_share"})}
    # An empty box is one that is not ticked.
    values["gradient_checkpointing"] = bool(run_plan.training.gradient_checkpointing)
    values |= _find_suggested_values(run_plan)
    return {name: values[name] for name in TRAINING_FIELDS}


def _find_suggested_values(run_plan: Plan) -> dict[str, Value]:
    """The values of SUGGESTED_FIELDS."""
    splits = plan_form.split_examples(run_plan)
    batch_size, epochs = plan_form.default_batch_and_epochs(run_plan, len(splits.train))
    test_share = split.test_share(run_plan.data, plan_form.count_examples(run_plan))
    return dict(zip(SUGGESTED_FIELDS, (epochs, batch_size, test_share), strict=True))


def _list_settings(run_plan: Plan) -> dict[str, Value]:
    method, chosen = methods.get(run_plan.method.name), run_plan.method.settings
    return {
        f"{method.name}_{setting.name}": chosen.get(setting.name, setting.default)
        for setting in method.settings
    }


def find_keys_without_field(run_plan: Plan) -> list[str]:
    """The keys of WITHOUT_FIELD in which the plan differs from one of the page."""
    raw_plan = run_plan.model_dump()
    keys = []
    for key, page_value in WITHOUT_FIELD.items():
        section, name = key.split(".")
        if raw_plan[section][name] != page_value:
            keys.append(key)
    return keys
