"""A file of any format, or a pasted text, becomes a table; a damaged row costs that row alone."""

from dataclasses import dataclass, replace
from pathlib import Path

from studio.data.readers import detect, error_cells, header, rows, sandbox, survey_lines, text_encoding
from studio.data.readers.rows import BRING_PART, EXPORT_AS_CSV, BadLine, LineStream, ParsedRows, Row
from studio.data.readers.spec import Reader, SourceFile
from studio.data.reshape import forms
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

EXAMPLE_OBJECT = '{"prompt": "…", "response": "…"}'
PASTED_NAME = "pasted text"
NO_SUCH_FILE = Message("There is no file “{name}” at {folder}.")
EMPTY_FILE = Message("“{name}” is empty (0 bytes).")
FILE_TOO_LARGE = Message("“{name}” has {size:,.0f} MB; the limit is {limit:,.0f} MB.")
HAS_NO_SHEETS = Message("“{name}” is no workbook and has no sheet “{sheet}”.")
NOTHING_PASTED = Message("Nothing was pasted but empty lines.")
NUMBERED_BAD_LINE = Message("Line {line} {why}.")
NO_READABLE_ROW = Message("“{name}” holds no row that could be read ({bad} damaged).")
ONLY_A_HEADER = Message("“{name}” holds a first line and nothing below it.")
ONLY_EMPTY_LINES = Message("“{name}” holds nothing but empty lines.")

__all__ = ["BadLine", "Row", "Table", "read_pasted_text", "read_table"]


@dataclass(frozen=True)
class Table:
    """Rows under their column names, and what could not be read.

    Attributes:
        name: What the person called the file.
        columns: The names of the columns, in order.
        rows: The rows; each has a text for every column.
        bad_lines: The number of each line or row that could not be read (0: of the file, or of a file within
            it), and why.
        sheets: The names of all sheets of a workbook, in the file's order.
        sheet: The sheet that was read.
        delimiter: What divides the fields of a text, where that is an unusual sign.
        notes: Sentences on how the rows were brought into the shape that they have here.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bad_lines: tuple[BadLine, ...] = ()
    sheets: tuple[str, ...] = ()
    sheet: str = ""
    delimiter: str = ""
    notes: tuple[Message, ...] = ()

    @classmethod
    def from_parsed(cls, name: str, parsed: ParsedRows) -> "Table":
        """The table of what a reader made of a file."""
        return cls(
            name,
            parsed.columns,
            tuple(parsed.rows),
            tuple(parsed.bad_lines),
            parsed.sheets,
            parsed.sheet,
            parsed.delimiter,
            parsed.notes,
        )


def read_table(
    path: Path,
    name: str = "",
    sheet: str = "",
    on_progress: ProgressCallback = no_progress,
    keeps_rows: bool = False,
) -> Table:
    """Read the table in a file of any format.

    Args:
        path: The file.
        name: What the person called it; "" for its own name.
        sheet: The sheet of a workbook to read; "" for the one with the most usable rows.
        on_progress: Receives how many megabytes of it are read, and how many it has.
        keeps_rows: Whether the rows stay as they are, even where they are messages of conversations.

    Raises:
        BadData: Nothing in the file can be used, or more is in it than a data set may hold.
    """
    name = name or path.name
    size_mb = _check_size(path, name) / 1e6

    def report_megabytes(done: float, total: float) -> None:
        share = min(1, done / max(1, total))
        on_progress(size_mb * share, size_mb)

    source = SourceFile(
        name,
        path,
        sheet=sheet,
        keeps_rows=keeps_rows,
        on_progress=rows.throttled(report_megabytes),
        read_member=_read_source,
    )
    reader = detect.detect_reader(source)
    if sheet and not reader.has_sheets:
        raise BadData(
            HAS_NO_SHEETS,
            Message("Leave the sheet empty."),
            name=name,
            sheet=sheet,
        )
    on_progress(0, size_mb)
    parsed = _read_with(reader, source)
    on_progress(size_mb, size_mb)
    return Table.from_parsed(name, parsed)


def read_pasted_text(text: str) -> Table:
    """Read the table in a pasted text: JSON, a table, or else running text.

    The extension of the table's name tells what the text was taken for.

    Raises:
        BadData: Nothing in it can be used, or it is more than a data set may hold.
    """
    if not text.strip():
        raise BadData(
            NOTHING_PASTED,
            Message("Copy your examples and paste them again."),
        )
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > rows.MAX_BYTES:
        raise _file_too_large(PASTED_NAME, size_bytes)
    source = SourceFile(PASTED_NAME, pasted_text=text)
    reader = detect.detect_reader(source)
    parsed = _read_with(reader, source)
    extension = reader.pasted_extension(text) if reader.pasted_extension else reader.extensions[0]
    return Table.from_parsed(f"pasted{extension}", parsed)


def _read_source(source: SourceFile) -> ParsedRows:
    """Read a file of any format, such as one that was unpacked from an archive."""
    return _read_with(detect.detect_reader(source), source)


def _read_with(reader: Reader, source: SourceFile) -> ParsedRows:
    """Read a file where the reader says, and bring its rows into the shape that is learned from."""
    if reader.sandboxed:
        with sandbox.open_stream(reader, source) as stream:
            parsed = header.parse_stream(stream, source.on_progress)
        return _reshape(parsed, reader, source)
    content = reader.read(source)
    parsed = header.parse_stream(content, source.on_progress) if isinstance(content, LineStream) else content
    if source.guessed_encoding:
        note = text_encoding.ENCODING_GUESSED.format(encoding=source.guessed_encoding)
        parsed = replace(parsed, notes=(*parsed.notes, note))
    # The files of an archive were reshaped one by one: conversations of two files may have the same ids.
    return parsed if reader.is_archive else _reshape(parsed, reader, source)


def _reshape(parsed: ParsedRows, reader: Reader, source: SourceFile) -> ParsedRows:
    """Bring rows into the shape that is learned from. Raises BadData where there is none."""
    parsed = survey_lines.drop_survey_lines(parsed)
    if parsed.columns and parsed.rows:
        if source.keeps_rows:
            return parsed
        unified = error_cells.unify_line_ends(parsed)
        cleared = error_cells.clear_missing_words(error_cells.clear_error_cells(unified))
        return forms.to_learnable(cleared)
    if parsed.bad_lines:
        message = NO_READABLE_ROW
    elif parsed.columns:
        message = ONLY_A_HEADER
    else:
        message = ONLY_EMPTY_LINES
    raise BadData(
        message,
        reader.expected_content,
        name=source.name,
        object=EXAMPLE_OBJECT,
        bad=len(parsed.bad_lines),
        first=_first_bad_line(*parsed.bad_lines[0]) if parsed.bad_lines else "",
    )


def _first_bad_line(line: int, reason: Message) -> Message:
    message = NUMBERED_BAD_LINE if line else Message("{why}.")
    return message.format(line=line, why=reason)


def _check_size(path: Path, name: str) -> int:
    """The size of a file in bytes. Raises BadData where there is no file, or it is empty or too large."""
    try:
        size_bytes = path.stat().st_size
    except OSError:
        raise BadData(
            NO_SUCH_FILE,
            Message("Check the path, or upload the file again."),
            name=name,
            folder=path.parent,
        ) from None
    if size_bytes == 0:
        raise BadData(EMPTY_FILE, EXPORT_AS_CSV, name=name)
    if size_bytes > rows.MAX_BYTES:
        raise _file_too_large(name, size_bytes)
    return size_bytes


def _file_too_large(name: str, size_bytes: int) -> BadData:
    return BadData(
        FILE_TOO_LARGE,
        BRING_PART,
        name=name,
        size=size_bytes / 1e6,
        limit=rows.MAX_BYTES / 1e6,
    )
