"""Views of a workbook beside its sheets: those of like columns joined, and one without its hidden rows."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import unescape

from studio.data.readers.rows import Record
from studio.i18n import Message

MAX_JOINED_NAMES = 4
SHEET_TAG = re.compile(r"<sheet\b[^>]{0,1000}>")
RELATION_TAG = re.compile(r"<Relationship\b[^>]{0,2000}>")
ATTRIBUTE = re.compile(r"([\w:]+)=\"([^\"]*)\"")
HIDDEN_ROW = re.compile(rb"<row\b(?=[^>]{0,500}\bhidden=\"(?:1|true)\")[^>]{0,500}?\br=\"(\d{1,7})\"")
WORKBOOK_FILE, RELATIONS_FILE = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
LIKE_SHEETS = Message("{others} {count:has|have} the same columns: the sheet “{joined}” takes them together.")
HAS_HIDDEN_ROWS = Message(
    "{count:,} {count:row|rows} of “{sheet}” {count:is|are} hidden, by a filter or by hand, and used all the "
    "same; the sheet “{visible}” leaves {count:it|them} out."
)


def join_like_sheets(lines_by_sheet: Mapping[str, list[Record]]) -> dict[str, list[str]]:
    """The name of each view of several sheets with the same first line -> these sheets, in order."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for sheet, lines in lines_by_sheet.items():
        names = tuple(value.strip().casefold() for value in lines[0].values if value.strip()) if lines else ()
        if len(lines) > 1 and len(names) > 1:
            groups.setdefault(names, []).append(sheet)
    return {_joined_name(sheets): sheets for sheets in groups.values() if len(sheets) > 1}


def _joined_name(sheets: list[str]) -> str:
    if len(sheets) <= MAX_JOINED_NAMES:
        return " + ".join(sheets)
    return f"{' + '.join(sheets[:MAX_JOINED_NAMES])} + {len(sheets) - MAX_JOINED_NAMES}"


def visible_name(sheet: str) -> str:
    """The name of the view of a sheet without its hidden rows."""
    return f"{sheet} (visible rows)"


def hidden_rows(path: Path) -> dict[str, set[int]]:
    """Sheet -> the numbers of its hidden rows, of those of a new Excel's workbook that have any."""
    try:
        with zipfile.ZipFile(path) as zip_file:
            members = set(zip_file.namelist())
            if not {WORKBOOK_FILE, RELATIONS_FILE} <= members:
                return {}
            targets = {
                attributes.get("Id", ""): attributes.get("Target", "")
                for attributes in _attributes(RELATION_TAG, zip_file.read(RELATIONS_FILE))
            }
            hidden = {}
            for attributes in _attributes(SHEET_TAG, zip_file.read(WORKBOOK_FILE)):
                target = targets.get(attributes.get("r:id", ""), "").lstrip("/")
                member = target if target.startswith("xl/") else f"xl/{target}"
                if member in members:
                    row_numbers = {int(number) for number in HIDDEN_ROW.findall(zip_file.read(member))}
                    hidden[attributes.get("name", "")] = row_numbers
            return {sheet: row_numbers for sheet, row_numbers in hidden.items() if row_numbers}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return {}


def _attributes(tag: re.Pattern[str], xml: bytes) -> list[dict[str, str]]:
    """The attributes of each tag of a kind."""
    entities = {"&quot;": '"', "&apos;": "'"}
    return [
        {name: unescape(value, entities) for name, value in ATTRIBUTE.findall(match)}
        for match in tag.findall(xml.decode("utf-8", "replace"))
    ]
