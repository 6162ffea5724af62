"""The live view of one run: what the browser asks for, and the component that asks."""

import math
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import plotly

from studio import presets, runs
from studio.errors import BadPlan, RunNotFound
from studio.estimate import history
from studio.i18n import Message, join_sentences, label, languages
from studio.plan import Plan
from studio.runs import Run, Status
from studio.training import coach, launcher, progress
from studio.training.progress import Progress
from studio.ui import access, units
from studio.ui.help import panel as help_panel
from studio.ui.train import curves, remedies, verdict_card
from studio.ui.train import results as run_results

MAX_CHUNK_BYTES = 200_000
# The coach reads a curve again when its file has grown by this share.
CURVE_GROWTH = 0.01
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PLOTLY_ADDRESS = f"/gradio_api/file={PLOTLY_JS}"
# The parts of the component's script, which share one scope.
SCRIPTS = ("plots.js", "run_charts.js", "run_verdict.js", "run.js")
STATE_NAMES: dict[str, Message] = {
    "waiting": Message("Waiting for its turn"),
    "starting": Message("Starting"),
    "preparing": Message("Preparing"),
    "training": Message("Training", context="live_view"),
    "evaluating": Message("Evaluating"),
    "done": Message("Done", context="live_view"),
    "stopped": Message("Stopped; progress is kept"),
    "paused": Message("Paused in a bake-off; progress is kept"),
    "unlearned": Message("Stopped before training began"),
    "failed": Message("Failed"),
    "stopping": Message("Stopping…"),
    "stalled": Message("Stands still"),
}
# What the parts before and after training are called; those of training are stage_titles.
PREPARE, EVALUATE = Message("Prepare"), Message("Evaluate")
STAGE_MESSAGES: dict[str, Message] = {
    "data": Message("Reading your examples"),
    "send": Message("Sending data and plan to the other machine"),
    "machine": Message("Waiting for the other machine"),
    "install": Message("Installing the studio there"),
    "bring_back": Message("Bringing the result back"),
    "fetch": Message("Downloading the model: {step} of {steps} MB"),
    "load": Message("Loading the model"),
    "before": Message("Measuring the base model"),
    "alike": Message("Comparing how the model's own answers begin: {step} of {steps} questions"),
    "openings": Message("Writing the model's own openings: {step} of {steps}"),
    "head": Message("Fitting the reward model's first guess: {step} of {steps}"),
    "linear": Message("Fitting a linear model first: example {step} of {steps}"),
    "bottom": Message("Running the frozen layers once: example {step} of {steps}"),
    "asking": Message("Answering test questions: {step} of {steps}"),
    "retention": Message("Answering general questions, to see what it forgets: {step} of {steps}"),
    "after": Message("Measuring the tuned model"),
}
UNPACKING_MODEL = Message("Unpacking the model (only the first time)")
FIRST_STEP = Message("Step 1 of {steps}; the first one is the slowest")
STEP_OF = Message("Step {step} of {steps}")
STOPPING_LINE = Message("It finishes this step, then keeps and evaluates what it has learned")
STALLED_LINE = Message("No sign of life for {time}. End it, then resume: it goes on from its last checkpoint")
RECONNECTING = label("Reconnecting…")
METHOD_ON_MODEL = Message("{method} on {model}")
EPOCHS_AND_BATCH = Message("{epochs:g} epochs, batch size {batch}")
PREPARING_FIRST_STEP = Message("Getting ready for the first step")
TIME_LEFT, STAGE_TIME_LEFT = Message("about {time} left"), Message("about {time} left in this stage")
SPEED, MEMORY = Message("{rate:,.0f} tokens/s"), Message("{gb:.1f} GB memory")
RESUME, START_AGAIN = label("Resume"), label("Start again")
# What the button to stop a run says, by its state; where training has not begun there is nothing to keep.
STOP_MESSAGES: dict[str, Message] = {
    "waiting": Message("Remove from the queue"),
    "starting": Message("Stop", context="live_view"),
    "preparing": Message("Stop", context="live_view"),
    "training": Message("Stop and keep progress"),
    "stalled": Message("End it"),
}
# Fixed words of assets/run*.js, by the names it reads them under.
LABELS: dict[str, Message] = {
    "reconnecting": RECONNECTING,
    "latest": label("Its latest answers"),
    "score": label("score"),
    "parts": label("Parts of this run"),
    "best": label("kept: step"),
    "notify": label("Notify me when done"),
    "notifying": label("You will be notified"),
    "blocked": label("Notifications are blocked in this browser"),
}


def build_view(elem_id: str) -> gr.HTML:
    """The component that shows a run by its id.

    Its buttons send the events `resume`, `halt`, `again`, `correct` and `include`.
    """
    gr.set_static_paths([PLOTLY_JS.parent])
    script = "\n".join((presets.ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
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
    texts: dict[str, Any] = {name: message.render(lang) for name, message in LABELS.items()}
    if run_id:
        texts |= {"curves": help_panel.curve_texts(lang), "curveHeads": help_panel.curve_headings(lang)}
    return {"run": run_id, "plotly": PLOTLY_ADDRESS, "asked": time.time(), **texts}


def poll(query: Any) -> dict[str, Any]:
    """What is new of a run since the browser asked last; nothing is written.

    Args:
        query: [run id, byte offset, language, inode of the metrics file, size of the samples file]; from a
            browser, so all of it is checked.

    Returns:
        Plain values for assets/run.js. `points` are [stage, step, metrics]: at first all, thinned where they
        are many, then what is new, at most MAX_CHUNK_BYTES of the file at a time. `file` is the inode of the
        metrics file: a run that goes on writes a new one, and where the inode changed or the file became
        shorter, `restart` says that everything is sent again.
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
    inode, size = _identify(run.metrics_path)
    restart = (known_file not in ("", str(inode)) or offset > size) and offset > 0
    offset, points = _read_points(run, 0 if restart else offset)
    status, report = runs.status(run), runs.report(run)
    sample_bytes, latest_samples = run_results.read_samples(run, 0 if restart else known_sample_bytes)
    ended = status.state in runs.ENDED_STATES
    details = (
        run_results.describe_results(run, report, lang)
        if ended and report
        else run_results.read_method_notes(run, lang)
    )
    return {
        "file": str(inode),
        "restart": restart,
        "offset": offset,
        "points": curves.thin([sent for point in points if (sent := curves.format_point(point))]),
        "charts": curves.list_charts(run, plan, lang),
        "step": curves.STEP_AXIS.render(lang),
        "ended": ended,
        "resume": _label_resume(run, lang) if ended else "",
        "title": plan.name,
        "about": _describe_run(plan, report, lang),
        "more": details,
        "verdict": _describe_verdict(run, report, lang) if ended else None,
        "tables": run_results.build_tables(report, lang) if ended and report else [],
        "samples": latest_samples,
        "sampled": sample_bytes,
        "fault": status.failure_text(lang) if status.state == "failed" else "",
        "remedies": _describe_remedies(plan, status, lang),
        **_describe_progress(run, status, lang),
    }


def state_key(run: Run, status: Status) -> str:
    """The key of STATE_NAMES under which a run is shown, on its card and in lists."""
    if runs.stalled_since(run, status) is not None:
        return "stalled"
    if launcher.is_stopping(run):
        return "stopping"
    if status.stage == "paused":
        return "paused"
    if status.state == "stopped" and not runs.is_usable(run):
        return "unlearned"
    # A run that waits for nobody is only starting.
    if status.state == "waiting" and not status.steps:
        return "starting"
    return status.state


def _describe_progress(run: Run, status: Status, lang: str) -> dict[str, Any]:
    """The state in words, how far the run has come, and what its Stop button says; "" where it has none."""
    key = state_key(run, status)
    stretches = history.load_estimate(run).get("stretches") or {}
    last_point = _find_last_point(run)
    done = progress.measure(run.plan, status, stretches, has_points=bool(last_point))
    shows_parts = status.state not in ("done", "stopped")
    stop = STOP_MESSAGES.get(key)
    return {
        "kind": key,
        "state": STATE_NAMES[key].render(lang),
        "percent": round(100 * done.share, 1),
        "parts": _list_parts(done, lang) if shows_parts else [],
        "line": _format_status(
            status, key, last_point, _format_time_left(status, done, stretches, lang), lang
        ),
        "coach": _read_curve(run, status, lang),
        "stop": stop.render(lang) if stop else "",
    }


def _list_parts(done: Progress, lang: str) -> list[dict[str, str]]:
    """The parts of a run in order, each "done", "current" or "open"."""
    stages = done.parts[1:-1]
    titles = [PREPARE, *(curves.stage_title(stage, stages) for stage in stages), EVALUATE]
    states = ["done"] * done.current + ["current"] + ["open"] * len(titles)
    return [
        {"name": title.render(lang), "state": state} for title, state in zip(titles, states, strict=False)
    ]


def _label_resume(run: Run, lang: str) -> str:
    """What the button says that lets a run go on from what it has kept, else anew; "" where it is done."""
    if not runs.is_resumable(run):
        return ""
    return (RESUME if runs.has_saved_state(run) else START_AGAIN).render(lang)


def _describe_verdict(run: Run, report: dict[str, Any], lang: str) -> dict[str, Any] | None:
    """The verdict card, with a button at each next step that another plan does."""
    card = verdict_card.describe(run, report, lang)
    if not card or card["state"] == "none":
        return card
    return {**card, "steps": remedies.describe_steps(run, report, lang)}


def _describe_remedies(plan: Plan, status: Status, lang: str) -> dict[str, Any]:
    """Where memory ran out, or may have: the changes with which the plan fits; else empty."""
    is_short = status.state == "failed" and status.cause in remedies.MEMORY_CAUSES
    return remedies.describe_fitting_changes(plan, lang) if is_short else {}


def _read_curve(run: Run, status: Status, lang: str) -> str:
    """What the curve says while it grows; empty where it says nothing yet, and once the training is over."""
    if status.state != "training":
        return ""
    _, size = _identify(run.metrics_path)
    finding = _read_grown_curve(run, int(math.log1p(size) / math.log1p(CURVE_GROWTH)))
    return join_sentences(finding.render(lang), lang) if finding else ""


@lru_cache(maxsize=16)
def _read_grown_curve(run: Run, _growth: int) -> coach.Finding | None:
    """What the curve says; a long one is read rarely, as its file grows by CURVE_GROWTH rarely."""
    return coach.read_curve(runs.read_points(run))


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
    """The complete lines after a byte offset, and the new offset; none where the file is gone.

    One beyond the file starts from the beginning. From the beginning all lines are read at once.
    """
    _, size = _identify(run.metrics_path)
    start = offset if 0 <= offset <= size else 0
    try:
        with run.metrics_path.open("rb") as file:
            file.seek(start)
            chunk = file.read(MAX_CHUNK_BYTES if start else -1)
    except OSError:
        return 0, []
    chunk = chunk[: chunk.rfind(b"\n") + 1]
    return start + len(chunk), runs.parse_points(chunk.splitlines())


def _identify(path: Path) -> tuple[int, int]:
    """The inode of a file and its size (bytes); zeros where it is gone."""
    try:
        file_stat = path.stat()
    except OSError:
        return 0, 0
    return file_stat.st_ino, file_stat.st_size


def _find_last_point(run: Run) -> dict[str, Any]:
    """The last point with a training loss, else the last of all; a line cut off at its start is skipped."""
    _, size = _identify(run.metrics_path)
    _, tail = _read_points(run, max(0, size - 4096))
    last_point = tail[-1] if tail else {}
    return next((point for point in reversed(tail) if "loss" in point), last_point)


def _format_time_left(status: Status, done: Progress, stretches: Mapping[str, float], lang: str) -> str:
    """How long the whole run still takes, by its own steps or else its estimate; "" where nobody knows."""
    if status.state == "training" and status.seconds_left is not None:
        # Without an estimate nobody knows the stages that are still to come.
        is_last_stage = done.current == len(done.parts) - 2
        message = TIME_LEFT if stretches or is_last_stage else STAGE_TIME_LEFT
        return message.render(lang, time=units.format_seconds(status.seconds_left, lang))
    if status.state == "waiting" or not stretches:
        return ""
    minutes_left = (1 - done.share) * sum(stretches.values())
    return TIME_LEFT.render(lang, time=units.format_minutes(minutes_left, lang))


def _format_status(status: Status, key: str, last_point: Mapping[str, Any], time_left: str, lang: str) -> str:
    """One line: what it does now, the time left, speed and memory."""
    if status.message and status.state in ("done", "stopped"):  # a cap, or what still lies elsewhere
        return access.hide_others(status.message).render(lang)
    if status.state in runs.ENDED_STATES or key == "starting":
        return ""
    if key == "stalled":
        silent_seconds = time.monotonic() - status.beat
        return STALLED_LINE.render(lang, time=units.format_seconds(silent_seconds, lang))
    if key == "stopping":
        return STOPPING_LINE.render(lang) if status.state == "training" else ""
    parts = [_describe_step(status, lang), time_left]
    if status.state == "training" and last_point.get("stage") == status.stage:
        if last_point.get("tokens_per_second"):
            parts.append(SPEED.render(lang, rate=last_point["tokens_per_second"]))
        parts.append(MEMORY.render(lang, gb=last_point.get("memory_gb", 0)))
    return " · ".join(filter(None, parts))


def _describe_step(status: Status, lang: str) -> str:
    """What a run does now, in a few words."""
    if status.message and status.state != "failed":
        return access.hide_others(status.message).render(lang)
    if status.stage == "fetch" and status.step >= status.steps > 0:
        return UNPACKING_MODEL.render(lang)
    if status.state == "training" and not status.steps:
        return PREPARING_FIRST_STEP.render(lang)
    if status.state == "training":
        message = STEP_OF if status.step else FIRST_STEP
        return message.render(lang, step=status.step, steps=status.steps)
    activity = STAGE_MESSAGES.get(status.stage)
    return activity.render(lang, step=status.step, steps=status.steps) if activity else ""
