"""The progress strip above all tabs: what is chosen, what it costs, what was trained, what comes next."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import gradio as gr

from studio import export, presets, runs
from studio.errors import StudioError
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.runs import Run
from studio.ui import units
from studio.ui.method.estimate_inputs import EstimateInputs
from studio.ui.method.estimates import format_memory_and_time
from studio.ui.method.table_messages import NO_PRICE

# How far a run has come: it trains, or has been trained, compared with the base model, exported.
RunStage = Literal["training", "trained", "compared", "exported"]
STRIP_TEMPLATE = """{{#if value.steps}}<ol class="story" aria-label="{{value.about}}">
{{#each value.steps}}<li class="{{this.state}}"><b>{{this.head}}</b> <span>{{this.said}}</span></li>{{/each}}
</ol>{{/if}}"""
STRIP_LABEL = Message("Where you stand")
DATA_STEP, METHOD_STEP = Message("Data"), Message("Method")
TRAINING_STEP, NEXT_STEP = Message("Training"), Message("Next")
EXAMPLE_COUNT = Message("{count:,} examples")
NO_EXAMPLES = Message("none yet")
BRING_EXAMPLES = Message("bring examples, or press a sample")
METHOD_ON_MODEL = Message("{method} on {model}")
METHOD_ON_MODEL_COST = Message("{method} on {model}: {time}, {memory}, {money}")
NO_COST = Message("no money")
READY_TO_TRAIN = Message("look at the settings, then train")
MAKE_IT_FIT = Message("make it fit: the table says how")
# What is said of a run by its stage, and what comes next.
RUN_STAGES: dict[RunStage, tuple[Message, Message]] = {
    "training": (
        Message("“{name}” is under way"),
        Message("watch it on the Train tab, or close the page: it goes on"),
    ),
    "trained": (
        Message("“{name}” has been trained"),
        Message("compare both models on the Playground tab"),
    ),
    "compared": (
        Message("“{name}” has been trained"),
        Message("take it home on the Share tab, or go on comparing"),
    ),
    "exported": (
        Message("“{name}” has been trained and packed"),
        Message("use it, or change something and train again"),
    ),
}


class ProgressStrip(NamedTuple):
    """The component, the run trained last, and a hidden text that changes with the stage of that run."""

    html: gr.HTML
    run: gr.BrowserState
    run_stage: gr.Textbox


@dataclass(frozen=True)
class Step:
    """One step of the strip; `state` is "done", "open" or "next", the step to do now."""

    heading: Message
    text: str
    state: Literal["done", "open", "next"]


def build(run: gr.BrowserState) -> ProgressStrip:
    """Lay it out."""
    html = gr.HTML({}, html_template=STRIP_TEMPLATE, elem_id="story", apply_default_css=False)
    return ProgressStrip(html, run, gr.Textbox("", visible=False))


def read_run_stage(run_id: str | None) -> str:
    """How far a run has come, by its folder.

    Returns:
        The id of the run and its stage as one text; "" where there is none, or it ended without a result.
    """
    try:
        run = runs.get(run_id or "")
    except StudioError:
        return ""
    stage = _find_stage(run)
    return f"{run.id} {stage}" if stage else ""


def _find_stage(run: Run) -> RunStage | None:
    if runs.status(run).state not in runs.ENDED_STATES:
        return "training"
    if not runs.is_usable(run):
        return None
    archives = (export.downloads_folder() / run.id).glob("*.zip")
    if any(archive.stat().st_mtime_ns > runs.result_version(run) for archive in archives):
        return "exported"
    # The Playground writes its log as soon as both models are open.
    if (run.folder / "playground.log").is_file():
        return "compared"
    return "trained"


def render_strip(
    inputs: EstimateInputs, estimate: Estimate | None, lang: str, run_id: str = ""
) -> dict[str, Any]:
    """The value of the strip's component.

    Args:
        inputs: What the form says now.
        estimate: The estimate of the chosen method.
        lang: The visitor's language.
        run_id: The run trained last; one on other data is not mentioned.
    """
    data_step, method_step, next_step = _setup_steps(inputs, estimate, lang)
    run_steps = _run_steps(run_id, inputs.plan.data.source, lang)
    steps = [data_step, method_step, *(run_steps or [next_step])]
    return {
        "about": STRIP_LABEL.render(lang),
        "steps": [
            {"head": step.heading.render(lang), "said": step.text, "state": step.state} for step in steps
        ],
    }


def _run_steps(run_id: str, source: str, lang: str) -> list[Step]:
    """The steps that a run on this data has reached; none where there is no such run."""
    try:
        run = runs.get(run_id)
    except StudioError:
        return []
    stage = _find_stage(run)
    if not stage or run.plan.data.source != source:
        return []
    status, next_message = RUN_STAGES[stage]
    return [
        Step(
            TRAINING_STEP, status.render(lang, name=run.plan.name), "open" if stage == "training" else "done"
        ),
        Step(NEXT_STEP, next_message.render(lang), "next"),
    ]


def _setup_steps(inputs: EstimateInputs, estimate: Estimate | None, lang: str) -> tuple[Step, Step, Step]:
    """Data, method, and what comes next before a training."""
    method_text = _describe_method(inputs, estimate, lang)
    if not inputs.lengths:
        return (
            Step(DATA_STEP, NO_EXAMPLES.render(lang), "open"),
            Step(METHOD_STEP, method_text, "open"),
            Step(NEXT_STEP, BRING_EXAMPLES.render(lang), "next"),
        )
    next_message = MAKE_IT_FIT if estimate and estimate.fits == "no" else READY_TO_TRAIN
    return (
        Step(DATA_STEP, EXAMPLE_COUNT.render(lang, count=inputs.lengths.count), "done"),
        Step(METHOD_STEP, method_text, "done"),
        Step(NEXT_STEP, next_message.render(lang), "next"),
    )


def _describe_method(inputs: EstimateInputs, estimate: Estimate | None, lang: str) -> str:
    """Method and model, and what they cost where there is data and that is known."""
    card = presets.models().get(inputs.plan.model)
    method = presets.methods()[inputs.plan.method.name].name
    model = card.name if card else inputs.plan.model.split("/")[-1]
    if not inputs.lengths or not estimate or not estimate.minutes or not estimate.memory_gb:
        return METHOD_ON_MODEL.render(lang, method=method, model=model)
    memory, time = format_memory_and_time(estimate, lang)
    return METHOD_ON_MODEL_COST.render(
        lang, method=method, model=model, time=time, memory=memory, money=_format_money(estimate, lang)
    )


def _format_money(estimate: Estimate, lang: str) -> str:
    """What a run costs, that it costs nothing, or that no price is known."""
    if estimate.money is None:
        return NO_PRICE.render(lang)
    if estimate.money.high == 0:
        return NO_COST.render(lang)
    return units.format_money(estimate.money, estimate.currency)
