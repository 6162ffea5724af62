"""Measures this machine: a few real steps on a shallow cut of a model, and the four rates that explain them.

`python -m studio.estimate.benchmark.calibrate` reads what to measure as JSON from stdin and writes a line of
JSON for each point when it is done, the rates in the last line. Rates follow from least squares on relative
errors, none of them negative; what can be timed alone is timed alone. See docs/estimator.md#measured-machine.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch
from scipy import optimize
from transformers import AutoConfig

from studio import methods, processes
from studio.data import vocabulary_loss
from studio.estimate.analytic.time import UPDATE_BYTES_PER_PARAMETER
from studio.estimate.machines import hardware
from studio.estimate.machines.catalogue import MachineKind
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing.meta_step import MetaStep, ModelSpec, PassSpec
from studio.models import cpu_attention, load
from studio.models.device import (
    autocast,
    autocast_dtype,
    cuda_context_bytes,
    device_type,
    prefer_flash_attention,
    synchronize,
    torch_device,
    weights_dtype,
)
from studio.models.fused_norms import fused_norms
from studio.plan import Task

# Layers of the cut.
MAX_LAYERS = 4
# Steps of a point; the first few, in which memory is touched for the first time, are dropped.
STEPS_PER_POINT, WARMUP_STEPS = 7, 3
# How strongly a rate keeps to where it was where the points say nothing of it, and the least share of its
# former value that its cost may fall to.
PRIOR_WEIGHT, MIN_RATE_SHARE = 0.1, 0.02
# The same for the rates of a GPU, which differ by factors: a rate twice as high counts as 0.2 × log 2 = 14 %.
OVERLAPPING_PRIOR_WEIGHT = 0.2
# What is timed alone: so many numbers at once, about as many as a matrix of a small model has, so often.
SAMPLE_SIZE, REPEATS = 1_048_576, 15
# Products with few rows: as many matrices as no cache holds, of a block of a small model.
N_MATRICES, MATRIX_SHAPE, FEW_ROWS, FEW_ROWS_REPEATS = 64, (1536, 576), 8, 8
# A worker loads more than this process before its model is there (a factor), and its first step does some
# things only once (seconds).
STARTUP_FACTOR, FIRST_STEP_SECONDS = 1.2, 1.5
# Labels of the cut of an encoder.
NUM_LABELS = 6


@dataclass(frozen=True)
class TruncatedModel:
    """A cut of a model, with random weights.

    Attributes:
        config: Its config.json, as transformers has it.
        is_encoder: Whether it is an encoder, which classifies; else it continues texts.
    """

    config: Mapping[str, Any]
    is_encoder: bool

    @property
    def task(self) -> Task:
        """What it is trained for."""
        return "classify" if self.is_encoder else "chat"


def truncate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the same model with few layers and its full vocabulary.

    What a config lists layer by layer is cut with the layers.
    """
    truncated_lists = {
        name: value[:MAX_LAYERS]
        for name, value in config.items()
        if isinstance(value, list) and name.endswith("layer_types")
    }
    n_layers = min(MAX_LAYERS, int(config["num_hidden_layers"]))
    return {**config, **truncated_lists, "num_hidden_layers": n_layers}


def count_step(
    model: TruncatedModel, method_name: str, batch_shape: tuple[int, int], device: str
) -> OpCounts:
    """Return what a step takes, by a trace.

    Args:
        model: The model.
        method_name: The method, with its default settings.
        batch_shape: Texts and tokens of each.
        device: Where it runs, "cpu" or "cuda".
    """
    meta_step = MetaStep(
        ModelSpec(
            config=model.config,
            method_name=method_name,
            settings=methods.get(method_name).resolve_settings({}),
            task=model.task,
            num_labels=NUM_LABELS if model.is_encoder else 0,
            device=device,
            autocast_dtype=str(autocast_dtype() or "").removeprefix("torch."),
        )
    )
    rows, tokens = batch_shape
    n_scored = 1 if model.is_encoder else tokens // 2
    counts = total(meta_step.run(PassSpec(rows, tokens, n_scored, padded=False)).phases.values())
    n_trainable = sum(parameter.numel() for parameter in meta_step.trainable_parameters)
    kind: MachineKind = "card" if device == "cuda" else "processor"
    counts.moved += UPDATE_BYTES_PER_PARAMETER[kind] * n_trainable
    return counts


def time_step(model: TruncatedModel, method_name: str, batch_shape: tuple[int, int]) -> float:
    """Return the median of a few real steps (seconds).

    Args:
        model: The model.
        method_name: The method, with its default settings.
        batch_shape: Texts and tokens of each.
    """
    torch.manual_seed(0)
    prefer_flash_attention()  # as a model that is loaded has it
    network = _build_network(model, method_name)
    trainable_parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable_parameters, lr=1e-6, fused=True)
    inputs, labels = _build_inputs(model, batch_shape, network.device)

    compute_loss, pass_context = vocabulary_loss.build_loss(model.task, network, autocast)
    n_items = torch.tensor(labels.numel())

    def run_step() -> None:
        with pass_context, cpu_attention.short_texts_in_float32():
            with autocast():
                outputs = network(**inputs)
            compute_loss(outputs, labels, n_items).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        synchronize()

    with fused_norms(network):
        return _median_seconds(run_step, STEPS_PER_POINT)


def _build_network(model: TruncatedModel, method_name: str) -> Any:
    """Return a model with random weights and the method attached, ready to train."""
    method = methods.get(method_name)
    model_config = AutoConfig.for_model(**model.config)
    model_config.num_labels = NUM_LABELS
    dtype = torch.float32 if method.weights == "trained" else weights_dtype()
    network_class = load.model_class(model.task, model.config)
    network = network_class.from_config(model_config, dtype=dtype).to(torch_device())
    network.config.pad_token_id = 0
    return method.attach(network, method.resolve_settings({}), model.task).train()


def _build_inputs(
    model: TruncatedModel, batch_shape: tuple[int, int], device: torch.device
) -> tuple[dict[str, Any], torch.Tensor]:
    """Return a model's inputs and labels; of a text that is continued the second half is learned."""
    rows, tokens = batch_shape
    input_ids = torch.randint(1, int(model.config["vocab_size"]), (rows, tokens), device=device)
    inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
    if model.is_encoder:
        return inputs, torch.zeros(rows, dtype=torch.long, device=device)
    inputs["logits_to_keep"] = torch.arange(tokens // 2, tokens, device=device) - 1
    return inputs, input_ids[:, tokens // 2 - 1 :][:, : tokens // 2 + 1]


def time_random_number() -> float:
    """Return the seconds to draw a random number, as dropout does."""
    values = torch.empty(SAMPLE_SIZE)
    return _median_seconds(lambda: values.bernoulli_(0.95), REPEATS) / SAMPLE_SIZE


def time_unpacking() -> float:
    """Return the seconds to dequantize a 4-bit number, as bitsandbytes does."""
    from bitsandbytes import functional  # noqa: PLC0415 - slow to load

    packed, state = functional.quantize_4bit(
        torch.randn(1024, SAMPLE_SIZE // 1024), quant_type="nf4", compress_statistics=True
    )
    return _median_seconds(lambda: functional.dequantize_4bit(packed, state), REPEATS) / SAMPLE_SIZE


def measure_few_rows(flop_32: float) -> float:
    """Return the traffic of products with a few rows (bytes/s), beside their arithmetic.

    Args:
        flop_32: The arithmetic of the machine on 32-bit numbers (FLOP/s).
    """
    matrices = torch.randn(N_MATRICES, *MATRIX_SHAPE)
    rows = torch.randn(FEW_ROWS, MATRIX_SHAPE[1])

    def multiply_all() -> None:
        for matrix in matrices:
            torch.nn.functional.linear(rows, matrix)

    arithmetic_seconds = 2 * FEW_ROWS * matrices.numel() / flop_32
    moving_seconds = _median_seconds(multiply_all, FEW_ROWS_REPEATS) - arithmetic_seconds
    return float(matrices.nbytes / max(moving_seconds, arithmetic_seconds))


def _median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median of so many repeats without the first few (seconds)."""
    durations = []
    for _ in range(repeats):
        started_at = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started_at)
    return median(durations[WARMUP_STEPS:])


def fit_rates(all_counts: Sequence[OpCounts], seconds: Sequence[float], initial_rates: Rates) -> Rates:
    """Return the rates that explain times best.

    Args:
        all_counts: What each point takes.
        seconds: The time of each point.
        initial_rates: Where the rates were; one that the points do not tell apart stays there.
    """
    if initial_rates.overlaps:
        return fit_overlapping_rates([(counts,) for counts in all_counts], seconds, initial_rates)
    work_seconds = torch.tensor(
        [
            duration - counts.drawn * initial_rates.draw - counts.unpacked * initial_rates.unpack
            for counts, duration in zip(all_counts, seconds, strict=True)
        ],
        dtype=torch.float64,
    )
    initial_costs = torch.tensor(
        [
            1 / initial_rates.flop_16,
            1 / initial_rates.flop_32,
            1 / initial_rates.bandwidth,
            initial_rates.operation,
        ],
        dtype=torch.float64,
    )
    work = torch.tensor(
        [[counts.flop_16, counts.flop_32, counts.moved, counts.operations] for counts in all_counts],
        dtype=torch.float64,
    )
    # One row per point: the share of its time that each kind of work would take at the initial costs.
    shares = work * initial_costs / work_seconds[:, None]
    # How much slower the machine is than the initial costs say, by and large.
    slowdown = float(shares.sum() / (shares.sum(1) ** 2).sum())
    # Four more rows pull each cost towards its slowed-down initial value.
    matrix = torch.cat([shares * slowdown, PRIOR_WEIGHT * torch.eye(4, dtype=torch.float64)])
    target = torch.cat(
        [
            torch.ones(len(work_seconds), dtype=torch.float64),
            PRIOR_WEIGHT * torch.ones(4, dtype=torch.float64),
        ]
    )
    factors = _nonnegative_least_squares(matrix, target).clamp_min(MIN_RATE_SHARE)
    costs = (factors * slowdown * initial_costs).tolist()
    return replace(
        initial_rates,
        flop_16=1 / costs[0],
        flop_32=1 / costs[1],
        bandwidth=1 / costs[2],
        operation=costs[3],
    )


def fit_overlapping_rates(
    all_pieces: Sequence[Sequence[OpCounts]], seconds: Sequence[float], initial_rates: Rates
) -> Rates:
    """Return the rates of a GPU that explain times best: least squares on the logarithms of times and rates.

    Args:
        all_pieces: The work of each point, in pieces that are done one after the other.
        seconds: The time of each point.
        initial_rates: Where the rates were; one that the points do not tell apart stays near there.
    """
    names = ("flop_16", "flop_32", "bandwidth", "operation")
    measured = np.log(seconds)

    def rates_at(logarithms: "np.ndarray[Any, Any]") -> Rates:
        factors = np.exp(logarithms)
        changed = {
            name: getattr(initial_rates, name) * factor for name, factor in zip(names, factors, strict=True)
        }
        return replace(initial_rates, **changed)

    def distances(logarithms: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        rates = rates_at(logarithms)
        estimated = np.log([sum(map(rates.estimate_seconds, pieces)) for pieces in all_pieces])
        return np.concatenate([estimated - measured, OVERLAPPING_PRIOR_WEIGHT * logarithms])

    return rates_at(optimize.least_squares(distances, np.zeros(len(names))).x)


def _nonnegative_least_squares(matrix: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the least squares without negative numbers, by trying which of the few unknowns are 0.

    Args:
        matrix: Of shape (equations, unknowns).
        target: Of shape (equations,).
    """
    n_unknowns = matrix.shape[1]
    best, lowest_error = torch.zeros(n_unknowns, dtype=matrix.dtype), float("inf")
    for count in range(1, n_unknowns + 1):
        for active in map(list, combinations(range(n_unknowns), count)):
            active_solution = torch.linalg.lstsq(matrix[:, active], target[:, None]).solution[:, 0]
            solution = torch.zeros_like(best)
            solution[active] = active_solution
            error = float(((matrix @ solution - target) ** 2).sum())
            if error < lowest_error and float(active_solution.min()) >= 0:
                best, lowest_error = solution, error
    return best


def main() -> int:
    """Measure what stdin asks for, and write the replies to stdout."""
    startup_seconds = time.time() - psutil.Process().create_time()
    request = json.loads(sys.stdin.read())
    model = TruncatedModel(truncate_config(request["config"]), bool(request["encoder"]))
    # Steps on an Apple GPU are traced as a CPU's: no trace knows its kernels.
    device = "cuda" if device_type() == "cuda" else "cpu"
    initial_rates = replace(Rates(**request["start"]), runtime=_runtime_bytes(device))
    if device == "cpu":
        initial_rates = replace(
            initial_rates,
            start=STARTUP_FACTOR * startup_seconds + FIRST_STEP_SECONDS,
            draw=time_random_number(),
            unpack=time_unpacking(),
        )
    all_counts, seconds = [], []
    points = request["points"]
    work_seconds, cpu_seconds = -time.perf_counter(), -time.thread_time()
    for n_done, (method_name, batch_shape) in enumerate(points, start=1):
        all_counts.append(count_step(model, method_name, batch_shape, device))
        seconds.append(time_step(model, method_name, batch_shape))
        processes.send_reply({"done": n_done, "of": len(points), "seconds": seconds[-1]})
    work_seconds, cpu_seconds = work_seconds + time.perf_counter(), cpu_seconds + time.thread_time()
    measured_rates = fit_rates(all_counts, seconds, initial_rates)
    if device == "cpu":
        measured_rates = replace(measured_rates, few_rows=measure_few_rows(measured_rates.flop_32))
    errors = [
        abs(measured_rates.estimate_seconds(counts) / duration - 1)
        for counts, duration in zip(all_counts, seconds, strict=True)
    ]
    processes.send_reply(
        {
            "rates": {**asdict(measured_rates), "when": time.time()},
            "error": max(errors),
            # This thread computes without a pause, unless other programs take its core.
            "core_share": cpu_seconds / work_seconds if device == "cpu" else 1.0,
        }
    )
    return 0


def _runtime_bytes(device: str) -> float:
    """Return what a worker holds before its model (bytes): its libraries, or on a GPU the context."""
    import peft  # noqa: F401, PLC0415

    from studio.methods.training import supervised  # noqa: F401, PLC0415

    if device == "cuda":
        torch.zeros(1, device="cuda")
        return float(cuda_context_bytes())
    return float(hardware.peak_resident_bytes())


if __name__ == "__main__":
    sys.exit(main())
