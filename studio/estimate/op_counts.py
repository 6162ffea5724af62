"""What a stretch of work takes: arithmetic, memory traffic, operations, chance, and the memory alive at its peak, part by part."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# What adds up from one stretch to the next.
ADDITIVE_FIELDS = ("flop_16", "flop_32", "moved", "operations", "drawn", "unpacked")


@dataclass
class OpCounts:
    """FLOP by width of number, bytes moved, operations, numbers drawn by chance (dropout), 4-bit numbers multiplied out, and the highest sum
    of live bytes with the parts it consisted of.

    `spare` is what a card's allocator holds at the peak beyond what it needs, and gives back when it is short (bytes).

    Parts: "frozen" and "weights" (held all the time), "gradients", "activations" (kept for the way back), "scores" (of the vocabulary,
    with what the loss makes of them), "passing" (temporary), "written" (keys and values of text so far).
    """

    flop_16: float = 0.0
    flop_32: float = 0.0
    moved: float = 0.0
    operations: float = 0.0
    drawn: float = 0.0
    unpacked: float = 0.0
    peak: float = 0.0
    spare: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    def scaled(self, factor: float) -> "OpCounts":
        """The same work so many times; its peak stays."""
        return OpCounts(
            **{name: getattr(self, name) * factor for name in ADDITIVE_FIELDS},
            peak=self.peak,
            spare=self.spare,
            parts=self.parts,
        )


def total(all_counts: Iterable[OpCounts]) -> OpCounts:
    """One after the other: work adds up, the highest peak stays."""
    result = OpCounts()
    for counts in all_counts:
        for name in ADDITIVE_FIELDS:
            setattr(result, name, getattr(result, name) + getattr(counts, name))
        if counts.peak > result.peak:
            result.peak, result.spare, result.parts = counts.peak, counts.spare, dict(counts.parts)
    return result


def nonzero_parts(parts: Counter[str]) -> dict[str, float]:
    """Parts in bytes, without those that hold nothing."""
    return {name: float(size) for name, size in parts.items() if size > 0}
