"""Test examples that say the same as rows of the data in other words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.data.quality import near_duplicates
from studio.data.quality.row_checks import NEAR_DUPLICATE_SIMILARITY

# From this cosine on texts mean the same, by pairs that were read (docs/methods.md#leaks-by-meaning).
MIN_COSINE = 0.93
# Texts that differ in a number ask different things, however alike they are.
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# So do texts of which one alone denies: embeddings hardly tell “is verified” from “is not verified”.
NEGATION = re.compile(r"\b(?:no|not|never|cannot|without)\b|n['’]t\b", re.IGNORECASE)
BLOCK_SIZE = 500  # test texts that are compared at once


@dataclass(frozen=True)
class MeaningLeak:
    """A row of the data that says what a test example says.

    Attributes:
        index: Which text of the data.
        test_index: Which text of the test set is closest to it.
        cosine: How close (up to 1).
    """

    index: int
    test_index: int
    cosine: float


def find(
    texts: Sequence[str], embeddings: NDArray[Any], test_texts: Sequence[str], test_embeddings: NDArray[Any]
) -> list[MeaningLeak]:
    """The pairs that mean the same, without those that are also nearly the same word for word.

    Args:
        texts: The texts of the data.
        embeddings: Their embeddings, of unit length.
        test_texts: The texts of the test set.
        test_embeddings: Their embeddings.
    """
    leaks = []
    for start in range(0, len(test_texts), BLOCK_SIZE):
        cosines = embeddings @ test_embeddings[start : start + BLOCK_SIZE].T
        for index, offset in zip(*np.nonzero(cosines >= MIN_COSINE), strict=True):
            leak = MeaningLeak(int(index), start + int(offset), float(cosines[index, offset]))
            if _is_said_otherwise(texts[leak.index], test_texts[leak.test_index]):
                leaks.append(leak)
    return leaks


def _is_said_otherwise(first: str, second: str) -> bool:
    """Whether two texts have the same numbers, both deny or neither, and are no near-duplicates.

    Near-duplicates are found by another check.
    """
    if sorted(NUMBER.findall(first)) != sorted(NUMBER.findall(second)):
        return False
    if bool(NEGATION.search(first)) != bool(NEGATION.search(second)):
        return False
    shingle_sets = near_duplicates.shingles(first), near_duplicates.shingles(second)
    return near_duplicates.jaccard(*shingle_sets) < NEAR_DUPLICATE_SIMILARITY
