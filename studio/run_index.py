"""The list of runs: what each one is and came to, kept on disk so that a thousand are listed at once."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from studio import plan as plans
from studio import runs
from studio.errors import BadPlan, NotPossible, RunNotFound
from studio.evaluate import verdict
from studio.i18n import Message
from studio.runs import Run
from studio.storage import home, read_json, write_json, write_text

# What was read of every run, by its id.
INDEX_FILE = "runs-index.json"
# Written over when the keys of a summary change.
INDEX_FORMAT = 2
# The files that a summary is made of; one that is written again is read again.
PINNED_FILE = "pinned"
SOURCE_FILES = ("plan.yaml", "status.json", "report.json", "estimate.json", PINNED_FILE)
# A deleted run waits under this name, so that deleting can be undone, and goes after this time.
DELETED_PREFIX = ".deleted-"
UNDO_SECONDS = 3600.0
# One that has left a job or rows at a machine that did not answer is tried again for so long.
LEFT_SECONDS = 30 * 86_400.0
MAX_NAME_CHARS = 120
NAME_EMPTY, NAME_EMPTY_HINT = Message("A run needs a name."), Message("Type 1 to 120 characters.")
STILL_RUNNING = Message("“{name}” has not ended.")
STOP_FIRST = Message("Stop it first, then delete it.")
NOT_RESTORABLE = Message("This run cannot be brought back.")
UNDO_IS_OVER = Message("A deleted run is kept for an hour.")


@dataclass(frozen=True)
class Summary:
    """One line of the list of runs.

    Attributes:
        id, name, source, method, model: As in its plan; `name` is empty where the plan cannot be read.
        created: When (seconds since 1970).
        state: One of runs.STATES.
        verdict: "ship", "do_not_ship" or "cannot_tell"; "" without one.
        headline: The verdict's sentence.
        score, low, high: The result's own score with its 95 % interval, in the verdict's measure.
        is_share: Whether these are shares from 0 to 1.
        seconds: What the run took; None while it has no report.
        size_bytes: What its folder holds.
        money: What the machine charged for it, as on its receipt; None where no price was known.
        currency: Code of the currency of `money`, such as USD; "" without one.
        is_pinned: Whether it stands on top of the list.
    """

    id: str
    name: str
    created: float
    source: str = ""
    method: str = ""
    model: str = ""
    state: str = "failed"
    verdict: str = ""
    headline: Message | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    is_share: bool = False
    seconds: float | None = None
    size_bytes: int = 0
    money: float | None = None
    currency: str = ""
    is_pinned: bool = False


def summarize_all() -> list[Summary]:
    """Every run's summary, the pinned ones first, then the newest first."""
    return summarize(runs.all_runs())


def summarize(listed_runs: list[Run]) -> list[Summary]:
    """The summaries of these runs, the pinned ones first, then in their order.

    Only a run whose files have changed since the last time is read.
    """
    stored = _load_index()
    entries: dict[str, Any] = {}
    summaries = []
    for run in listed_runs:
        version = _version(run)
        entry = stored.get(run.id)
        summary = _read_entry(entry, version)
        if summary is None:
            summary = _read_run(run)
            entry = {"version": version, **_to_json(summary)}
        entries[run.id] = entry
        summaries.append(_with_present_state(run, summary))
    if entries != {run_id: stored.get(run_id) for run_id in entries}:
        _save_index({**stored, **entries})
    return sorted(summaries, key=lambda summary: not summary.is_pinned)


def _load_index() -> dict[str, Any]:
    index = read_json(home() / INDEX_FILE)
    entries = index.get("runs") if index.get("format") == INDEX_FORMAT else None
    return entries if isinstance(entries, dict) else {}


def _save_index(entries: Mapping[str, Any]) -> None:
    """Keep what was read, without runs that are gone; a home that cannot be written to is read each time."""
    existing = {run_id: entry for run_id, entry in entries.items() if (runs.folder() / run_id).is_dir()}
    try:
        write_json(home() / INDEX_FILE, {"format": INDEX_FORMAT, "runs": existing})
    except OSError:
        return


def _version(run: Run) -> dict[str, list[int]]:
    """Numbers that change when a file is replaced; a plan that was renamed keeps its time, not its inode."""
    try:
        with os.scandir(run.folder) as entries:
            stats = {entry.name: entry.stat() for entry in entries if entry.name in SOURCE_FILES}
    except OSError:  # deleted in between
        return {}
    return {name: [stat.st_mtime_ns, stat.st_ino] for name, stat in stats.items()}


def _to_json(summary: Summary) -> dict[str, Any]:
    return {**asdict(summary), "headline": summary.headline.to_json() if summary.headline else None}


def _read_entry(entry: object, version: dict[str, list[int]]) -> Summary | None:
    """A summary out of the index; None where the run has changed since, or the entry is damaged."""
    if not isinstance(entry, dict) or entry.get("version") != version:
        return None
    values = {name: value for name, value in entry.items() if name != "version"}
    try:
        headline = values.pop("headline")
        return Summary(**values, headline=Message.from_json(headline) if headline else None)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _read_run(run: Run) -> Summary:
    """What the files of a run hold."""
    state = runs.status(run).state
    summary = Summary(
        run.id,
        "",
        run.created,
        state=state,
        size_bytes=_folder_bytes(run.folder),
        is_pinned=(run.folder / PINNED_FILE).exists(),
    )
    try:
        plan = run.plan
    except BadPlan:
        return summary
    report = runs.report(run)
    seconds = report.get("seconds")
    seconds = float(seconds) if isinstance(seconds, int | float) else None
    summary = replace(
        summary,
        name=plan.name,
        source=plan.data.source,
        method=plan.method.name,
        model=plan.model,
        seconds=seconds,
    )
    summary = _with_cost(summary, run, report)
    try:
        result = verdict.read(report)
    except (TypeError, KeyError, ValueError, AttributeError):
        result = None
    return _with_verdict(summary, result) if result else summary


def _with_verdict(summary: Summary, result: verdict.Verdict) -> Summary:
    summary = replace(summary, verdict=result.state, headline=result.headline)
    if not result.score:
        return summary
    return replace(
        summary,
        score=result.score.value,
        low=result.score.low,
        high=result.score.high,
        is_share=any(comparison.in_points for comparison in result.comparisons),
    )


def _with_cost(summary: Summary, run: Run, report: Mapping[str, Any]) -> Summary:
    from studio.estimate import history  # noqa: PLC0415 - only where a run is read anew

    estimate = history.load_estimate(run)
    try:
        money = history.billed_money(estimate, history.actual_minutes(report))
        currency = str(estimate["currency"])
    except (TypeError, KeyError, ValueError, AttributeError):  # not ended, never estimated, or damaged
        return summary
    return summary if money is None else replace(summary, money=money, currency=currency)


def _with_present_state(run: Run, summary: Summary) -> Summary:
    """A summary whose state is that of now: a process may die without writing anything."""
    if summary.state in runs.ENDED_STATES:
        return summary
    return replace(summary, state=runs.status(run).state)


def _folder_bytes(folder: Path) -> int:
    total_bytes = 0
    for path in folder.rglob("*"):
        try:
            total_bytes += path.lstat().st_size
        except OSError:  # removed in between
            continue
    return total_bytes


def rename(run: Run, name: str) -> None:
    """Give a run another name, which stands in its plan; all else stays, its time and place in lists too.

    Raises:
        NotPossible: The name is empty.
    """
    new_name = " ".join(name.split())[:MAX_NAME_CHARS]
    if not new_name:
        raise NotPossible(NAME_EMPTY, NAME_EMPTY_HINT)
    path = run.folder / "plan.yaml"
    times = path.stat()
    plan = run.plan.model_copy(update={"name": new_name})
    write_text(path, plans.dump(plan))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def pin(run: Run, is_pinned: bool) -> None:
    """Let a run stand on top of the list, or no longer."""
    path = run.folder / PINNED_FILE
    if is_pinned:
        path.touch()
    else:
        path.unlink(missing_ok=True)


def delete(run: Run) -> None:
    """Take a run out of the list; `restore` brings it back within UNDO_SECONDS.

    Raises:
        NotPossible: It has not ended.
    """
    purge_deleted()
    with runs.claiming():
        require_ended(run)
        deleted_folder = _deleted_place(run.id)
        run.folder.rename(deleted_folder)
    os.utime(deleted_folder)


def require_ended(run: Run) -> None:
    """Raise NotPossible where a run has not ended, and so cannot be deleted."""
    if runs.status(run).state not in runs.ENDED_STATES:
        raise NotPossible(STILL_RUNNING, STOP_FIRST, name=run.plan.name)


def restore(run_id: str) -> Run:
    """Bring back a run that was deleted.

    Raises:
        NotPossible: There is none under this id any more.
    """
    if not runs.RUN_ID.fullmatch(run_id):
        raise NotPossible(NOT_RESTORABLE, UNDO_IS_OVER)
    try:
        _deleted_place(run_id).rename(runs.folder() / run_id)
        return runs.get(run_id)
    except (OSError, RunNotFound):
        raise NotPossible(NOT_RESTORABLE, UNDO_IS_OVER) from None


def purge_deleted() -> None:
    """Remove for good what was deleted more than UNDO_SECONDS ago.

    What has left something at another machine is known by its folder alone, so that stays longer.
    """
    for deleted_run in deleted_runs():
        remote = read_json(deleted_run.folder / runs.REMOTE_FILE)
        kept_seconds = LEFT_SECONDS if remote.get("job") or remote.get("sent") else UNDO_SECONDS
        if time.time() - deleted_run.folder.stat().st_mtime > kept_seconds:
            runs.delete(deleted_run)


def deleted_runs() -> list[Run]:
    """The runs that were deleted and are not gone yet."""
    folders = runs.folder().glob(f"{DELETED_PREFIX}*")
    return [Run(folder.name.removeprefix(DELETED_PREFIX), folder) for folder in folders]


def _deleted_place(run_id: str) -> Path:
    return runs.folder() / f"{DELETED_PREFIX}{run_id}"
