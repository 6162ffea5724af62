"""Rows as they are collected from any kind of file: what one may hold at most, each limit with its sentence."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from studio.errors import BadData
from studio.words import Words

MAX_BYTES = 100_000_000
MAX_UNPACKED = 500_000_000
MAX_RATIO = 200  # unpacked bytes to packed ones; ordinary tables stay below 100
MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_CELL = 200_000
MAX_FIELDS = 5_000_000
MAX_TEXT = 100_000_000
MAX_LINES = 5_000_000
MAX_PARTS = 10_000_000
MAX_DEPTH = 100

Row = dict[str, str]
# A line that is no row, and why; number 0 speaks of the file, or of a file within it.
Bad = tuple[int, Words]
Line = TypeVar("Line")

# How much is done, and of how much.
Told = Callable[[float, float], None]
OFTEN = 0.3  # seconds between two words on how far it is

LONG_CELL = Words("holds a text of more than 200,000 characters", "有一段文本超过 200,000 个字符")
DEEP = Words("is nested more than 100 levels deep", "嵌套超过 100 层")
BRING_PART = Words("Bring a part of it: a few thousand good examples are plenty.", "请只取一部分：几千个好样本就足够了。")
DROP_COLUMNS = Words("Keep the columns with the texts and drop the others.", "请只保留含文本的列。")
EXPORT = Words("Export your table again as CSV (UTF-8) and drop it here.", "请把表格重新导出为 CSV（UTF-8），再上传一次。")


@dataclass(frozen=True)
class Found:
    """What a reader made of a file: rows under their columns, and what is no row; a workbook also names its sheets, a text its delimiter, if unusual.

    `notes` say into what another shape the rows were brought.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    bad: list[Bad]
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    delimiter: str = ""
    notes: tuple[Words, ...] = ()


def collect(lines: Iterable[tuple[int, Line]], row: Callable[[Line], Row | Words | None]) -> tuple[list[Row], list[Bad]]:
    """The rows among the lines, and the lines that are none; None stands for an empty line.

    Raises BadData where there is more than a data set may hold.
    """
    rows: list[Row] = []
    bad: list[Bad] = []
    fields = characters = 0
    for number, line in lines:
        found = row(line)
        if found is None:
            continue
        if isinstance(found, dict):
            sizes = [len(value) for value in found.values()]
            if max(sizes, default=0) <= MAX_CELL:
                rows.append(found)
                fields += len(sizes)
                characters += sum(sizes)
                check(len(rows), fields, characters)
                continue
            found = LONG_CELL
        bad.append((number, found))
        if len(bad) > MAX_ROWS:
            raise BadData(
                Words(
                    "More than {limit:,} lines are no rows; the first, line {line}, {why}.",
                    "超过 {limit:,} 行无法读取；第一处：第 {line} 行{why}。",
                ),
                EXPORT,
                limit=MAX_ROWS,
                line=bad[0][0],
                why=bad[0][1],
            )
    return rows, bad


def unheard(done: float, of: float) -> None:
    """Tell nobody how far it is."""


def seldom(tell: Told) -> Told:
    """The same, but at most every OFTEN seconds, so that it may be told of each row."""
    last = time.monotonic()

    def told(done: float, of: float) -> None:
        nonlocal last
        if time.monotonic() - last >= OFTEN:
            last = time.monotonic()
            tell(done, of)

    return told


def counted(lines: Iterable[tuple[int, Line]], of: int, tell: Told) -> Iterator[tuple[int, Line]]:
    """The lines as they are; `tell` hears the number of each, and that there are `of`."""
    for number, line in lines:
        tell(number, of)
        yield number, line


def check(rows: int, fields: int, characters: int) -> None:
    """Raise BadData where a data set has too many rows, fields or characters."""
    if rows > MAX_ROWS:
        raise BadData(Words("The file has more than {limit:,} rows.", "文件超过 {limit:,} 行。"), BRING_PART, limit=MAX_ROWS)
    if fields > MAX_FIELDS:
        raise BadData(
            Words("The file has more than {limit:,} fields (rows times columns).", "文件超过 {limit:,} 个单元格（行数乘以列数）。"),
            DROP_COLUMNS,
            limit=MAX_FIELDS,
        )
    if characters > MAX_TEXT:
        raise BadData(
            Words("The texts in the file have more than {limit:,} characters.", "文件中的文本超过 {limit:,} 个字符。"),
            BRING_PART,
            limit=MAX_TEXT,
        )


def check_lines(text: str) -> None:
    """Raise BadData where a text has too many lines."""
    if text.count("\n") + text.count("\r") - text.count("\r\n") > MAX_LINES:
        raise BadData(Words("The file has more than {limit:,} lines.", "文件超过 {limit:,} 行文本。"), BRING_PART, limit=MAX_LINES)


def names(header: list[str]) -> tuple[str, ...]:
    """Column names: trimmed, a missing one numbered, a repeated one told apart. Raises BadData where there are too many."""
    if len(header) > MAX_COLUMNS:
        raise BadData(
            Words("The header names {count} columns; the limit is {limit}.", "表头有 {count} 列，上限为 {limit} 列。"),
            DROP_COLUMNS,
            count=len(header),
            limit=MAX_COLUMNS,
        )
    found: list[str] = []
    for number, raw in enumerate(header, 1):
        name = " ".join(raw.split()) or f"column {number}"
        while name in found:
            name += f" ({number})"
        found.append(name)
    return tuple(found)


def whole(text: str) -> str:
    """Text that can be written: half of a surrogate pair, as cut JSON has it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(value: object) -> str:
    """A value of JSON as the text of a cell: nothing for null, a text as it is, everything else as JSON."""
    if isinstance(value, str):
        return whole(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return whole(json.dumps(value, ensure_ascii=False))


def depth(value: object) -> int:
    """How deep lists and objects lie within each other; MAX_DEPTH + 1 stands for any depth beyond the limit."""
    level, deep = [value], 0
    while level and deep <= MAX_DEPTH:
        level = [item for part in level if isinstance(part, dict | list) for item in (part.values() if isinstance(part, dict) else part)]
        deep += bool(level)
    return deep
