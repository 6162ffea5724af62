"""Labels that are likely wrong: confident learning on probabilities that were learned from the other rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from studio.models import linear_fit
from studio.storage import ProgressCallback

Array = NDArray[Any]
# Each row is judged by a fit on the other four fifths of the rows.
N_FOLDS, SEED = 5, 0
# A label that cleanlab doubts is named where its probability is below this part of an even chance, and none
# of so many nearest texts has it: of such, nine in ten were wrong (docs/methods.md#likely-wrong-labels).
MAX_PART_OF_CHANCE, N_NEAREST = 0.4, 10
# Where the fit agrees with fewer labels (0 to 1), that it disagrees says little.
MIN_AGREEMENT = 0.75


@dataclass(frozen=True)
class LabelDoubt:
    """A label that is likely wrong.

    Attributes:
        index: Which of the texts.
        label: The label that the other rows speak for.
        certainty: How sure the model is of that one (0 to 1).
    """

    index: int
    label: str
    certainty: float


@dataclass(frozen=True)
class WrongLabels:
    """The labels that are likely wrong, the likeliest first.

    Attributes:
        doubts: These labels; none where the agreement is too low to tell.
        agreement: The share of the labels that the other rows speak for (0 to 1); 1 where there is one class.
    """

    doubts: tuple[LabelDoubt, ...]
    agreement: float

    @property
    def is_judged(self) -> bool:
        """Whether the other rows say enough about a label."""
        return self.agreement >= MIN_AGREEMENT


def find(embeddings: Array, labels: list[str], on_progress: ProgressCallback) -> WrongLabels:
    """The labels that are likely wrong; classes with fewer rows than folds are left out.

    Args:
        embeddings: The embeddings of the texts, of unit length.
        labels: Their labels.
        on_progress: Called before the fits.
    """
    names, counts = np.unique(labels, return_counts=True)
    kept_names = names[counts >= N_FOLDS]
    kept_rows = np.flatnonzero(np.isin(labels, kept_names))
    if len(kept_names) < 2:
        return WrongLabels((), 1.0)
    on_progress(0, 1)
    vectors, targets = embeddings[kept_rows], np.searchsorted(kept_names, np.array(labels)[kept_rows])
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
    probabilities = cross_val_predict(
        linear_fit.logistic_regression(), vectors, targets, cv=folds, method="predict_proba"
    )
    best = probabilities.argmax(axis=1)
    agreement = float(np.mean(best == targets))
    if agreement < MIN_AGREEMENT:
        return WrongLabels((), agreement)
    doubts = tuple(
        LabelDoubt(int(kept_rows[row]), str(kept_names[best[row]]), float(probabilities[row, best[row]]))
        for row in _doubted_rows(vectors, targets, probabilities)
    )
    return WrongLabels(doubts, agreement)


def _doubted_rows(vectors: Array, targets: Array, probabilities: Array) -> list[int]:
    """The rows whose label is likely wrong, those with the lowest probability of their label first."""
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 - slow to load

    ranked = find_label_issues(
        targets, probabilities, filter_by="both", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    max_probability = MAX_PART_OF_CHANCE / probabilities.shape[1]
    doubted = [
        int(row)
        for row in ranked
        if probabilities[row, targets[row]] < max_probability and probabilities[row].argmax() != targets[row]
    ]
    if not doubted:
        return []
    n_neighbors = min(N_NEAREST + 1, len(vectors))  # a text is its own nearest one
    index = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(vectors)
    nearest = index.kneighbors(vectors[doubted], return_distance=False)
    return [
        row
        for row, others in zip(doubted, nearest, strict=True)
        if not np.any(targets[others[others != row]] == targets[row])
    ]
