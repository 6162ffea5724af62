"""“Would more data help?” on the Train tab: what it takes, start, cancel, and what came out."""

from typing import Any

import gradio as gr

from studio import runs
from studio.errors import StudioError, explain
from studio.evaluate.learning_curve import ONE_TRAINING_EACH
from studio.i18n import Message, join_sentences, label
from studio.runs import Run
from studio.training import launcher, learning_curve
from studio.ui import access, units, visitors
from studio.ui.components import notices
from studio.ui.components.labels import t
from studio.ui.language import request_language

POLL_SECONDS = 3.0
TITLE = label("Would more data help?")
HELP = label("Trains the same plan on 25% and 50% of the rows and projects the curve.")
CHECK, START, CANCEL = (
    label("What would it take?"),
    label("Train both parts"),
    label("Cancel", "more_data"),
)
NO_RUN = Message("Choose a finished run first.")
COST = Message("{count} {count:training|trainings}, about {low} to {high} in total.")
COST_UNKNOWN = Message("{count} {count:training|trainings}; how long they take is not known here.")
COST_ADVICE = Message("They join the queue and appear in your run list. You can cancel any time.")
WORKING = Message("{count} {count:training|trainings} left. You can close this page.")
CANCELLED = Message("Cancelled. Finished parts are kept for next time.")


def look(run_id: str, request: gr.Request) -> tuple[Any, ...]:
    """Where the learning curve of the shown run stands: its cost, what is left of it, or its result."""
    return _answer(run_id, request_language(request))


def start(run_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """Create and start the missing parts; also returns the runs of this browser."""
    lang = request_language(request)
    run_ids = access.read_run_ids(browser_runs)
    try:
        access.check_queue(request)
        visitors.check_several()
        parts = learning_curve.create_missing(runs.get(run_id))
        for part in parts:
            launcher.start(part)
    except (StudioError, OSError) as error:
        return *_failed(error, lang), run_ids
    return *_answer(run_id, lang), [*run_ids, *(part.id for part in parts)]


def cancel(run_id: str, request: gr.Request) -> tuple[Any, ...]:
    """Stop the parts that wait or train."""
    lang = request_language(request)
    try:
        for part in learning_curve.unfinished_parts(runs.get(run_id)):
            launcher.stop(part)
    except StudioError as error:
        return _failed(error, lang)
    return _state(notices.notice(CANCELLED.render(lang)))


def _answer(run_id: str, lang: str) -> tuple[Any, ...]:
    if not run_id:
        return _state(notices.notice(NO_RUN.render(lang)))
    try:
        run = runs.get(run_id)
        learning_curve.check_possible(run)
    except StudioError as error:
        return _failed(error, lang)
    if unfinished := learning_curve.unfinished_parts(run):
        return _state(notices.notice(WORKING.render(lang, count=len(unfinished))), is_working=True)
    sizes, projection = learning_curve.read_sizes(run), learning_curve.read_projection(run)
    if not sizes or not projection:
        notice = notices.notice(_describe_cost(run, lang), COST_ADVICE.render(lang))
        return _state(notice, can_start=True)
    details = [
        *(size.describe(projection.measure).render(lang) for size in sizes),
        ONE_TRAINING_EACH.render(lang),
    ]
    return _state(notices.notice(projection.describe().render(lang), join_sentences(details, lang), "good"))


def _describe_cost(run: Run, lang: str) -> str:
    count, minutes = len(learning_curve.missing_shares(run)), learning_curve.estimate_minutes(run)
    if not minutes:
        return COST_UNKNOWN.render(lang, count=count)
    low, high = (units.format_seconds(60 * value, lang) for value in minutes)
    return COST.render(lang, count=count, low=low, high=high)


def _failed(error: Exception, lang: str) -> tuple[Any, ...]:
    return _state(notices.error_notice(explain(error), lang))


def _state(notice: dict[str, Any], can_start: bool = False, is_working: bool = False) -> tuple[Any, ...]:
    """The notice, the buttons to start and to cancel, and the timer."""
    return notice, gr.update(visible=can_start), gr.update(visible=is_working), gr.update(active=is_working)


def build(run: gr.BrowserState, browser_runs: gr.BrowserState) -> None:
    """Build and wire the part of the tab; `run` is the shown run's id, `browser_runs` this browser's runs."""
    with gr.Accordion(t(TITLE), open=False, elem_id="more-data"):
        gr.Markdown(t(HELP))
        notice = notices.notice_box("more-data-notice")
        with gr.Row():
            look_button = gr.Button(t(CHECK), elem_id="more-data-look")
            start_button = gr.Button(t(START), variant="primary", visible=False, elem_id="more-data-start")
            cancel_button = gr.Button(t(CANCEL), visible=False, elem_id="more-data-cancel")
    timer = gr.Timer(POLL_SECONDS, active=False)
    outputs = [notice, start_button, cancel_button, timer]
    for trigger in (look_button.click, timer.tick):
        trigger(look, run, outputs, show_progress="hidden", queue=False)
    start_button.click(None, None, notice, js=notices.build_checking_js(), queue=False)
    start_button.click(
        start,
        [run, browser_runs],
        [*outputs, browser_runs],
        show_progress="hidden",
        trigger_mode="once",
        queue=False,
    )
    cancel_button.click(cancel, run, outputs, show_progress="hidden", queue=False)
