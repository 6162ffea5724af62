"""Workbooks (.xlsx, .xls, .ods) become lines of fields, read by calamine, which runs in the sandbox."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.data.readers import rows, zip_check
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
        sheet_names = [metadata.name for metadata in worksheets]
        if source.sheet and source.sheet not in sheet_names:
            raise BadData(
                NO_SUCH_SHEET,
                Message("Choose one of its sheets."),
                name=source.name,
                sheet=source.sheet,
                sheets=sheet_names,
            )
        hidden = {
            metadata.name for metadata in worksheets if metadata.visible != calamine.SheetVisibleEnum.Visible
        }
        visible_first = sorted(sheet_names, key=lambda sheet_name: sheet_name in hidden)
        n_visible = len(sheet_names) - len(hidden)
        sheet, lines = _fullest_sheet(book, [source.sheet] if source.sheet else visible_first, n_visible)
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
        _without_empty_columns(lines), total=last_number, sheets=tuple(sheet_names), sheet=sheet
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


def _fullest_sheet(book: Any, sheets: list[str], n_visible: int) -> tuple[str, list[Record]]:
    """The name and lines of the sheet with the most usable rows.

    Args:
        book: The workbook.
        sheets: The names of the sheets to choose from, hidden ones last.
        n_visible: How many of them are not hidden; the others are looked at only where these hold no table.
    """
    best_sheet = sheets[0] if sheets else ""
    best_lines: list[Record] = []
    for index, sheet in enumerate(sheets):
        if index >= n_visible and len(best_lines) > 1:
            break
        lines = _filled_lines(book.get_sheet_by_name(sheet))
        if _usable_rows(lines) > _usable_rows(best_lines):
            best_sheet, best_lines = sheet, lines
    return best_sheet, best_lines


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
