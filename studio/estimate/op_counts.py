"""The work and the peak memory of a piece of a run, as both the closed form and the trace count it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# The fields that add up from one piece of work to the next.
ADDITIVE_FIELDS = (
    "flop_16",
    "flop_32",
    "moved",
    "operations",
    "drawn",
    "unpacked",
    "read",
    "moved_by_products",
    "moved_by_few_rows",
    "sent",
)


@dataclass
class OpCounts:
    """What a pass, a phase or a run takes (docs/estimator.md#what-is-counted).

    Attributes:
        flop_16: Arithmetic on 16-bit numbers (FLOP).
        flop_32: Arithmetic on 32-bit numbers (FLOP).
        moved: Memory traffic (bytes read and written).
        operations: Number of operations launched.
        drawn: Random numbers drawn, for dropout.
        unpacked: 4-bit numbers dequantized.
        read: Weights read from the disk (bytes).
        moved_by_products: The part of `moved` that products of matrices and attention read and write: a GPU
            does that while it multiplies.
        moved_by_few_rows: The part of `moved` that products with 2 to about 20 rows do, as when several texts
            are written at once: a CPU rearranges the matrix first.
        sent: Bytes that a GPU sends to other GPUs.
        peak: The highest sum of live bytes.
        spare: What a GPU's allocator holds at the peak beyond what it needs, and gives back when memory
            is short (bytes).
        parts: What the peak consists of (bytes): "frozen" and "weights" (live all the time), "gradients",
            "activations" (kept for the backward pass), "scores" (of the vocabulary, with what the loss
            computes from them), "passing" (temporary), "written" (keys and values of the text so far).
    """

    flop_16: float = 0.0
    flop_32: float = 0.0
    moved: float = 0.0
    operations: float = 0.0
    drawn: float = 0.0
    unpacked: float = 0.0
    read: float = 0.0
    moved_by_products: float = 0.0
    moved_by_few_rows: float = 0.0
    sent: float = 0.0
    peak: float = 0.0
    spare: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    def scaled(self, factor: float) -> "OpCounts":
        """Return the same work repeated `factor` times; its peak stays."""
        return OpCounts(
            flop_16=self.flop_16 * factor,
            flop_32=self.flop_32 * factor,
            moved=self.moved * factor,
            operations=self.operations * factor,
            drawn=self.drawn * factor,
            unpacked=self.unpacked * factor,
            read=self.read * factor,
            moved_by_products=self.moved_by_products * factor,
            moved_by_few_rows=self.moved_by_few_rows * factor,
            sent=self.sent * factor,
            peak=self.peak,
            spare=self.spare,
            parts=self.parts,
        )


def total(all_counts: Iterable[OpCounts]) -> OpCounts:
    """Return pieces of work done one after the other: the work adds up, the highest peak stays."""
    result = OpCounts()
    for counts in all_counts:
        for name in ADDITIVE_FIELDS:
            setattr(result, name, getattr(result, name) + getattr(counts, name))
        if counts.peak > result.peak:
            result.peak, result.spare, result.parts = counts.peak, counts.spare, dict(counts.parts)
    return result


def nonzero_parts(parts: Counter[str]) -> dict[str, float]:
    """Return the parts (bytes) without those that hold nothing."""
    return {name: float(size) for name, size in parts.items() if size > 0}
