"""What the two GPU benches share: tables of estimated and actual, and other people's training loops."""

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from studio.estimate.tracing.meta_step import PassSpec

MIB = 2**20
# torch's own AdamW on a GPU works on lists of tensors, which takes memory for a moment.
foreach_adamw = partial(torch.optim.AdamW, foreach=True)


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
    """A figure of many runs.

    Attributes:
        title: What the figure is.
        unit: Its unit.
        lines: One line for each run.
        limits: The bounds of its errors (%): of "median", "mean" or "worst".
        notes: Sentences below the lines.
    """

    title: str
    unit: str
    lines: list[Line]
    limits: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> dict[str, float]:
        """The sizes of the errors (%)."""
        sizes = [abs(line.error) for line in self.lines]
        return {"median": statistics.median(sizes), "mean": statistics.mean(sizes), "worst": max(sizes)}

    @property
    def summary(self) -> str:
        """One line: how large the errors are, and whether they are within the limits."""
        errors = self.errors
        verdicts = ", ".join(
            f"{name} {limit:g} % {'kept' if errors[name] <= limit else 'MISSED'}"
            for name, limit in self.limits.items()
        )
        sizes = ", ".join(f"{name} {value:.2f} %" for name, value in errors.items())
        summary = f"{self.title}: {sizes} over {len(self.lines)} runs"
        return f"{summary} (asked: {verdicts})" if verdicts else summary

    def text(self) -> str:
        """The table, its notes and its summary."""
        head = f"{self.title:52s} {'estimated':>11s} {'actual':>11s} {self.unit:5s} {'error':>7s}"
        rows = [
            f"{line.run:52s} {line.estimated:11.2f} {line.actual:11.2f} {'':5s} {line.error:+6.1f}%"
            for line in self.lines
        ]
        return "\n".join([head, *rows, *self.notes, self.summary])


def model_loss(model: Any, spec: PassSpec) -> tuple[torch.Tensor, Any]:
    """The model's own loss over every position, and its outputs, which the loop keeps alive."""
    input_ids = torch.ones(spec.rows, spec.tokens, dtype=torch.long, device="meta")
    inputs = {"input_ids": input_ids, "labels": input_ids}
    if spec.padded:
        inputs["attention_mask"] = torch.ones_like(input_ids)
    outputs = model(**inputs)
    return outputs.loss, outputs
