"""What the two GPU benches share: tables of estimated and actual, and other people's training loops."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from studio.estimate.benchmark import calibrate
from studio.estimate.machines import catalogue, rates
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.estimate.tracing.meta_step import PassSpec
from studio.estimate.tracing.trace import Trace

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


@dataclass(frozen=True)
class TimedRun:
    """A run with its work and the time it took.

    Attributes:
        label: What it was.
        pieces: Its work, each piece of which runs on its own (micro batches, tokens of a generation).
        seconds: What was measured.
        outside_seconds: What of it is no work of the card (loading).
    """

    label: str
    pieces: tuple[OpCounts, ...]
    seconds: float
    outside_seconds: float = 0.0

    def estimate(self, machine_rates: Rates) -> float:
        """Return the seconds at some rates."""
        return self.outside_seconds + sum(map(machine_rates.estimate_seconds, self.pieces))


def compare_time(
    title: str, runs: Sequence[TimedRun], machine_id: str, mean_limit: float = 15
) -> list[Table]:
    """Seconds by the specification alone, and at one set of rates fitted on all other runs.

    Args:
        title: The card, and what is timed.
        runs: The runs.
        machine_id: A machine with the card.
        mean_limit: The bound of the mean error of the second table (%).
    """
    from_spec = rates.rates_from_spec(catalogue.load_machines()[machine_id])
    unfitted = [Line(run.label, run.estimate(from_spec), run.seconds) for run in runs]
    fitted = []
    for run in runs:
        other_rates = fit_rates([other for other in runs if other != run], from_spec)
        fitted.append(Line(run.label, run.estimate(other_rates), run.seconds))
    all_rates = fit_rates(runs, from_spec)
    note = (
        f"fitted on all: {all_rates.flop_16 / 1e12:.0f} and {all_rates.flop_32 / 1e12:.1f} TFLOP/s in 16 and 32"
        f" bits, {all_rates.bandwidth / 1e9:.0f} GB/s, {1e6 * all_rates.operation:.1f} µs an operation"
    )
    fast, slow = from_spec.spread("traced")
    n_in_range = sum(run.estimate(fast) <= run.seconds <= run.estimate(slow) for run in runs)
    told = f"{n_in_range} of {len(unfitted)} in the range that is told"
    return [
        Table(f"{title}, the run left out of the fit", "s", fitted, {"mean": mean_limit}, (note,)),
        Table(f"{title}, by the specification alone", "s", unfitted, {}, (told,)),
    ]


def fit_rates(runs: Sequence[TimedRun], from_spec: Rates) -> Rates:
    """Return the rates that explain the runs best, as "measure this machine" fits them."""
    seconds = [run.seconds - run.outside_seconds for run in runs]
    return calibrate.fit_overlapping_rates([run.pieces for run in runs], seconds, from_spec)


def load_in_one_block(model: Any, trace: Trace) -> None:
    """Loading with a device map: a block of the model's size, which its weights then share."""
    base = [parameter for _, parameter in model.named_parameters() if parameter.dtype is torch.bfloat16]
    trace.allocate("model", sum(parameter.numel() * 2 for parameter in base))
    trace.release("model")
    trace.track(base, "frozen")


def model_loss(model: Any, spec: PassSpec) -> tuple[torch.Tensor, Any]:
    """The model's own loss over every position, and its outputs, which the loop keeps alive."""
    input_ids = torch.ones(spec.rows, spec.tokens, dtype=torch.long, device="meta")
    inputs = {"input_ids": input_ids, "labels": input_ids}
    if spec.padded:
        inputs["attention_mask"] = torch.ones_like(input_ids)
    outputs = model(**inputs)
    return outputs.loss, outputs
