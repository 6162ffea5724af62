"""A sheet that runs are applied to, as a folder in the studio's home, and which of its columns is read."""

import json
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.errors import BadData, NotPossible
from studio.i18n import Message
from studio.plan import Task
from studio.storage import home, read_json, write_json, write_text

SHEET_ID = re.compile(r"[0-9a-f]{32}")
CARD_FILE, ROWS_FILE = "sheet.json", "rows.jsonl"
# A sheet of which no row was worked through for so long is abandoned.
KEEP_DAYS = 30
DAY_SECONDS = 86_400
# The roles of the column that a model reads, whatever the task.
INPUT_ROLES = ("text", "prompt")
NO_SUCH_SHEET = Message("The sheet is no longer here.")
UPLOAD_AGAIN = Message("Upload the file again.")
NO_SUCH_COLUMN = Message("“{name}” has no column “{column}”; it has {columns}.")
CHOOSE_COLUMN = Message("Choose one of these columns.")


@dataclass(frozen=True)
class Sheet:
    """The rows of a file.

    Attributes:
        folder: Where they are kept.
        name: What the person called the file.
        columns: The names of the columns, in order.
        n_rows: How many rows there are.
        n_unreadable: How many lines of the file were no rows.
    """

    folder: Path
    name: str
    columns: tuple[str, ...]
    n_rows: int
    n_unreadable: int

    @property
    def id(self) -> str:
        """Its id, which cannot be guessed unless one has the file."""
        return self.folder.name

    def rows(self) -> list[list[str]]:
        """The cells of each row, in the order of the columns."""
        lines = (self.folder / ROWS_FILE).read_bytes().splitlines()
        return [json.loads(line) for line in lines]


def sheets_folder() -> Path:
    """The folder of all sheets."""
    return home() / "sheets"


def new_id() -> str:
    """An id for a sheet."""
    return uuid.uuid4().hex


def save(table: Table, sheet_id: str) -> Sheet:
    """Store a table as a sheet; the card is written last, so that half a sheet is none."""
    folder = sheets_folder() / sheet_id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [json.dumps([row[name] for name in table.columns], ensure_ascii=False) for row in table.rows]
    write_text(folder / ROWS_FILE, "".join(f"{line}\n" for line in lines))
    card = {
        "name": table.name,
        "columns": list(table.columns),
        "n_rows": len(table.rows),
        "n_unreadable": len(table.bad_lines),
    }
    write_json(folder / CARD_FILE, card)
    return find(sheet_id)


def find(sheet_id: str) -> Sheet:
    """The sheet of this id; raises NotPossible where there is none."""
    folder = sheets_folder() / str(sheet_id)
    card = read_json(folder / CARD_FILE) if SHEET_ID.fullmatch(str(sheet_id)) else {}
    if not card:
        raise NotPossible(NO_SUCH_SHEET, UPLOAD_AGAIN)
    return Sheet(folder, card["name"], tuple(card["columns"]), card["n_rows"], card["n_unreadable"])


def delete(sheet_id: str) -> None:
    """Delete a sheet with all results, if there is one."""
    if SHEET_ID.fullmatch(sheet_id):
        shutil.rmtree(sheets_folder() / sheet_id, ignore_errors=True)


def delete_abandoned() -> list[str]:
    """Delete the sheets that nothing has changed for KEEP_DAYS, and return their ids."""
    oldest = time.time() - KEEP_DAYS * DAY_SECONDS
    abandoned = [folder.name for folder in sheets_folder().glob("*") if _last_change(folder) < oldest]
    for sheet_id in abandoned:
        delete(sheet_id)
    return abandoned


def _last_change(folder: Path) -> float:
    """When anything in a sheet's folder was changed last (seconds since the epoch)."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:  # somebody else is deleting it
        return time.time()


def require_column(sheet: Sheet, column: str) -> None:
    """Raise NotPossible where a sheet has no such column."""
    if column not in sheet.columns:
        raise NotPossible(
            NO_SUCH_COLUMN, CHOOSE_COLUMN, name=sheet.name, column=column, columns=list(sheet.columns)
        )


def guess_column(sheet: Sheet, task: Task, report: Mapping[str, Any]) -> str:
    """The column to read: the one of the training's name, else the one that its name and texts suggest.

    Args:
        sheet: The sheet.
        task: What the run has learned.
        report: The run's report.
    """
    trained_columns = report.get("data", {}).get("columns", {})
    trained_names = [trained_columns[role] for role in INPUT_ROLES if role in trained_columns]
    present_names = [name for name in trained_names if name in sheet.columns]
    if present_names:
        return str(present_names[0])
    rows = tuple(dict(zip(sheet.columns, cells, strict=True)) for cells in sheet.rows())
    is_text = task in ("classify", "complete")
    try:
        guess = infer_roles.guess_roles(
            Table(sheet.name, sheet.columns, rows), "complete" if is_text else "prompts"
        )
    except BadData:  # every column is mostly empty
        return sheet.columns[0]
    return next(guess.columns[role] for role in INPUT_ROLES if role in guess.columns)
