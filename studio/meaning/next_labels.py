"""Which texts to label next: those the model is least sure of, spread so that no two say nearly the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from studio.models.linear_fit import LinearClassifier

Array = NDArray[Any]
# Of so many times the texts that are wanted, the least certain, one is taken of each group of like ones
# (Zhdanov 2019, arXiv 1901.05954). Measured on Banking77: docs/methods.md#label-next.
CANDIDATES_PER_TEXT = 5
# Without two labels to tell apart, texts are spread over so many at most.
MAX_SPREAD = 5_000


@dataclass(frozen=True)
class Suggestion:
    """A text to label.

    Attributes:
        index: Which of the unlabelled texts.
        label: The label that the model would give; "" where it knows too few to guess.
        certainty: How sure it is (0 to 1).
    """

    index: int
    label: str
    certainty: float


def suggest(labelled: Array, labels: list[str], unlabelled: Array, n_texts: int) -> list[Suggestion]:
    """The texts to label next.

    Args:
        labelled: The embeddings of the labelled texts.
        labels: Their labels.
        unlabelled: The embeddings of the texts without a label, at least one.
        n_texts: How many are wanted.
    """
    n_texts = min(n_texts, len(unlabelled))
    if len(set(labels)) < 2:
        step = max(1, len(unlabelled) // MAX_SPREAD)
        candidates = np.arange(0, len(unlabelled), step)
        chosen = _one_of_each_group(unlabelled[candidates], np.ones(len(candidates)), n_texts)
        return [Suggestion(int(candidates[index]), "", 0.0) for index in chosen]
    classifier = LinearClassifier(labelled, labels)
    probabilities = classifier.predict_probabilities(unlabelled)
    two_best = np.partition(probabilities, -2, axis=1)[:, -2:]
    margins = two_best[:, 1] - two_best[:, 0]
    candidates = np.argsort(margins, kind="stable")[: CANDIDATES_PER_TEXT * n_texts]
    chosen = candidates[_one_of_each_group(unlabelled[candidates], 1 - margins[candidates], n_texts)]
    best = probabilities.argmax(axis=1)
    return [
        Suggestion(int(index), classifier.names[best[index]], float(probabilities[index, best[index]]))
        for index in chosen[np.argsort(margins[chosen], kind="stable")]
    ]


def _one_of_each_group(embeddings: Array, weights: Array, n_groups: int) -> Array:
    """The index of the heaviest embedding of each group of like ones."""
    distinct = len(np.unique(embeddings.round(3), axis=0))
    groups = KMeans(min(n_groups, distinct), n_init=1, random_state=0).fit(
        embeddings, sample_weight=np.maximum(weights, 1e-6)
    )
    # Of equal weights the one nearest to the centre of its group.
    distances = groups.transform(embeddings)[np.arange(len(embeddings)), groups.labels_]
    order = np.lexsort((distances, -weights))
    _, first = np.unique(groups.labels_[order], return_index=True)
    return order[first]
