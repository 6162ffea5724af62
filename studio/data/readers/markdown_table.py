"""A table in Markdown becomes rows; what stands above and below it is left out."""

import io
import re
from collections.abc import Iterator

from studio.data.readers import header, rows
from studio.data.readers.rows import ParsedRows, Record
from studio.data.readers.spec import Reader, SourceFile

# The line between the header and the rows, and a bar that is no part of a cell.
RULE = re.compile(r"\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?)?\s*")
BAR = re.compile(r"(?<!\\)\|")
MAX_RULE_LENGTH = 1000  # characters
MIN_ROWS = 2


def is_markdown_table(source: SourceFile) -> bool:
    """Whether a text holds a table in Markdown with several rows."""
    lines = source.text.splitlines()
    return _header_index(lines) is not None


def read_markdown_table(text: str) -> ParsedRows:
    """Read the first table of a text.

    Raises:
        BadData: There is more than a data set may hold.
    """
    rows.check_line_count(text)
    lines = list(io.StringIO(text, newline=None))
    return header.parse_table(_records(lines, _header_index(lines) or 0), pad_short_lines=True)


def _header_index(lines: list[str]) -> int | None:
    """The index of the header of the first table with several rows; None where there is none."""
    for index in range(1, len(lines) - MIN_ROWS):
        line = lines[index]
        if (
            "-" not in line
            or "|" not in line
            or len(line) > MAX_RULE_LENGTH
            or not RULE.fullmatch(line.strip())
        ):
            continue
        if all("|" in other for other in (lines[index - 1], *lines[index + 1 : index + 1 + MIN_ROWS])):
            return index - 1
    return None


def _records(lines: list[str], start: int) -> Iterator[Record]:
    """The lines of a table, up to the first one without a bar, without the rule."""
    for index in range(start, len(lines)):
        if "|" not in lines[index]:
            return
        if index != start + 1:
            yield Record(index + 1, _cells(lines[index]))


def _cells(line: str) -> list[str]:
    """The cells of a line, whose first and last bar divide nothing."""
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.strip().replace("\\|", "|").replace("<br>", "\n") for cell in BAR.split(inner)]


READER = Reader(
    name="markdown_table",
    label="Markdown",
    extensions=(),
    read=lambda source: read_markdown_table(source.text),
    matches=is_markdown_table,
    names_columns=True,
    pasted_extension=lambda _: ".md",
)
