"""Workbooks (.xlsx, .xls, .ods) become lines of fields, read by calamine, which runs in the sandbox."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.data.readers import rows, sheet_views, zip_check
from studio.data.readers.rows import EXPORT_AS_CSV, MAX_CELL_LENGTH, LineStream, Record
from studio.data.readers.spec import OLE_MAGIC, ZIP_MAGIC, Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message

MAX_TITLES = 10
MAX_MERGED_CELLS = 1_000_000  # cells that take the text of a merged cell above them
EXCEL_DIGITS = ".15g"  # a sheet shows 15 digits of a number
WORKBOOK_MEMBERS = ("xl/workbook.xml", "xl/workbook.bin")
OPENDOCUMENT_MIMETYPE = b"opendocument.spreadsheet"
CANNOT_OPEN = Message("“{name}” cannot be opened as a workbook: {why}.")
NO_SUCH_SHEET = Message("“{name}” has no sheet “{sheet}”; it has {sheets}.")
HAS_PASSWORD = Message("“{name}” is protected by a password.")


def is_workbook(source: SourceFile) -> bool:
    """Whether a file is a workbook: of old Excel, or a zip with the parts of a new one or of OpenDocument."""
    if not source.is_zip:
        return source.head.startswith(OLE_MAGIC)
    members, mimetype = source.zip_directory
    return any(member.lower() in WORKBOOK_MEMBERS for member in members) or OPENDOCUMENT_MIMETYPE in mimetype


def read_workbook(source: SourceFile) -> LineStream:
    """Open a workbook and read one sheet of it: `source.sheet`, or the one with the most usable rows.

    Each line is a row of the sheet with its number. Empty rows, empty columns and merged titles are left out.

    Raises:
        BadData: The workbook is too large or cannot be opened, or has no such sheet.
    """
    import python_calamine as calamine  # noqa: PLC0415 - only the process that reads workbooks needs it

    _check_zipped_workbook(source.path, source.name)
    try:
        book = calamine.CalamineWorkbook.from_path(source.path)
        worksheets = [
            metadata for metadata in book.sheets_metadata if metadata.typ == calamine.SheetTypeEnum.WorkSheet
        ]
        views = _read_views(
            book,
            [
                (metadata.name, metadata.visible == calamine.SheetVisibleEnum.Visible)
                for metadata in worksheets
            ],
            source.path,
        )
        sheet, lines = _choose_view(views, source)
    except calamine.PasswordError:
        raise BadData(
            HAS_PASSWORD,
            Message("Take the password off and save it again."),
            name=source.name,
        ) from None
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise BadData(
            CANNOT_OPEN,
            EXPORT_AS_CSV,
            name=source.name,
            why=str(error).rstrip(".")[:200],
        ) from None
    last_number = lines[-1].number if lines else 0
    return LineStream(
        _without_empty_columns(lines),
        total=last_number,
        sheets=(*views.lines, *views.joined, *views.visible),
        sheet=sheet,
        notes=tuple(_view_notes(views, sheet)),
    )


@dataclass(frozen=True)
class Views:
    """What a workbook offers to read.

    Attributes:
        lines: Sheet -> its filled rows, visible sheets first in the order of choice.
        hidden_sheets: The sheets that are hidden.
        joined: The name of a view of several sheets -> these sheets.
        visible: The name of a view of a sheet without its hidden rows -> the sheet.
        hidden_rows: Sheet -> the numbers of its hidden rows.
    """

    lines: dict[str, list[Record]]
    hidden_sheets: frozenset[str]
    joined: dict[str, list[str]]
    visible: dict[str, str]
    hidden_rows: dict[str, set[int]]


def _read_views(book: Any, worksheets: list[tuple[str, bool]], path: Path) -> Views:
    """Read all sheets of a workbook, each with its name and whether it is visible."""
    lines = {name: _filled_lines(book.get_sheet_by_name(name)) for name, _ in worksheets}
    hidden_sheets = frozenset(name for name, is_visible in worksheets if not is_visible)
    visible_sheets = {name: sheet_lines for name, sheet_lines in lines.items() if name not in hidden_sheets}
    hidden_rows = {
        name: row_numbers & {line.number for line in lines[name]}
        for name, row_numbers in sheet_views.hidden_rows(path).items()
        if name in visible_sheets
    }
    hidden_rows = {name: row_numbers for name, row_numbers in hidden_rows.items() if row_numbers}
    joined = {
        name: names
        for name, names in sheet_views.join_like_sheets(visible_sheets).items()
        if name not in lines
    }
    visible = {sheet_views.visible_name(name): name for name in hidden_rows}
    return Views(lines, hidden_sheets, joined, visible, hidden_rows)


def _choose_view(views: Views, source: SourceFile) -> tuple[str, list[Record]]:
    """The name and the lines of what is asked for, else of the sheet with the most usable rows.

    Raises:
        BadData: There is no such sheet.
    """
    name = source.sheet
    if not name:
        return _fullest_sheet(views)
    if name in views.lines:
        return name, views.lines[name]
    if name in views.joined:
        first, *others = views.joined[name]
        return name, [*views.lines[first], *(line for other in others for line in views.lines[other][1:])]
    if name in views.visible:
        sheet = views.visible[name]
        return name, [line for line in views.lines[sheet] if line.number not in views.hidden_rows[sheet]]
    raise BadData(
        NO_SUCH_SHEET,
        Message("Choose one of its sheets."),
        name=source.name,
        sheet=name,
        sheets=[*views.lines, *views.joined, *views.visible],
    )


def _view_notes(views: Views, sheet: str) -> Iterator[Message]:
    """What is said beside a sheet: which others have its columns, and that rows of it are hidden."""
    for joined, sheets in views.joined.items():
        if sheet in sheets:
            others = [f"“{name}”" for name in sheets if name != sheet]
            yield sheet_views.LIKE_SHEETS.format(others=others, count=len(others), joined=joined)
    if sheet in views.hidden_rows:
        yield sheet_views.HAS_HIDDEN_ROWS.format(
            count=len(views.hidden_rows[sheet]), sheet=sheet, visible=sheet_views.visible_name(sheet)
        )


def _check_zipped_workbook(path: Path, name: str) -> None:
    """Raise BadData where a workbook is a zip that unpacks to too much, or is damaged."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as zip_file:
            zip_check.check_zip(zip_file, name)
    except zip_check.ZIP_ERRORS:
        raise zip_check.damaged_zip(name) from None


def _fullest_sheet(views: Views) -> tuple[str, list[Record]]:
    """The name and lines of the sheet with the most usable rows; a hidden one where no other has any."""
    visible_sheets = [name for name in views.lines if name not in views.hidden_sheets]
    best_sheet = max(visible_sheets, key=lambda name: _usable_rows(views.lines[name]), default="")
    if len(views.lines.get(best_sheet, ())) <= 1:
        everything = [*visible_sheets, *sorted(views.hidden_sheets, key=list(views.lines).index)]
        best_sheet = max(everything, key=lambda name: _usable_rows(views.lines[name]), default="")
    return best_sheet, views.lines.get(best_sheet, [])


def _usable_rows(lines: list[Record]) -> tuple[int, int]:
    """How many lines have several filled cells, as examples do and covers do not; then how many there are."""
    n_several = sum(sum(bool(value.strip()) for value in line.values) > 1 for line in lines)
    return n_several, len(lines)


def _filled_lines(sheet: Any) -> list[Record]:
    """The filled rows of a sheet, without merged titles; a cell merged over several rows counts in each."""
    merged_down, merged_across = _merged_cells(sheet)
    lines: list[Record] = []
    title_count = 0
    previous: list[str] = []
    for row_index, cells in enumerate(sheet.iter_rows()):
        values = [rows.value_to_text(cell, EXCEL_DIGITS)[: MAX_CELL_LENGTH + 1] for cell in cells]
        for index in merged_down.get(row_index, ()):
            if 0 <= index < len(values) and not values[index]:
                values[index] = previous[index]
        previous = values
        filled = [index for index, value in enumerate(values) if value.strip()]
        if not filled:
            continue
        is_merged_title = len(filled) == 1 and (row_index, filled[0]) in merged_across
        if is_merged_title and title_count == len(lines):
            title_count += 1
        lines.append(Record(row_index + 1, values))
    without_titles = lines[title_count:]
    has_table = any(
        sum(bool(value.strip()) for value in line.values) > 1 for line in without_titles[:MAX_TITLES]
    )
    return without_titles if has_table else lines


def _merged_cells(sheet: Any) -> tuple[dict[int, list[int]], set[tuple[int, int]]]:
    """The merged cells of a sheet; rows are counted from its top, columns from its first filled one, from 0.

    Returns:
        By row, the columns that take their text from the row above; and (row, column) where each cell begins
        that is merged over several columns.
    """
    first_column = sheet.start[1] if sheet.start else 0
    last_row = sheet.end[0] if sheet.end else 0
    merged_down: dict[int, list[int]] = {}
    merged_across: set[tuple[int, int]] = set()
    budget = MAX_MERGED_CELLS
    for (top, start_column), (bottom, end_column) in sheet.merged_cell_ranges or ():
        column = start_column - first_column
        if end_column > start_column:
            merged_across.add((top, column))
            continue
        for row_index in range(top + 1, min(bottom, last_row, top + budget) + 1):
            merged_down.setdefault(row_index, []).append(column)
            budget -= 1
    return merged_down, merged_across


def _without_empty_columns(lines: list[Record]) -> Iterator[Record]:
    """The lines without the columns that are empty in all of them, each without empty cells at its end."""
    used_columns = sorted(
        {index for line in lines for index, value in enumerate(line.values) if value.strip()}
    )
    for number, values in lines:
        cells = [values[index] for index in used_columns]
        while cells and not cells[-1]:
            cells.pop()
        yield Record(number, cells)


READER = Reader(
    name="workbook",
    label="Excel",
    extensions=(".xlsx", ".xlsm", ".xls", ".ods"),
    read=read_workbook,
    magic=(OLE_MAGIC, *ZIP_MAGIC),
    matches=is_workbook,
    sandboxed=True,
    has_sheets=True,
)
