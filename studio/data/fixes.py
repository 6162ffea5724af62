"""Changes of a data set that can be undone: single edits, and the one-click fixes of what the health check found."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.data import faults, near, view
from studio.data.looks import MENDED
from studio.data.read import Table
from studio.data.view import Tell, View
from studio.errors import BadData
from studio.plan import Task
from studio.words import Words


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
        _check(change, rows, table)
        edited: dict[int, dict[str, str]] = {}
        for row, column, text in change.cells:
            edited.setdefault(row, {})[column] = text
        gone = set(change.drop)
        rows = [{**cells, **edited[row]} if row in edited else cells for row, cells in enumerate(rows) if row not in gone]
    return replace(table, rows=tuple(rows))


def _check(change: Change, rows: list[dict[str, str]], table: Table) -> None:
    named = [*change.drop, *(row for row, _, _ in change.cells)]
    if any(not 0 <= row < len(rows) for row in named) or any(column not in table.columns for _, column, _ in change.cells):
        raise BadData(
            Words(
                "The change “{kind}” speaks of a row or a column that “{name}” does not have.",
                "这项更改（{kind}）用到了“{name}”里没有的行或列。",
            ),
            Words("Undo it, and make it again with the rows as they stand now.", "请撤销，再对现在的数据重新操作。"),
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
        Words("“{raw}” is no change of a data set.", "“{raw}”不是对数据集的更改。"),
        Words(
            "A change has the keys kind, drop (rows) and cells (row, column, text).",
            "一项更改包含 kind、drop（行号）和 cells（行号、列名、文本）。",
        ),
        raw=f"{raw!r:.80}",
    )


def _is_row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_edit(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and _is_row(value[0]) and all(isinstance(part, str) for part in value[1:])


def fix(
    kind: str, table: Table, task: Task, columns: Mapping[str, str], test: Sequence[Mapping[str, str]] = (), tell: Tell = near.quiet
) -> Change:
    """The one-click fix of a finding of this kind, on the table as it stands now.

    `test` are the examples of a test set (role -> text), which stay as they are. `tell` hears how many of how many steps are done.
    Raises BadData for a kind that has no fix, or where a column is missing.
    """
    if kind in MENDED:
        cells = view.rewritten(table, task, columns, MENDED[kind], kind != "personal", tell)
        return Change(kind, cells=tuple((row, column, text) for (row, column), text in cells.items()))
    if kind not in DROPPED and kind != "alike_labels":
        raise BadData(
            Words("There is no one-click fix for “{kind}”.", "“{kind}”没有一键修复。"),
            Words("Choose one of {known}.", "可选：{known}。"),
            kind=kind,
            known=(*DROPPED, "alike_labels", *MENDED),
        )
    seen = view.view(table, task, columns)
    if kind == "alike_labels":
        return Change(kind, cells=tuple((row, columns["label"], name) for row, name in faults.respelled(seen).items()))
    return Change(kind, drop=tuple(sorted(DROPPED[kind](seen, test, tell))))


def _shorter(seen: View, tell: Tell) -> Iterable[int]:
    return (row for group in faults.near_duplicates(seen, tell) for row in group[1:])


# The rows that a fix drops.
DROPPED: dict[str, Callable[[View, Sequence[Mapping[str, str]], Tell], Iterable[int]]] = {
    "empty": lambda seen, *_: seen.empty,
    "duplicates": lambda seen, *_: faults.duplicates(seen),
    "near_duplicates": lambda seen, _, tell: _shorter(seen, tell),
    "contradictions": lambda seen, *_: faults.settled(seen, faults.contradictions(seen))[1],
    "same_pairs": lambda seen, *_: faults.same_pairs(seen),
    "echoes": lambda seen, *_: faults.echoes(seen),
    "rare_labels": lambda seen, *_: faults.rare(seen),
    "leak": lambda seen, test, tell: faults.leaked(seen, test, True, tell)[0],
}
