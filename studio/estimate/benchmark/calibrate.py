"""Measure this machine: a few real steps on a shallow cut of the very model, and the four rates that explain their times.

`python -m studio.estimate.benchmark.calibrate` reads what to measure as JSON on stdin and writes one line of JSON for each point as it is done, the
rates in the last. Rates are found by least squares on relative errors, none of them negative; what can be timed alone is timed alone.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from statistics import median
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from studio import methods, processes
from studio.data import collate
from studio.estimate.analytic.time import UPDATE_BYTES_PER_PARAMETER
from studio.estimate.machines import hardware
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing.meta_step import MetaStep, PassSpec
from studio.models.device import (
    cuda_bytes_outside_allocator,
    device_type,
    synchronize,
    torch_device,
    weights_dtype,
)
from studio.plan import Task

# Layers of the cut, and portions that differ as much as portions do: few short texts, more long ones (texts, tokens).
MAX_LAYERS, SHORT_BATCH, LONG_BATCH = 4, (2, 48), (4, 192)
# Steps of a point; the first few, in which memory is touched for the first time, are dropped.
STEPS_PER_POINT, WARMUP_STEPS = 7, 3
# How strongly a rate keeps to where it was where the points say nothing of it, and the least it may fall to (of where it was).
PRIOR_WEIGHT, MIN_RATE_SHARE = 0.6, 0.02
# What is timed alone: so many numbers at once, about as many as a matrix of a small model has.
SAMPLE_SIZE, REPEATS = 1_048_576, 15
# A worker loads more than this process before its model is there, and its first step does some things once (times; seconds).
STARTUP_FACTOR, FIRST_STEP_SECONDS = 1.2, 1.5
MEASUREMENT_POINTS = (
    ("lora", SHORT_BATCH),
    ("lora", LONG_BATCH),
    ("peft", SHORT_BATCH),
    ("peft", LONG_BATCH),
    ("full", SHORT_BATCH),
    ("full", LONG_BATCH),
)


def truncate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same model with few layers, its vocabulary whole; what is listed layer by layer is cut with them."""
    n_layers = int(config["num_hidden_layers"])
    truncated_lists = {
        name: value[:MAX_LAYERS]
        for name, value in config.items()
        if isinstance(value, list) and name.endswith("layer_types")
    }
    return {**config, **truncated_lists, "num_hidden_layers": min(MAX_LAYERS, n_layers)}


def count_step(
    config: Mapping[str, Any], method_name: str, batch_shape: tuple[int, int], is_encoder: bool, device: str
) -> OpCounts:
    """What a step takes, traced."""
    meta_step = _build_meta_step(config, method_name, is_encoder, device)
    spec = PassSpec(*batch_shape, 1 if is_encoder else batch_shape[1] // 2, padded=False)
    counts = total(meta_step.run(spec).phases.values())
    counts.moved += UPDATE_BYTES_PER_PARAMETER["card" if device == "cuda" else "processor"] * sum(
        parameter.numel() for parameter in meta_step.trainable_parameters
    )
    return counts


def _build_meta_step(config: Mapping[str, Any], method_name: str, is_encoder: bool, device: str) -> MetaStep:
    method = methods.get(method_name)
    task: Task = "classify" if is_encoder else "chat"
    bf16 = weights_dtype() is torch.bfloat16
    return MetaStep(
        config, method_name, method.resolve_settings({}), task, 6 if is_encoder else 0, device, bf16=bf16
    )


def time_step(
    config: Mapping[str, Any], method_name: str, batch_shape: tuple[int, int], is_encoder: bool
) -> float:
    """The median of a few real steps with random weights (seconds)."""
    (rows, tokens), method, model_class = (
        batch_shape,
        methods.get(method_name),
        AutoModelForSequenceClassification if is_encoder else AutoModelForCausalLM,
    )
    torch.manual_seed(0)
    model_config = AutoConfig.for_model(**config)
    model_config.num_labels = 6
    model = model_class.from_config(
        model_config, dtype=torch.float32 if method.weights == "trained" else weights_dtype()
    ).to(torch_device())
    model.config.pad_token_id = 0
    model = method.attach(model, method.resolve_settings({}), "classify" if is_encoder else "chat").train()
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-6, fused=True
    )
    input_ids = torch.randint(1, int(config["vocab_size"]), (rows, tokens), device=model.device)
    inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
    task: Task = "classify" if is_encoder else "chat"
    if is_encoder:
        labels = torch.zeros(rows, dtype=torch.long, device=model.device)
    else:
        inputs["logits_to_keep"] = torch.arange(tokens // 2, tokens, device=model.device) - 1
        labels = input_ids[:, tokens // 2 - 1 :][:, : tokens // 2 + 1]

    def step() -> None:
        with torch.autocast(
            model.device.type, dtype=torch.bfloat16, enabled=weights_dtype() is torch.bfloat16
        ):
            outputs = model(**inputs)
        collate.get_loss(task)(outputs, labels, torch.tensor(labels.numel())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        synchronize()

    return _median_seconds(step, STEPS_PER_POINT)


def time_random_number() -> float:
    """Seconds to draw a number by chance, as dropout does."""
    values = torch.empty(SAMPLE_SIZE)
    return _median_seconds(lambda: values.bernoulli_(0.95), REPEATS) / SAMPLE_SIZE


def time_unpacking() -> float:
    """Seconds to multiply out a 4-bit number, as bitsandbytes does."""
    from bitsandbytes import functional  # noqa: PLC0415 - slow to load

    packed, state = functional.quantize_4bit(
        torch.randn(1024, SAMPLE_SIZE // 1024), quant_type="nf4", compress_statistics=True
    )
    return _median_seconds(lambda: functional.dequantize_4bit(packed, state), REPEATS) / SAMPLE_SIZE


def _median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The median of so many goes without the first few (seconds)."""
    durations = []
    for _ in range(repeats):
        started_at = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started_at)
    return median(durations[WARMUP_STEPS:])


def fit_rates(all_counts: Sequence[OpCounts], seconds: Sequence[float], initial_rates: Rates) -> Rates:
    """The rates that explain times best; one that the points do not tell apart stays as it was at the `start`."""
    seconds = [
        duration - counts.drawn * initial_rates.draw - counts.unpacked * initial_rates.unpack
        for counts, duration in zip(all_counts, seconds, strict=True)
    ]
    prior = torch.tensor(
        [
            1 / initial_rates.flop_16,
            1 / initial_rates.flop_32,
            1 / initial_rates.bandwidth,
            initial_rates.operation,
        ],
        dtype=torch.float64,
    )
    work_matrix = torch.tensor(
        [[counts.flop_16, counts.flop_32, counts.moved, counts.operations] for counts in all_counts],
        dtype=torch.float64,
    )
    rows = work_matrix * prior / torch.tensor(seconds, dtype=torch.float64)[:, None]
    slowdown = float(rows.sum() / (rows.sum(1) ** 2).sum())  # than the start, by and large
    rows = torch.cat([rows * slowdown, PRIOR_WEIGHT * torch.eye(4, dtype=torch.float64)])
    target = torch.cat(
        [torch.ones(len(seconds), dtype=torch.float64), PRIOR_WEIGHT * torch.ones(4, dtype=torch.float64)]
    )
    fitted_values = (
        _nonnegative_least_squares(rows, target).clamp_min(MIN_RATE_SHARE) * slowdown * prior
    ).tolist()
    return replace(
        initial_rates,
        flop_16=1 / fitted_values[0],
        flop_32=1 / fitted_values[1],
        bandwidth=1 / fitted_values[2],
        operation=fitted_values[3],
    )


def _nonnegative_least_squares(matrix: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The least squares without negative numbers, by trying which of the few unknowns are 0."""
    best, lowest_error = torch.zeros(matrix.shape[1], dtype=matrix.dtype), float("inf")
    for count in range(1, matrix.shape[1] + 1):
        for active in map(list, combinations(range(matrix.shape[1]), count)):
            active_solution = torch.linalg.lstsq(matrix[:, active], target[:, None]).solution[:, 0]
            solution = torch.zeros_like(best)
            solution[active] = active_solution
            error = float(((matrix @ solution - target) ** 2).sum())
            if error < lowest_error and float(active_solution.min()) >= 0:
                best, lowest_error = solution, error
    return best


def main() -> int:
    """The child process."""
    startup_seconds = time.time() - psutil.Process().create_time()
    request = json.loads(sys.stdin.read())
    config, is_encoder = truncate_config(request["config"]), bool(request["encoder"])
    device = device_type()
    initial_rates = replace(Rates(**request["start"]), runtime=_runtime_bytes(device))
    if device == "cpu":
        initial_rates = replace(
            initial_rates,
            start=STARTUP_FACTOR * startup_seconds + FIRST_STEP_SECONDS,
            draw=time_random_number(),
            unpack=time_unpacking(),
        )
    all_counts, seconds = [], []
    for index, (method_name, batch_shape) in enumerate(MEASUREMENT_POINTS):
        all_counts.append(count_step(config, method_name, batch_shape, is_encoder, device))
        seconds.append(time_step(config, method_name, batch_shape, is_encoder))
        processes.send_reply({"done": index + 1, "of": len(MEASUREMENT_POINTS), "seconds": seconds[-1]})
    measured_rates = fit_rates(all_counts, seconds, initial_rates)
    errors = [
        abs(measured_rates.estimate_seconds(counts) / duration - 1)
        for counts, duration in zip(all_counts, seconds, strict=True)
    ]
    processes.send_reply({"rates": {**asdict(measured_rates), "when": time.time()}, "error": max(errors)})
    return 0


def _runtime_bytes(device: str) -> float:
    """Bytes a worker holds before its model: its libraries, or on a card what a context takes."""
    import peft  # noqa: F401, PLC0415

    from studio.methods.training import supervised  # noqa: F401, PLC0415

    if device == "cuda":
        torch.zeros(1, device="cuda")
        return float(cuda_bytes_outside_allocator())
    return float(hardware.peak_resident_bytes())


if __name__ == "__main__":
    sys.exit(main())
