"""Rows as they are collected from any kind of file: what one may hold at most, each limit with its sentence."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback

MAX_BYTES = 100_000_000
MAX_UNPACKED_BYTES = 500_000_000
MAX_COMPRESSION_RATIO = 200  # unpacked bytes to packed ones; ordinary tables stay below 100
MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_CELL_LENGTH = 200_000
MAX_FIELDS = 5_000_000
MAX_CHARACTERS = 100_000_000
MAX_LINES = 5_000_000
MAX_JSON_VALUES = 10_000_000
MAX_DEPTH = 100

Row = dict[str, str]
# A line that is no row, and why; number 0 speaks of the file, or of a file within it.
BadLine = tuple[int, Message]
Line = TypeVar("Line")

PROGRESS_INTERVAL_SECONDS = 0.3  # seconds between two words on how far it is

CELL_TOO_LONG = Message("holds a text of more than 200,000 characters")
NESTED_TOO_DEEP = Message("is nested more than 100 levels deep")
BRING_PART = Message("Bring a part of it: a few thousand good examples are plenty.")
DROP_COLUMNS = Message("Keep the columns with the texts and drop the others.")
EXPORT_AS_CSV = Message("Export your table again as CSV (UTF-8) and drop it here.")


@dataclass(frozen=True)
class ParsedRows:
    """What a reader made of a file: rows under their columns, and what is no row; a workbook also names its sheets, a text its delimiter, if unusual.

    `notes` say into what another shape the rows were brought.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    bad_lines: list[BadLine]
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    delimiter: str = ""
    notes: tuple[Message, ...] = ()


def collect(
    lines: Iterable[tuple[int, Line]], parse_line: Callable[[Line], Row | Message | None]
) -> tuple[list[Row], list[BadLine]]:
    """The rows among the lines, and the lines that are none; None stands for an empty line.

    Raises BadData where there is more than a data set may hold.
    """
    rows: list[Row] = []
    bad_lines: list[BadLine] = []
    field_count = character_count = 0
    for line_number, line in lines:
        parsed = parse_line(line)
        if parsed is None:
            continue
        if isinstance(parsed, dict):
            sizes = [len(value) for value in parsed.values()]
            if max(sizes, default=0) <= MAX_CELL_LENGTH:
                rows.append(parsed)
                field_count += len(sizes)
                character_count += sum(sizes)
                check_limits(len(rows), field_count, character_count)
                continue
            parsed = CELL_TOO_LONG
        bad_lines.append((line_number, parsed))
        if len(bad_lines) > MAX_ROWS:
            raise BadData(
                Message("More than {limit:,} lines are no rows; the first, line {line}, {why}."),
                EXPORT_AS_CSV,
                limit=MAX_ROWS,
                line=bad_lines[0][0],
                why=bad_lines[0][1],
            )
    return rows, bad_lines


def throttled(on_progress: ProgressCallback) -> ProgressCallback:
    """The same, but at most every OFTEN seconds, so that it may be told of each row."""
    last = time.monotonic()

    def report(done: float, total: float) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_INTERVAL_SECONDS:
            last = time.monotonic()
            on_progress(done, total)

    return report


def with_progress(
    lines: Iterable[tuple[int, Line]], total: int, on_progress: ProgressCallback
) -> Iterator[tuple[int, Line]]:
    """The lines as they are; `tell` hears the number of each, and that there are `of`."""
    for number, line in lines:
        on_progress(number, total)
        yield number, line


def check_limits(row_count: int, field_count: int, character_count: int) -> None:
    """Raise BadData where a data set has too many rows, fields or characters."""
    if row_count > MAX_ROWS:
        raise BadData(Message("The file has more than {limit:,} rows."), BRING_PART, limit=MAX_ROWS)
    if field_count > MAX_FIELDS:
        raise BadData(
            Message("The file has more than {limit:,} fields (rows times columns)."),
            DROP_COLUMNS,
            limit=MAX_FIELDS,
        )
    if character_count > MAX_CHARACTERS:
        raise BadData(
            Message("The texts in the file have more than {limit:,} characters."),
            BRING_PART,
            limit=MAX_CHARACTERS,
        )


def check_line_count(text: str) -> None:
    """Raise BadData where a text has too many lines."""
    if text.count("\n") + text.count("\r") - text.count("\r\n") > MAX_LINES:
        raise BadData(Message("The file has more than {limit:,} lines."), BRING_PART, limit=MAX_LINES)


def unique_column_names(header: list[str]) -> tuple[str, ...]:
    """Column names: trimmed, a missing one numbered, a repeated one told apart. Raises BadData where there are too many."""
    if len(header) > MAX_COLUMNS:
        raise BadData(
            Message("The header names {count} columns; the limit is {limit}."),
            DROP_COLUMNS,
            count=len(header),
            limit=MAX_COLUMNS,
        )
    unique_names: list[str] = []
    for number, raw in enumerate(header, 1):
        name = " ".join(raw.split()) or f"column {number}"
        while name in unique_names:
            name += f" ({number})"
        unique_names.append(name)
    return tuple(unique_names)


def replace_surrogates(text: str) -> str:
    """Text that can be written: half of a surrogate pair, as cut JSON has it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def to_cell_text(value: object) -> str:
    """A value of JSON as the text of a cell: nothing for null, a text as it is, everything else as JSON."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return replace_surrogates(json.dumps(value, ensure_ascii=False))


def nesting_depth(value: object) -> int:
    """How deep lists and objects lie within each other; MAX_DEPTH + 1 stands for any depth beyond the limit."""
    level, level_count = [value], 0
    while level and level_count <= MAX_DEPTH:
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        level_count += bool(level)
    return level_count
