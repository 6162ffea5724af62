"""Binary files are opened in a process of their own: one made to break its reader costs an answer, not the page."""

import itertools
import json
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from studio import processes
from studio.data.readers import header, rows, spreadsheet
from studio.data.readers import parquet as readers_parquet
from studio.data.readers.rows import ParsedRows
from studio.errors import BadData, StudioError
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

ReaderName = Literal["workbook", "parquet", "cut"]
MAX_MEMORY_BYTES = (
    3_000_000_000  # bytes of address space for the process, where the system can hold it to that
)
MAX_CPU_SECONDS = 120  # of work
LINES_PER_MESSAGE = 500  # lines in one answer
REST_UNREADABLE = Message("and all rows after it cannot be read: the file is damaged there")
OUT_OF_RESOURCES = Message(
    "“{name}” could not be read to its end: it wants more memory or time than a file of its kind should."
)
COPY_TO_NEW_FILE = Message("Copy the cells with your examples into a new file and save it as .csv or .xlsx.")


def read_workbook(
    path: Path, name: str, sheet: str, on_progress: ProgressCallback = no_progress
) -> ParsedRows:
    """The rows of a sheet; `tell` hears how many of them are read. Raises BadData where the workbook cannot be read, or holds more than a data set may."""
    with closing(read_in_subprocess("workbook", path, name, sheet)) as messages:
        info = next(messages)
        lines = ((line_number, values) for message in messages for line_number, values in message["lines"])
        parsed = header.parse_table(
            rows.with_progress(lines, info["last"], on_progress), pad_short_lines=True
        )
    return ParsedRows(parsed.columns, parsed.rows, parsed.bad_lines, tuple(info["sheets"]), info["sheet"])


def read_parquet(path: Path, name: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """The rows of a Parquet file; `tell` hears how many of them are read. Raises BadData where it cannot be read, or holds more than a data set may."""
    with closing(read_in_subprocess("parquet", path, name)) as messages:
        info = next(messages)
        columns = rows.unique_column_names(info["columns"])
        bad_lines = [(0, Message.from_json(reason)) for reason in info["left_out"]]
        lines = ((line_number, values) for message in messages for line_number, values in message["lines"])
        counted_lines = rows.with_progress(lines, info["rows"], on_progress)
        parsed_rows, lost_lines = rows.collect(
            counted_lines,
            lambda values: REST_UNREADABLE if values is None else dict(zip(columns, values, strict=True)),
        )
    return ParsedRows(columns, parsed_rows, bad_lines + lost_lines)


def merge_parquet(paths: list[Path], target: Path, name: str) -> tuple[int, int]:
    """Join Parquet files into one that a data set may be: how many rows it has, and how many there were."""
    with closing(
        read_in_subprocess("cut", target, name, json.dumps([str(path) for path in paths]))
    ) as messages:
        info = next(messages)
    return int(info["rows"]), int(info["of"])


def read_in_subprocess(
    reader: ReaderName, path: Path, name: str, more: str = ""
) -> Generator[dict[str, Any], None, None]:
    """What a reader says of a file, in a process that has so much memory and time and no more: first what it is, then its lines.

    Raises BadData with what the reader cannot do, or where the process ends before it is done.
    """
    request = {"reader": reader, "path": str(path), "name": name, "more": more}
    no_reply_message = OUT_OF_RESOURCES.format(name=name)
    try:
        yield from processes.stream_replies(
            "studio.data.readers.sandbox",
            request,
            no_reply_message,
            COPY_TO_NEW_FILE,
            processes.ChildOptions(threads=1),
        )
    except StudioError as error:
        raise BadData(error.message, error.hint) from None


def read_lines(reader: ReaderName, path: Path, name: str, more: str = "") -> Iterator[dict[str, Any]]:
    """The answers themselves, without the process. Raises BadData with what cannot be done."""
    if reader == "cut":
        row_count, source_row_count = readers_parquet.merge_files(
            [Path(part_path) for part_path in json.loads(more)], path, name
        )
        yield {"rows": row_count, "of": source_row_count}
        return
    result = (
        spreadsheet.open_workbook(path, name, more)
        if reader == "workbook"
        else readers_parquet.open_parquet(path, name)
    )
    yield result[0]
    yield from _in_batches(result[1])


def _in_batches(lines: Iterable[tuple[int, list[str] | None]]) -> Iterator[dict[str, Any]]:
    lines = iter(lines)
    while batch := list(itertools.islice(lines, LINES_PER_MESSAGE)):
        yield {"lines": batch}


def main() -> int:
    """The process: one question on stdin, answers on stdout."""
    request = json.loads(sys.stdin.read())
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the other pools reserve more than they use
    if sys.platform != "win32":  # which has no such bounds
        import resource  # noqa: PLC0415 - Windows has none

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    try:
        for message in read_lines(**{**request, "path": Path(request["path"])}):
            processes.send_reply(message)
    except BadData as error:
        processes.send_error(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
