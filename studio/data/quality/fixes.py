"""Changes to a data set that can be undone: single edits, and the one-click fixes of the health check."""

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.data.quality import cleaning, mail_text, pii, row_checks, table_view
from studio.data.quality.table_view import TableView
from studio.data.readers.read import Table
from studio.data.readers.rows import Row
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import Task, target_role
from studio.storage import ProgressCallback, no_progress

UNKNOWN_CELL = Message("The change “{kind}” speaks of a row or a column that “{name}” does not have.")
INVALID_CHANGE = Message("“{raw}” is no change of a data set.")
NO_SUCH_FIX = Message("There is no one-click fix for “{kind}”.")


# The kinds of changes whose cells are labels that a person has looked at; a label that was kept is one, too.
REVIEWS = frozenset(("label_next", "relabel"))


@dataclass(frozen=True)
class Change:
    """What one fix or one edit did.

    Rows are numbered as they were before the change, in `drop` and in `cells` alike.

    Attributes:
        kind: The id of the fix ("duplicates", "html" …), "edit" or "add".
        drop: The rows left out.
        cells: The new texts: (row, column, text).
        added: New rows at the end, each as (column, text); columns that are not named stay empty.
    """

    kind: str
    drop: tuple[int, ...] = ()
    cells: tuple[tuple[int, str, str], ...] = ()
    added: tuple[tuple[tuple[str, str], ...], ...] = ()


def apply(table: Table, changes: Iterable[Change]) -> Table:
    """A new table with these changes, made in their order.

    Raises:
        BadData: A change names a row or a column that does not exist.
    """
    rows = list(table.rows)
    for change in changes:
        _validate_change(change, len(rows), table)
        rows = _apply_change(change, rows)
        empty_row = dict.fromkeys(table.columns, "")
        rows += [{**empty_row, **dict(cells)} for cells in change.added]
    return replace(table, rows=tuple(rows))


def _apply_change(change: Change, rows: Sequence[Row]) -> list[Row]:
    new_rows: list[Row | None] = list(rows)
    for row, column, text in change.cells:
        new_rows[row] = {**(new_rows[row] or {}), column: text}
    for row in change.drop:  # after the edits, and leaving a gap: a row that goes must not shift the others
        new_rows[row] = None
    return [cells for cells in new_rows if cells is not None]


def _validate_change(change: Change, n_rows: int, table: Table) -> None:
    changed_rows = [*change.drop, *(row for row, _, _ in change.cells)]
    changed_columns = [column for _, column, _ in change.cells]
    changed_columns += [column for cells in change.added for column, _ in cells]
    has_rows = all(0 <= row < n_rows for row in changed_rows)
    if not has_rows or not set(changed_columns) <= set(table.columns):
        raise BadData(
            UNKNOWN_CELL,
            Message("Undo it, and make it again with the rows as they stand now."),
            kind=change.kind,
            name=table.name,
        )


def find_reviewed(changes: Iterable[Change]) -> frozenset[int]:
    """The rows, as they are numbered now, whose label somebody has looked at and changed or kept."""
    reviewed: set[int] = set()
    for change in changes:
        if change.kind in REVIEWS:
            reviewed |= {row for row, _, _ in change.cells}
        dropped = sorted(change.drop)
        reviewed = {row - bisect.bisect_left(dropped, row) for row in reviewed.difference(dropped)}
    return frozenset(reviewed)


def as_json(change: Change) -> dict[str, Any]:
    """A change as plain values for a file or another process."""
    added = [[list(cell) for cell in cells] for cells in change.added]
    return {
        "kind": change.kind,
        "drop": list(change.drop),
        "cells": [list(cell) for cell in change.cells],
        **({"added": added} if added else {}),
    }


def from_json(raw: object) -> Change:
    """The change that `as_json` turned into plain values.

    Raises:
        BadData: The values are no change.
    """
    match raw:
        case {"kind": str(kind), "drop": list(drop), "cells": list(cells), **extra} if kind:
            added: Any = extra.pop("added", [])
            if not extra and all(map(_is_row, drop)) and all(map(_is_edit, cells)) and _are_new_rows(added):
                return Change(
                    kind,
                    tuple(drop),
                    tuple((row, column, text) for row, column, text in cells),
                    tuple(tuple((column, text) for column, text in row) for row in added),
                )
    raise BadData(
        INVALID_CHANGE,
        Message(
            "A change has the keys kind, drop (rows), cells (row, column, text) and added (column, text)."
        ),
        raw=f"{raw!r:.80}",
    )


def _is_row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_edit(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and _is_row(value[0])
        and all(isinstance(part, str) for part in value[1:])
    )


def _are_new_rows(value: object) -> bool:
    """Whether a value is a list of rows, each a list of (column, text)."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return False
    cells = [cell for row in value for cell in row]
    return all(
        isinstance(cell, list) and len(cell) == 2 and all(isinstance(part, str) for part in cell)
        for cell in cells
    )


def build_fix(
    kind: str,
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    test: Sequence[Mapping[str, str]] = (),
    on_progress: ProgressCallback = no_progress,
) -> Change:
    """Work out the one-click fix of the findings of a kind; nothing is changed yet.

    Args:
        kind: The kind of the finding.
        table: The rows as they are now.
        task: What a model is to learn from them.
        columns: Role -> column.
        test: The examples of a test set (role -> text), which stay as they are.
        on_progress: Called with the steps done and their total.

    Raises:
        BadData: The kind has no fix, or a column is missing.
    """
    if kind in TEXT_FIXES:
        return _rewrite_texts(kind, table, task, columns, on_progress)
    if kind not in DROP_FIXES and kind != "alike_labels":
        raise BadData(
            NO_SUCH_FIX,
            Message("Choose one of {known}."),
            kind=kind,
            known=(*DROP_FIXES, "alike_labels", *TEXT_FIXES),
        )
    view = table_view.build_view(table, task, columns)
    if kind == "alike_labels":
        spellings = row_checks.find_respelled_labels(view)
        column = columns[target_role(columns)]
        return Change(kind, cells=tuple((row, column, name) for row, name in spellings.items()))
    return Change(kind, drop=tuple(sorted(DROP_FIXES[kind](view, test, on_progress))))


def _rewrite_texts(
    kind: str, table: Table, task: Task, columns: Mapping[str, str], on_progress: ProgressCallback
) -> Change:
    include_labels = kind != "personal"
    cells = table_view.rewrite_cells(table, task, columns, TEXT_FIXES[kind], include_labels, on_progress)
    return Change(kind, cells=tuple((row, column, text) for (row, column), text in cells.items()))


# The fixes that rewrite every text.
TEXT_FIXES: dict[str, Callable[[str], str]] = {
    "personal": pii.mask_pii,
    "html": cleaning.strip_html,
    "mojibake": cleaning.fix_mojibake,
    "line_ends": mail_text.insert_line_ends,
    "quoted_mails": mail_text.strip_mail_tail,
}


def _shorter_near_duplicates(view: TableView, on_progress: ProgressCallback) -> list[int]:
    groups = row_checks.find_near_duplicates(view, on_progress)
    return [row for group in groups for row in group[1:]]


def _contradicting_rows(view: TableView) -> list[int]:
    groups = row_checks.find_contradictions(view)
    _, dropped_rows = row_checks.resolve_contradictions(view, groups)
    return dropped_rows


def _leaked_rows(
    view: TableView, test: Sequence[Mapping[str, str]], on_progress: ProgressCallback
) -> list[int]:
    rows, _ = row_checks.find_leaks(view, test, True, on_progress)
    return rows


# The fixes that drop rows, and which rows these are.
DROP_FIXES: dict[str, Callable[[TableView, Sequence[Mapping[str, str]], ProgressCallback], Iterable[int]]] = {
    "empty": lambda view, *_: row_checks.find_incomplete(view),
    "duplicates": lambda view, *_: row_checks.find_duplicates(view),
    "near_duplicates": lambda view, _, on_progress: _shorter_near_duplicates(view, on_progress),
    "contradictions": lambda view, *_: _contradicting_rows(view),
    "same_pairs": lambda view, *_: row_checks.find_identical_pairs(view),
    "echoes": lambda view, *_: row_checks.find_echoes(view),
    "rare_labels": lambda view, *_: row_checks.find_rare_labels(view),
    "rated_answers": lambda view, *_: row_checks.find_badly_rated(view),
    "leak": _leaked_rows,
}
