"""What to do after a run: its next steps, each with a button where another plan does it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from studio import presets, runs
from studio.data import store
from studio.errors import NotPossible, StudioError
from studio.estimate import fitting_changes
from studio.estimate.fitting_changes import FittingChanges
from studio.estimate.machines import catalogue
from studio.evaluate import verdict
from studio.evaluate.next_steps import NextStep, Setup
from studio.i18n import Message, format_value
from studio.plan import Plan
from studio.runs import Run
from studio.training import coach, continuation, variations
from studio.ui import access
from studio.ui.form import plan_form

TRY_THIS = Message("Try this")
START_CHANGED = Message("Start with this")
GO_ON = Message("Go on training from this result: it becomes the base model of a new run.")
CHANGE, CHANGE_FROM = Message("{label} {new}"), Message("{label} {new} instead of {old}")
STARTED_AGAIN = Message("“{name}” is the same plan with {changes}.")
VARIATION_NAME = Message("{name}: {changes}")
STEP_IS_GONE = Message("This step has no plan to try.")
RELOAD = Message("Reload the page and choose it again.")


# Why a run has ended where a plan that needs less memory is what to try next.
MEMORY_CAUSES = ("memory", "killed")
CHANGES_TEMPLATE = (
    '{{#if value.heading}}<div class="fitting-changes" role="status"><p>{{value.heading}}</p>'
    "<ul>{{#each value.steps}}<li>{{this.text}}"
    '<button type="button" class="try-this" data-key="{{this.key}}"'
    ' aria-label="{{this.button}}: {{this.text}}">{{this.button}}</button></li>{{/each}}</ul></div>{{/if}}'
)
CHANGES_SCRIPT = """
element.addEventListener('click', (event) => {
  const press = event.target.closest('button[data-key]');
  if (press) trigger('again', { step: press.dataset.key });
});
"""


def build_fitting_changes() -> gr.HTML:
    """The box of `describe_fitting_changes`; its buttons send the event `again`."""
    return gr.HTML(
        {},
        html_template=CHANGES_TEMPLATE,
        js_on_load=CHANGES_SCRIPT,
        elem_id="fitting-changes",
        apply_default_css=False,
    )


def describe_fitting_changes(plan: Plan, lang: str) -> dict[str, Any]:
    """What would make a plan fit into memory, a button each; empty where that is not known."""
    changes = _find_fitting_changes(plan)
    if not changes:
        return {}
    steps = [
        {"key": change.key, "text": change.describe().render(lang), "button": START_CHANGED.render(lang)}
        for change in changes.offered
    ]
    return {"heading": changes.summarize().render(lang), "steps": steps}


def _find_fitting_changes(plan: Plan) -> FittingChanges | None:
    if not plan.is_local:  # they would be those of this machine
        return None
    try:
        return fitting_changes.find_for_plan(plan, catalogue.local_machine())
    except StudioError:  # what is wrong with the data is said elsewhere
        return None


def build_fitting_plan(plan: Plan, key: object, lang: str) -> tuple[Plan, str]:
    """A plan with the change that a button names, and the change in words.

    Raises:
        NotPossible: No such change fits, by now.
    """
    changes = _find_fitting_changes(plan)
    by_key = {change.key: change for change in changes.offered} if changes else {}
    if not isinstance(key, str) or key not in by_key:
        raise NotPossible(STEP_IS_GONE, RELOAD)
    return _vary(plan, by_key[key].plan_changes, by_key[key].label.render(lang), lang)


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
    if not access.is_open_to_others() and continuation.can_continue(run):
        steps.append(NextStep(GO_ON, {"model": str(run.folder)}))
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
        number: Which of `list_steps`, or the key of a change that fits, as a browser sends it.
        lang: The visitor's language.

    Returns:
        The plan, and what it changes in words.

    Raises:
        NotPossible: There is no such step, or no plan does it.
        StudioError: The run's data are gone, or not this visitor's.
    """
    if isinstance(number, str):
        check_access(run.plan)
        return build_fitting_plan(run.plan, number, lang)
    report = runs.report(run)
    steps = dict(enumerate(list_steps(run, report)))
    changes = steps[number].plan_changes if isinstance(number, int) and number in steps else {}
    if not changes:
        raise NotPossible(STEP_IS_GONE, RELOAD)
    check_access(run.plan)
    described = describe_changes(run.plan, changes, report.get("training") or {}, lang)
    return _vary(run.plan, changes, described, lang)


def _vary(plan: Plan, changes: Mapping[str, Any], described: str, lang: str) -> tuple[Plan, str]:
    """A plan with changes, under a name that says them; also the changes in words."""
    name = VARIATION_NAME.render(lang, name=plan.name, changes=described)
    return variations.vary(plan, {**changes, "name": name[: plan_form.MAX_RUN_NAME_CHARS]}), described


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
    if key == "model":  # another run's result
        return runs.get(Path(str(value)).name).plan.name
    return f"{value:.3g}" if isinstance(value, float) else str(value)
