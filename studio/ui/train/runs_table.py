"""All runs as a table: each opened, renamed, pinned, started again, deleted and brought back."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import gradio as gr

from studio import launchers, presets, run_comparison, run_index, runs
from studio.data import store
from studio.errors import NotPossible, RunNotFound, StudioError, explain
from studio.evaluate import verdict_messages
from studio.i18n import Message, about
from studio.run_index import Summary
from studio.runs import Run
from studio.ui import access, units
from studio.ui.components import notices
from studio.ui.components.events import read_event
from studio.ui.language import request_language
from studio.ui.train import live_view, verdict_card

TABLE_SCRIPT = presets.ASSETS / "runs.js"
# States that never change again; what the others are called depends on more than the state.
FINAL_STATES = ("done", "failed")
# Words of assets/runs.js, by the names it reads them under; {name} and {count} are filled in there.
WORDS: dict[str, Message] = {
    "title": Message("Runs"),
    "empty": Message("No runs yet. Press Start training: the run appears here, and goes on when you leave."),
    "search": Message("Search runs"),
    "name": Message("Name"),
    "data": Message("Data", context="run list"),
    "method": Message("Method"),
    "model": Message("Base model"),
    "state": Message("State"),
    "score": Message("Score (95 % interval)"),
    "time": Message("Time"),
    "size": Message("Size"),
    "cost": Message("Cost", context="run list"),
    "actions": Message("Actions"),
    "pin": Message("Pin"),
    "unpin": Message("Unpin"),
    "rename": Message("Rename"),
    "delete": Message("Delete"),
    "undo": Message("Undo"),
    "repeat": Message("Same again, but …"),
    "again": Message("Start again"),
    "save": Message("Save name"),
    "more": Message("Show all"),
    "less": Message("Show fewer"),
    "none": Message("No run matches your search."),
    "compare": Message("Compare"),
    "choose": Message("Tick {least} to {most} runs to compare them.").format(
        least=run_comparison.MIN_RUNS, most=run_comparison.MAX_RUNS
    ),
}
RENAMED = Message("Renamed to “{name}”.")
PINNED, UNPINNED = Message("“{name}” is pinned."), Message("“{name}” is unpinned.")
DELETED, RESTORED = Message("“{name}” is deleted."), Message("“{name}” is back in the list.")
NOT_YOURS = Message("This run was started by someone else.")
OPEN_OWN = Message("Choose one of your own runs.")
UNKNOWN_ACTION, RELOAD = Message("The list of runs has no such button."), Message("Reload the page.")
UNREADABLE = Message("Unreadable plan")
PIN_MARK = "★"
SCORE = Message("{value} ({low} to {high})")
CHOICE = Message("{name} · {when} · {state}")


def build() -> gr.HTML:
    """The table of `list_runs`; it sends the events `choose`, `act`, `repeat`, `again` and `compare`.

    Its property `shown` is the id of the run that is looked at.
    """
    return gr.HTML(
        {},
        html_template='<div class="runs-anchor"></div>',
        js_on_load=TABLE_SCRIPT.read_text(encoding="utf-8"),
        elem_id="all-runs",
        apply_default_css=False,
        shown="",
    )


def list_runs(browser_runs: object, request: gr.Request) -> tuple[dict[str, Any], str]:
    """The table's value, and a digest of it.

    Args:
        browser_runs: The runs this browser has started.
        request: The visitor's request.
    """
    value = _build_value(browser_runs, request_language(request))
    return value, _digest(value)


def update_runs(browser_runs: object, shown_digest: str, request: gr.Request) -> Any:
    """As `list_runs`; a table that was never opened, or that has not changed, is not sent."""
    if not shown_digest:
        return gr.skip(), gr.skip()
    value, digest = list_runs(browser_runs, request)
    return (gr.skip(), gr.skip()) if digest == shown_digest else (value, digest)


def list_choices(listed_runs: list[Run], lang: str) -> list[tuple[str, str]]:
    """These runs for a list to choose from, named and ordered as in the table; each with its id."""
    return [(_name_choice(summary, lang), summary.id) for summary in run_index.summarize(listed_runs)]


def _name_choice(summary: Summary, lang: str) -> str:
    name, when = _name_run(summary, lang), _format_time(summary.created, lang)
    return CHOICE.render(lang, name=name, when=when, state=describe_state(summary, lang))


def _name_run(summary: Summary, lang: str) -> str:
    name = summary.name or UNREADABLE.render(lang)
    return f"{PIN_MARK} {name}" if summary.is_pinned else name


def _build_value(browser_runs: object, lang: str, **extra: Any) -> dict[str, Any]:
    run_index.purge_deleted()
    summaries = run_index.summarize(access.visible_runs(browser_runs))
    return {
        "rows": [_describe(summary, lang) for summary in summaries],
        "mostCompared": run_comparison.MAX_RUNS,
        "words": {name: message.render(lang) for name, message in WORDS.items()},
        "deleted": "",
        "said": "",
        **extra,
    }


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _describe(summary: Summary, lang: str) -> dict[str, Any]:
    """A row: each figure as [text, number to sort by]."""
    method, model = presets.methods().get(summary.method), presets.models().get(summary.model)
    return {
        "id": summary.id,
        "name": summary.name or UNREADABLE.render(lang),
        "title": _name_run(summary, lang),
        "when": [_format_time(summary.created, lang), summary.created],
        "data": data_name(summary.source),
        "method": method.name.render(lang) if method else summary.method,
        "model": model.name if model else summary.model,
        "state": describe_state(summary, lang),
        "score": [_format_score(summary, lang), summary.score],
        "time": [format_seconds(summary.seconds, lang), summary.seconds],
        "size": [f"{summary.size_bytes / 1e6:,.1f} MB", summary.size_bytes],
        "cost": [format_cost(summary), summary.money],
        "ended": summary.state in runs.ENDED_STATES,
        "pinned": summary.is_pinned,
    }


def _format_time(created: float, lang: str) -> str:
    date_format = str(about(lang).get("date_format", "%d %b %H:%M"))
    return datetime.fromtimestamp(created, UTC).astimezone().strftime(date_format)


def format_cost(summary: Summary) -> str:
    """What a run cost; "" where nobody knows."""
    return "" if summary.money is None else units.format_cost(summary.money, summary.currency)


def format_seconds(seconds: float | None, lang: str) -> str:
    """How long a run took; "" where nobody knows."""
    return "" if seconds is None else units.format_seconds(seconds, lang)


def data_name(source: str) -> str:
    """What a data set is called; its file's name where it is not kept, "" where it is gone."""
    if source.partition(":")[0] not in access.DATASET_SCHEMES:
        return source.rpartition("/")[2]
    try:
        return store.find(source).name
    except (StudioError, OSError):
        return ""


def describe_state(summary: Summary, lang: str) -> str:
    """The verdict in a few words, else where the run stands, in the words of its card."""
    if not summary.verdict:
        return live_view.STATE_NAMES[_state_key(summary)].render(lang)
    word = verdict_messages.STATES[summary.verdict]
    return f"{verdict_card.ICONS[summary.verdict]} {word.render(lang)}"


def _state_key(summary: Summary) -> str:
    if summary.state in FINAL_STATES:
        return summary.state
    try:
        run = runs.get(summary.id)
    except RunNotFound:  # deleted since it was listed
        return summary.state
    return live_view.state_key(run, runs.status(run))


def _format_score(summary: Summary, lang: str) -> str:
    figures = (summary.score, summary.low, summary.high)
    if None in figures:
        return ""
    form = "{:.0%}" if summary.is_share else "{:.3g}"
    value, low, high = (form.format(figure) for figure in figures)
    return SCORE.render(lang, value=value, low=low, high=high)


def find_own_run(run_id: object, browser_runs: object) -> Run:
    """The run that a row's button names, among those this visitor may change.

    Raises:
        StudioError: There is none, or it is someone else's.
    """
    run = runs.get(run_id if isinstance(run_id, str) else "")
    if run.id not in {visible.id for visible in access.visible_runs(browser_runs)}:
        raise NotPossible(NOT_YOURS, OPEN_OWN)
    return run


def change_run(browser_runs: object, event: gr.EventData, request: gr.Request) -> Any:
    """Rename, pin, delete or bring back the run that a row's button names.

    Returns:
        The notice, the table and its digest.
    """
    lang = request_language(request)
    action, run_id = read_event(event, "action"), read_event(event, "id")
    notice = notices.notice("")
    try:
        if action == "delete":
            notice = _discard_elsewhere(find_own_run(run_id, browser_runs), lang)
        message, name, deleted = _apply(action, run_id, read_event(event, "name"), browser_runs)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), gr.skip(), gr.skip()
    said = message.render(lang, name=name)
    value = _build_value(browser_runs, lang, deleted=deleted, said=said)
    return notice, value, _digest(value)


def _discard_elsewhere(run: Run, lang: str) -> dict[str, Any]:
    """End and remove what a run that is to be deleted has left at another machine.

    Returns:
        The notice that says so, or that it could not be done and what to do; empty where nothing is there.
    """
    run_index.require_ended(run)
    try:
        done = launchers.discard(run)
    except launchers.StillThere as error:
        return notices.notice(*error.sentences(lang), kind="check")
    return notices.notice(done.render(lang), kind="good") if done else notices.notice("")


def _apply(action: object, run_id: object, name: object, browser_runs: object) -> tuple[Message, str, str]:
    """Do it; returns what to say, the run's name, and the id of a run whose deletion can be undone."""
    if action == "undo":
        _require_own_id(run_id, browser_runs)
        return RESTORED, run_index.restore(str(run_id)).plan.name, ""
    run = find_own_run(run_id, browser_runs)
    if action == "rename":
        run_index.rename(run, name if isinstance(name, str) else "")
        return RENAMED, run.plan.name, ""
    if action == "delete":
        run_name = run.plan.name
        run_index.delete(run)
        return DELETED, run_name, run.id
    if action in ("pin", "unpin"):
        run_index.pin(run, action == "pin")
        return (PINNED if action == "pin" else UNPINNED), run.plan.name, ""
    raise NotPossible(UNKNOWN_ACTION, RELOAD)


def _require_own_id(run_id: object, browser_runs: object) -> None:
    """Where others reach the page, only who has started a run brings it back."""
    if access.is_open_to_others() and run_id not in access.read_run_ids(browser_runs):
        raise NotPossible(NOT_YOURS, OPEN_OWN)
