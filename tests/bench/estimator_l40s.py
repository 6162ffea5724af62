"""Whole runs on an NVIDIA L40S, from huggingface/peft's method_comparison/MetaMathQA (Apache-2.0), rehearsed
here without a card.

Llama 3.2 3B learns 20,000 answers to mathematical questions, 4 at once, 5,000 steps, by one of PEFT's methods
each. What its run.py does: - bfloat16 weights and no autocast, adapters in 32 bits (PEFT's default), no
checkpointing, the model's own loss over every position, keys
  and values kept though nothing is written (use_cache), clipping at 1, torch's AdamW in its foreach form.
  Outputs of a step live until the next has its own. The weights come into a block that transformers has taken
  for them beforehand (device_map).
- `peak_bytes` is torch's max_memory_reserved over all of it. Texts are cut at 768 tokens; the longest portion
is taken to have 4 of 768,
  of unequal lengths, so that a mask is needed.
- `train_seconds` has the steps and the 1,319 answers to GSM8K's test questions, 50 at once, up to 300 new
tokens each, which one of 50
  nearly always takes; not the validations. A portion's mean length follows from the 4,198,051 tokens that its
  results name; questions of the test are taken to have 150 tokens in a portion of 50. Tokenising MetaMathQA,
  emptying the cache every tenth step and the loss on Wikipedia before and after are not in the estimate
  (about 90 s of a run, its own log says).
Where the file leaves out settings of a method, SETTINGS has them from the benchmark's
experiments/*/adapter_config.json.
"""

import csv
import json
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import peft
import torch
from estimator_card import Line, Table, adamw, own_loss
from peft.optimizers import create_lorafa_optimizer
from transformers import AutoConfig, AutoModelForCausalLM

from studio import methods, presets
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import time as time_model
from studio.estimate.benchmark import calibrate
from studio.estimate.machines import catalogue, rates
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing.meta_step import PassSpec, StepRunner
from studio.estimate.tracing.trace import Trace
from studio.methods import lora, prefix
from studio.methods.spec import ParameterCount
from studio.methods.training import peft_counts
from studio.methods.workload import MicroBatch, Phase, Workload
from studio.models import shape as shapes
from studio.plan import Training

ROWS = Path(__file__).parents[3] / "shared" / "data" / "peft_benchmark_l40s.csv"
SETTINGS: dict[str, dict[str, Any]] = {
    "adalora/llama-3.2-3B-rank32": {
        "init_r": 64,
        "target_r": 32,
        "tinit": 200,
        "tfinal": 500,
        "total_step": 5000,
    },
    "c3a/llama-3.2-3B-default": {"block_size": 64},
    "deft/llama-3.2-3B-rank32-para": {"para": True},
    "glora/llama-3.2-3B-vector-paths": {
        "config_A_B": "vector",
        "config_C": "vector",
        "config_D_E": "constant",
    },
    "lily/llama-3.2-3B-rank140-mlp-a2-b2-s8.0": {"num_B": 2, "stride_A": 14, "scaling": 8.0},
    "lora/llama-3.2-3B-rank14-target-mlp-bdlora": {
        "use_bdlora": {
            "target_modules_bd_a": ["down_proj"],
            "target_modules_bd_b": ["up_proj", "gate_proj"],
            "nblocks": 2,
        }
    },
    "lora/llama-3.2-3B-rank32-mica": {"init_lora_weights": "mica"},
    "oft/llama-3.2-3B-rank32": {"oft_block_size": 0},
    "road/llama-3.2-3B-lr_0.001": {"variant": "road_2", "group_size": 64},
    "trainable_tokens/llama-3.2-3B-sos+eos": {"token_indices": [128000, 128001]},
    "waveft/llama-3.2-3B-n_frequency-5000": {"n_frequency": 5000},
}
STEPS, ROWS_AT_ONCE, LONGEST = 5000, 4, 768
MEAN = round(4_198_051 / 20_000)
TEST_PORTIONS, TEST_ROWS, TEST_TOKENS, TEST_NEW = -(-1319 // 50), 50, 150, 300


@dataclass(frozen=True)
class Run:
    """One row of the file."""

    name: str
    kind: str
    settings: str
    optimiser: str
    trainable: int
    peak: float
    seconds: float

    @property
    def own(self) -> dict[str, Any]:
        """The settings of its method, as PEFT names them."""
        return {**json.loads(self.settings), **SETTINGS.get(self.name, {})}


def read() -> list[Run]:
    """The rows of the file; none where it is not here."""
    if not ROWS.is_file():
        return []
    found = []
    with ROWS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            own = json.loads(row["peft"])
            kind = own.pop("peft_type", "FULL")
            found.append(
                Run(
                    row["name"],
                    kind,
                    json.dumps(own),
                    row["optimizer"],
                    int(row["trainable"]),
                    float(row["peak_bytes"]),
                    float(row["train_seconds"]),
                )
            )
    return found


def built(run: Run) -> Any:
    """The model of a run with its method attached."""
    with torch.device("meta"):
        config = AutoConfig.for_model(**presets.models()["llama3.2-3b"].config)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        if run.kind != "FULL":
            kind = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(run.kind)]
            model = peft.get_peft_model(model, kind(**run.own, task_type="CAUSAL_LM"))
    for name, value in model.named_parameters():
        if ".ranknum." in name:  # AdaLoRA's note; PEFT forgets on the meta device that it is none to train
            value.requires_grad = False
    if run.optimiser == "lora-fa":
        create_lorafa_optimizer(
            model, r=run.own["r"], lora_alpha=run.own["lora_alpha"], lr=1e-4
        )  # freezes one half
    return model


def warmed(model: Any, trace: Trace) -> None:
    """Loading with a device map: a block of the model's size, which its weights then share."""
    base = [value for name, value in model.named_parameters() if value.dtype is torch.bfloat16]
    trace.allocate("model", sum(value.numel() * 2 for value in base))
    trace.release("model")
    trace.track(base, "frozen")


@lru_cache(maxsize=1)
def staged(run: Run) -> StepRunner:
    """A run's model in its loop."""
    model = built(run)
    return StepRunner(
        model,
        "cuda",
        partial(own_loss, model),
        empties_cache=True,
        build_optimizer=adamw,
        trace_loading=partial(warmed, model),
    )


def peak(run: Run) -> float:
    """What the card's allocator reserves for a step of the longest portion (bytes)."""
    return float(
        staged(run)
        .run(PassSpec(ROWS_AT_ONCE, LONGEST, LONGEST, padded=True))
        .replay_allocator()
        .peak_reserved
    )


def work(run: Run) -> tuple[OpCounts, float]:
    """The work of the training and of the test answers.

    And the seconds before it, libraries and reading the model.
    """
    place, shape = (
        catalogue.load_machines()["hf-l40sx1"],
        shapes.from_config(presets.models()["llama3.2-3b"].config),
    )
    virtual = int(run.own.get("num_virtual_tokens", 0))

    def passed(phase: Phase, portion: MicroBatch) -> OpCounts:
        if (
            virtual and portion.tokens == 1
        ):  # what is written follows the virtual tokens, which are not read again for each
            return total(plain().run(PassSpec(portion.rows, 1, 1, True, learn=False)).phases.values())
        asked = PassSpec(
            portion.rows, portion.tokens, portion.scored_positions, portion.padded, phase.with_gradients
        )
        return total(staged(run).run(asked).phases.values())

    phases = [
        Phase("train", (MicroBatch(ROWS_AT_ONCE, MEAN, MEAN, True, STEPS),), with_gradients=True),
        Phase("test", (MicroBatch(TEST_ROWS, TEST_TOKENS, 1, True, TEST_PORTIONS),), new_tokens=TEST_NEW),
    ]
    load = Workload("chat", (), 20_000, 0.0, Training(), shape)
    footprint = ParameterCount(run.trainable, shape.total())
    found = total(time_model.count_phase(phase, load, footprint, place.kind, passed) for phase in phases)
    spent = time_model.phase_seconds(
        [],
        rates.rates_from_spec(place),
        place.kind,
        memory_model.bytes_per_parameter(place) * float(shape.total()),
        0.0,
        0.0,
    )
    return found, sum(spent.values())


@lru_cache(maxsize=1)
def plain() -> StepRunner:
    """The model alone."""
    return staged.__wrapped__(replace(next(run for run in read() if run.kind == "FULL"), optimiser="AdamW"))


def counted(run: Run) -> int | None:
    """The studio's own count for a row whose method it knows, on the matrices that the row names.

    None for the others.
    """
    shape, own = shapes.from_config(presets.models()["llama3.2-3b"].config), run.own
    names = own.get("target_modules") or ()
    some = replace(
        shape, linears=tuple(linear for linear in shape.linears if linear.name.split(".")[-1] in names)
    )
    plain = {"use_bdlora", "init_lora_weights"}.isdisjoint(own) and run.optimiser == "AdamW"
    if run.kind == "FULL":
        return methods.get("full").count_parameters(shape, {}, 0).trainable
    if run.kind == "LORA" and plain:
        return lora.count_parameters(
            some, {**lora.settings_for_rank(own["r"], dropout=0.0), "dora": own["use_dora"]}, 0
        ).trainable
    if run.kind == "PREFIX_TUNING":
        return prefix.count_parameters(
            shape, {"virtual_tokens": own["num_virtual_tokens"], "projection": False}, 0
        ).trainable
    name = run.kind.lower()
    if name not in peft_counts.PARAMETER_COUNTERS or run.kind == "LORA":
        return None
    return peft_counts.PARAMETER_COUNTERS[name](
        shape if name in ("ia3", "ln_tuning") else some, {"block_share": False, **own}
    )


def trainables(runs: list[Run]) -> tuple[str, ...]:
    """How many rows are counted as the benchmark counted them.

    By attaching the row's method, and by the studio's own formula.
    """
    attached = {
        run.name: sum(value.numel() for value in built(run).parameters() if value.requires_grad)
        for run in runs
    }
    wrong = [
        f"{run.name}: {attached[run.name]:,} attached, {run.trainable:,} in the file"
        for run in runs
        if attached[run.name] != run.trainable
    ]
    known = {run.name: count for run in runs if (count := counted(run)) is not None}
    missed = [
        f"{run.name}: {known[run.name]:,} by formula, {run.trainable:,} in the file"
        for run in runs
        if known.get(run.name, run.trainable) != run.trainable
    ]
    said = f"Trainable parameters: {len(runs) - len(wrong)} of {len(runs)} equal when attached, {len(known) - len(missed)} of {len(known)} by the studio's formulas"
    return (said, *wrong, *missed)


def timed(done: list[tuple[Run, OpCounts, float]]) -> list[Table]:
    """A training's seconds at what the card's specification promises, and at one set of rates fitted on all
    other rows.
    """
    place = catalogue.load_machines()["hf-l40sx1"]
    start = rates.rates_from_spec(place)
    unfitted = [
        Line(run.name, before + start.estimate_seconds(tally), run.seconds) for run, tally, before in done
    ]
    fitted = []
    for mine, (run, tally, before) in enumerate(done):
        others = [one for place, one in enumerate(done) if place != mine]
        own = calibrate.fit_rates(
            [one[1] for one in others], [one[0].seconds - one[2] for one in others], start
        )
        fitted.append(Line(run.name, before + own.estimate_seconds(tally), run.seconds))
    own = calibrate.fit_rates(
        [tally for _, tally, _ in done], [run.seconds - before for run, _, before in done], start
    )
    note = f"fitted on all: {own.flop_16 / 1e12:.0f} TFLOP/s in 16 bits, {own.bandwidth / 1e9:.0f} GB/s, {1e6 * own.operation:.1f} µs an operation"
    return [
        Table(
            "L40S, a whole training, one set of rates, the row left out of the fit",
            "s",
            fitted,
            {"median": 20},
            (note,),
        ),
        Table("L40S, a whole training by the specification alone, nothing fitted", "s", unfitted, {}),
    ]


def tables() -> list[Table]:
    """Peak memory and time of every row that can be rehearsed; none where the file is not here."""
    peaks, left, done = [], [], []
    for run in read():
        try:
            line, (tally, before) = Line(run.name, peak(run) / 1e9, run.peak / 1e9), work(run)
        except (NotImplementedError, RuntimeError) as error:  # it looks at its numbers, and here are none
            left.append(
                f"{run.name}: left out, its code in PEFT needs real numbers ({' '.join(str(error).split())[:80]})"
            )
            continue
        peaks.append(line)
        done.append((run, tally, before))
    if not peaks:
        return []
    told = (*left, *trainables([run for run, _, _ in done]))
    return [
        Table("L40S, peak of what is reserved", "GB", peaks, {"median": 10, "worst": 20}, told),
        *timed(done),
    ]
