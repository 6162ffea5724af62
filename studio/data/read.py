"""A file becomes rows, whatever kind it is: a damaged row costs that row alone, and a limit is told as a sentence."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from studio.data import apart, archive, delimited, encoding, kinds, objects, pairs, passages, rows, threads
from studio.data.rows import BRING_PART, EXPORT, Bad, Found, Row, Told, unheard
from studio.errors import BadData
from studio.home import Progress
from studio.words import Words

# The endings a page offers; what a file is, its content decides.
KINDS = (".csv", ".tsv", ".txt", ".md", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xls", ".ods", ".parquet", ".zip")
ENDINGS: dict[kinds.Shape, str] = {"lines": ".jsonl", "json": ".json", "passages": ".txt", "table": ".csv"}
# What a file must hold, where it holds no row.
OBJECT = '{"prompt": "…", "response": "…"}'
WANTED: dict[kinds.Shape, Words] = {
    "lines": Words("Each line must be one JSON object, such as {object}. {first}", "每行应是一个 JSON 对象，例如 {object}。{first}"),
    "json": Words(
        "It must hold a list of JSON objects, each of them an example, such as [{object}]. {first}",
        "文件应是 JSON 对象的列表，每个对象一个样本，例如 [{object}]。{first}",
    ),
    "table": Words(
        "The first line must name the columns, and each further line hold one example. {first}",
        "第一行应为列名，之后每行一个样本。{first}",
    ),
}

__all__ = ["KINDS", "Bad", "Row", "Table", "paste", "read"]


@dataclass(frozen=True)
class Table:
    """Rows under their column names, and what could not be read: a line's or row's number (0: of the file, or of one within) and why.

    A workbook also has the names of its sheets in the file's order, and the one that was read; a text the sign that divides its fields,
    where that is an unusual one. `notes` are sentences on how its rows were brought into the shape that they have here.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bad: tuple[Bad, ...] = ()
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    delimiter: str = ""
    notes: tuple[Words, ...] = ()


def read(path: Path, name: str = "", sheet: str = "", tell: Progress = unheard) -> Table:
    """The table in a file of any kind; `name` is what the person called it, `sheet` the one to read of a workbook.

    `tell` hears now and then how many megabytes of it are read.

    Raises BadData where nothing in the file can be used, or more is in it than a data set may hold.
    """
    name = name or path.name
    _check_size(path, name)
    form = kinds.form(path, name)
    if sheet and form != "workbook":
        raise BadData(
            Words("“{name}” is no workbook and has no sheet “{sheet}”.", "“{name}”不是工作簿，没有工作表“{sheet}”。"),
            Words("Leave the sheet empty.", "请不要填写工作表。"),
            name=name,
            sheet=sheet,
        )
    size = path.stat().st_size / 1e6
    tell(0, size)
    told = rows.seldom(lambda done, of: tell(size * min(1, done / max(1, of)), size))
    found = archive.read(path, name, _found, told) if form == "zip" else _found(path, name, sheet, told)
    tell(size, size)
    return Table(name, found.columns, tuple(found.rows), tuple(found.bad), found.sheets, found.sheet, found.delimiter, found.notes)


def paste(text: str) -> Table:
    """The table in a text that a person pasted: JSON, a table, or else running text; its name says what it was taken for.

    Raises BadData where nothing can be used, or it is more than a data set may hold.
    """
    name = "pasted text"
    if not text.strip():
        raise BadData(
            Words("Nothing was pasted but empty lines.", "粘贴的内容是空的。"),
            Words("Copy your examples and paste them again.", "请复制样本后重新粘贴。"),
        )
    if len(text) > rows.MAX_BYTES:
        raise _too_large(name, len(text))
    shape = kinds.shape(text, "", name)
    found = _usable(_shaped(text, shape, name), name, shape)
    ending = ".tsv" if shape == "table" and delimited.told(text.splitlines(keepends=True)[:100])[0] == "\t" else ENDINGS[shape]
    return Table(f"pasted{ending}", found.columns, tuple(found.rows), tuple(found.bad), delimiter=found.delimiter, notes=found.notes)


def _found(path: Path, name: str, sheet: str = "", tell: Told = unheard) -> Found:
    """What a file that is no zip holds."""
    form = kinds.form(path, name)
    if form == "workbook":
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                archive.check(packed, name)
        return _usable(apart.workbook(path, name, sheet, tell), name)
    if form == "parquet":
        return _usable(apart.parquet(path, name, tell), name)
    text = encoding.decode(path.read_bytes(), name)
    shape = kinds.shape(text, Path(name).suffix.lower(), name)
    return _usable(_shaped(text, shape, name, tell), name, shape)


def _shaped(text: str, shape: kinds.Shape, name: str, tell: Told = unheard) -> Found:
    if shape == "table":
        return delimited.read(text, tell)
    if shape == "passages":
        return passages.read(text)
    return objects.lines(text, tell) if shape == "lines" else objects.read(text, name, tell)


def _usable(found: Found, name: str, shape: kinds.Shape = "table") -> Found:
    """What was found, where it has a row, in the shape that is learned from. Raises BadData where it has none."""
    if found.columns and found.rows:
        return threads.joined(pairs.turned(found))
    raise BadData(
        Words("“{name}” holds no row that could be read ({bad} damaged).", "“{name}”里没有一行能读取（{bad} 行损坏）。")
        if found.bad
        else Words("“{name}” holds a first line and nothing below it.", "“{name}”只有第一行，下面没有内容。")
        if found.columns
        else Words("“{name}” holds nothing but empty lines.", "“{name}”里只有空行。"),
        WANTED.get(shape, WANTED["table"]),
        name=name,
        object=OBJECT,
        bad=len(found.bad),
        first=_first(*found.bad[0]) if found.bad else "",
    )


def _first(line: int, why: Words) -> Words:
    return (Words("Line {line} {why}.", "第 {line} 行{why}。") if line else Words("{why}.", "{why}。")).filled(line=line, why=why)


def _check_size(path: Path, name: str) -> None:
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
        raise BadData(Words("“{name}” is empty (0 bytes).", "“{name}”是空文件（0 字节）。"), EXPORT, name=name)
    if size > rows.MAX_BYTES:
        raise _too_large(name, size)


def _too_large(name: str, size: int) -> BadData:
    return BadData(
        Words("“{name}” has {size:,.0f} MB; the limit is {limit:,.0f} MB.", "“{name}”有 {size:,.0f} MB，上限为 {limit:,.0f} MB。"),
        BRING_PART,
        name=name,
        size=size / 1e6,
        limit=rows.MAX_BYTES / 1e6,
    )
