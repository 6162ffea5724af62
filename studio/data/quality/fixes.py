"""Changes of a data set that can be undone: single edits, and the one-click fixes of what the health check found."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.data.quality import near_duplicates, row_checks, table_view
from studio.data.quality.checks import TEXT_FIXES
from studio.data.quality.table_view import StepCallback, TableView
from studio.data.readers.read import Table
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import Task


@dataclass(frozen=True)
class Change:
    """What one fix or one edit did; rows are numbered as the table stood before it.

    `kind` names it ("duplicates", "html", "edit" …); `drop` are the rows left out, `cells` the new texts: (row, column, text).
    """

    kind: str
    drop: tuple[int, ...] = ()
    cells: tuple[tuple[int, str, str], ...] = ()


def apply(table: Table, changes: Iterable[Change]) -> Table:
    """The table after these changes, in their order; the table given stays as it is.

    Raises BadData where a change speaks of a row or a column that is not there.
    """
    rows = list(table.rows)
    for change in changes:
        _validate_change(change, rows, table)
        edited: dict[int, dict[str, str]] = {}
        for row, column, text in change.cells:
            edited.setdefault(row, {})[column] = text
        dropped_rows = set(change.drop)
        rows = [
            {**cells, **edited[row]} if row in edited else cells
            for row, cells in enumerate(rows)
            if row not in dropped_rows
        ]
    return replace(table, rows=tuple(rows))


def _validate_change(change: Change, rows: list[dict[str, str]], table: Table) -> None:
    named_rows = [*change.drop, *(row for row, _, _ in change.cells)]
    if any(not 0 <= row < len(rows) for row in named_rows) or any(
        column not in table.columns for _, column, _ in change.cells
    ):
        raise BadData(
            Message("The change “{kind}” speaks of a row or a column that “{name}” does not have."),
            Message("Undo it, and make it again with the rows as they stand now."),
            kind=change.kind,
            name=table.name,
        )


def as_json(change: Change) -> dict[str, Any]:
    """A change as plain values."""
    return {"kind": change.kind, "drop": list(change.drop), "cells": [list(cell) for cell in change.cells]}


def from_json(raw: object) -> Change:
    """A change from what `as_json` made. Raises BadData where it is none."""
    match raw:
        case {"kind": str(kind), "drop": list(drop), "cells": list(cells), **rest} if kind and not rest:
            rows = [row for row in drop if _is_row(row)]
            edits = [(cell[0], cell[1], cell[2]) for cell in cells if _is_edit(cell)]
            if len(rows) == len(drop) and len(edits) == len(cells):
                return Change(kind, tuple(rows), tuple(edits))
    raise BadData(
        Message("“{raw}” is no change of a data set."),
        Message("A change has the keys kind, drop (rows) and cells (row, column, text)."),
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


def build_fix(
    kind: str,
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    test: Sequence[Mapping[str, str]] = (),
    on_progress: StepCallback = near_duplicates.ignore_steps,
) -> Change:
    """The one-click fix of a finding of this kind, on the table as it stands now.

    `test` are the examples of a test set (role -> text), which stay as they are. `tell` hears how many of how many steps are done.
    Raises BadData for a kind that has no fix, or where a column is missing.
    """
    if kind in TEXT_FIXES:
        cells = table_view.rewrite_cells(
            table, task, columns, TEXT_FIXES[kind], kind != "personal", on_progress
        )
        return Change(kind, cells=tuple((row, column, text) for (row, column), text in cells.items()))
    if kind not in DROP_FIXES and kind != "alike_labels":
        raise BadData(
            Message("There is no one-click fix for “{kind}”."),
            Message("Choose one of {known}."),
            kind=kind,
            known=(*DROP_FIXES, "alike_labels", *TEXT_FIXES),
        )
    data_view = table_view.build_view(table, task, columns)
    if kind == "alike_labels":
        return Change(
            kind,
            cells=tuple(
                (row, columns["label"], name)
                for row, name in row_checks.find_respelled_labels(data_view).items()
            ),
        )
    return Change(kind, drop=tuple(sorted(DROP_FIXES[kind](data_view, test, on_progress))))


def _shorter_duplicates(data_view: TableView, on_progress: StepCallback) -> Iterable[int]:
    return (row for group in row_checks.find_near_duplicates(data_view, on_progress) for row in group[1:])


# The rows that a fix drops.
DROP_FIXES: dict[str, Callable[[TableView, Sequence[Mapping[str, str]], StepCallback], Iterable[int]]] = {
    "empty": lambda data_view, *_: data_view.incomplete_rows,
    "duplicates": lambda data_view, *_: row_checks.find_duplicates(data_view),
    "near_duplicates": lambda data_view, _, on_progress: _shorter_duplicates(data_view, on_progress),
    "contradictions": lambda data_view, *_: row_checks.resolve_contradictions(
        data_view, row_checks.find_contradictions(data_view)
    )[1],
    "same_pairs": lambda data_view, *_: row_checks.find_identical_pairs(data_view),
    "echoes": lambda data_view, *_: row_checks.find_echoes(data_view),
    "rare_labels": lambda data_view, *_: row_checks.find_rare_labels(data_view),
    "leak": lambda data_view, test, on_progress: row_checks.find_leaks(data_view, test, True, on_progress)[0],
}
