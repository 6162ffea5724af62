"""The progress strip in the page's head: the plan and its cost, the runs that go on, and what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import gradio as gr

from studio import export, presets, runs
from studio.errors import StudioError
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run
from studio.training import launcher
from studio.ui import access, units
from studio.ui.method.estimate_inputs import EstimateInputs
from studio.ui.method.estimates import format_memory_and_time

# How far a run has come: it waits, trains, stops or has failed; has been trained, compared, exported.
RunStage = Literal["waiting", "training", "stopping", "failed", "trained", "compared", "exported"]
# Of more runs than this that have not ended, the strip does not speak.
MAX_RUNS = 10
# What the plan of a form holds where nothing is chosen (studio/ui/form/plan_form.py).
NOT_CHOSEN = "-"
# Seconds between two looks at a run that goes on.
WATCH_SECONDS = 5
# `soon` takes the place of the plan until the figures are those of what the page shows (assets/strip.js).
STRIP_TEMPLATE = """{{#if value.steps}}<ol class="story" aria-label="{{value.about}}">
{{#each value.steps}}<li class="{{this.state}}"><b>{{this.head}}</b> <span class="now">{{this.said}}</span>
{{#if this.soon}}<span class="soon">{{this.soon}}</span>{{/if}}</li>{{/each}}
</ol>{{/if}}"""
STRIP_LABEL = Message("Your progress")
DATA_STEP, METHOD_STEP = Message("Data"), Message("Plan")
TRAINING_STEP, NEXT_STEP = Message("Run"), Message("Next")
EXAMPLE_COUNT = Message("{count:,} {count:example|examples}")
NO_EXAMPLES = Message("none yet")
ESTIMATING = Message("estimating…")
NOT_READY = Message("not ready yet")
BRING_EXAMPLES = Message("upload data or try a sample")
FIX_DATA = Message("choose other columns or fix the data")
METHOD_ON_MODEL = Message("{method} on {model}")
METHOD_ON_MODEL_COST = Message("{method} on {model}: {cost}")
READY_TO_TRAIN = Message("check the settings, then train")
MAKE_IT_FIT = Message("make it fit: the method table shows how")
RUN_WAITING = Message("“{name}” is waiting for its turn")
RUN_TRAINING = Message("“{name}” is training")
RUN_STOPPING = Message("“{name}” is stopping")
RUN_STOPPED = Message("“{name}” was stopped early")
RUN_FAILED = Message("“{name}” failed")
RUN_TRAINED = Message("“{name}” is trained")
# What comes next for a run on the data that is open, by its stage.
NEXT_AFTER: dict[RunStage, Message] = {
    "waiting": Message("it starts by itself; you can close this page"),
    "training": Message("watch it on Train, or close this page: it keeps running"),
    "stopping": Message("it finishes this step and keeps what it learned"),
    "failed": Message("see what went wrong on Train"),
    "trained": Message("compare both models in the Playground"),
    "compared": Message("download the result on Share, or keep comparing"),
    "exported": Message("use the model, or change something and train again"),
}


class ProgressStrip(NamedTuple):
    """The strip's components.

    Attributes:
        html: The strip.
        run: Ids of the runs it speaks of, separated by blanks; hidden.
        run_stage: A hidden text that changes whenever one of them enters another stage.
        timer: Ticks while one of them has not ended.
        followed: "DATA SET|TASK" that base model and method were last suited to; hidden.
    """

    html: gr.HTML
    run: gr.Textbox
    run_stage: gr.Textbox
    timer: gr.Timer
    followed: gr.Textbox


@dataclass(frozen=True)
class Step:
    """One step of the strip; `state` is "done", "open" or "next", the step to do now."""

    heading: Message
    text: str
    state: Literal["done", "open", "next"]


def build() -> ProgressStrip:
    """Lay it out; `html` sends the event `seen` when a person comes back to the page."""
    html = gr.HTML(
        {},
        html_template=STRIP_TEMPLATE,
        js_on_load=(presets.ASSETS / "strip.js").read_text(encoding="utf-8"),
        elem_id="story",
        apply_default_css=False,
        plan=[],
    )
    run, run_stage, followed = (gr.Textbox("", visible=False) for _ in range(3))
    return ProgressStrip(html, run, run_stage, gr.Timer(WATCH_SECONDS, active=False), followed)


def read_run_stages(last_id: str | None, browser_runs: object) -> tuple[str, str, gr.Timer]:
    """The runs that the strip speaks of: all that have not ended, else the one trained or looked at last.

    Args:
        last_id: The run that was trained or looked at last.
        browser_runs: The runs that this browser has started.

    Returns:
        Their ids, their ids with their stages, and whether to look again.
    """
    own_ids = [*access.read_run_ids(browser_runs), str(last_id or "")]
    unfinished = [run for run in access.visible_runs(own_ids) if _is_unfinished(run)]
    # The newest comes first in the list of runs, but trains last.
    story_runs = unfinished[::-1][:MAX_RUNS] or _find_runs([str(last_id or "")])
    stages = [f"{run.id} {_find_stage(run)} {runs.status(run).state}" for run in story_runs]
    return " ".join(run.id for run in story_runs), "\n".join(stages), gr.Timer(active=bool(unfinished))


def _is_unfinished(run: Run) -> bool:
    return runs.status(run).state not in runs.ENDED_STATES


def _find_runs(run_ids: Sequence[str]) -> list[Run]:
    """The runs among these ids that there are, MAX_RUNS at most; a browser may send anything."""
    found_runs = []
    for run_id in run_ids[:MAX_RUNS]:
        try:
            found_runs.append(runs.get(run_id))
        except StudioError:
            continue
    return found_runs


def _find_stage(run: Run) -> RunStage | None:
    """How far a run has come; None where it ended before it had learned anything."""
    state = runs.status(run).state
    if state == "waiting":
        return "waiting"
    if state not in runs.ENDED_STATES:
        return "stopping" if launcher.is_stopping(run) else "training"
    if state == "failed":
        return "failed"
    if not runs.is_usable(run):
        return None
    if _is_exported(run):
        return "exported"
    return "compared" if _is_compared(run) else "trained"


def _is_exported(run: Run) -> bool:
    """Whether what the run has learned by now was packed."""
    archives = (export.downloads_folder() / run.id).glob("*.zip")
    return any(archive.stat().st_mtime_ns > runs.result_version(run) for archive in archives)


def _is_compared(run: Run) -> bool:
    """Whether both models were opened: the Playground writes its log then."""
    return (run.folder / "playground.log").is_file()


def render_strip(
    inputs: EstimateInputs, estimate: Estimate | None, lang: str, run_ids: str = ""
) -> dict[str, Any]:
    """The value of the strip's component.

    Args:
        inputs: What the form says now.
        estimate: The estimate of the chosen method.
        lang: The visitor's language.
        run_ids: The runs to speak of, separated by blanks. One that has ended is mentioned beside its own
            data only.

    Returns:
        `steps` to show, the tabs that are `done`, and the `plan` that the figures belong to.
    """
    source = inputs.plan.data.source
    story_runs = [
        run
        for run in _find_runs(str(run_ids or "").split())
        if _find_stage(run) and (_is_unfinished(run) or run.plan.data.source == source)
    ]
    own_run = next((run for run in story_runs if run.plan.data.source == source), None)
    setup_steps, next_step = _setup_steps(inputs, estimate, lang)
    if own_run:
        next_step = _step_after(own_run, lang)
    steps = [*setup_steps, *(_run_step(run, lang) for run in story_runs), next_step]
    return {
        "about": STRIP_LABEL.render(lang),
        "steps": [
            {
                "head": step.heading.render(lang),
                "said": step.text,
                "state": step.state,
                "soon": ESTIMATING.render(lang) if step in setup_steps else "",
            }
            for step in steps
        ],
        "done": _finished_tabs(inputs, estimate, own_run),
        "plan": plan_key(inputs.plan),
    }


def plan_key(plan: Plan) -> list[str]:
    """Data set, task, base model and method, as the fields of the page hold them; "" where there is none."""
    fields = (plan.data.source, plan.task, plan.model, plan.method.name)
    return ["" if field == NOT_CHOSEN else field for field in fields]


def _finished_tabs(inputs: EstimateInputs, estimate: Estimate | None, run: Run | None) -> list[str]:
    """The tabs whose part is done for the data that is open; `run` is the run on it."""
    if not inputs.lengths:
        return []
    has_result = run is not None and not _is_unfinished(run) and runs.is_usable(run)
    is_done = {
        "data": True,
        "method": not estimate or estimate.fits != "no",
        "train": has_result,
        "playground": has_result and run is not None and _is_compared(run),
        "share": has_result and run is not None and _is_exported(run),
    }
    return [name for name, done in is_done.items() if done]


def _run_step(run: Run, lang: str) -> Step:
    stage, was_stopped = _find_stage(run), runs.status(run).state == "stopped"
    messages = {
        "waiting": RUN_WAITING,
        "training": RUN_TRAINING,
        "stopping": RUN_STOPPING,
        "failed": RUN_FAILED,
    }
    message = messages.get(stage or "", RUN_STOPPED if was_stopped else RUN_TRAINED)
    return Step(
        TRAINING_STEP, message.render(lang, name=run.plan.name), "done" if message is RUN_TRAINED else "open"
    )


def _step_after(run: Run, lang: str) -> Step:
    stage = _find_stage(run) or "failed"
    return Step(NEXT_STEP, NEXT_AFTER[stage].render(lang), "next")


def _setup_steps(inputs: EstimateInputs, estimate: Estimate | None, lang: str) -> tuple[list[Step], Step]:
    """The data and the plan, and what comes next before a training."""
    if not inputs.lengths:
        data_message, next_message = _describe_missing_data(inputs.plan)
        data_step = Step(DATA_STEP, data_message.render(lang), "open")
        return [data_step], Step(NEXT_STEP, next_message.render(lang), "next")
    next_message = MAKE_IT_FIT if estimate and estimate.fits == "no" else READY_TO_TRAIN
    setup_steps = [
        Step(DATA_STEP, EXAMPLE_COUNT.render(lang, count=inputs.lengths.count), "done"),
        Step(METHOD_STEP, _describe_method(inputs, estimate, lang), "done"),
    ]
    return setup_steps, Step(NEXT_STEP, next_message.render(lang), "next")


def _describe_missing_data(plan: Plan) -> tuple[Message, Message]:
    """Why there are no examples, and what to do about it."""
    try:
        access.find_dataset(plan.data.source)
    except StudioError:
        return NO_EXAMPLES, BRING_EXAMPLES
    if not plan.data.columns:  # the columns follow the data set a moment later
        return ESTIMATING, ESTIMATING
    return NOT_READY, FIX_DATA


def _describe_method(inputs: EstimateInputs, estimate: Estimate | None, lang: str) -> str:
    """Method and model, and what they cost where there is data and that is known."""
    if inputs.plan.model == NOT_CHOSEN:  # the base model follows the task a moment later
        return ESTIMATING.render(lang)
    card = presets.models().get(inputs.plan.model)
    method = presets.methods()[inputs.plan.method.name].name
    model = card.name if card else inputs.plan.model.split("/")[-1]
    if not inputs.lengths or not estimate or not estimate.minutes or not estimate.memory_gb:
        return METHOD_ON_MODEL.render(lang, method=method, model=model)
    memory, time = format_memory_and_time(estimate, lang)
    costs = [time, memory]
    if estimate.money and estimate.money.high > 0:
        costs.append(units.format_money(estimate.money, estimate.currency))
    return METHOD_ON_MODEL_COST.render(lang, method=method, model=model, cost=" · ".join(costs))
