"""What to do after a run: its next steps, each with a button where another plan does it."""

from collections.abc import Mapping
from typing import Any

from studio import presets, runs
from studio.data import store
from studio.errors import NotPossible
from studio.evaluate import verdict
from studio.evaluate.next_steps import NextStep, Setup
from studio.i18n import Message, format_value
from studio.plan import Plan
from studio.runs import Run
from studio.training import coach, variations
from studio.ui import access
from studio.ui.form import plan_form

TRY_THIS = Message("Try this")
CHANGE, CHANGE_FROM = Message("{label} {new}"), Message("{label} {new} instead of {old}")
STARTED_AGAIN = Message("“{name}” is the same plan with {changes}.")
VARIATION_NAME = Message("{name}: {changes}")
STEP_IS_GONE = Message("This step has no plan to try.")
RELOAD = Message("Reload the page and choose it again.")


def list_steps(run: Run, report: Mapping[str, Any]) -> list[NextStep]:
    """What to do after a run: what its verdict says, and its curve where that says something else."""
    result = verdict.read(report)
    if not result:
        return []
    steps = list(result.next_steps)
    advice = coach.advise_next_run(runs.read_points(run), Setup(run.plan, report))
    changed_keys = {key for step in steps for key in step.plan_changes}
    if advice and not changed_keys.intersection(advice.plan_changes):
        steps.append(advice)
    return steps


def describe_steps(run: Run, report: Mapping[str, Any], lang: str) -> list[dict[str, str]]:
    """The next steps for the browser: a sentence each, and the words of its button, "" without one."""
    return [
        {
            "text": step.message.render(lang),
            "button": TRY_THIS.render(lang) if step.plan_changes else "",
        }
        for step in list_steps(run, report)
    ]


def build_variation(run: Run, number: object, lang: str) -> tuple[Plan, str]:
    """The plan that a next step of a run means.

    Args:
        run: The run.
        number: Which of `list_steps`, as a browser sends it.
        lang: The visitor's language.

    Returns:
        The plan, and what it changes in words.

    Raises:
        NotPossible: There is no such step, or no plan does it.
        StudioError: The run's data are gone, or not this visitor's.
    """
    report = runs.report(run)
    steps = dict(enumerate(list_steps(run, report)))
    changes = steps[number].plan_changes if isinstance(number, int) and number in steps else {}
    if not changes:
        raise NotPossible(STEP_IS_GONE, RELOAD)
    check_access(run.plan)
    described = describe_changes(run.plan, changes, report.get("training") or {}, lang)
    name = VARIATION_NAME.render(lang, name=run.plan.name, changes=described)
    plan = variations.vary(run.plan, {**changes, "name": name[: plan_form.MAX_RUN_NAME_CHARS]})
    return plan, described


def check_access(plan: Plan) -> None:
    """Where others reach the page, a run's address is no permission for its data and model."""
    if access.is_open_to_others():
        access.find_dataset(plan.data.source)
        access.check_model(plan.model)
    store.find(plan.data.source)


def describe_changes(plan: Plan, changes: Mapping[str, Any], training: Mapping[str, Any], lang: str) -> str:
    """The changes of a plan in words, under the labels of the form.

    Args:
        plan: The plan that is changed.
        changes: The new values by key.
        training: What the run filled into the plan's training, by name.
        lang: The visitor's language.
    """
    parts = []
    for key, value in _flatten(changes).items():
        name = key.rpartition(".")[2]
        if value is None:  # left to the studio
            continue
        texts = {"label": _find_label(plan, changes, key), "new": _describe_value(key, value)}
        old = training.get(name)
        message = CHANGE if old is None else CHANGE_FROM.format(old=_describe_value(key, old))
        parts.append(message.format(**texts))
    return str(format_value(parts, lang))


def _flatten(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes one value each: those of a method's settings stand in one mapping."""
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        flat |= (
            {f"{key}.{name}": item for name, item in value.items()}
            if isinstance(value, Mapping)
            else {key: value}
        )
    return flat


def _find_label(plan: Plan, changes: Mapping[str, Any], key: str) -> Message | str:
    labels = plan_form.field_labels(changes.get("method.name", plan.method.name))
    name = key.rpartition(".")[2]
    return labels.get(key) or labels.get(name) or name


def _describe_value(key: str, value: object) -> Message | str:
    if key == "method.name":
        return presets.methods()[str(value)].name
    return f"{value:.3g}" if isinstance(value, float) else str(value)
