"""Makes certainty honest: temperature scaling, fitted on rows that a run has not learned from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.evaluate import temperature
from studio.i18n import Message

# With fewer held-out texts a temperature says more about chance than about the model.
MIN_TEXTS = 20
CALIBRATED = Message(
    "Certainty is calibrated on {count} held-out texts, of which the model got {right:.0%} right. Its "
    "average certainty there went from {before:.0%} to {after:.0%}."
)
TOO_FEW = Message(
    "Certainty is not calibrated: the run has {count} held-out texts, and it takes {least}. Take it as a "
    "ranking, not as a probability."
)
ALL_RIGHT = Message(
    "Certainty is not calibrated: the model got all {count} held-out texts right, so nothing shows when it "
    "errs. Take it as a ranking, not as a probability."
)


@dataclass(frozen=True)
class Calibration:
    """How scores become certainty.

    Attributes:
        temperature: What the scores are divided by; 1 where none could be fitted.
        message: What it rests on, or why none could be fitted.
    """

    temperature: float
    message: Message


def fit(logits: Any, targets: Any, several: bool) -> Calibration:
    """Fit the temperature with the lowest loss (studio.evaluate.temperature), where there are rows enough.

    Args:
        logits: Texts x labels.
        targets: The index of each text's label; with several labels 1 or 0 for each, texts x labels.
        several: Whether a text may have several labels.
    """
    count = len(logits)
    if count < MIN_TEXTS:
        return Calibration(1.0, TOO_FEW.format(count=count, least=MIN_TEXTS))
    logits, targets = np.asarray(logits, float), np.asarray(targets)
    is_right = _decide(logits, several) == targets
    if is_right.all():
        return Calibration(1.0, ALL_RIGHT.format(count=count))
    fitted = temperature.fit(logits, targets, several)
    message = CALIBRATED.format(
        count=count,
        right=float(is_right.reshape(count, -1).all(-1).mean()),
        before=_mean_certainty(logits, several),
        after=_mean_certainty(logits / fitted.temperature, several),
    )
    return Calibration(fitted.temperature, message)


def certainty(logits: Any, fitted_temperature: float, several: bool) -> float:
    """How sure a model is of what it says of one text, 0 to 1; of several labels, of the least sure one."""
    return _mean_certainty(np.asarray(logits, float)[None] / fitted_temperature, several)


def _mean_certainty(logits: Any, several: bool) -> float:
    """How sure a model is of a text on average; of several labels, of the least sure one."""
    certainties = _certainties(logits, several)
    return float(certainties.reshape(len(logits), -1).min(-1).mean())


def _decide(logits: Any, several: bool) -> Any:
    return (logits >= 0).astype(int) if several else logits.argmax(-1)


def _certainties(logits: Any, several: bool) -> Any:
    """The probability of each decision: of a text's label, or of each label that it has or has not."""
    from scipy.special import expit, softmax  # noqa: PLC0415 - slow to import

    return expit(np.abs(logits)) if several else softmax(logits, -1).max(-1)
