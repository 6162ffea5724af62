"""The temperature at which a classifier's scores are as sure as they are right, and the loss that is left."""

from typing import Any, NamedTuple

import numpy as np

# The temperatures that are tried: beyond them, a model is sure of everything or of nothing.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0


class FittedTemperature(NamedTuple):
    """What scores are divided by, and the mean cross-entropy (nats) that they have then."""

    temperature: float
    loss: float


def fit(logits: Any, targets: Any, several: bool) -> FittedTemperature:
    """Fit the temperature with the lowest loss (Guo et al. 2017, “On Calibration of Modern Neural Networks”).

    Args:
        logits: Texts x labels.
        targets: The index of each text's label; with several labels 1 or 0 for each, texts x labels.
        several: Whether a text may have several labels.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - slow to import

    logits, targets = np.asarray(logits, float), np.asarray(targets)
    fitted = minimize_scalar(
        lambda log_temperature: _loss(logits / np.exp(log_temperature), targets, several),
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        method="bounded",
    )
    return FittedTemperature(float(np.exp(fitted.x)), float(fitted.fun))


def _loss(logits: Any, targets: Any, several: bool) -> float:
    """The mean cross-entropy of the decisions (nats)."""
    from scipy.special import log_expit, log_softmax  # noqa: PLC0415 - slow to import

    if several:
        return float(-log_expit(np.where(targets == 1, logits, -logits)).mean())
    return float(-np.take_along_axis(log_softmax(logits, -1), targets[:, None], -1).mean())
