"""The live view of one run: what the browser asks for, and the component that asks."""

import time
from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from studio import presets, runs
from studio.errors import BadPlan, RunNotFound
from studio.i18n import Message, join_sentences, label, languages
from studio.plan import Plan
from studio.runs import Run, Status
from studio.training import coach, launcher
from studio.ui import units
from studio.ui.help import panel as help_panel
from studio.ui.train import curves, verdict_card
from studio.ui.train import results as run_results

MAX_CHUNK_BYTES = 200_000
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
STATE_NAMES: dict[str, Message] = {
    "waiting": Message("Waiting for its turn"),
    "preparing": Message("Preparing"),
    "training": Message("Training", context="live_view"),
    "evaluating": Message("Checking"),
    "done": Message("Done", context="live_view"),
    "stopped": Message("Stopped; what it learned is kept"),
    "unlearned": Message("Stopped before it had learned anything"),
    "failed": Message("Did not finish"),
    "stopping": Message("Stopping after this step"),
}
STAGE_MESSAGES: dict[str, Message] = {
    "queue": Message("starts by itself; runs ahead of it: {steps}"),
    "data": Message("reading the examples"),
    "fetch": Message("fetching the model, {step} of {steps} MB"),
    "load": Message("loading the model"),
    "before": Message("measuring the base model on the kept-aside examples"),
    "rows": Message("writing the examples to learn from"),
    "alike": Message("looking how alike the model's own answers begin, {step} of {steps} questions"),
    "openings": Message("writing the model's own openings, {step} of {steps}"),
    "head": Message("reading every pair once to give the reward model a good start, {step} of {steps}"),
    "linear": Message("fitting a linear model to the base's embeddings, example {step} of {steps}"),
    "bottom": Message("running the frozen part once over each example, {step} of {steps}"),
    "asking": Message("asking questions with known answers, {step} of {steps}"),
    "retention": Message("asking general questions to see what it forgets, answer {step} of {steps}"),
    "sft": Message("learning from the good answers (SFT), step {step} of {steps}"),
    "reward": Message("learning which answers are better (reward model), step {step} of {steps}"),
    "rl": Message("practising and being scored (RL), step {step} of {steps}"),
    "dpo": Message("learning straight from the pairs (DPO), step {step} of {steps}"),
    "kto": Message("learning straight from thumbs up and down (KTO), step {step} of {steps}"),
    "simpo": Message("learning straight from the pairs (SimPO), step {step} of {steps}"),
    "orpo": Message("learning straight from the pairs (ORPO), step {step} of {steps}"),
    "full_precision": Message("training at full precision, to compare, step {step} of {steps}"),
    "after": Message("measuring the tuned model on the kept-aside examples"),
}
UNPACKING_MODEL = Message("unpacking the model; once, about half a minute")
FIRST_STEP = Message("the first of {steps} steps; it takes longer than the others")
STEP_OF = Message("step {step} of {steps}")
RECONNECTING = label("Reconnecting…")
METHOD_ON_MODEL = Message("{method} on {model}")
EPOCHS_AND_BATCH = Message("epochs: {epochs:g}, examples per step: {batch}")
RESUME = label("Go on from where it was")
LATEST_ANSWERS = label("Its latest answers while practising")
SCORE = label("score")
PREPARING_FIRST_STEP = Message("getting ready for the first step")
EPOCH, TIME_LEFT = Message("epoch {epoch:.1f}"), Message("about {time} left")
STAGE_TIME_LEFT = Message("about {time} left in this stage")
SPEED, MEMORY = Message("{rate:,.0f} tokens/s"), Message("{gb:.1f} GB memory")


def build_view(elem_id: str) -> gr.HTML:
    """The component that shows a run by its id; the button to go on sends the event `resume`."""
    gr.set_static_paths([PLOTLY_JS.parent])
    script = (presets.ASSETS / "run.js").read_text(encoding="utf-8")
    return gr.HTML(
        view_value(""),
        html_template='<div class="run-anchor"></div>',
        js_on_load=script,
        server_functions=[poll],
        elem_id=elem_id,
        apply_default_css=False,
    )


def view_value(run_id: str, lang: str = "en") -> dict[str, Any]:
    """The component's value for a run; an empty id shows nothing.

    Each value is new (`asked` is a time), so that the browser polls again for a run it has already shown.
    """
    labels = {"reconnecting": RECONNECTING, "goOn": RESUME, "latest": LATEST_ANSWERS, "score": SCORE}
    texts: dict[str, Any] = {name: message.render(lang) for name, message in labels.items()}
    if run_id:
        texts |= {"curves": help_panel.curve_texts(lang), "curveHeads": help_panel.curve_headings(lang)}
    return {"run": run_id, "plotly": f"/gradio_api/file={PLOTLY_JS}", "asked": time.time(), **texts}


def poll(query: Any) -> dict[str, Any]:
    """What is new of a run since the browser asked last; nothing is written.

    Args:
        query: [run id, byte offset, language, inode of the metrics file, size of the samples file]; from a
            browser, so all of it is checked.

    Returns:
        Plain values for assets/run.js. `points` are [stage, step, metrics], at most MAX_CHUNK_BYTES of the
        file at a time. `file` is the inode of the metrics file: a run that goes on writes a new one, and
        where the inode changed or the file became shorter, `restart` says that everything is sent again.
    """
    try:
        run_id, offset = str(query[0]), int(query[1])
        lang = str(query[2]) if query[2] in languages() else "en"
        known_file = str(query[3]) if len(query) > 3 else ""
        known_sample_bytes = int(query[4]) if len(query) > 4 else 0
        run = runs.get(run_id)
        plan = run.plan
    except (RunNotFound, BadPlan, TypeError, ValueError, IndexError, KeyError):
        return {"gone": True}
    file_stat = run.metrics_path.stat()
    restart = (known_file not in ("", str(file_stat.st_ino)) or offset > file_stat.st_size) and offset > 0
    offset, points = _read_points(run, 0 if restart else offset)
    status, report = runs.status(run), runs.report(run)
    sample_bytes, latest_samples = run_results.read_samples(run, 0 if restart else known_sample_bytes)
    state_key = _state_key(run, status)
    ended = status.state in runs.ENDED_STATES
    details = (
        run_results.describe_results(run, report, lang)
        if ended and report
        else run_results.read_method_notes(run, lang)
    )
    return {
        "file": str(file_stat.st_ino),
        "restart": restart,
        "offset": offset,
        "points": [sent_point for point in points if (sent_point := curves.format_point(point))],
        "charts": curves.list_charts(plan, lang),
        "step": curves.STEP_AXIS.render(lang),
        "ended": ended,
        "resumable": ended and runs.is_resumable(run),
        "title": plan.name,
        "kind": state_key,
        "state": STATE_NAMES[state_key].render(lang),
        "coach": _read_curve(run, status, lang),
        "line": _format_status(status, _find_latest_loss(run), lang),
        "about": _describe_run(plan, report, lang),
        "more": details,
        "verdict": verdict_card.describe(run, report, lang) if ended else None,
        "tables": run_results.build_tables(report, lang) if ended else [],
        "samples": latest_samples,
        "sampled": sample_bytes,
        "fault": status.failure_text(lang) if status.state == "failed" else "",
        "percent": 100 if status.state == "done" else 100 * status.step / max(status.steps, 1),
    }


def _state_key(run: Run, status: Status) -> str:
    """The key of STATE_NAMES under which the run is shown."""
    if launcher.is_stopping(run):
        return "stopping"
    if status.state == "stopped" and not runs.is_usable(run):
        return "unlearned"
    return status.state


def _read_curve(run: Run, status: Status, lang: str) -> str:
    """What the curve says while it grows; empty where it says nothing yet, and once the training is over."""
    finding = coach.read_curve(runs.read_points(run)) if status.state == "training" else None
    return join_sentences(finding.render(lang), lang) if finding else ""


def _describe_run(plan: Plan, report: dict[str, Any], lang: str) -> str:
    """What the run was started with, whatever the form above shows by now."""
    card, method = presets.models().get(plan.model), presets.methods().get(plan.method.name)
    text = METHOD_ON_MODEL.render(
        lang, method=method.name if method else plan.method.name, model=card.name if card else plan.model
    )
    training = {**plan.training.model_dump(), **(report.get("training") or {})}
    if not training["epochs"] or not training["batch_size"]:
        return text
    return (
        f"{text} · {EPOCHS_AND_BATCH.render(lang, epochs=training['epochs'], batch=training['batch_size'])}"
    )


def _read_points(run: Run, offset: int) -> tuple[int, list[dict[str, Any]]]:
    """The complete lines after a byte offset, and the new offset.

    One beyond the file starts from the beginning.
    """
    size = run.metrics_path.stat().st_size
    start = offset if 0 <= offset <= size else 0
    with run.metrics_path.open("rb") as file:
        file.seek(start)
        chunk = file.read(MAX_CHUNK_BYTES)
    chunk = chunk[: chunk.rfind(b"\n") + 1]
    return start + len(chunk), [point for line in chunk.splitlines() if (point := runs.parse_point(line))]


def _find_latest_loss(run: Run) -> dict[str, Any]:
    """The last point with a training loss; a line cut off at the start of the tail is skipped."""
    _, tail = _read_points(run, max(0, run.metrics_path.stat().st_size - 4096))
    return next((point for point in reversed(tail) if "loss" in point), {})


def _format_status(status: Status, last_point: dict[str, Any], lang: str) -> str:
    """One line: stage and step, time left, speed and memory."""
    if status.state in runs.ENDED_STATES:
        return ""
    if status.stage == "fetch" and status.step >= status.steps > 0:
        return UNPACKING_MODEL.render(lang)
    if status.state == "training" and not status.step:
        return (
            FIRST_STEP.render(lang, steps=status.steps) if status.steps else PREPARING_FIRST_STEP.render(lang)
        )
    message = STAGE_MESSAGES.get(status.stage, STEP_OF if status.state == "training" else None)
    parts = [message.render(lang, step=status.step, steps=status.steps)] if message else []
    if status.state == "training" and last_point.get("stage") == status.stage:
        if status.stage == "train":
            parts.append(EPOCH.render(lang, epoch=last_point.get("epoch", 0)))
        if status.seconds_left is not None:
            left_message = TIME_LEFT if status.stage == "train" else STAGE_TIME_LEFT
            parts.append(left_message.render(lang, time=units.format_seconds(status.seconds_left, lang)))
        if last_point.get("tokens_per_second"):
            parts.append(SPEED.render(lang, rate=last_point["tokens_per_second"]))
        parts.append(MEMORY.render(lang, gb=last_point.get("memory_gb", 0)))
    return " · ".join(parts)
