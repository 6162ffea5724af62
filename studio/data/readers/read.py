"""A file becomes rows, whatever kind it is: a damaged row costs that row alone, and a limit is told as a sentence."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from studio.data.readers import (
    archive,
    detect,
    json_records,
    plain_text,
    rows,
    sandbox,
    text_encoding,
)
from studio.data.readers import (
    csv as csv_reader,
)
from studio.data.readers.rows import BRING_PART, EXPORT_AS_CSV, BadLine, ParsedRows, Row
from studio.data.reshape import conversations, preference_pairs
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

# The endings a page offers; what a file is, its content decides.
ACCEPTED_EXTENSIONS = (
    ".csv",
    ".tsv",
    ".txt",
    ".md",
    ".json",
    ".jsonl",
    ".ndjson",
    ".xlsx",
    ".xlsm",
    ".xls",
    ".ods",
    ".parquet",
    ".zip",
)
EXTENSION_BY_LAYOUT: dict[detect.TextLayout, str] = {
    "lines": ".jsonl",
    "json": ".json",
    "passages": ".txt",
    "table": ".csv",
}
# What a file must hold, where it holds no row.
EXAMPLE_OBJECT = '{"prompt": "…", "response": "…"}'
EXPECTED_CONTENT: dict[detect.TextLayout, Message] = {
    "lines": Message("Each line must be one JSON object, such as {object}. {first}"),
    "json": Message(
        "It must hold a list of JSON objects, each of them an example, such as [{object}]. {first}"
    ),
    "table": Message("The first line must name the columns, and each further line hold one example. {first}"),
}

__all__ = ["ACCEPTED_EXTENSIONS", "BadLine", "Row", "Table", "read_pasted_text", "read_table"]


@dataclass(frozen=True)
class Table:
    """Rows under their column names, and what could not be read: a line's or row's number (0: of the file, or of one within) and why.

    A workbook also has the names of its sheets in the file's order, and the one that was read; a text the sign that divides its fields,
    where that is an unusual one. `notes` are sentences on how its rows were brought into the shape that they have here.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bad_lines: tuple[BadLine, ...] = ()
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    delimiter: str = ""
    notes: tuple[Message, ...] = ()


def read_table(
    path: Path, name: str = "", sheet: str = "", on_progress: ProgressCallback = no_progress
) -> Table:
    """The table in a file of any kind; `name` is what the person called it, `sheet` the one to read of a workbook.

    `tell` hears now and then how many megabytes of it are read.

    Raises BadData where nothing in the file can be used, or more is in it than a data set may hold.
    """
    name = name or path.name
    _check_size(path, name)
    file_type = detect.detect_file_type(path, name)
    if sheet and file_type != "workbook":
        raise BadData(
            Message("“{name}” is no workbook and has no sheet “{sheet}”."),
            Message("Leave the sheet empty."),
            name=name,
            sheet=sheet,
        )
    size_mb = path.stat().st_size / 1e6
    on_progress(0, size_mb)
    report_progress = rows.throttled(
        lambda done, total: on_progress(size_mb * min(1, done / max(1, total)), size_mb)
    )
    parsed = (
        archive.read_zip(path, name, _read_file, report_progress)
        if file_type == "zip"
        else _read_file(path, name, sheet, report_progress)
    )
    on_progress(size_mb, size_mb)
    return Table(
        name,
        parsed.columns,
        tuple(parsed.rows),
        tuple(parsed.bad_lines),
        parsed.sheets,
        parsed.sheet,
        parsed.delimiter,
        parsed.notes,
    )


def read_pasted_text(text: str) -> Table:
    """The table in a text that a person pasted: JSON, a table, or else running text; its name says what it was taken for.

    Raises BadData where nothing can be used, or it is more than a data set may hold.
    """
    name = "pasted text"
    if not text.strip():
        raise BadData(
            Message("Nothing was pasted but empty lines."),
            Message("Copy your examples and paste them again."),
        )
    if len(text) > rows.MAX_BYTES:
        raise _file_too_large(name, len(text))
    layout = detect.detect_layout(text, "", name)
    parsed = _reshape(_parse_text(text, layout, name), name, layout)
    extension = (
        ".tsv"
        if layout == "table" and csv_reader.detect_delimiter(text.splitlines(keepends=True)[:100])[0] == "\t"
        else EXTENSION_BY_LAYOUT[layout]
    )
    return Table(
        f"pasted{extension}",
        parsed.columns,
        tuple(parsed.rows),
        tuple(parsed.bad_lines),
        delimiter=parsed.delimiter,
        notes=parsed.notes,
    )


def _read_file(
    path: Path, name: str, sheet: str = "", on_progress: ProgressCallback = no_progress
) -> ParsedRows:
    """What a file that is no zip holds."""
    file_type = detect.detect_file_type(path, name)
    if file_type == "workbook":
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zip_file:
                archive.check_zip(zip_file, name)
        return _reshape(sandbox.read_workbook(path, name, sheet, on_progress), name)
    if file_type == "parquet":
        return _reshape(sandbox.read_parquet(path, name, on_progress), name)
    text = text_encoding.decode(path.read_bytes(), name)
    layout = detect.detect_layout(text, Path(name).suffix.lower(), name)
    return _reshape(_parse_text(text, layout, name, on_progress), name, layout)


def _parse_text(
    text: str, layout: detect.TextLayout, name: str, on_progress: ProgressCallback = no_progress
) -> ParsedRows:
    if layout == "table":
        return csv_reader.read_delimited(text, on_progress)
    if layout == "passages":
        return plain_text.read_plain_text(text)
    return (
        json_records.read_json_lines(text, on_progress)
        if layout == "lines"
        else json_records.read_json(text, name, on_progress)
    )


def _reshape(parsed: ParsedRows, name: str, layout: detect.TextLayout = "table") -> ParsedRows:
    """What was found, where it has a row, in the shape that is learned from. Raises BadData where it has none."""
    if parsed.columns and parsed.rows:
        return conversations.to_conversations(preference_pairs.to_chosen_rejected(parsed))
    raise BadData(
        Message("“{name}” holds no row that could be read ({bad} damaged).")
        if parsed.bad_lines
        else Message("“{name}” holds a first line and nothing below it.")
        if parsed.columns
        else Message("“{name}” holds nothing but empty lines."),
        EXPECTED_CONTENT.get(layout, EXPECTED_CONTENT["table"]),
        name=name,
        object=EXAMPLE_OBJECT,
        bad=len(parsed.bad_lines),
        first=_first_bad_line(*parsed.bad_lines[0]) if parsed.bad_lines else "",
    )


def _first_bad_line(line: int, why: Message) -> Message:
    return (Message("Line {line} {why}.") if line else Message("{why}.")).format(line=line, why=why)


def _check_size(path: Path, name: str) -> None:
    try:
        size_bytes = path.stat().st_size
    except OSError:
        raise BadData(
            Message("There is no file “{name}” at {folder}."),
            Message("Check the path, or upload the file again."),
            name=name,
            folder=path.parent,
        ) from None
    if size_bytes == 0:
        raise BadData(Message("“{name}” is empty (0 bytes)."), EXPORT_AS_CSV, name=name)
    if size_bytes > rows.MAX_BYTES:
        raise _file_too_large(name, size_bytes)


def _file_too_large(name: str, size_bytes: int) -> BadData:
    return BadData(
        Message("“{name}” has {size:,.0f} MB; the limit is {limit:,.0f} MB."),
        BRING_PART,
        name=name,
        size=size_bytes / 1e6,
        limit=rows.MAX_BYTES / 1e6,
    )
