"""Workbooks (.xlsx, .xls, .ods) as lines of fields, read by calamine; only the process that `apart` starts opens one here."""

import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.data.rows import EXPORT, MAX_CELL
from studio.errors import BadData
from studio.words import Words

MOST_TITLES = 10
MOST_MERGED = 1_000_000  # cells that stand for one merged cell above them
Line = tuple[int, list[str]]


def read(path: Path, name: str, sheet: str) -> tuple[dict[str, Any], Iterator[Line]]:
    """The names of all sheets and of the one that is read, and its lines: the row's number in the sheet and its fields.

    Without a name the first sheet with two filled rows is read. Empty rows, empty columns and merged titles are left out. Raises
    BadData where the workbook cannot be opened or has no such sheet.
    """
    import python_calamine as calamine  # noqa: PLC0415 - only the process that reads workbooks needs it

    try:
        book = calamine.CalamineWorkbook.from_path(path)
        kept = [about for about in book.sheets_metadata if about.typ == calamine.SheetTypeEnum.WorkSheet]
        every = [about.name for about in kept]
        if sheet and sheet not in every:
            raise BadData(
                Words("“{name}” has no sheet “{sheet}”; it has {sheets}.", "“{name}”没有工作表“{sheet}”，现有：{sheets}。"),
                Words("Choose one of its sheets.", "请选择其中一个工作表。"),
                name=name,
                sheet=sheet,
                sheets=every,
            )
        hidden = [about.name for about in kept if about.visible != calamine.SheetVisibleEnum.Visible]
        chosen, lines = _filled(book, [sheet] if sheet else sorted(every, key=lambda one: one in hidden))
    except calamine.PasswordError:
        raise BadData(
            Words("“{name}” is protected by a password.", "“{name}”是受密码保护的文件。"),
            Words("Take the password off and save it again.", "请去掉密码后重新保存。"),
            name=name,
        ) from None
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise BadData(
            Words("“{name}” cannot be opened as a workbook: {why}.", "“{name}”打不开，它不像是有效的工作簿：{why}。"),
            EXPORT,
            name=name,
            why=str(error).rstrip(".")[:200],
        ) from None
    return {"sheets": every, "sheet": chosen, "last": lines[-1][0] if lines else 0}, _dense(lines)


def _filled(book: Any, sheets: list[str]) -> tuple[str, list[Line]]:
    """The first of the sheets with two filled rows, else with one, else the first, and its lines."""
    best: tuple[str, list[Line]] = (sheets[0] if sheets else "", [])
    for sheet in sheets:
        lines = _lines(book.get_sheet_by_name(sheet))
        if len(lines) > min(len(best[1]), 1):
            best = sheet, lines
        if len(lines) > 1:
            break
    return best


def _lines(sheet: Any) -> list[Line]:
    """The filled rows of a sheet with their numbers; a cell merged over several rows counts in each of them."""
    left = sheet.start[1] if sheet.start else 0
    last = sheet.end[0] if sheet.end else 0
    downwards: dict[int, list[int]] = {}  # row -> the columns that take their text from the row above
    wide: set[tuple[int, int]] = set()
    spare = MOST_MERGED
    for (top, first), (bottom, end) in sheet.merged_cell_ranges or ():
        if end > first:
            wide.add((top, first - left))
            continue
        for row in range(top + 1, min(bottom, last, top + spare) + 1):
            downwards.setdefault(row, []).append(first - left)
            spare -= 1
    found: list[Line] = []
    titles: list[int] = []
    above: list[str] = []
    for number, cells in enumerate(sheet.iter_rows()):
        values = [said(cell)[: MAX_CELL + 1] for cell in cells]
        for place in downwards.get(number, ()):
            if 0 <= place < len(values) and not values[place]:
                values[place] = above[place]
        above = values
        filled = [place for place, value in enumerate(values) if value.strip()]
        if filled:
            if len(titles) == len(found) and len(filled) == 1 and (number, filled[0]) in wide:
                titles.append(number)
            found.append((number + 1, values))
    several = any(sum(bool(value.strip()) for value in values) > 1 for _, values in found[len(titles) :][:MOST_TITLES])
    return found[len(titles) :] if several else found


def said(cell: object) -> str:
    """A cell as text: numbers as the sheet shows them at its 15 digits, dates in ISO's order."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return "" if math.isnan(cell) else str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(cell, ".15g")
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ")
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)


def _dense(lines: list[Line]) -> Iterator[Line]:
    """The lines without the columns that are empty in all of them, each without its empty end."""
    used = sorted({place for _, values in lines for place, value in enumerate(values) if value.strip()})
    for number, values in lines:
        kept = [values[place] for place in used]
        while kept and not kept[-1]:
            kept.pop()
        yield number, kept
