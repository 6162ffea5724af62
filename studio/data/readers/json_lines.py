"""JSON Lines become rows: one object a line."""

import io
import json

from studio.data.readers import json_records, rows
from studio.data.readers.rows import NESTED_TOO_DEEP, ParsedRows, Row
from studio.data.readers.spec import Reader, SourceFile
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

MAX_LINE_LENGTH = 10_000_000  # characters
LINE_TOO_LONG = Message("has more than 10 million characters")
SHAPE_SAMPLE_LENGTH = 200_000  # characters
EXPECTED_LINES = Message("Each line must be one JSON object, such as {object}. {first}")


def is_json_lines(source: SourceFile) -> bool:
    """Whether a text is JSON Lines: by its lines where it begins as JSON does, else by its extension."""
    if json_records.starts_with_object(source):
        return source.extension in json_records.JSONL_EXTENSIONS or _has_one_value_per_line(source, "{", "}")
    if json_records.starts_with_list(source):
        return _has_one_value_per_line(source, "[", "]")
    return source.extension in json_records.JSONL_EXTENSIONS


def _has_one_value_per_line(source: SourceFile, opening: str, closing: str) -> bool:
    """Whether most of several lines are each a value of their own."""
    lines = [line.strip() for line in source.text[:SHAPE_SAMPLE_LENGTH].splitlines()]
    values = [line for line in lines if line]
    complete_count = sum(value.startswith(opening) and value.endswith(closing) for value in values)
    return len(values) > 1 and 2 * complete_count > len(values)


def read_json_lines(text: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """Read one JSON object a line; a value that is no text is kept as JSON.

    Args:
        text: The lines.
        on_progress: Receives how many lines are read, and how many there are.

    Raises:
        BadData: There is more than a data set may hold.
    """
    json_records.check_value_count(text)
    # StringIO ends a line only where the system does; str.splitlines would also divide a value at U+2028.
    numbered_lines = enumerate(io.StringIO(text, newline=None), 1)
    counted_lines = rows.with_progress(numbered_lines, text.count("\n") + 1, on_progress)
    return json_records.align_columns(*rows.collect(counted_lines, _parse_line))


def _load_line(line: str) -> object:
    """The value of a line, mended where it is needed."""
    try:
        return json.loads(line)
    except ValueError:
        repaired = json_records.repair_json(line)
        if repaired == line:
            raise
        return json.loads(repaired)


def _parse_line(line: str) -> Row | Message | None:
    if not line.strip():
        return None
    if len(line) > MAX_LINE_LENGTH:
        return LINE_TOO_LONG
    try:
        # A comma ends a line copied out of a list.
        return json_records.row_from_value(_load_line(line.rstrip().removesuffix(",")))
    except RecursionError:
        return NESTED_TOO_DEEP
    except ValueError:
        return json_records.NOT_JSON


READER = Reader(
    name="json_lines",
    label="JSONL",
    extensions=json_records.JSONL_EXTENSIONS,
    read=lambda source: read_json_lines(source.text, source.on_progress),
    matches=is_json_lines,
    names_columns=True,
    expected_content=EXPECTED_LINES,
)
