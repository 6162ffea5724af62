"""Reads a learning-rate range test: the loss while the rate rises from step to step (Smith 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from studio.i18n import Message
from studio.plan import format_learning_rate

# The rate that is advised is this part of the one with the lowest loss: beyond that the loss rises again.
# Smith 2017, "Cyclical learning rates for training neural networks", section 3.3, reads the highest useful
# rate there; a third of it keeps a distance.
ADVISED_PART = 1 / 3
# A planned rate within this factor of the advised one is as good, as far as one short test can show.
SAME_FACTOR = 3.0
# Nothing is read from a loss that never fell by this share of its start.
MIN_FALL = 0.01

FALLS = Message(
    "The loss fell from {start:.3f} to {lowest:.3f} at a learning rate of {best}; beyond that it rose again."
)
FALLS_TO_THE_END = Message(
    "The loss fell from {start:.3f} to {lowest:.3f} up to the highest learning rate that was tried, {best}."
)
NEVER_FELL = Message(
    "The loss did not fall at any learning rate from {low} to {high}, so this test advises none. Keep the "
    "default."
)
KEEP = Message("Your learning rate of {rate} is in the good range. Keep it.")
TRY = Message("Try {advised} instead of {rate}, and compare the two on validation data.")
LIMIT = Message("This is one short test of {steps} steps; it shows the start of a training, not its end.")


@dataclass(frozen=True)
class RateRange:
    """The losses of a range test.

    Attributes:
        rates: The learning rate of each step, rising.
        losses: The loss on the same rows after each step; as many as there are rates.
        start: The loss before the first step.
        planned: The learning rate that the plan would take.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    start: float
    planned: float

    @property
    def best_index(self) -> int:
        """The step with the lowest loss."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def has_fallen(self) -> bool:
        """Whether the loss fell clearly at any rate."""
        return self.losses[self.best_index] <= self.start * (1 - MIN_FALL)

    @property
    def advised(self) -> float | None:
        """The learning rate to try, with one digit; None where the test shows nothing."""
        if not self.has_fallen:
            return None
        return float(f"{self.rates[self.best_index] * ADVISED_PART:.0e}")

    @property
    def is_planned_near(self) -> bool:
        """Whether the planned rate is as good as the advised one, as far as the test can show."""
        return bool(self.advised) and 1 / SAME_FACTOR <= self.planned / (self.advised or 1) <= SAME_FACTOR

    def describe(self) -> list[Message]:
        """What the test shows, what to do, and how far it can be trusted."""
        planned = format_learning_rate(self.planned)
        limit = LIMIT.format(steps=len(self.losses))
        if self.advised is None:
            low, high = (format_learning_rate(rate) for rate in (self.rates[0], self.rates[-1]))
            return [NEVER_FELL.format(low=low, high=high), limit]
        is_last = self.best_index == len(self.rates) - 1
        sentence = (FALLS_TO_THE_END if is_last else FALLS).format(
            start=self.start,
            lowest=self.losses[self.best_index],
            best=format_learning_rate(self.rates[self.best_index]),
        )
        advice = KEEP if self.is_planned_near else TRY
        return [sentence, advice.format(rate=planned, advised=format_learning_rate(self.advised)), limit]

    def to_json(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "advised": self.advised}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "RateRange":
        """A test from JSON."""
        return cls(**{name: raw[name] for name in ("rates", "losses", "start", "planned")})
