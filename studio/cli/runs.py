"""`studio runs`: every run with its state and its verdict, sorted and searched; plan, rename, pin, delete."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from studio import plan as plans
from studio import run_index, runs
from studio.cli import EXIT_OK
from studio.data.text.text_length import shorten
from studio.evaluate import verdict
from studio.i18n import Message
from studio.run_index import Summary
from studio.runs import Run

MAX_MESSAGE_CHARACTERS = 100
# What the list can be sorted by; what nobody knows stands last.
SORT_KEYS: dict[str, Callable[[Summary], Any]] = {
    "newest": lambda summary: -summary.created,
    "name": lambda summary: summary.name.lower(),
    "state": lambda summary: runs.STATES.index(summary.state),
    "score": lambda summary: -summary.score if summary.score is not None else float("inf"),
    "time": lambda summary: summary.seconds if summary.seconds is not None else float("inf"),
    "size": lambda summary: -summary.size_bytes,
    "cost": lambda summary: (summary.money is None, summary.currency, summary.money or 0.0),
}
NO_RUNS = Message("No runs yet in {folder}. Start one: studio train support-tone-lora")
NO_MATCH = Message("No run matches “{text}”.")
SURE = Message("Delete “{name}” with what it learned?")
KEPT = Message("“{name}” is kept.")
DELETED = Message("“{name}” is deleted. Within the hour: studio runs --restore {id}")
DELETE_LATER = Message(
    "Once the machine answers, bring it back with `studio runs --restore {id}` and delete it again, or end "
    "and remove it there yourself. Whenever the page starts, the studio tries again by itself, for 30 days."
)
RESTORED = Message("“{name}” is back.")
RENAMED = Message("The run is called “{name}” now.")
WRITTEN = Message(
    "{count} {count:point|points} of “{name}” written. Look at them with: trackio show --project {project}"
)
PINNED, UNPINNED = Message("“{name}” stands first."), Message("“{name}” is no longer pinned.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is listed and how, or what is done with one run."""
    parser.add_argument("--search", metavar="TEXT", default="", help="only runs with this in name or setup")
    parser.add_argument(
        "--sort", choices=tuple(SORT_KEYS), default="newest", help="pinned runs stay first; default newest"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with the verdict of each run")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--plan", metavar="RUN", help="print its plan as YAML, to change and train again")
    action.add_argument("--rename", nargs=2, metavar=("RUN", "NAME"), help="give a run another name")
    action.add_argument("--pin", metavar="RUN", help="let a run stand first")
    action.add_argument("--unpin", metavar="RUN", help="let it stand where it was")
    action.add_argument("--delete", metavar="RUN", help="delete a run, after a question")
    action.add_argument("--compare", nargs="+", metavar="RUN", help="two to five runs side by side")
    action.add_argument("--trackio", metavar="RUN", help="write its points into trackio, on this machine")
    action.add_argument("--restore", metavar="ID", help="bring back a run deleted within the hour")
    parser.add_argument("--yes", action="store_true", help="delete without the question")


def run(options: argparse.Namespace) -> int:
    """Change one run, or list all: the pinned ones first, then the newest."""
    if options.plan:
        return _print_plan(options.plan)
    if options.trackio:
        return _write_to_trackio(options.trackio)
    if options.rename:
        return _rename(*options.rename)
    if options.pin or options.unpin:
        return _pin(options.pin or options.unpin, is_pinned=bool(options.pin))
    if options.delete:
        return _delete(options.delete, options.yes)
    if options.restore:
        return _say(RESTORED, run_index.restore(options.restore))
    if options.compare:
        return _compare(options.compare, options.json)
    return _list(options)


def _print_plan(text: str) -> int:
    print(plans.dump(runs.find(text).plan), end="")
    return EXIT_OK


def _write_to_trackio(text: str) -> int:
    from studio.training import trackio_writer

    written_run = runs.find(text)
    count = trackio_writer.write(written_run)
    print(WRITTEN.render(count=count, name=written_run.plan.name, project=trackio_writer.PROJECT))
    return EXIT_OK


def _compare(texts: list[str], as_json: bool) -> int:
    from studio.cli import runs_comparison

    runs_comparison.compare(texts, as_json)
    return EXIT_OK


def _say(message: Message, changed_run: Run) -> int:
    print(message.render(name=changed_run.plan.name, id=changed_run.id))
    return EXIT_OK


def _rename(text: str, name: str) -> int:
    renamed_run = runs.find(text)
    run_index.rename(renamed_run, name)
    return _say(RENAMED, renamed_run)


def _pin(text: str, is_pinned: bool) -> int:
    pinned_run = runs.find(text)
    run_index.pin(pinned_run, is_pinned)
    return _say(PINNED if is_pinned else UNPINNED, pinned_run)


def _delete(text: str, is_confirmed: bool) -> int:
    from studio import launchers

    deleted_run = runs.find(text)
    name = deleted_run.plan.name
    if not is_confirmed and not _confirm(SURE.render(name=name)):
        print(KEPT.render(name=name))
        return EXIT_OK
    run_index.require_ended(deleted_run)
    try:
        if done := launchers.discard(deleted_run):
            print(done.render())
    except launchers.StillThere as error:  # keeps no run from being deleted here
        print(error.message.render(), DELETE_LATER.render(id=deleted_run.id), file=sys.stderr)
    run_index.delete(deleted_run)
    print(DELETED.render(name=name, id=deleted_run.id))
    return EXIT_OK


def _confirm(question: str) -> bool:
    """Whether the person says yes; who cannot be asked has not."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _list(options: argparse.Namespace) -> int:
    summaries = [summary for summary in run_index.summarize_all() if _matches(summary, options.search)]
    summaries.sort(key=SORT_KEYS[options.sort])
    summaries.sort(key=lambda summary: not summary.is_pinned)
    if options.json:
        print(json.dumps([_to_json(summary) for summary in summaries], ensure_ascii=False, indent=2))
        return EXIT_OK
    if not summaries:
        print(
            NO_MATCH.render(text=options.search) if options.search else NO_RUNS.render(folder=runs.folder())
        )
    for summary in summaries:
        print(_format_run(runs.get(summary.id)))
    return EXIT_OK


def _matches(summary: Summary, text: str) -> bool:
    texts = (summary.name, summary.source, summary.method, summary.model, summary.state, summary.id)
    return text.lower() in " ".join(texts).lower()


def _to_json(summary: Summary) -> dict[str, Any]:
    headline = summary.headline.render() if summary.headline else ""
    return {
        **asdict(summary),
        "headline": headline,
        "verdict": {"state": summary.verdict, "headline": headline} if summary.verdict else None,
    }


def _format_run(run: Run) -> str:
    status = runs.status(run)
    name_and_time = runs.describe(run).removesuffix(f" · {run.id[:8]}")
    suffix = "; goes on with --resume" if runs.is_resumable(run) else ""
    since = runs.stalled_since(run, status)
    if since is not None:
        moment = datetime.fromtimestamp(since).astimezone()
        suffix = f"; stands still since {moment:%H:%M:%S}: end its process, then go on with --resume"
    return f"{run.id}  {status.state:<10} {name_and_time}  {_summarize(run, status)}{suffix}"


def _summarize(run: Run, status: runs.Status) -> str:
    """The verdict with its sentence; without one the loss before and after, else why the run failed."""
    report = runs.report(run)
    if result := verdict.read(report):
        return shorten(f"{result.word.render()}: {result.headline.render()}", MAX_MESSAGE_CHARACTERS)
    before = runs.start_scores(report).get("loss")
    after = (report.get("after") or {}).get("loss")
    if isinstance(before, float | int) and isinstance(after, float | int):
        return f"loss {before:.3f} -> {after:.3f}"
    if status.message:
        return shorten(status.message.render(), MAX_MESSAGE_CHARACTERS)
    return ""
