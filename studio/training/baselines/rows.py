"""Which rows are measured, those that a run would be judged by, and how they are scored."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from studio.data.examples import Example
from studio.data.split import Splits
from studio.evaluate import measures
from studio.evaluate.measures import Measure
from studio.evaluate.paired import Estimate
from studio.evaluate.predictions import Outcome, Prediction

T = TypeVar("T")
# Receives a stage, how much of it is done, and of how much.
Report = Callable[[str, float, float], None]
# Rows that are computed at once, and the least that are measured if there are so many: with fewer no
# percentage is called a result.
BATCH_SIZE = 20


def held_out_rows(splits: Splits) -> tuple[str, list[Example]]:
    """The part of the rows that a run would be judged by, with its name."""
    return ("test", splits.test) if splits.test else ("validation", splits.validation)


def spread(rows: Sequence[T], n: int) -> list[T]:
    """At most n rows (at least 1), evenly over all; the rows of one class lie next to each other."""
    return list(rows[:: math.ceil(len(rows) / n)]) if rows else []


def choose_measure(rows: Sequence[Example], outcomes: Sequence[Outcome]) -> Measure | None:
    """The measure for rows with these outcomes, the one that a verdict takes; None without an answer."""
    answered = [
        Prediction(index, row, outcome)
        for index, (row, outcome) in enumerate(zip(rows, outcomes, strict=True))
    ]
    return measures.choose(answered)


def score(measure: Measure, outcomes: Sequence[Outcome], rows: Sequence[Example]) -> Estimate:
    """The score over all rows with its 95 % interval."""
    return measure.estimate(
        [measure.score(outcome, row) for outcome, row in zip(outcomes, rows, strict=True)]
    )


def seconds_of(work: Callable[[], Any]) -> float:
    """How long something takes."""
    started_at = time.perf_counter()
    work()
    return time.perf_counter() - started_at
