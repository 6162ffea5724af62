"""The rows of a data set that are read by meaning: labelled texts, and texts without a label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.data import store
from studio.data.quality import fixes, table_view
from studio.data.quality.row_checks import sample_evenly
from studio.data.quality.table_view import TableView
from studio.data.store import Dataset
from studio.errors import NotPossible
from studio.i18n import Message
from studio.meaning import embeddings

# So many rows of the data and of a test set are looked at, evenly from first to last: a minute of work, and
# what is left out is said. The same number bounds the texts that are candidates to be labelled next.
MAX_ROWS, MAX_TEST_ROWS = 10_000, 2_000
NOT_ONE_LABEL = Message("Labels are suggested for texts with one class each.")
CHOOSE_ONE_LABEL = Message("Choose classification, a text column and a label column with one class a cell.")


def open_view(request: Mapping[str, Any]) -> tuple[Dataset, TableView]:
    """The data set of a request (`source`, `sheet`, `task`, `columns`), and its rows as checks see them.

    Raises:
        BadData: There is none, or a column is missing.
    """
    dataset = store.find(request["source"])
    if request.get("sheet"):
        dataset = replace(dataset, sheet=request["sheet"])
    return dataset, table_view.build_view(dataset.table(), request["task"], request["columns"])


@dataclass(frozen=True)
class LabelRows:
    """The rows of a data set with one class a text.

    Attributes:
        labelled: The rows with a label.
        labels: Their labels.
        unlabelled: The candidates among the rows with a text and no label.
        n_unlabelled: How many such rows there are.
    """

    labelled: tuple[int, ...]
    labels: tuple[str, ...]
    unlabelled: tuple[int, ...]
    n_unlabelled: int


def require_one_label(task: str, columns: Mapping[str, str]) -> None:
    """Raise NotPossible where texts have no class, several labels or a number."""
    if task != "classify" or "label" not in columns or "text" not in columns:
        raise NotPossible(NOT_ONE_LABEL, CHOOSE_ONE_LABEL)


def label_rows(view: TableView) -> LabelRows:
    """Which rows have a label and which wait for one, at most MAX_ROWS of each.

    Candidates are taken in the order of their keys, so that a label more does not exchange the others.
    """
    labelled = sample_evenly(view.complete_rows, MAX_ROWS)
    text, label = view.columns["text"], view.columns["label"]
    cells = {row: view.table.rows[row] for row in view.incomplete_rows}
    waiting = [row for row, cell in cells.items() if cell[text].strip() and not cell[label].strip()]
    by_key = sorted(waiting, key=lambda row: embeddings.text_key(cells[row][text].strip()))
    return LabelRows(
        tuple(labelled),
        tuple(view.labels[row][0] for row in labelled),
        tuple(by_key[:MAX_ROWS]),
        len(waiting),
    )


def texts_of(view: TableView, rows: Sequence[int]) -> list[str]:
    """The texts to classify of rows, with or without a label."""
    return [view.table.rows[row][view.columns["text"]].strip() for row in rows]


def unreviewed(dataset: Dataset, rows: Sequence[int]) -> list[int]:
    """The positions among `rows` of those whose label nobody has looked at."""
    reviewed = fixes.find_reviewed(dataset.changes())
    return [position for position, row in enumerate(rows) if row not in reviewed]
