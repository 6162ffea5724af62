"""`studio runs`: every run with its state, its name and its verdict."""

import argparse
import json
from typing import Any

from studio import runs
from studio.cli import EXIT_OK
from studio.data.text.text_length import shorten
from studio.evaluate import verdict
from studio.runs import Run

MAX_MESSAGE_CHARACTERS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the form of the output."""
    parser.add_argument("--json", action="store_true", help="as JSON, with the verdict of each run")


def run(options: argparse.Namespace) -> int:
    """List all runs, the newest first."""
    all_runs = runs.all_runs()
    if options.json:
        print(json.dumps([_to_json(listed_run) for listed_run in all_runs], ensure_ascii=False, indent=2))
        return EXIT_OK
    if not all_runs:
        print(f"No runs yet in {runs.folder()}. Start one: studio train support-tone-lora")
    for listed_run in all_runs:
        print(_format_run(listed_run))
    return EXIT_OK


def _to_json(run: Run) -> dict[str, Any]:
    result = verdict.read(runs.report(run))
    return {
        "id": run.id,
        "name": run.plan.name,
        "task": run.plan.task,
        "method": run.plan.method.name,
        "state": runs.status(run).state,
        "verdict": {"state": result.state, "headline": result.headline.render()} if result else None,
    }


def _format_run(run: Run) -> str:
    status = runs.status(run)
    name_and_time = runs.describe(run).removesuffix(f" · {run.id[:8]}")
    suffix = "; goes on with --resume" if runs.is_resumable(run) else ""
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
