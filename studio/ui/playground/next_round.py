"""What votes are good for: one click makes them preference data, another starts the next round of RLHF."""

from typing import Any

import gradio as gr

from studio import runs
from studio.data import store
from studio.data.store import Dataset
from studio.errors import NotPossible, StudioError
from studio.estimate.machines import catalogue
from studio.i18n import Message, label
from studio.plan import Plan
from studio.playground.votes import ballot, next_round, preferences
from studio.playground.votes.ballot import BlindVote
from studio.runs import Run
from studio.training import before_start, launcher
from studio.ui import access, visitors
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.form import plan_form
from studio.ui.language import request_language

SAVE, START = label("Save as training data"), label("Train next round (RLHF)")
HINT = label("Every question with a winner becomes a chosen/rejected pair. Ties are left out.")
DATASET_NAME = "Votes on {name}"
NOT_YOURS = Message("This vote is about someone else's run.")
ASK_OWNER = Message("You can vote through its link; only its owner can train on the votes.")
NO_VOTE = Message("Choose a vote first.")
SAVED = Message(
    "Saved as “{name}” with {count} {count:pair|pairs}. Find it on the Data tab, under your data sets."
)
STARTED = Message("The next round started from “{name}” with {count} {count:pair|pairs}.")
STARTED_FROM_BASE = Message(
    "A first round of RLHF started from the base model with {count} {count:pair|pairs}: only RLHF runs can "
    "be continued."
)
WATCH = Message("Follow it on the Train tab.")


def save_preferences(
    token: str | None, browser_datasets: object, browser_runs: object, request: gr.Request
) -> tuple[dict[str, Any], Any]:
    """Make a vote's preferences a data set of this browser.

    Returns:
        A notice, and the data sets of this browser.
    """
    lang = request_language(request)
    if not token:
        return notices.notice(NO_VOTE.render(lang), kind="bad"), gr.skip()
    try:
        dataset = _save(_find_own(token, browser_runs))
    except (StudioError, OSError) as error:
        return notices.error_notice(error, lang), gr.skip()
    text = SAVED.render(lang, name=dataset.name, count=len(dataset.table().rows))
    return notices.notice(text, kind="good"), _add(dataset.source, browser_datasets)


def start_round(
    token: str | None, browser_datasets: object, browser_runs: object, request: gr.Request
) -> tuple[Any, ...]:
    """Start the next round of RLHF on a vote's preferences.

    Returns:
        A notice, the data sets and the runs of this browser, and the run to look at.
    """
    lang, unchanged = request_language(request), (gr.skip(),) * 3
    if not token:
        return notices.notice(NO_VOTE.render(lang), kind="bad"), *unchanged
    try:
        vote = _find_own(token, browser_runs)
        access.check_queue(request)
        dataset = _save(vote)
    except (StudioError, OSError) as error:
        return notices.error_notice(error, lang), *unchanged
    try:
        new_run = _start(next_round.build_plan(vote, dataset), lang)
        visitors.mark(dataset.folder, request)
        visitors.mark(new_run.folder, request)
    except (StudioError, OSError) as error:
        store.delete(dataset)  # the next click makes it anew
        return notices.error_notice(error, lang), *unchanged
    voted_run = runs.get(vote.run_id)
    message = STARTED if next_round.continues(voted_run) else STARTED_FROM_BASE
    text = message.render(lang, name=voted_run.plan.name, count=len(dataset.table().rows))
    notice = notices.notice(text, WATCH.render(lang), kind="good")
    run_ids = [*access.read_run_ids(browser_runs), new_run.id]
    return notice, _add(dataset.source, browser_datasets), run_ids, new_run.id


def _find_own(token: str, browser_runs: object) -> BlindVote:
    """A vote on a run that this visitor may see: whoever has its link may vote, and no more."""
    vote = ballot.find(token)
    if vote.run_id not in {run.id for run in access.visible_runs(browser_runs)}:
        raise NotPossible(NOT_YOURS, ASK_OWNER)
    return vote


def _save(vote: BlindVote) -> Dataset:
    name = runs.get(vote.run_id).plan.name
    return preferences.save(vote, DATASET_NAME.format(name=name))


def _add(source: str, browser_datasets: object) -> list[str]:
    """The data sets of this browser with one more."""
    known_sources = browser_datasets if isinstance(browser_datasets, list) else []
    return [*known_sources, source]


def _start(plan: Plan, lang: str) -> Run:
    """Create and start a run on this machine; raises StudioError for what would fail later."""
    plan_form.describe_plan(plan, lang)  # says whether the pairs are enough
    machine = catalogue.local_machine()
    estimate = before_start.check(plan, machine)
    run = before_start.create(visitors.limit_minutes(plan), estimate, machine)
    launcher.start(run)
    return run


def build(
    vote: gr.Dropdown, run: gr.BrowserState, run_ids: gr.BrowserState, dataset_sources: gr.BrowserState
) -> None:
    """Build and wire the two buttons.

    Args:
        vote: The vote that is open.
        run: The run trained last.
        run_ids: The runs that this browser has started.
        dataset_sources: The data sets that it has brought.
    """
    gr.Markdown(t(HINT))
    with gr.Row():
        save_button = gr.Button(t(SAVE), elem_id="vote-save")
        start_button = gr.Button(t(START), elem_id="vote-train")
    notice = notices.notice_box("vote-data-notice")
    save_button.click(
        save_preferences,
        [vote, dataset_sources, run_ids],
        [notice, dataset_sources],
        trigger_mode="once",
        **UNQUEUED,
    )
    start_button.click(
        start_round,
        [vote, dataset_sources, run_ids],
        [notice, dataset_sources, run_ids, run],
        trigger_mode="once",
        **UNQUEUED,
    )
