"""A file becomes rows: CSV and JSONL, with a damaged row costing that row alone."""

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from charset_normalizer import from_bytes

from studio.errors import BadData
from studio.words import Words

MAX_BYTES = 100_000_000
MAX_ROWS = 200_000
MAX_COLUMNS = 200
MAX_CELL = 200_000
MAX_FIELDS = 5_000_000
MOST_REPAIRS = 20
KINDS = (".csv", ".tsv", ".jsonl")
# A line that is no row, and why.
Bad = tuple[int, Words]
Row = dict[str, str]
Line = TypeVar("Line")

FIELDS = Words("has more or fewer fields than the header", "字段数与表头不一致")
NOT_JSON = Words("is not a JSON object", "不是一个 JSON 对象")
LONG_CELL = Words("holds a text of more than 200,000 characters", "有一段文本超过 200,000 个字符")
TO_DO_EXPORT = Words("Export your table again as CSV (UTF-8) and drop it here.", "请把表格重新导出为 CSV（UTF-8）后再放到这里。")


@dataclass(frozen=True)
class Table:
    """Rows under their column names, and the lines that could not be read."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bad: tuple[Bad, ...] = ()


def read(path: Path, name: str = "") -> Table:
    """The table in a CSV, TSV or JSONL file; `name` is what the person called it.

    Raises BadData where nothing in the file can be used.
    """
    name = name or path.name
    _check_file(path, name)
    text = _decode(path.read_bytes(), name)
    kind = Path(name).suffix.lower()
    columns, found, bad = _jsonl(text) if kind == ".jsonl" else _csv(text, name)
    if not columns or not found:
        raise BadData(
            Words("“{name}” holds no row that could be read ({bad} damaged).", "“{name}”里没有能读取的行（{bad} 行损坏）。")
            if bad
            else Words("“{name}” holds a first line and nothing below it.", "“{name}”只有第一行，下面没有内容。")
            if columns
            else Words("“{name}” holds nothing but empty lines.", "“{name}”里只有空行。"),
            Words(
                "The first line must name the columns, and each further line hold one example. {first}",
                "第一行应为列名，之后每行一个样本。{first}",
            ),
            name=name,
            bad=len(bad),
            first=Words("Line {line} {why}.", "第 {line} 行{why}。").say(line=bad[0][0], why=bad[0][1].say()) if bad else "",
        )
    return Table(name, columns, tuple(found), tuple(bad))


def _check_file(path: Path, name: str) -> None:
    if Path(name).suffix.lower() not in KINDS:
        raise BadData(
            Words("“{name}” is not a kind of file the studio reads.", "工作室不能读取“{name}”这种文件。"),
            Words(
                "Bring a .csv, .tsv or .jsonl file; a spreadsheet program can save one.",
                "请提供 .csv、.tsv 或 .jsonl 文件；表格软件可以另存为这些格式。",
            ),
            name=name,
        )
    try:
        size = path.stat().st_size
    except OSError:
        raise BadData(
            Words("There is no file “{name}” at {folder}.", "{folder} 里没有文件“{name}”。"),
            Words("Check the path, or upload the file again.", "请检查路径，或重新上传。"),
            name=name,
            folder=path.parent,
        ) from None
    if size == 0:
        raise BadData(Words("“{name}” is empty (0 bytes).", "“{name}”是空文件（0 字节）。"), TO_DO_EXPORT, name=name)
    if size > MAX_BYTES:
        raise BadData(
            Words("“{name}” has {size:,.0f} MB; the limit is {limit:,.0f} MB.", "“{name}”有 {size:,.0f} MB，上限为 {limit:,.0f} MB。"),
            Words("A few thousand good examples are plenty: bring a part of it.", "几千条好样本就足够了，请只取其中一部分。"),
            name=name,
            size=size / 1e6,
            limit=MAX_BYTES / 1e6,
        )


def _decode(raw: bytes, name: str) -> str:
    """The file as text: UTF-8 or UTF-16 by its mark, else the encoding a library finds most plausible."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if b"\0" in raw[:65536]:
        raise BadData(
            Words(
                "“{name}” is not text: it holds binary data, whatever its name says.", "“{name}”不是文本：内容是二进制数据，与扩展名不符。"
            ),
            TO_DO_EXPORT,
            name=name,
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        best = from_bytes(raw[:1_000_000]).best()
        if best is None:
            raise BadData(
                Words("“{name}” is not text in an encoding the studio knows.", "“{name}”的编码无法识别。"), TO_DO_EXPORT, name=name
            ) from None
        return raw.decode(best.encoding, errors="replace")


def _csv(text: str, name: str) -> tuple[tuple[str, ...], list[Row], list[Bad]]:
    """Rows of a delimited text; the delimiter is the one that occurs most often in the header."""
    said = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line
    text = text[said.end() :] if said else text
    head = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    delimiter = said[1] if said else max((",", ";", "\t", "|"), key=head.count) if not name.lower().endswith(".tsv") else "\t"
    csv.field_size_limit(MAX_BYTES)
    lines = _lines(io.StringIO(text, newline="").readlines(), delimiter)
    header = next((values for _, values in lines if any(value.strip() for value in values)), [])
    columns = _names(header)

    def row(values: list[str]) -> Row | Words | None:
        if not any(value.strip() for value in values):
            return None
        return dict(zip(columns, values, strict=True)) if len(values) == len(columns) else FIELDS

    rows, bad = _collect(lines, row)
    return columns, rows, bad


def _lines(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its last line; a quote that is never closed costs its own line, not all that follow."""
    start = repairs = 0
    while start < len(lines):
        # Each repair reads on to the end of the file; past a few of them quotes no longer join lines, so that the time stays linear.
        reader = csv.reader(itertools.islice(lines, start, None if repairs < MOST_REPAIRS else start + 1), delimiter=delimiter)
        begun = start
        for values in reader:
            end = start + reader.line_num
            if end - begun > 1 and sum(line.count('"') for line in lines[begun:end]) % 2:
                yield begun + 1, ["x"] * (MAX_COLUMNS + 1)  # more fields than any header: told as damaged
                repairs += 1
                break
            yield end, values
            begun = end
        else:
            if repairs < MOST_REPAIRS:
                return
            begun = start
        start = begun + 1


def _jsonl(text: str) -> tuple[tuple[str, ...], list[Row], list[Bad]]:
    """One JSON object a line; a value that is no plain text is kept as JSON text."""
    columns: dict[str, None] = {}

    def row(line: str) -> Row | Words | None:
        if not line.strip():
            return None
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return NOT_JSON
        if not isinstance(value, dict):
            return NOT_JSON
        found = {_whole(str(key)): _whole(item) if isinstance(item, str) else _plain(item) for key, item in value.items()}
        columns.update(dict.fromkeys(found))
        return found

    rows, bad = _collect(enumerate(io.StringIO(text, newline=None), 1), row)
    names = tuple(columns)[:MAX_COLUMNS]
    if len(rows) * len(names) > MAX_FIELDS:
        raise BadData(
            Words("The objects have {count} different keys over {rows} lines.", "{rows} 行对象里有 {count} 个不同的键。"),
            Words("Keep the keys with the texts and drop the others.", "请只保留含文本的键。"),
            count=len(columns),
            rows=len(rows),
        )
    return names, [{name: found.get(name, "") for name in names} for found in rows], bad


def _collect(lines: Iterator[tuple[int, Line]], row: Callable[[Line], Row | Words | None]) -> tuple[list[Row], list[Bad]]:
    """The rows and the lines that are none, up to the limit; None stands for an empty line."""
    rows: list[Row] = []
    bad: list[Bad] = []
    for number, line in lines:
        found = row(line)
        if isinstance(found, dict) and any(len(value) > MAX_CELL for value in found.values()):
            found = LONG_CELL
        if isinstance(found, Words):
            bad.append((number, found))
        elif found is not None:
            rows.append(found)
        if len(rows) > MAX_ROWS:
            raise BadData(
                Words("The file has more than {limit:,} rows.", "文件超过 {limit:,} 行。"),
                Words("Bring a part of it: a few thousand good examples are plenty.", "请只取一部分：几千条好样本就足够了。"),
                limit=MAX_ROWS,
            )
    return rows, bad


def _names(header: list[str]) -> tuple[str, ...]:
    """Column names: trimmed, a missing one numbered, a repeated one told apart."""
    if len(header) > MAX_COLUMNS:
        raise BadData(
            Words("The header names {count} columns; the limit is {limit}.", "表头有 {count} 列，上限为 {limit} 列。"),
            Words("Keep the columns with the texts and drop the others.", "请只保留含文本的列。"),
            count=len(header),
            limit=MAX_COLUMNS,
        )
    names: list[str] = []
    for number, raw in enumerate(header, 1):
        name = raw.strip() or f"column {number}"
        while name in names:
            name += f" ({number})"
        names.append(name)
    return tuple(names)


def _whole(text: str) -> str:
    """Text that can be written: half of a surrogate pair, as cut JSON has it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)
