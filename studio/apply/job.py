"""A run applied to a column of a sheet: what is done is kept, and going on continues behind it."""

import json
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from studio import processes, runs
from studio.apply import sheet as sheets
from studio.apply.sheet import Sheet
from studio.errors import BadData, StudioError
from studio.i18n import Message
from studio.runs import Run
from studio.storage import read_json

MODULE = "studio.apply.process"
RESULTS_FILE, CALIBRATION_FILE = "results.jsonl", "calibration.json"
READING_STOPPED = Message("The file could not be read: {why}")
SAVE_AS_CSV = Message("Save it as CSV (UTF-8) or .xlsx and try again.")
APPLYING_STOPPED = Message("The run stopped working through the sheet: {why}")
GO_ON = Message("The rows done so far are kept. Close other programs and resume.")
# What a model says of one row: `label`, `labels`, `value` or `text`, `certainty`, and what was cut.
# Empty where the cell was.
Result = dict[str, Any]


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        done: Rows that have a result.
        total: All rows.
        seconds_left: How long the others take; None while the model is loaded.
    """

    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class Job:
    """A run applied to one column of a sheet.

    Attributes:
        sheet: The rows.
        run: The run; it has a result.
        column: The column that is read.
    """

    sheet: Sheet
    run: Run
    column: str

    @property
    def folder(self) -> Path:
        """Where the results are; another column or a run that went on has its own."""
        version = f"{runs.result_version(self.run)}\0{self.column}"
        return self.sheet.folder / f"{self.run.id}-{sha256(version.encode()).hexdigest()[:16]}"

    @property
    def results_path(self) -> Path:
        """The file of the results, a row a line, in the order of the sheet."""
        return self.folder / RESULTS_FILE

    @property
    def calibration(self) -> Message | None:
        """What the certainty rests on; None before the model was loaded, and where there is no certainty."""
        stored = read_json(self.folder / CALIBRATION_FILE)
        return Message.from_json(stored["message"]) if stored else None

    def results(self) -> list[Result]:
        """The results of the first rows, as many as are done."""
        return [json.loads(line) for line in _complete_lines(self.results_path)]

    def is_done(self) -> bool:
        """Whether every row has a result."""
        return len(_complete_lines(self.results_path)) == self.sheet.n_rows


def read_file(path: Path, name: str, sheet_id: str) -> Sheet:
    """Read a file into a sheet, in a child process.

    Args:
        path: A file of any format that the studio reads.
        name: What the person called it.
        sheet_id: The id that the sheet gets.

    Raises:
        BadData: Nothing in the file can be used.
    """
    request = {"do": "read", "path": str(path), "name": name, "sheet_id": sheet_id}
    try:
        for _ in processes.stream_replies(MODULE, request, READING_STOPPED, SAVE_AS_CSV):
            continue
    except StudioError as error:
        raise BadData(error.message, error.hint) from None
    return sheets.find(sheet_id)


def apply(job: Job) -> Generator[Progress, None, None]:
    """Work through the rows that are not done yet, in a child process; closing the iterator ends it.

    Raises:
        NotPossible: The run has no result, there is no such column, or the job is being worked on already.
        StudioError: The process ended early.
    """
    runs.require_usable(job.run)
    sheets.require_column(job.sheet, job.column)
    total = job.sheet.n_rows
    n_before = len(_complete_lines(job.results_path))
    yield Progress(n_before, total)
    request = {"do": "apply", "sheet_id": job.sheet.id, "run_id": job.run.id, "column": job.column}
    started_at = 0.0
    stream = processes.stream_replies(MODULE, request, APPLYING_STOPPED, GO_ON, processes.WORKER)
    with closing(stream) as replies:
        for reply in replies:
            n_new = reply["done"] - n_before
            started_at = started_at or time.monotonic()
            seconds_per_row = (time.monotonic() - started_at) / n_new if n_new else None
            seconds_left = None if seconds_per_row is None else seconds_per_row * (total - reply["done"])
            yield Progress(reply["done"], total, seconds_left)


def forget(job: Job) -> None:
    """Remove what was done, and its sheet, unless what another run has done of it is kept there."""
    shutil.rmtree(job.folder, ignore_errors=True)
    if not any(path.is_dir() for path in job.sheet.folder.glob("*")):
        sheets.delete(job.sheet.id)


def drop_broken_line(results_path: Path) -> int:
    """Cut off a last line that was not finished. Returns how many rows are done."""
    lines = _complete_lines(results_path)
    if results_path.exists():
        with results_path.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines))
    return len(lines)


def _complete_lines(path: Path) -> list[bytes]:
    """The lines of a file that end; what a process was writing when it ended is left out."""
    if not path.is_file():
        return []
    *complete, _ = path.read_bytes().split(b"\n")
    return complete
