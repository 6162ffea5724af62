"""The result of an estimate: a range for every figure, the parts it is made of, and whether the run fits."""

from dataclasses import dataclass, field
from typing import Literal

from studio.i18n import Message

# How an estimate came about: the closed form, which is rougher, or a traced step. Either can use this
# machine's own measured rates (docs/estimator.md#the-four-levels).
EstimateLevel = Literal["formula", "traced"]
FitStatus = Literal["yes", "tight", "no", "unknown"]
CURRENCY_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥"}


@dataclass(frozen=True)
class Range:
    """A figure that is not known exactly; nine of ten should lie between `low` and `high`."""

    low: float
    likely: float
    high: float

    def scaled(self, factor: float) -> "Range":
        """Return the same range in another unit."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def contains(self, value: float) -> bool:
        """Return whether a value lies within the range."""
        return self.low <= value <= self.high


def currency_sign(currency: str) -> str:
    """Return what stands before an amount of a currency: its sign, or else its code and a space."""
    return CURRENCY_SIGNS.get(currency, f"{currency} ")


def range_around(likely: float, spread: float) -> Range:
    """Return the range from likely ÷ spread to likely × spread."""
    return Range(likely / spread, likely, likely * spread)


@dataclass(frozen=True)
class Estimate:
    """What one method would need for a plan on a machine. None stands for a figure that is not known.

    Attributes:
        method: Name of the method.
        trainable: Number of trainable parameters.
        total: Number of all parameters.
        memory_gb: Peak memory (GB).
        parts: The parts of the likely peak (GB), by the names in MEMORY_PARTS.
        minutes: Time of the whole run.
        stretches: The parts of the likely time (minutes), by phase.
        money: Cost of the run in `currency`.
        watt_hours: Energy of the run.
        disk_mb: Size of the result on disk.
        fits: Whether the run fits into `room_gb`.
        room_gb: Memory that the machine has for a run.
        why_not: Why the run does not fit; None where it does.
        missing: What would have to be known for the figures that are missing or rough.
        level: How the estimate came about.
        measured_at: When the machine's rates were measured (epoch, s); 0 for its specification.
        corrections: The factors by which earlier runs have changed "minutes" and "memory_gb".
        machine_id: Id of the machine.
        has_untraced_passes: Whether some passes rest on the closed form, since no trace of them is known.
        startup_minutes: Minutes that a rented machine runs before the training; they are in `money`.
        fetched_gb: The model that is fetched in them (GB).
        cards: How many GPUs share the run; memory is that of each of them.
        is_sharded: Whether weights, gradients and averages are spread over them (FSDP).
        gradient_checkpointing: Whether activations are computed again on the way back instead of kept; None
            where no examples are known.
        gradient_accumulation_steps: In how many micro batches a step is computed; None where no examples
            are known.
        packs_texts: Whether the texts of a micro batch are trained on without padding.
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
    measured_at: float = 0.0
    corrections: dict[str, float] = field(default_factory=dict)
    machine_id: str = ""
    has_untraced_passes: bool = False
    startup_minutes: float = 0.0
    fetched_gb: float = 0.0
    cards: int = 1
    is_sharded: bool = False
    gradient_checkpointing: bool | None = None
    gradient_accumulation_steps: int | None = None
    packs_texts: bool = False

    @property
    def missing_gb(self) -> float:
        """By how many GB the run does not fit: above 0 where memory is what it lacks."""
        if not self.memory_gb or self.room_gb is None:
            return 0.0
        return self.memory_gb.likely - self.room_gb

    @property
    def is_measured(self) -> bool:
        """Whether the estimate rests on this machine's own measured rates."""
        return self.measured_at > 0

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
    "collected": Message("weights collected from the other GPUs for a moment (FSDP)"),
    "slack": Message("memory that is held but not in use (fragmentation)"),
}
