"""What the two card benches share.

Tables of estimated and actual, and how other people's loops treat a model.
"""

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from studio.estimate.tracing.meta_step import PassSpec

MIB = 2**20
# torch's own AdamW on a card works on lists of tensors, which takes memory in passing.
adamw = partial(torch.optim.AdamW, foreach=True)


@dataclass(frozen=True)
class Line:
    """One figure of one run."""

    run: str
    estimated: float
    actual: float

    @property
    def error(self) -> float:
        """How far the estimate lies above what was measured (%)."""
        return 100 * (self.estimated / self.actual - 1)


@dataclass(frozen=True)
class Table:
    """A figure of many runs, and what was asked of its errors (%): median, mean or worst, by name."""

    title: str
    unit: str
    lines: list[Line]
    bars: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> dict[str, float]:
        """The sizes of the errors (%)."""
        sizes = [abs(line.error) for line in self.lines]
        return {"median": statistics.median(sizes), "mean": statistics.mean(sizes), "worst": max(sizes)}

    @property
    def summary(self) -> str:
        """One line: how large the errors are, and whether that is what was asked."""
        found = self.errors
        asked = ", ".join(
            f"{name} {bar:g} % {'kept' if found[name] <= bar else 'MISSED'}"
            for name, bar in self.bars.items()
        )
        sizes = ", ".join(f"{name} {value:.2f} %" for name, value in found.items())
        return f"{self.title}: {sizes} over {len(self.lines)} runs" + (f" (asked: {asked})" if asked else "")

    def text(self) -> str:
        """The whole table, its notes and its summary."""
        head = f"{self.title:52s} {'estimated':>11s} {'actual':>11s} {self.unit:5s} {'error':>7s}"
        rows = [
            f"{line.run:52s} {line.estimated:11.2f} {line.actual:11.2f} {'':5s} {line.error:+6.1f}%"
            for line in self.lines
        ]
        return "\n".join([head, *rows, *self.notes, self.summary])


def own_loss(model: Any, asked: PassSpec) -> tuple[torch.Tensor, Any]:
    """The model's own loss over every position, and its outputs, which the loop holds on to."""
    ids = torch.ones(asked.rows, asked.tokens, dtype=torch.long, device="meta")
    given = {"input_ids": ids, "labels": ids}
    if asked.padded:
        given["attention_mask"] = torch.ones_like(ids)
    outputs = model(**given)
    return outputs.loss, outputs
