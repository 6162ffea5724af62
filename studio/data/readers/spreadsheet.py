"""Workbooks (.xlsx, .xls, .ods) as lines of fields, read by calamine; only the process that `apart` starts opens one here."""

import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.data.readers.rows import EXPORT_AS_CSV, MAX_CELL_LENGTH
from studio.errors import BadData
from studio.i18n import Message

MAX_TITLES = 10
MAX_MERGED_CELLS = 1_000_000  # cells that stand for one merged cell above them
SheetLine = tuple[int, list[str]]


def open_workbook(path: Path, name: str, sheet: str) -> tuple[dict[str, Any], Iterator[SheetLine]]:
    """The names of all sheets and of the one that is read, and its lines: the row's number in the sheet and its fields.

    Without a name the first sheet with two filled rows is read. Empty rows, empty columns and merged titles are left out. Raises
    BadData where the workbook cannot be opened or has no such sheet.
    """
    import python_calamine as calamine  # noqa: PLC0415 - only the process that reads workbooks needs it

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        worksheets = [
            metadata for metadata in book.sheets_metadata if metadata.typ == calamine.SheetTypeEnum.WorkSheet
        ]
        sheet_names = [metadata.name for metadata in worksheets]
        if sheet and sheet not in sheet_names:
            raise BadData(
                Message("“{name}” has no sheet “{sheet}”; it has {sheets}."),
                Message("Choose one of its sheets."),
                name=name,
                sheet=sheet,
                sheets=sheet_names,
            )
        hidden = [
            metadata.name for metadata in worksheets if metadata.visible != calamine.SheetVisibleEnum.Visible
        ]
        chosen, lines = _first_filled_sheet(
            book, [sheet] if sheet else sorted(sheet_names, key=lambda sheet_name: sheet_name in hidden)
        )
    except calamine.PasswordError:
        raise BadData(
            Message("“{name}” is protected by a password."),
            Message("Take the password off and save it again."),
            name=name,
        ) from None
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise BadData(
            Message("“{name}” cannot be opened as a workbook: {why}."),
            EXPORT_AS_CSV,
            name=name,
            why=str(error).rstrip(".")[:200],
        ) from None
    return {
        "sheets": sheet_names,
        "sheet": chosen,
        "last": lines[-1][0] if lines else 0,
    }, _without_empty_columns(lines)


def _first_filled_sheet(book: Any, sheets: list[str]) -> tuple[str, list[SheetLine]]:
    """The first of the sheets with two filled rows, else with one, else the first, and its lines."""
    best: tuple[str, list[SheetLine]] = (sheets[0] if sheets else "", [])
    for sheet in sheets:
        lines = _filled_lines(book.get_sheet_by_name(sheet))
        if len(lines) > min(len(best[1]), 1):
            best = sheet, lines
        if len(lines) > 1:
            break
    return best


def _filled_lines(sheet: Any) -> list[SheetLine]:
    """The filled rows of a sheet with their numbers; a cell merged over several rows counts in each of them."""
    first_column = sheet.start[1] if sheet.start else 0
    last_row = sheet.end[0] if sheet.end else 0
    merged_down: dict[int, list[int]] = {}  # row -> the columns that take their text from the row above
    merged_across: set[tuple[int, int]] = set()
    merged_budget = MAX_MERGED_CELLS
    for (top, start_column), (bottom, end_column) in sheet.merged_cell_ranges or ():
        if end_column > start_column:
            merged_across.add((top, start_column - first_column))
            continue
        for row in range(top + 1, min(bottom, last_row, top + merged_budget) + 1):
            merged_down.setdefault(row, []).append(start_column - first_column)
            merged_budget -= 1
    filled_lines: list[SheetLine] = []
    title_rows: list[int] = []
    previous: list[str] = []
    for row_index, cells in enumerate(sheet.iter_rows()):
        values = [cell_to_text(cell)[: MAX_CELL_LENGTH + 1] for cell in cells]
        for index in merged_down.get(row_index, ()):
            if 0 <= index < len(values) and not values[index]:
                values[index] = previous[index]
        previous = values
        filled = [index for index, value in enumerate(values) if value.strip()]
        if filled:
            if (
                len(title_rows) == len(filled_lines)
                and len(filled) == 1
                and (row_index, filled[0]) in merged_across
            ):
                title_rows.append(row_index)
            filled_lines.append((row_index + 1, values))
    has_table = any(
        sum(bool(value.strip()) for value in values) > 1
        for _, values in filled_lines[len(title_rows) :][:MAX_TITLES]
    )
    return filled_lines[len(title_rows) :] if has_table else filled_lines


def cell_to_text(cell: object) -> str:
    """A cell as text: numbers as the sheet shows them at its 15 digits, dates in ISO's order."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return (
            ""
            if math.isnan(cell)
            else str(int(cell))
            if cell.is_integer() and abs(cell) < 1e15
            else format(cell, ".15g")
        )
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ")
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)


def _without_empty_columns(lines: list[SheetLine]) -> Iterator[SheetLine]:
    """The lines without the columns that are empty in all of them, each without its empty end."""
    used_columns = sorted(
        {index for _, values in lines for index, value in enumerate(values) if value.strip()}
    )
    for number, values in lines:
        cells = [values[index] for index in used_columns]
        while cells and not cells[-1]:
            cells.pop()
        yield number, cells
