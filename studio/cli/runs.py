"""`studio runs`: every run with its state, its name and what it has learned."""

import argparse

from studio import runs
from studio.cli import EXIT_OK
from studio.runs import Run

MAX_MESSAGE_CHARACTERS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none of its own."""


def run(options: argparse.Namespace) -> int:
    """List all runs, the newest first."""
    all_runs = runs.all_runs()
    if not all_runs:
        print(f"No runs yet in {runs.folder()}. Start one: studio train support-tone-lora")
    for listed_run in all_runs:
        print(_format_run(listed_run))
    return EXIT_OK


def _format_run(run: Run) -> str:
    status = runs.status(run)
    name_and_time = runs.describe(run).removesuffix(f" · {run.id[:8]}")
    suffix = "; goes on with --resume" if runs.is_resumable(run) else ""
    return f"{run.id}  {status.state:<10} {name_and_time}  {_summarize(run, status)}{suffix}"


def _summarize(run: Run, status: runs.Status) -> str:
    """The loss before and after, else why the run failed."""
    report = runs.report(run)
    before = runs.start_scores(report).get("loss")
    after = (report.get("after") or {}).get("loss")
    if isinstance(before, float | int) and isinstance(after, float | int):
        return f"loss {before:.3f} -> {after:.3f}"
    if status.message:
        return status.message.render()[:MAX_MESSAGE_CHARACTERS]
    return ""
