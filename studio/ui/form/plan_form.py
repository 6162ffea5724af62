"""The plan that the page's fields describe: what it would do, and what is wrong with it, under the fields' own names."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from studio import methods, plan, presets
from studio.data import examples, import_job, split
from studio.data.examples import Example
from studio.data.split import Splits
from studio.errors import BadPlan, explain
from studio.estimate.all_methods import BaseModelInfo
from studio.i18n import Message
from studio.methods import defaults
from studio.plan import Plan, Task, Value
from studio.ui import access
from studio.ui.components import forms
from studio.ui.form import saved_settings
from studio.ui.method import estimates as table_estimates
from studio.ui.method import tab as at

PLAN_SUMMARY = Message(
    "{method} on {model}: {train} examples, each seen {epochs:g}×, {batch} at a time: {steps} steps. {check} more are kept aside to check on (validation)."
)
# From so many examples on it takes seconds to find those that are alike, in which the page would stand still.
MAX_INLINE_GROUPING = 5000
TEST_SUMMARY = Message(" {test} more are kept for the final test.")


def build_plan(
    source: str, task: Task, columns: str, model: str, chosen: str, name: str, **values: Value
) -> Plan:
    """The plan that the page's fields describe; raises BadPlan with everything that is wrong with it."""
    model = str(model or "")
    access.check_model(model)
    method = methods.get(chosen)
    training_values = {field: value for field, value in values.items() if field in plan.Training.model_fields}
    training_values |= {field: values.get(field) or None for field in table_estimates.AUTO_FIELDS}  # type: ignore[misc]
    raw_plan = {
        "name": name.strip()[:120] or f"{presets.methods()[chosen].name.render()} · {model.split('/')[-1]}",
        "task": task,
        "model": model,
        "data": {
            "source": source,
            "columns": forms.unpack(columns),
            "validation_share": values["validation_share"],
            "test_share": values.get("test_share"),
            "test": str(values.get("test") or ""),
        },
        "method": {"name": chosen, "settings": forms.read_method_settings(method, values)},
        "training": training_values,
    }
    return plan.parse(raw_plan, "the page", (methods.find_plan_problems,))


def describe_plan(run_plan: Plan, lang: str) -> str:
    """What a plan would do, counted on its real data."""
    splits = split_examples(run_plan)
    card, method = presets.models().get(run_plan.model), methods.get(run_plan.method.name)
    train_count = len(splits.train)
    batch_size = run_plan.training.batch_size or defaults.default_batch_size(train_count)
    epochs = run_plan.training.epochs or defaults.default_epochs(
        train_count, run_plan.task, batch_size, method.epoch_multiplier
    )
    summary = PLAN_SUMMARY.render(
        lang,
        method=presets.methods()[run_plan.method.name].name,
        model=card.name if card else run_plan.model,
        train=train_count,
        check=len(splits.validation),
        epochs=epochs,
        batch=batch_size,
        steps=defaults.count_steps(train_count, batch_size, epochs),
    )
    return summary + (TEST_SUMMARY.render(lang, test=len(splits.test)) if splits.test else "")


def split_examples(run_plan: Plan) -> Splits:
    """The three parts of a plan's data, as its run will have them."""
    dataset = access.find_dataset(run_plan.data.source)
    dataset_key = (
        run_plan.data.source,
        dataset.version,
        run_plan.task,
        tuple(sorted(run_plan.data.columns.items())),
    )
    all_examples, groups = _load_grouped_examples(*dataset_key)
    splits = split.split_examples(all_examples, run_plan.data, run_plan.training.seed, groups)
    if run_plan.data.test:
        test_examples, _ = examples.build_examples(
            access.find_dataset(run_plan.data.test).table(), run_plan.task, run_plan.data.columns
        )
        splits = replace(splits, test=test_examples)
    return splits


@lru_cache(maxsize=8)
def _load_grouped_examples(
    source: str, version: int, task: Task, columns: tuple[tuple[str, str], ...]
) -> tuple[list[Example], list[int]]:
    """The examples of a data set and what of them belongs together; remembered while its rows stay the same."""
    all_examples, _ = examples.build_examples(access.find_dataset(source).table(), task, dict(columns))
    return all_examples, split.duplicate_groups(all_examples) if len(
        all_examples
    ) < MAX_INLINE_GROUPING else import_job.compute_duplicate_groups(source, task, dict(columns))


def describe_extra_stages(run_plan: Plan, lang: str) -> str:
    """What is trained beside the steps that were counted, where a method trains in several stages."""
    method = methods.get(run_plan.method.name)
    message = method.extra_stages_message(method.resolve_settings(run_plan.method.settings), run_plan.task)
    return message.render(lang) if message else ""


def max_text_tokens(
    base: BaseModelInfo | None, chosen: str, max_length: float, values: Mapping[str, Value]
) -> int:
    """How many tokens of a text are read of `asked` with the chosen method; `values` are the fields of all methods' settings, if at hand."""
    shape, method = (
        base.shape if base else None,
        next((candidate for candidate in methods.METHODS if candidate.name == chosen), None),
    )
    if not shape or not method:
        return int(max_length or 0)
    return method.max_text_tokens(
        shape,
        table_estimates.valid_settings(
            method, forms.read_method_settings(method, saved_settings.unpack_fields(values))
        ),
        int(max_length or 0),
    )


def plan_error_notice(error: Exception, chosen: str, lang: str) -> dict[str, Any]:
    """What is wrong; of a plan, under the labels of the page's fields."""
    method_names = {method.name for method in methods.METHODS}
    if isinstance(error, BadPlan) and chosen in method_names:
        return forms.problems_notice(error.plan_problems, at.field_labels(chosen), lang)
    return forms.error_notice(explain(error), lang)
