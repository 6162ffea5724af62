"""Whether a classifier is as sure as it is right: its calibration."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from studio.evaluate.predictions import Prediction
from studio.i18n import Message

# Bins of equal width (Guo et al. 2017, "On calibration of modern neural networks").
N_BINS = 10
CALIBRATION = Message(
    "How sure it is, and how often it is right. Expected calibration error {error:.0%}: the gap between "
    "confidence and accuracy, averaged over the {n} texts in bins of ten points (Guo et al. 2017)."
)
CALIBRATION_HEADS = (
    Message("Confidence"),
    Message("Texts"),
    Message("Mean confidence"),
    Message("Correct"),
)


class Bin(NamedTuple):
    """The texts that a classifier gave a class with a confidence between `low` and `high` (0 to 1).

    Attributes:
        low, high: The ends of the bin; `high` belongs to it, `low` does not.
        n: How many texts.
        confidence: The mean confidence.
        accuracy: The share that is right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def bin_by_confidence(rows: Sequence[Prediction]) -> tuple[Bin, ...]:
    """The bins that hold texts, from the least to the most confident; none where no confidence is known."""
    if not all("probability" in row.tuned for row in rows):
        return ()
    return tuple(_iterate_bins(rows))


def _iterate_bins(rows: Sequence[Prediction]) -> Iterator[Bin]:
    for index in range(N_BINS):
        low, high = index / N_BINS, (index + 1) / N_BINS
        members = [row for row in rows if low < row.tuned["probability"] <= high]
        if members:
            confidence = sum(row.tuned["probability"] for row in members) / len(members)
            n_right = sum(row.tuned["label"] == row.example["label"] for row in members)
            yield Bin(low, high, len(members), confidence, n_right / len(members))


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean gap between confidence and accuracy over the bins, weighted by their texts (0 to 1).

    Guo et al. 2017, equation 3.
    """
    n = sum(item.n for item in bins)
    return sum(item.n * abs(item.accuracy - item.confidence) for item in bins) / n
