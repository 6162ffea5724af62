"""Where one stands, above all tabs: what is done, what is chosen, what it would cost, what was trained, and what comes next."""

from typing import Any, NamedTuple

import gradio as gr

from studio import export, presets, runs
from studio.errors import StudioError
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.ui import units
from studio.ui.method import estimates as table_estimates
from studio.ui.method.estimates import FormState
from studio.ui.method.table_messages import NO_PRICE

STRIP_TEMPLATE = """{{#if value.steps}}<ol class="story" aria-label="{{value.about}}">
{{#each value.steps}}<li class="{{this.state}}"><b>{{this.head}}</b> <span>{{this.said}}</span></li>{{/each}}</ol>{{/if}}"""
STRIP_LABEL = Message("Where you stand")
DATA_STEP, METHOD_STEP, TRAINING_STEP, NEXT_STEP = (
    Message("Data"),
    Message("Method"),
    Message("Training"),
    Message("Next"),
)
EXAMPLE_COUNT = Message("{count:,} examples")
NO_EXAMPLES = Message("none yet")
BRING_EXAMPLES = Message("bring examples, or press a sample")
METHOD_ON_MODEL = Message("{method} on {model}")
METHOD_ON_MODEL_COST = Message("{method} on {model}: {time}, {memory}, {money}")
NO_COST = Message("no money")
READY_TO_TRAIN = Message("look at the settings, then train")
MAKE_IT_FIT = Message("make it fit: the table says how")
# How far a run has come -> what is said of it, and what comes next.
RUN_STAGES = {
    "going": (
        Message("“{name}” is under way"),
        Message("watch it on the Train tab, or close the page: it goes on"),
    ),
    "learned": (
        Message("“{name}” has been trained"),
        Message("compare both models on the Playground tab"),
    ),
    "asked": (
        Message("“{name}” has been trained"),
        Message("take it home on the Share tab, or go on comparing"),
    ),
    "packed": (
        Message("“{name}” has been trained and packed"),
        Message("use it, or change something and train again"),
    ),
}


class ProgressStrip(NamedTuple):
    """The component, the run trained last, and a text that changes with how far that has come."""

    html: gr.HTML
    run: gr.BrowserState
    run_stage: gr.Textbox


def build(run: gr.BrowserState) -> ProgressStrip:
    """Lay it out."""
    html = gr.HTML({}, html_template=STRIP_TEMPLATE, elem_id="story", apply_default_css=False)
    return ProgressStrip(html, run, gr.Textbox("", visible=False))


def read_run_stage(run_id: str | None) -> str:
    """How far a run has come, by its folder: its id and a key of AFTER, as one text; "" where there is none, or it ended with nothing."""
    try:
        run = runs.get(run_id or "")
    except StudioError:
        return ""
    if runs.status(run).state not in runs.ENDED_STATES:
        return f"{run.id} going"
    if not runs.is_usable(run):
        return ""
    is_packed = any(
        file.stat().st_mtime_ns > runs.result_version(run)
        for file in (export.downloads_folder() / run.id).glob("*.zip")
    )
    return f"{run.id} {'packed' if is_packed else 'asked' if (run.folder / 'playground.log').is_file() else 'learned'}"


def render_strip(form: FormState, estimate: Estimate | None, lang: str, run_id: str = "") -> dict[str, Any]:
    """The strip for everything as it is set now, of which `row` is the estimate; of its steps the one to do next is marked.

    A run on other data is not spoken of.
    """
    steps = _setup_steps(form, estimate, lang)
    run_id, _, stage = read_run_stage(run_id).partition(" ")
    if stage and (plan := runs.get(run_id).plan).data.source == form.plan.data.source:
        status, next_step = RUN_STAGES[stage]
        steps[2:] = [
            (TRAINING_STEP, status.render(lang, name=plan.name), "open" if stage == "going" else "done"),
            (NEXT_STEP, next_step.render(lang), "next"),
        ]
    return {
        "about": STRIP_LABEL.render(lang),
        "steps": [
            {"head": heading.render(lang), "said": status, "state": state} for heading, status, state in steps
        ],
    }


def _setup_steps(form: FormState, estimate: Estimate | None, lang: str) -> list[tuple[Message, str, str]]:
    """Data, method and what comes next before a training: what each is called, what is said of it, and whether it is done or next."""
    method_name, card = form.plan.method.name, presets.models().get(form.plan.model)
    values: dict[str, object] = {
        "method": presets.methods()[method_name].name,
        "model": card.name if card else form.plan.model.split("/")[-1],
    }
    if not form.lengths:
        method_step = (METHOD_STEP, METHOD_ON_MODEL.render(lang, **values), "open")
        return [
            (DATA_STEP, NO_EXAMPLES.render(lang), "open"),
            method_step,
            (NEXT_STEP, BRING_EXAMPLES.render(lang), "next"),
        ]
    method_text = METHOD_ON_MODEL.render(lang, **values)
    if estimate and estimate.minutes and estimate.memory_gb:
        memory, time = table_estimates.format_memory_and_time(estimate, lang)
        values |= {"time": time, "memory": memory, "money": _format_money(estimate, lang)}
        method_text = METHOD_ON_MODEL_COST.render(lang, **values)
    next_step = MAKE_IT_FIT if estimate and estimate.fits == "no" else READY_TO_TRAIN
    example_count = EXAMPLE_COUNT.render(lang, count=form.lengths.count)
    return [
        (DATA_STEP, example_count, "done"),
        (METHOD_STEP, method_text, "done"),
        (NEXT_STEP, next_step.render(lang), "next"),
    ]


def _format_money(estimate: Estimate, lang: str) -> str:
    """What a run costs, that it costs nothing, or that nobody knows."""
    if estimate.money is None:
        return NO_PRICE.render(lang)
    return (
        units.format_money(estimate.money, estimate.currency) if estimate.money.high else NO_COST.render(lang)
    )
