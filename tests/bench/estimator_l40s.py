"""Training on an NVIDIA L40S, from huggingface/peft's method_comparison/MetaMathQA, traced without a GPU.

The rows are licensed under Apache-2.0. Llama 3.2 3B learns 20,000 answers to mathematical questions, 4 at
once, 5,000 steps, by one of PEFT's methods each. What its run.py does:

- bfloat16 weights and no autocast, adapters in 32 bits (PEFT's default), no checkpointing, the model's own
  loss over every position, keys and values kept though nothing is generated (use_cache), clipping at 1,
  torch's AdamW in its foreach form. Outputs of a step live until the next has its own. The weights come
  into a block that transformers has allocated for them beforehand (device_map).
- `peak_bytes` is torch's max_memory_reserved over all of it. Texts are cut at 768 tokens; the longest micro
  batch is taken to have 4 of 768, of unequal lengths, so that a mask is needed.
- `train_seconds` has the steps and the 1,319 answers to GSM8K's test questions, 50 at once, up to 300 new
  tokens each, which one of 50 nearly always takes; not the validations. A micro batch's mean length follows
  from the 4,198,051 tokens that its results name; questions of the test are taken to have 150 tokens in a
  micro batch of 50. Tokenising MetaMathQA, emptying the cache every tenth step and the loss on Wikipedia
  before and after are not in the estimate (about 90 s of a run, its own log says).

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
from estimator_card import Line, Table, TimedRun, compare_time, foreach_adamw, load_in_one_block, model_loss
from peft.optimizers import create_lorafa_optimizer
from transformers import AutoConfig, AutoModelForCausalLM

from studio import methods, presets
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import time as time_model
from studio.estimate.machines import catalogue, rates
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing.meta_step import PassSpec, StepRunner
from studio.methods import lora, prefix
from studio.methods.training import peft_counts
from studio.methods.workload import MicroBatch, Phase, Workload
from studio.models import shape as model_shapes
from studio.models.shape import ModelShape
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
N_STEPS, BATCH_SIZE, MAX_TOKENS = 5000, 4, 768
MEAN_TOKENS = round(4_198_051 / 20_000)
TEST_BATCH_SIZE, TEST_TOKENS, TEST_NEW_TOKENS = 50, 150, 300
N_TEST_BATCHES = -(-1319 // TEST_BATCH_SIZE)
MACHINE_ID, MODEL, N_LAYERS = "hf-l40sx1", "llama3.2-3b", 28


@dataclass(frozen=True)
class Run:
    """One row of the file."""

    name: str
    peft_type: str
    settings_json: str
    optimizer: str
    trainable: int
    peak_bytes: float
    seconds: float

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of its method, as PEFT names them."""
        return {**json.loads(self.settings_json), **SETTINGS.get(self.name, {})}


def read_runs() -> list[Run]:
    """The rows of the file; none where it is not here."""
    if not ROWS.is_file():
        return []
    runs = []
    with ROWS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            settings = json.loads(row["peft"])
            peft_type = settings.pop("peft_type", "FULL")
            runs.append(
                Run(
                    row["name"],
                    peft_type,
                    json.dumps(settings),
                    row["optimizer"],
                    int(row["trainable"]),
                    float(row["peak_bytes"]),
                    float(row["train_seconds"]),
                )
            )
    return runs


def build_model(run: Run, layers: int = N_LAYERS) -> Any:
    """The model of a run with its method attached, with so many of its layers."""
    settings = run.settings
    if "adapter_layers" in settings:
        settings["adapter_layers"] = min(settings["adapter_layers"], layers)
    with torch.device("meta"):
        config = AutoConfig.for_model(**{**presets.models()[MODEL].config, "num_hidden_layers": layers})
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        if run.peft_type != "FULL":
            config_class = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(run.peft_type)]
            model = peft.get_peft_model(model, config_class(**settings, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if ".ranknum." in name:  # AdaLoRA's note; PEFT forgets on the meta device that it is not trained
            parameter.requires_grad = False
    if run.optimizer == "lora-fa":
        # This freezes one half.
        create_lorafa_optimizer(model, r=settings["r"], lora_alpha=settings["lora_alpha"], lr=1e-4)
    return model


@lru_cache(maxsize=2)
def build_runner(run: Run, layers: int = N_LAYERS) -> StepRunner:
    """A run's model in its loop."""
    model = build_model(run, layers)
    return StepRunner(
        model,
        "cuda",
        partial(model_loss, model),
        empties_cache=True,
        build_optimizer=foreach_adamw,
        trace_loading=partial(load_in_one_block, model),
    )


def peak_reserved(run: Run) -> float:
    """What the GPU's allocator reserves for a step of the longest micro batch (bytes)."""
    trace = build_runner(run).run(PassSpec(BATCH_SIZE, MAX_TOKENS, MAX_TOKENS, padded=True))
    return float(trace.replay_allocator().peak_reserved)


def count_pieces(run: Run) -> tuple[tuple[OpCounts, ...], float]:
    """The work of the training and of the test answers; and the seconds before it (libraries, model).

    Each layer takes the same, so two depths tell the work of all.
    """
    (of_two, seconds), (of_four, _) = (count_pieces_of(run, layers) for layers in (2, 4))
    n_more = (N_LAYERS - 2) / 2
    pieces = tuple(
        total([two.scaled(1 - n_more), four.scaled(n_more)])
        for two, four in zip(of_two, of_four, strict=True)
    )
    return pieces, seconds


def count_pieces_of(run: Run, layers: int) -> tuple[tuple[OpCounts, ...], float]:
    """The same for a model with so many layers."""
    machine, shape = catalogue.load_machines()[MACHINE_ID], model_shape()
    has_virtual_tokens = bool(run.settings.get("num_virtual_tokens", 0))

    def count_pass(phase: Phase, micro_batch: MicroBatch) -> OpCounts:
        if has_virtual_tokens and micro_batch.tokens == 1:
            # What is generated follows the virtual tokens, which are not read again for each token.
            spec = PassSpec(micro_batch.rows, 1, 1, True, with_gradients=False)
            return total(build_plain_runner(layers).run(spec).phases.values())
        spec = PassSpec(
            micro_batch.rows,
            micro_batch.tokens,
            micro_batch.scored_positions,
            micro_batch.padded,
            phase.with_gradients,
        )
        return total(build_runner(run, layers).run(spec).phases.values())

    training_batch = MicroBatch(BATCH_SIZE, MEAN_TOKENS, MEAN_TOKENS, True, N_STEPS)
    test_batch = MicroBatch(TEST_BATCH_SIZE, TEST_TOKENS, 1, True, N_TEST_BATCHES)
    phases = [
        Phase("train", (training_batch,), with_gradients=True),
        Phase("test", (test_batch,), new_tokens=TEST_NEW_TOKENS),
    ]
    workload = Workload("chat", (), 20_000, 0.0, Training(), shape)
    pieces = [
        piece
        for phase in phases
        for piece in time_model.count_pieces(phase, workload, run.trainable, machine.kind, count_pass)
    ]
    model_bytes = memory_model.bytes_per_parameter(machine) * float(shape.total())
    seconds = time_model.phase_seconds(
        [],
        rates.rates_from_spec(machine),
        machine.kind,
        model_bytes=model_bytes,
        saved_bytes=0.0,
        touched_bytes=0.0,
    )
    return tuple(pieces), sum(seconds.values())


@lru_cache(maxsize=2)
def build_plain_runner(layers: int) -> StepRunner:
    """The model alone."""
    full_run = next(run for run in read_runs() if run.peft_type == "FULL")
    return build_runner.__wrapped__(replace(full_run, optimizer="AdamW"), layers)


def model_shape() -> ModelShape:
    return model_shapes.from_config(presets.models()[MODEL].config)


def count_by_formula(run: Run) -> int | None:
    """The studio's count on the matrices that the row names; None where the studio has not its method."""
    shape, settings = model_shape(), run.settings
    target_names = settings.get("target_modules") or ()
    targets = tuple(linear for linear in shape.linears if linear.name.split(".")[-1] in target_names)
    target_shape = replace(shape, linears=targets)
    is_plain_lora = {"use_bdlora", "init_lora_weights"}.isdisjoint(settings) and run.optimizer == "AdamW"
    if run.peft_type == "FULL":
        return methods.get("full").count_parameters(shape, {}, 0).trainable
    if run.peft_type == "LORA" and is_plain_lora:
        lora_settings = {**lora.settings_for_rank(settings["r"]), "dora": settings["use_dora"]}
        return lora.count_parameters(target_shape, lora_settings, 0).trainable
    if run.peft_type == "PREFIX_TUNING":
        prefix_settings = {"virtual_tokens": settings["num_virtual_tokens"], "projection": False}
        return prefix.count_parameters(shape, prefix_settings, 0).trainable
    name = run.peft_type.lower()
    if name not in peft_counts.PARAMETER_COUNTERS or run.peft_type == "LORA":
        return None
    counted_shape = shape if name in ("ia3", "ln_tuning") else target_shape
    return peft_counts.PARAMETER_COUNTERS[name](counted_shape, {"block_share": False, **settings})


def compare_trainable_parameters(runs: list[Run]) -> tuple[str, ...]:
    """How many rows are counted as the benchmark counted them: attached, and by the studio's own formula."""
    n_equal_attached, n_equal_formula, n_formula = 0, 0, 0
    mistakes = []
    for run in runs:
        attached = sum(
            parameter.numel() for parameter in build_model(run).parameters() if parameter.requires_grad
        )
        if attached == run.trainable:
            n_equal_attached += 1
        else:
            mistakes.append(f"{run.name}: {attached:,} attached, {run.trainable:,} in the file")
        by_formula = count_by_formula(run)
        if by_formula is None:
            continue
        n_formula += 1
        if by_formula == run.trainable:
            n_equal_formula += 1
        else:
            mistakes.append(f"{run.name}: {by_formula:,} by formula, {run.trainable:,} in the file")
    summary = (
        f"Trainable parameters: {n_equal_attached} of {len(runs)} equal when attached,"
        f" {n_equal_formula} of {n_formula} by the studio's formulas"
    )
    return (summary, *mistakes)


def build_tables() -> list[Table]:
    """Peak memory and time of every row that can be traced; none where the file is not here."""
    peaks, notes, traced_runs, timed = [], [], [], []
    for run in read_runs():
        try:
            line = Line(run.name, peak_reserved(run) / 1e9, run.peak_bytes / 1e9)
            pieces, start_seconds = count_pieces(run)
        except (NotImplementedError, RuntimeError) as error:  # it looks at its numbers, and here are none
            reason = " ".join(str(error).split())[:80]
            notes.append(f"{run.name}: left out, its code in PEFT needs real numbers ({reason})")
            continue
        peaks.append(line)
        traced_runs.append(run)
        timed.append(TimedRun(run.name, pieces, run.seconds, start_seconds))
    if not peaks:
        return []
    notes += compare_trainable_parameters(traced_runs)
    limits = {"median": 10, "worst": 20}
    return [
        Table("L40S, peak of what is reserved", "GB", peaks, limits, tuple(notes)),
        *compare_time("L40S, a whole training", timed, MACHINE_ID),
    ]
