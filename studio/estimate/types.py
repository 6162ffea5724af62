"""What an estimate says: a range for every figure, what it consists of, and whether the run fits."""

from dataclasses import dataclass, field
from typing import Literal

from studio.i18n import Message

# How an estimate came about, the roughest first: the closed form; a traced step; either with this machine's own measured rates.
EstimateLevel = Literal["formula", "traced"]
FitStatus = Literal["yes", "tight", "no", "unknown"]


@dataclass(frozen=True)
class Range:
    """A figure that is not known exactly; nine of ten should lie between `low` and `high`."""

    low: float
    likely: float
    high: float

    def scaled(self, factor: float) -> "Range":
        """The same range in another unit."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def contains(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


def range_around(likely: float, spread: float) -> Range:
    """From likely ÷ spread to likely × spread."""
    return Range(likely / spread, likely, likely * spread)


@dataclass(frozen=True)
class Estimate:
    """What one method would need for a plan on a machine (`place`, its id); None stands where something is missing, which `missing` names.

    `parts` (GB) are those of the likely peak, by the names in PARTS; `stretches` (minutes) those of the likely time, by phase.
    `room_gb` is what the machine has for a run. `money` is in `currency`. `corrected` says by what earlier runs made it multiply "minutes"
    and "memory_gb", `stamp` with which measurement of the machine it was made (epoch, s; 0: by its specification).
    """

    method: str
    trainable: int | None = None
    total: int | None = None
    memory_gb: Range | None = None
    parts: dict[str, float] = field(default_factory=dict)
    minutes: Range | None = None
    stretches: dict[str, float] = field(default_factory=dict)
    money: Range | None = None
    currency: str = "USD"
    watt_hours: Range | None = None
    disk_mb: float | None = None
    fits: FitStatus = "unknown"
    room_gb: float | None = None
    why_not: Message | None = None
    missing: tuple[Message, ...] = ()
    level: EstimateLevel = "formula"
    stamp: float = 0.0
    corrected: dict[str, float] = field(default_factory=dict)
    place: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether it rests on this machine's own rates."""
        return self.stamp > 0

    @property
    def largest_part(self) -> str:
        """The part that takes the most memory; empty where none is known."""
        return max(self.parts, key=lambda name: self.parts[name], default="")


TWO_CLASSES = Message("how many classes there are: until the data says it, two are assumed")
# The parts of memory, in plain words first.
MEMORY_PARTS = {
    "runtime": Message("the program itself (runtime)"),
    "model": Message("the model (weights)"),
    "beside": Message("other models held meanwhile (reference, reward model)"),
    "gradients": Message("the direction of every change (gradients)"),
    "optimiser": Message("the memory of past steps (optimiser)"),
    "activations": Message("intermediate results kept for learning (activations)"),
    "scores": Message("scores for every word of the vocabulary (logits)"),
    "passing": Message("intermediate results in passing (temporaries)"),
    "written": Message("what has been read and written so far (KV cache)"),
    "slack": Message("memory that is held but not in use (fragmentation)"),
}
