"""The process that suggests the next texts to label: JSON lines in and out, its libraries loaded once."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.data.quality.table_view import TableView
from studio.data.store import Dataset
from studio.errors import explain
from studio.meaning import embeddings, label_curve, next_labels, rows
from studio.meaning.rows import LabelRows

Array = NDArray[Any]
# Where fewer of the candidates (0 to 1) are embedded, the others are embedded first.
MIN_EMBEDDED_SHARE = 0.9


class Session:
    """The embeddings of the data set that was asked for last, which stay in memory."""

    def __init__(self) -> None:
        self._read_from: Any = None
        self._embeddings: dict[bytes, Array] = {}

    def read(self, dataset: Dataset, encoder: str) -> dict[bytes, Array]:
        """The embeddings of a data set, read again where their file has changed."""
        file = embeddings.path(dataset)
        read_from = (file, encoder, file.stat().st_mtime_ns if file.is_file() else 0)
        if read_from != self._read_from:
            self._embeddings, self._read_from = embeddings.read(dataset, encoder), read_from
        return self._embeddings


def answer(session: Session, request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one request.

    Args:
        session: What is remembered between requests.
        request: `do` ("next" or "curve"), `source`, `sheet`, `task`, `columns`, `encoder`, and for "next" the
            number of `texts`.

    Returns:
        For "next" the `suggestions`, the number of rows without a label and of candidates among them, and all
        labels; `missing` alone where texts have to be embedded first. For "curve" its `messages`.
    """
    rows.require_one_label(request["task"], request["columns"])
    dataset, view = rows.open_view(request)
    label_rows = rows.label_rows(view)
    embedded = session.read(dataset, request["encoder"])
    labelled = _embed(embedded, rows.texts_of(view, label_rows.labelled))
    if labelled is None:
        return {"missing": True}
    if request["do"] == "curve":
        measured = label_curve.measure(labelled, list(label_rows.labels))
        return {"messages": [message.to_json() for message in label_curve.describe(measured)]}
    return _suggest(view, label_rows, labelled, embedded, int(request["texts"]))


def _suggest(
    view: TableView, label_rows: LabelRows, labelled: Array, embedded: dict[bytes, Array], n_texts: int
) -> dict[str, Any]:
    candidates = [
        (row, text)
        for row, text in zip(label_rows.unlabelled, rows.texts_of(view, label_rows.unlabelled), strict=True)
        if embeddings.text_key(text) in embedded
    ]
    if len(candidates) < MIN_EMBEDDED_SHARE * len(label_rows.unlabelled):
        return {"missing": True}
    suggestions = []
    if candidates:
        vectors = np.stack([embedded[embeddings.text_key(text)] for _, text in candidates])
        suggestions = next_labels.suggest(labelled, list(label_rows.labels), vectors, n_texts)
    return {
        "suggestions": [
            {
                **asdict(suggestion),
                "row": candidates[suggestion.index][0],
                "text": candidates[suggestion.index][1],
            }
            for suggestion in suggestions
        ],
        "labels": sorted({name for row in view.complete_rows for name in view.labels[row]}),
        "labelled": len(view.complete_rows),
        "unlabelled": label_rows.n_unlabelled,
        "candidates": len(candidates),
    }


def _embed(embedded: dict[bytes, Array], texts: list[str]) -> Array | None:
    """The embeddings of texts, of none an empty array; None where one of them has none yet."""
    keys = [embeddings.text_key(text) for text in texts]
    if any(key not in embedded for key in keys):
        return None
    return np.stack([embedded[key] for key in keys]) if keys else np.empty((0, 0), np.float32)


def main() -> int:
    """Answer requests until the input ends."""
    replies, sys.stdout = sys.stdout, sys.stderr  # nothing that a library prints comes between the replies
    session = Session()
    for line in sys.stdin:
        try:
            reply = answer(session, json.loads(line))
        except Exception as error:
            problem = explain(error)
            reply = {"problem": problem.message.to_json(), "to_do": problem.hint.to_json()}
        replies.write(json.dumps(reply, ensure_ascii=False) + "\n")
        replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
