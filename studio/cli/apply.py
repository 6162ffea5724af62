"""`studio apply`: every row of a file gets a run's label and its certainty, its number, or its answer."""

import argparse
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from studio import runs
from studio.apply import job as jobs
from studio.apply import output, sheet, summary
from studio.apply.job import Job
from studio.apply.sheet import Sheet
from studio.cli import EXIT_FAILED, EXIT_OK
from studio.errors import BadData, NotPossible
from studio.i18n import Message, languages

FILE_EXISTS = Message("“{name}” exists already.")
NAME_ANOTHER = Message("Name another file with --out.")
NO_SUCH_FILE = Message("There is no file “{name}”.")
CHECK_PATH = Message("Check the path.")
STOPPED = Message("Stopped: {done:,} of {total:,} rows are done and kept. The same command resumes.")
READING_COLUMN = Message("Reading the column “{column}”.")
WRITTEN = Message("{name}: {count:,} {count:row|rows}.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the file, and how the result is written."""
    parser.add_argument("run", help="a run's id, its beginning, or `last`")
    parser.add_argument("file", type=Path, help="CSV, Excel, JSONL or another table")
    parser.add_argument(
        "--out", type=Path, default=None, help="a new .csv or .xlsx file (default: FILE-labelled.csv)"
    )
    parser.add_argument("--column", default="", help="the column to read (default: guessed)")
    parser.add_argument("--uncertain-first", action="store_true", help="sort the least certain rows first")
    parser.add_argument("--language", choices=languages(), default="en", help="default en")


def run(options: argparse.Namespace) -> int:
    """Work through the file and write the result; after a Ctrl-C the same command goes on.

    Raises:
        StudioError: The file or the run cannot be used, or the output exists.
    """
    lang, path = options.language, options.out or options.file.with_name(f"{options.file.stem}-labelled.csv")
    output.require_form(path)
    if path.exists():
        raise NotPossible(FILE_EXISTS, NAME_ANOTHER, name=path.name)
    asked_run = runs.find(options.run)
    runs.require_usable(asked_run)
    opened = _open_sheet(options.file)
    column = options.column or sheet.guess_column(opened, asked_run.plan.task, runs.report(asked_run))
    job = Job(opened, asked_run, column)
    print(READING_COLUMN.render(lang, column=column), file=sys.stderr)
    if options.uncertain_first:
        output.require_certainty(job)
    if not _work_through(job):
        stopped = STOPPED.render(lang, done=len(job.results()), total=opened.n_rows)
        print(stopped, file=sys.stderr)
        return EXIT_FAILED
    output.write(job, path, options.uncertain_first, lang)
    for message in summary.describe(job):
        print(message.render(lang), file=sys.stderr)
    print(WRITTEN.render(lang, name=path, count=opened.n_rows))
    jobs.forget(job)
    return EXIT_OK


def _open_sheet(file: Path) -> Sheet:
    """The sheet of a file; the same file has the same id, so that what is done of it is found again."""
    if not file.is_file():
        raise BadData(NO_SUCH_FILE, CHECK_PATH, name=file)
    sheet_id = sha256(f"{file.name}\0".encode() + file.read_bytes()).hexdigest()[:32]
    try:
        return sheet.find(sheet_id)
    except NotPossible:
        return jobs.read_file(file, file.name, sheet_id)


def _work_through(job: Job) -> bool:
    """Show the progress on stderr. Returns whether it came to the end; a Ctrl-C stops it."""
    progress_bar = tqdm(total=job.sheet.n_rows, unit=" rows", file=sys.stderr, disable=None)
    with progress_bar, closing(jobs.apply(job)) as steps:
        try:
            for step in steps:
                progress_bar.n = step.done
                progress_bar.refresh()
        except KeyboardInterrupt:
            return False
    return True
