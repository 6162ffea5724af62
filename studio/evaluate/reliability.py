"""Whether a classifier is as sure as it is right: its calibration."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from studio.data import targets
from studio.evaluate.predictions import Prediction
from studio.i18n import Message

# Bins of equal width (Guo et al. 2017, "On calibration of modern neural networks").
N_BINS = 10
CALIBRATION = Message(
    "How sure it is, and how often it is right. Expected calibration error {error:.0%}: the gap between "
    "confidence and accuracy, averaged over the {n} texts in bins of ten points (Guo et al. 2017)."
)
CALIBRATION_OF_LABELS = Message(
    "How sure it is of each label that it gives or leaves out, and how often it is right. Expected "
    "calibration error {error:.0%}: the gap between confidence and accuracy, averaged over {n} decisions in "
    "bins of ten points (Guo et al. 2017)."
)
CALIBRATION_HEADS = (
    Message("Confidence"),
    Message("Number"),
    Message("Mean confidence"),
    Message("Correct"),
)


class Bin(NamedTuple):
    """The decisions that a classifier took with a confidence between `low` and `high` (0 to 1).

    Attributes:
        low, high: The ends of the bin; `high` belongs to it, `low` does not.
        n: How many decisions.
        confidence: The mean confidence.
        accuracy: The share that is right.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class Decision(NamedTuple):
    """How sure a classifier was of one label (0 to 1), and whether it was right."""

    confidence: float
    is_right: bool


def bin_by_confidence(rows: Sequence[Prediction]) -> tuple[Bin, ...]:
    """The bins that hold decisions, the least confident first; none where a confidence is unknown."""
    decisions_by_row = [tuple(_find_decisions(row)) for row in rows]
    if not all(decisions_by_row):
        return ()
    return tuple(_iterate_bins([*chain.from_iterable(decisions_by_row)]))


def _find_decisions(row: Prediction) -> Iterator[Decision]:
    """One for the class of a text; of a text with several labels one for each label, given or left out."""
    if "probability" in row.tuned:
        yield Decision(row.tuned["probability"], row.tuned["label"] == row.example["label"])
    expected = targets.labels_of(row.example) if "labels" in row.example else ()
    for label, probability in row.tuned.get("probabilities", {}).items():
        is_given = label in row.tuned["labels"]
        yield Decision(probability if is_given else 1 - probability, is_given == (label in expected))


def _iterate_bins(decisions: Sequence[Decision]) -> Iterator[Bin]:
    for index in range(N_BINS):
        low, high = index / N_BINS, (index + 1) / N_BINS
        members = [decision for decision in decisions if low < decision.confidence <= high]
        if members:
            confidence = sum(decision.confidence for decision in members) / len(members)
            n_right = sum(decision.is_right for decision in members)
            yield Bin(low, high, len(members), confidence, n_right / len(members))


def describe(bins: Sequence[Bin], is_multi_label: bool) -> Message:
    """What the bins of texts with one label or several show, with the calibration error."""
    sentence = CALIBRATION_OF_LABELS if is_multi_label else CALIBRATION
    return sentence.format(error=expected_calibration_error(bins), n=sum(item.n for item in bins))


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean gap between confidence and accuracy over the bins, weighted by their decisions (0 to 1).

    Guo et al. 2017, equation 3.
    """
    n = sum(item.n for item in bins)
    return sum(item.n * abs(item.accuracy - item.confidence) for item in bins) / n
