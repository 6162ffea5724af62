"""Paired tests: two models on the same rows, and how small a difference so many rows can show."""

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.data.intervals import wilson_interval

Array = NDArray[Any]
CONFIDENCE = 0.95
# How often a difference must be found for rows to be able to show it (Cohen 1988, "Statistical power").
POWER = 0.8
N_RESAMPLES = 4000
SEED = 0
# The share of rows that a better model gets wrong though the other had them right, before anybody knows.
ASSUMED_LOSSES = 0.05
# No more rows than this are ever asked for.
MAX_ROWS = 20_000
# Counts of rows that are rarer than this do not change how often a test succeeds.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same rows; above 0 the first is better.

    Attributes:
        value: The difference.
        low, high: Its 95 % interval.
        is_better, is_worse: Whether the paired test shows it at the level that was asked for.
        n_better, n_worse: Rows on which the first model is better, and worse.
        visible: The smallest difference that so many rows show four times in five; infinite where they
            show none.
    """

    value: float
    low: float
    high: float
    is_better: bool
    is_worse: bool
    n_better: int
    n_worse: int
    visible: float


def estimate_share(hits: Sequence[bool]) -> Estimate:
    """The share of hits (0 to 1) with its Wilson interval."""
    n_hits = sum(hits)
    return Estimate(n_hits / len(hits), *wilson_interval(n_hits, len(hits), CONFIDENCE))


def compare_hits(first: Sequence[bool], second: Sequence[bool], alpha: float = 0.05) -> Difference:
    """McNemar's exact test on right and wrong answers to the same rows.

    The interval is that of Bonett and Price (2012, "Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data"), which holds for few rows too.

    Args:
        first: Whether the first model is right, for each row.
        second: Whether the second is.
        alpha: How often the test may see a difference where there is none (0 to 1).
    """
    from scipy import stats  # noqa: PLC0415 - slow to load

    n = len(first)
    n_better = sum(a and not b for a, b in zip(first, second, strict=True))
    n_worse = sum(b and not a for a, b in zip(first, second, strict=True))
    n_different = n_better + n_worse
    p_value = stats.binomtest(n_better, n_different).pvalue if n_different else 1.0
    won, lost = (n_better + 1) / (n + 2), (n_worse + 1) / (n + 2)
    z = float(stats.norm.isf((1 - CONFIDENCE) / 2))
    margin = z * math.sqrt((won + lost - (won - lost) ** 2) / (n + 2))
    return Difference(
        value=(n_better - n_worse) / n,
        low=max(-1.0, won - lost - margin),
        high=min(1.0, won - lost + margin),
        is_better=bool(p_value <= alpha and n_better > n_worse),
        is_worse=bool(p_value <= alpha and n_worse > n_better),
        n_better=n_better,
        n_worse=n_worse,
        visible=visible_difference(n, lost, alpha),
    )


def compare_with_chance(hits: Sequence[bool], alpha: float = 0.05) -> Difference:
    """The exact binomial test of a share of hits against guessing between two (one half)."""
    from scipy import stats  # noqa: PLC0415

    n, n_hits = len(hits), sum(hits)
    p_value = stats.binomtest(n_hits, n).pvalue
    share = estimate_share(hits)
    z = stats.norm.isf(alpha / 2) + stats.norm.isf(1 - POWER)
    return Difference(
        value=share.value - 0.5,
        low=share.low - 0.5,
        high=share.high - 0.5,
        is_better=bool(p_value <= alpha and 2 * n_hits > n),
        is_worse=bool(p_value <= alpha and 2 * n_hits < n),
        n_better=n_hits,
        n_worse=n - n_hits,
        visible=float(z * 0.5 / np.sqrt(n)),
    )


@lru_cache(maxsize=1024)
def visible_difference(n: int, losses: float = ASSUMED_LOSSES, alpha: float = 0.05) -> float:
    """The smallest difference of two shares (0 to 1, in whole points) that McNemar's test shows on n rows.

    Args:
        n: Rows.
        losses: The share of rows that only the worse model gets right.
        alpha: The level of the test.

    Returns:
        The difference that is found in at least POWER of all draws; infinite where n rows show none.
    """
    points = bisect.bisect_left(
        range(101), True, key=lambda point: _power(n, max(point, 1) / 100, losses, alpha) >= POWER
    )
    return max(points, 1) / 100 if points <= 100 else math.inf


def rows_to_show(difference: float, losses: float = ASSUMED_LOSSES, alpha: float = 0.05) -> int:
    """How many rows show a difference of two shares in POWER of all draws; MAX_ROWS where more would.

    Args:
        difference: The difference (0 to 1).
        losses: The share of rows that only the worse model gets right.
        alpha: The level of the test.
    """
    too_few, enough = 1, 2
    while enough < MAX_ROWS and _power(enough, difference, losses, alpha) < POWER:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _power(middle, difference, losses, alpha) < POWER:
            too_few = middle
        else:
            enough = middle
    return min(enough, MAX_ROWS)


def _power(n: int, difference: float, losses: float, alpha: float) -> float:
    """How often McNemar's exact test shows a difference, over the counts of rows that differ and of wins."""
    from scipy import stats  # noqa: PLC0415

    losses = min(losses, (1 - difference) / 2)
    different = difference + 2 * losses
    fewest, most = stats.binom.interval(1 - NEGLIGIBLE, n, different)
    counts = np.arange(fewest, most + 1)
    needed = stats.binom.isf(alpha / 2, counts, 0.5) + 1
    detected = stats.binom.sf(needed - 1, counts, (difference + losses) / different)
    return float(stats.binom.pmf(counts, n, different) @ detected)


def estimate_mean(values: Sequence[float]) -> Estimate:
    """The mean with its bootstrap interval."""
    return estimate_statistic((np.asarray(values, dtype=float),), _mean)


def compare_means(first: Sequence[float], second: Sequence[float], alpha: float = 0.05) -> Difference:
    """Paired bootstrap of the mean of an error or a loss, where lower is better: second minus first."""
    gains = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    return _difference((gains,), _mean, gains, alpha)


def estimate_f1(counts: Array) -> Estimate:
    """The micro F1 with its bootstrap interval.

    Args:
        counts: rows x 2: labels rightly predicted, and labels predicted plus labels meant.
    """
    return estimate_statistic((counts[:, 0], counts[:, 1]), _f1)


def compare_f1(first: Array, second: Array, alpha: float = 0.05) -> Difference:
    """Paired bootstrap of the micro F1, first minus second; counts as in `estimate_f1`."""

    def difference(*columns: Array, axis: int) -> Array:
        hits, mentions, other_hits, other_mentions = columns
        return _f1(hits, mentions, axis) - _f1(other_hits, other_mentions, axis)

    columns = (first[:, 0], first[:, 1], second[:, 0], second[:, 1])
    gains = (2 * first[:, 0] - first[:, 1]) - (2 * second[:, 0] - second[:, 1])
    return _difference(columns, difference, gains, alpha)


def _mean(values: Array, axis: int) -> Array:
    return np.asarray(values.mean(axis=axis))


def _f1(hits: Array, mentions: Array, axis: int) -> Array:
    return np.asarray(2 * hits.sum(axis=axis) / np.maximum(mentions.sum(axis=axis), 1))


Statistic = Callable[..., Array]


def estimate_statistic(columns: tuple[Array, ...], statistic: Statistic) -> Estimate:
    """A statistic of the rows with its bootstrap interval (percentiles; rows are drawn with a fixed seed)."""
    low, high = _bootstrap(columns, statistic, CONFIDENCE)[0]
    return Estimate(float(statistic(*columns, axis=0)), low, high)


def _difference(columns: tuple[Array, ...], statistic: Statistic, gains: Array, alpha: float) -> Difference:
    """A bootstrapped difference; `gains` says for each row which model is better."""
    from scipy import stats  # noqa: PLC0415

    (low, high), standard_error = _bootstrap(columns, statistic, CONFIDENCE)
    (strict_low, strict_high), _ = _bootstrap(columns, statistic, 1 - alpha)
    z = stats.norm.isf(alpha / 2) + stats.norm.isf(1 - POWER)
    return Difference(
        value=float(statistic(*columns, axis=0)),
        low=low,
        high=high,
        is_better=strict_low > 0,
        is_worse=strict_high < 0,
        n_better=int((gains > 0).sum()),
        n_worse=int((gains < 0).sum()),
        visible=float(z * standard_error),
    )


def _bootstrap(
    columns: tuple[Array, ...], statistic: Statistic, confidence: float
) -> tuple[tuple[float, float], float]:
    """The interval of a statistic (its lower and upper end) and its standard error."""
    from scipy import stats  # noqa: PLC0415

    result = stats.bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=N_RESAMPLES,
        batch=500,
        confidence_level=confidence,
        method="percentile",
        rng=SEED,
    )
    interval = result.confidence_interval
    return (float(interval.low), float(interval.high)), float(result.standard_error)
