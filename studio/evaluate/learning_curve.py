"""How the error falls with the number of training rows, and what more rows would bring.

The error is taken to follow a power law, as Hestness et al. (2017, "Deep learning scaling is predictable,
empirically", arXiv 1712.00409) found between the first few and very many examples: docs/methods.md#more-data.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.i18n import Message

Array = NDArray[Any]
N_RESAMPLES, SEED, CONFIDENCE = 1000, 0, 0.95
# Fewer held-out rows than this show nothing.
MIN_HELD_OUT = 20
# A curve that the power law misses by more standard errors than this at some size is not projected.
MAX_MISFIT = 2.0
# More rows that would bring at most this share (of all answers, or of the error) are not worth looking for.
WORTHWHILE_GAIN = 0.01
# How many rows more are asked about: the largest of these up to half of what there is.
EXTRA_ROWS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
# Where the fit starts: an exponent in the middle of what Hestness et al. report.
START_EXPONENT = 0.3

HELPS = Message("+{extra} rows ≈ +{gain:.1f} points ({low:.1f}–{high:.1f}, 95% interval).")
LOWERS_ERROR = Message(
    "+{extra} rows ≈ {measure} lower by {gain:.3g} ({low:.3g} to {high:.3g}, 95% interval)."
)
HARDLY_LOWERS_ERROR = Message(
    "More data would hardly help: +{extra} rows lower the {measure} by at most {high:.2g}."
)
CANNOT_TELL_ERROR = Message(
    "Cannot tell: by these sizes, +{extra} rows may lower the {measure} by {low:+.2g} to {high:+.2g}. More "
    "held-out rows would show it more exactly."
)
ERROR_NAMES = {"loss": Message("loss", context="learning_curve"), "mae": Message("mean absolute error")}
SIZE_RIGHT = Message("{rows} rows: {right:.1%} of {count} right.")
SIZE_ERROR = Message("{rows} rows: {measure} {error:.3f} on {count} held-out rows.")
HARDLY_HELPS = Message("More data would hardly help: +{extra} rows bring at most {high:.1f} points.")
CANNOT_TELL = Message(
    "Cannot tell: by these sizes, +{extra} rows may change it by {low:+.1f} to {high:+.1f} points. More "
    "held-out rows would show it more exactly."
)
NO_POWER_LAW = Message("Cannot tell: these sizes lie on no smooth curve, so more rows cannot be projected.")
ONE_TRAINING_EACH = Message("Each size was trained once: the luck of a training is not in the interval.")


@dataclass(frozen=True)
class SizeResult:
    """What a training on so many rows came to.

    Attributes:
        n_rows: Training rows.
        errors: The error of each held-out row, 1 or 0 if it is wrong or right; the same rows for all sizes.
    """

    n_rows: int
    errors: Array

    @property
    def error(self) -> float:
        """The mean error: the share of wrong answers (0 to 1), or the mean loss or distance."""
        return float(self.errors.mean())

    def describe(self, measure: str) -> Message:
        """The size with its result: the share of right answers, or the error where there is none."""
        values = {"rows": self.n_rows, "count": len(self.errors)}
        if measure in ERROR_NAMES:
            return SIZE_ERROR.format(measure=ERROR_NAMES[measure], error=self.error, **values)
        return SIZE_RIGHT.format(right=1 - self.error, **values)


@dataclass(frozen=True)
class Projection:
    """What more rows would bring: by how much the error falls.

    Attributes:
        measure: What the error is: "loss" or "mae"; anything else is a share of wrong answers.
        extra_rows: How many rows more.
        gain: The projected gain.
        low, high: Its interval, from resampled held-out rows.
        is_smooth: Whether the sizes lie on a power law at all.
        is_small: Whether the gain is surely not worth looking for more rows.
    """

    measure: str
    extra_rows: int
    gain: float
    low: float
    high: float
    is_smooth: bool
    is_small: bool

    def describe(self) -> Message:
        """The projection in a sentence; of answers that are right or wrong in points of a hundred."""
        if not self.is_smooth:
            return NO_POWER_LAW
        if self.measure in ERROR_NAMES:
            return self._describe_error(ERROR_NAMES[self.measure])
        values = {"gain": 100 * self.gain, "low": 100 * self.low, "high": 100 * self.high}
        if self.is_small:
            return HARDLY_HELPS.format(extra=self.extra_rows, high=max(0.0, values["high"]))
        message = HELPS if self.low > 0 else CANNOT_TELL
        return message.format(extra=self.extra_rows, **values)

    def _describe_error(self, measure: Message) -> Message:
        message = LOWERS_ERROR if self.low > 0 else CANNOT_TELL_ERROR
        if self.is_small:
            message = HARDLY_LOWERS_ERROR
        values = {
            "gain": self.gain,
            "low": self.low,
            "high": max(self.high, 0.0) if self.is_small else self.high,
        }
        return message.format(extra=self.extra_rows, measure=measure, **values)


def fit_power_law(n_rows: Sequence[int], errors: Sequence[float]) -> tuple[float, float]:
    """Fit error = a · (rows / largest)^-b by least squares.

    Args:
        n_rows: Training rows of each size, the largest last; at least two sizes.
        errors: The error at each.

    Returns:
        a, the fitted error at the largest size, and b; 0 and 0 where there are no errors at all.
    """
    from scipy.optimize import OptimizeWarning, curve_fit  # noqa: PLC0415 - slow to load

    if not any(errors):
        return 0.0, 0.0
    relative_rows = np.asarray(n_rows) / n_rows[-1]
    start = (max(errors[-1], 1e-6), START_EXPONENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # of a covariance that is not used
        (scale, exponent), _ = curve_fit(_power_law, relative_rows, errors, p0=start, maxfev=5000)
    return float(scale), float(exponent)


def _power_law(relative_rows: Array, scale: float, exponent: float) -> Array:
    return scale * relative_rows**-exponent


def project(results: Sequence[SizeResult], measure: str = "accuracy") -> Projection:
    """What more rows would bring, by the results at several sizes.

    The interval covers the curve through all sizes and the one through the two largest: where those two
    show no progress any more, an early rise promises none.

    Args:
        results: One for each size, the largest last; three sizes or more, on the same held-out rows.
        measure: What the errors are, see Projection.
    """
    n_rows = [result.n_rows for result in results]
    extra_rows = choose_extra_rows(n_rows[-1])
    errors = np.stack([result.errors for result in results])
    rng = np.random.default_rng(SEED)
    n_held_out = errors.shape[1]
    drawn = [rng.integers(n_held_out, size=n_held_out) for _ in range(N_RESAMPLES)]
    sampled_errors = [errors[:, rows].mean(axis=1) for rows in drawn]
    gains = [_gain(n_rows, sample, extra_rows) for sample in sampled_errors]
    late_gains = [_gain(n_rows[-2:], sample[-2:], extra_rows) for sample in sampled_errors]
    tail = (1 - CONFIDENCE) / 2
    lows, highs = np.quantile([gains, late_gains], (tail, 1 - tail), axis=1)
    low, high = lows.min(), highs.max()
    mean_errors = errors.mean(axis=1)
    gain = _gain(n_rows, mean_errors, extra_rows)
    scale = mean_errors[-1] if measure in ERROR_NAMES else 1.0
    return Projection(
        measure,
        extra_rows,
        gain,
        float(low),
        float(high),
        is_smooth=_is_smooth(n_rows, errors),
        is_small=bool(high < WORTHWHILE_GAIN * scale),
    )


def choose_extra_rows(n_rows: int) -> int:
    """How many rows more are asked about: a round number up to half of what there is."""
    return max((extra for extra in EXTRA_ROWS if extra <= n_rows / 2), default=EXTRA_ROWS[0])


def _gain(n_rows: Sequence[int], errors: Array, extra_rows: int) -> float:
    scale, exponent = fit_power_law(n_rows, [float(error) for error in errors])
    return float(scale * (1 - (1 + extra_rows / n_rows[-1]) ** -exponent))


def _is_smooth(n_rows: Sequence[int], errors: Array) -> bool:
    """Whether the fitted curve passes within MAX_MISFIT standard errors of each size (a row each)."""
    mean_errors = errors.mean(axis=1)
    scale, exponent = fit_power_law(n_rows, [float(error) for error in mean_errors])
    fitted = _power_law(np.asarray(n_rows) / n_rows[-1], scale, exponent)
    standard_errors = errors.std(axis=1) / np.sqrt(errors.shape[1])
    return bool(np.all(np.abs(mean_errors - fitted) <= MAX_MISFIT * standard_errors + 1e-9))
