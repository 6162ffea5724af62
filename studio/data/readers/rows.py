"""The rows that every reader returns, and the limits of a data set, each with its sentence."""

import datetime
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback

MAX_BYTES = 100_000_000
MAX_UNPACKED_BYTES = 500_000_000
MAX_COMPRESSION_RATIO = 200  # unpacked bytes to packed ones; ordinary tables stay below 100
MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_CELL_LENGTH = 200_000  # characters
MAX_FIELDS = 5_000_000  # rows times columns
MAX_CHARACTERS = 100_000_000
MAX_LINES = 5_000_000
MAX_JSON_VALUES = 10_000_000
MAX_DEPTH = 100  # levels of nested lists and objects
MAX_EXACT_INTEGER = 1e15  # below it, a float without a fraction is written as an integer
PROGRESS_INTERVAL_SECONDS = 0.3  # at least so long between two reports of progress

Row = dict[str, str]
# A line that is no row: its number (0 where it concerns the whole file, or a file within it) and why.
BadLine = tuple[int, Message]
Line = TypeVar("Line")
NumberedLine = TypeVar("NumberedLine", bound=tuple[int, Any])

CELL_TOO_LONG = Message("holds a text of more than 200,000 characters")
NESTED_TOO_DEEP = Message("is nested more than 100 levels deep")
TOO_MANY_BAD_LINES = Message("More than {limit:,} lines are no rows; the first, line {line}, {why}.")
TOO_MANY_ROWS = Message("The file has more than {limit:,} rows.")
TOO_MANY_FIELDS = Message("The file has more than {limit:,} fields (rows times columns).")
TOO_MANY_CHARACTERS = Message("The texts in the file have more than {limit:,} characters.")
TOO_MANY_LINES = Message("The file has more than {limit:,} lines.")
TOO_MANY_COLUMNS = Message("The header names {count} columns; the limit is {limit}.")
BRING_PART = Message("Bring a part of it: a few thousand good examples are plenty.")
DROP_COLUMNS = Message("Keep the columns with the texts and drop the others.")
EXPORT_AS_CSV = Message("Export your table again as CSV (UTF-8) and drop it here.")


@dataclass(frozen=True)
class ParsedRows:
    """What a reader makes of a file.

    Attributes:
        columns: The names of the columns, in order.
        rows: The rows; each has a text for every column.
        bad_lines: The lines that are no rows.
        sheets: The names of all sheets of a workbook, in the file's order.
        sheet: The sheet that was read.
        delimiter: What divides the fields of a text, where that is an unusual sign.
        notes: Sentences on how the rows were brought into another shape.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    bad_lines: list[BadLine]
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    delimiter: str = ""
    notes: tuple[Message, ...] = ()


class Record(NamedTuple):
    """One line of a text, or one row of a sheet or of Parquet.

    Attributes:
        number: Its number in the file, from 1; of a record over several lines the last one's.
        values: Its fields.
    """

    number: int
    values: list[str]


@dataclass(frozen=True)
class LineStream:
    """The records of a file, one after another, as they come from the sandbox.

    Attributes:
        lines: The number and the fields of each; None for fields where the file is damaged from there on.
        total: The number of the last one, for the progress.
        columns: The names of the columns; None where the header is among the lines.
        skipped: What was left out of every line, such as columns of pictures.
        sheets: The names of all sheets of a workbook.
        sheet: The sheet that is read.
        notes: Sentences on what else the file holds.
    """

    lines: Iterator[tuple[int, list[str] | None]]
    total: int
    columns: tuple[str, ...] | None = None
    skipped: tuple[Message, ...] = ()
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    notes: tuple[Message, ...] = ()


def collect(
    lines: Iterable[tuple[int, Line]], parse_line: Callable[[Line], Row | Message | None]
) -> tuple[list[Row], list[BadLine]]:
    """Collect the rows among numbered lines.

    Args:
        lines: The number and the content of each line.
        parse_line: Makes a row of a line; a message says why it is none, None that it is empty.

    Returns:
        The rows, and the lines that are none.

    Raises:
        BadData: There are more rows, fields, characters or bad lines than a data set may hold.
    """
    rows: list[Row] = []
    bad_lines: list[BadLine] = []
    field_count = character_count = 0
    for line_number, line in lines:
        parsed = parse_line(line)
        if parsed is None:
            continue
        if isinstance(parsed, dict):
            lengths = [len(value) for value in parsed.values()]
            if max(lengths, default=0) <= MAX_CELL_LENGTH:
                rows.append(parsed)
                field_count += len(lengths)
                character_count += sum(lengths)
                check_limits(len(rows), field_count, character_count)
                continue
            parsed = CELL_TOO_LONG
        bad_lines.append((line_number, parsed))
        if len(bad_lines) > MAX_ROWS:
            first_number, first_reason = bad_lines[0]
            raise BadData(
                TOO_MANY_BAD_LINES,
                EXPORT_AS_CSV,
                limit=MAX_ROWS,
                line=first_number,
                why=first_reason,
            )
    return rows, bad_lines


def throttled(on_progress: ProgressCallback) -> ProgressCallback:
    """A callback that may be called for each row: it passes on one call in PROGRESS_INTERVAL_SECONDS."""
    last = time.monotonic()

    def report(done: float, total: float) -> None:
        nonlocal last
        if time.monotonic() - last >= PROGRESS_INTERVAL_SECONDS:
            last = time.monotonic()
            on_progress(done, total)

    return report


def with_progress(
    lines: Iterable[NumberedLine], total: int, on_progress: ProgressCallback
) -> Iterator[NumberedLine]:
    """Yield numbered lines unchanged and report the number of each, of `total`."""
    for line in lines:
        on_progress(line[0], total)
        yield line


def check_limits(row_count: int, field_count: int, character_count: int) -> None:
    """Raise BadData where a data set has too many rows, fields or characters."""
    if row_count > MAX_ROWS:
        raise BadData(TOO_MANY_ROWS, BRING_PART, limit=MAX_ROWS)
    if field_count > MAX_FIELDS:
        raise BadData(
            TOO_MANY_FIELDS,
            DROP_COLUMNS,
            limit=MAX_FIELDS,
        )
    if character_count > MAX_CHARACTERS:
        raise BadData(
            TOO_MANY_CHARACTERS,
            BRING_PART,
            limit=MAX_CHARACTERS,
        )


def check_line_count(text: str) -> None:
    """Raise BadData where a text has too many lines."""
    line_count = text.count("\n") + text.count("\r") - text.count("\r\n")
    if line_count > MAX_LINES:
        raise BadData(TOO_MANY_LINES, BRING_PART, limit=MAX_LINES)


def unique_column_names(header: list[str]) -> tuple[str, ...]:
    """Column names from a header: trimmed, a missing one numbered, a repeated one marked by its number.

    Raises:
        BadData: There are more than MAX_COLUMNS.
    """
    if len(header) > MAX_COLUMNS:
        raise BadData(
            TOO_MANY_COLUMNS,
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
    """Text that can be written as UTF-8: half of a surrogate pair, as in JSON that was cut, becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def json_to_text(value: object) -> str:
    """A value of JSON as the text of a cell: "" for null and NaN, texts unchanged, all else as JSON."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if value is None or _is_nan(value):
        return ""
    return replace_surrogates(json.dumps(value, ensure_ascii=False))


def value_to_text(value: object, float_format: str = "") -> str:
    """A typed value of a worksheet or of Parquet as the text of a cell.

    Args:
        value: Any value. Null and NaN become "", whole floats lose their point, dates are written in ISO's
            order and without a time of midnight, nested values become JSON.
        float_format: How other floats are written; "" writes all digits that tell a float from others.
    """
    if isinstance(value, str):
        return value
    if value is None or _is_nan(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < MAX_EXACT_INTEGER
        return str(int(value)) if is_whole else format(value, float_format)
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time() and not value.tzinfo
        return value.date().isoformat() if is_date else value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def nesting_depth(value: object) -> int:
    """How many levels of lists and objects lie within each other; at most MAX_DEPTH + 1 are counted."""
    level = [value]
    depth = 0
    while level and depth <= MAX_DEPTH:
        level = [item for container in level for item in _items(container)]
        depth += bool(level)
    return depth


def _items(value: object) -> Iterable[object]:
    """The values within a list or an object; none in anything else."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
