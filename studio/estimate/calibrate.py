"""Measure this machine: a few real steps on a shallow cut of the very model, and the four rates that explain their times.

`python -m studio.estimate.calibrate` reads what to measure as JSON on stdin and writes one line of JSON for each point as it is done, the
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

from studio import child, methods
from studio.data import batch
from studio.estimate import hardware
from studio.estimate.rates import Rates
from studio.estimate.rehearse import Pass, Rehearsal
from studio.estimate.tally import Tally, together
from studio.estimate.time import UPDATE_BYTES
from studio.models import load
from studio.plan import Task

# Layers of the cut, and portions that differ as much as portions do: few short texts, more long ones (texts, tokens).
LAYERS, SHORT, LONG = 4, (2, 48), (4, 192)
# Steps of a point; the first few, in which memory is touched for the first time, are dropped.
STEPS, DROPPED = 7, 3
# How strongly a rate keeps to where it was where the points say nothing of it, and the least it may fall to (of where it was).
PULL, LEAST = 0.6, 0.02
# What is timed alone: so many numbers at once, about as many as a matrix of a small model has.
NUMBERS, TIMES = 1_048_576, 15
# A worker loads more than this process before its model is there, and its first step does some things once (times; seconds).
AWAKE, ONCE = 1.2, 1.5
POINTS = (("lora", SHORT), ("lora", LONG), ("peft", SHORT), ("peft", LONG), ("full", SHORT), ("full", LONG))


def cut(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same model with few layers, its vocabulary whole; what is listed layer by layer is cut with them."""
    whole = int(config["num_hidden_layers"])
    short = {name: value[:LAYERS] for name, value in config.items() if isinstance(value, list) and name.endswith("layer_types")}
    return {**config, **short, "num_hidden_layers": min(LAYERS, whole)}


def counted(config: Mapping[str, Any], name: str, size: tuple[int, int], encoder: bool, device: str) -> Tally:
    """What a step takes, traced."""
    model = _model(config, name, encoder, device)
    asked = Pass(*size, 1 if encoder else size[1] // 2, padded=False)
    found = together(model.run(asked).phases.values())
    found.moved += UPDATE_BYTES["card" if device == "cuda" else "processor"] * sum(value.numel() for value in model.learned)
    return found


def _model(config: Mapping[str, Any], name: str, encoder: bool, device: str) -> Rehearsal:
    method = methods.get(name)
    task: Task = "classify" if encoder else "chat"
    bf16 = load.dtype() is torch.bfloat16
    return Rehearsal(config, name, method.settle({}), task, 6 if encoder else 0, device, bf16=bf16)


def timed(config: Mapping[str, Any], name: str, size: tuple[int, int], encoder: bool) -> float:
    """The median of a few real steps with random weights (seconds)."""
    (rows, tokens), method, kind = size, methods.get(name), AutoModelForSequenceClassification if encoder else AutoModelForCausalLM
    torch.manual_seed(0)
    found = AutoConfig.for_model(**config)
    found.num_labels = 6
    model = kind.from_config(found, dtype=torch.float32 if method.weights == "trained" else load.dtype()).to(load.device())
    model.config.pad_token_id = 0
    model = method.attach(model, method.settle({}), "classify" if encoder else "chat").train()
    optimiser = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=1e-6, fused=True)
    ids = torch.randint(1, int(config["vocab_size"]), (rows, tokens), device=model.device)
    given: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    task: Task = "classify" if encoder else "chat"
    if encoder:
        labels = torch.zeros(rows, dtype=torch.long, device=model.device)
    else:
        given["logits_to_keep"] = torch.arange(tokens // 2, tokens, device=model.device) - 1
        labels = ids[:, tokens // 2 - 1 :][:, : tokens // 2 + 1]

    def step() -> None:
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=load.dtype() is torch.bfloat16):
            outputs = model(**given)
        batch.loss(task)(outputs, labels, torch.tensor(labels.numel())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if model.device.type == "cuda":
            torch.cuda.synchronize()

    return _spent(step, STEPS)


def drawing() -> float:
    """Seconds to draw a number by chance, as dropout does."""
    numbers = torch.empty(NUMBERS)
    return _spent(lambda: numbers.bernoulli_(0.95), TIMES) / NUMBERS


def unpacking() -> float:
    """Seconds to multiply out a 4-bit number, as bitsandbytes does."""
    from bitsandbytes import functional  # noqa: PLC0415 - slow to load

    packed, state = functional.quantize_4bit(torch.randn(1024, NUMBERS // 1024), quant_type="nf4", compress_statistics=True)
    return _spent(lambda: functional.dequantize_4bit(packed, state), TIMES) / NUMBERS


def _spent(work: Callable[[], object], times: int) -> float:
    """The median of so many goes without the first few (seconds)."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return median(spent[DROPPED:])


def fitted(tallies: Sequence[Tally], seconds: Sequence[float], start: Rates) -> Rates:
    """The rates that explain times best; one that the points do not tell apart stays as it was at the `start`."""
    seconds = [spent - tally.drawn * start.draw - tally.unpacked * start.unpack for tally, spent in zip(tallies, seconds, strict=True)]
    before = torch.tensor([1 / start.flop_16, 1 / start.flop_32, 1 / start.bandwidth, start.operation], dtype=torch.float64)
    work = torch.tensor([[tally.flop_16, tally.flop_32, tally.moved, tally.operations] for tally in tallies], dtype=torch.float64)
    rows = work * before / torch.tensor(seconds, dtype=torch.float64)[:, None]
    slower = float(rows.sum() / (rows.sum(1) ** 2).sum())  # than the start, by and large
    rows = torch.cat([rows * slower, PULL * torch.eye(4, dtype=torch.float64)])
    goal = torch.cat([torch.ones(len(seconds), dtype=torch.float64), PULL * torch.ones(4, dtype=torch.float64)])
    each = (_positive(rows, goal).clamp_min(LEAST) * slower * before).tolist()
    return replace(start, flop_16=1 / each[0], flop_32=1 / each[1], bandwidth=1 / each[2], operation=each[3])


def _positive(rows: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """The least squares without negative numbers, by trying which of the few unknowns are 0."""
    best, least = torch.zeros(rows.shape[1], dtype=rows.dtype), float("inf")
    for count in range(1, rows.shape[1] + 1):
        for chosen in map(list, combinations(range(rows.shape[1]), count)):
            part = torch.linalg.lstsq(rows[:, chosen], goal[:, None]).solution[:, 0]
            found = torch.zeros_like(best)
            found[chosen] = part
            error = float(((rows @ found - goal) ** 2).sum())
            if error < least and float(part.min()) >= 0:
                best, least = found, error
    return best


def main() -> int:
    """The child process."""
    awake = time.time() - psutil.Process().create_time()
    asked = json.loads(sys.stdin.read())
    config, encoder = cut(asked["config"]), bool(asked["encoder"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = replace(Rates(**asked["start"]), runtime=_runtime(device))
    if device == "cpu":
        start = replace(start, start=AWAKE * awake + ONCE, draw=drawing(), unpack=unpacking())
    tallies, seconds = [], []
    for place, (name, size) in enumerate(POINTS):
        tallies.append(counted(config, name, size, encoder, device))
        seconds.append(timed(config, name, size, encoder))
        child.say({"done": place + 1, "of": len(POINTS), "seconds": seconds[-1]})
    rates = fitted(tallies, seconds, start)
    errors = [abs(rates.seconds(tally) / spent - 1) for tally, spent in zip(tallies, seconds, strict=True)]
    child.say({"rates": {**asdict(rates), "when": time.time()}, "error": max(errors)})
    return 0


def _runtime(device: str) -> float:
    """Bytes a worker holds before its model: its libraries, or on a card what a context takes."""
    import peft  # noqa: F401, PLC0415

    from studio.methods import _supervised  # noqa: F401, PLC0415

    if device == "cuda":
        torch.zeros(1, device="cuda")
        free, total = torch.cuda.mem_get_info()
        return float(total - free - torch.cuda.memory_reserved())
    return float(hardware.peak_resident())


if __name__ == "__main__":
    sys.exit(main())
