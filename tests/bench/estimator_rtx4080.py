"""Eleven runs on an RTX 4080 (Windows), from github.com/DaoyuanLi2816/can-i-finetune-this (MIT), traced here.

The rows are from its benchmarks/results. Its harness was read for what it does: Qwen2.5 with bfloat16 weights,
LoRA of rank 16 on the four attention matrices, or the same on NF4 with double quantisation after PEFT's
prepare_model_for_kbit_training; texts of full length, the model's own loss over every position, bitsandbytes'
paged 8-bit AdamW, whose averages lie outside the card. A step's seconds are the mean of two or three, the first
one included: what only that does is taken from its run of tiny-gpt2 (3 steps of 0.0871 s, of which nearly all).
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from estimator_card import Line, Table, TimedRun, compare_time, load_in_one_block, model_loss
from estimator_t4 import llama
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing import kernels
from studio.estimate.tracing.allocator import AllocatorStats
from studio.estimate.tracing.meta_step import PassSpec, StepRunner, enable_gradient_checkpointing

MACHINE_ID = "rtx-4080"
GIB = 2**30
FIRST_STEP_SECONDS = 0.24
CONFIGS = {
    "0.5B": llama((896, 4864), 24, (14, 2), 151936, True, "qwen2"),
    "1.5B": llama((1536, 8960), 28, (12, 2), 151936, True, "qwen2"),
    "3B": llama((2048, 11008), 36, (16, 2), 151936, True, "qwen2"),
    "7B": llama((3584, 18944), 28, (28, 4), 152064, False, "qwen2"),
}


@dataclass(frozen=True)
class Run:
    """One published run; peaks in GiB, a step in seconds."""

    model: str
    method: str
    rows: int
    tokens: int
    recomputes: bool
    allocated: float
    reserved: float
    seconds: float
    steps: int = 3

    @property
    def label(self) -> str:
        """What it was, in one line of a table."""
        kept = "" if self.recomputes else " all kept"
        return f"Qwen2.5-{self.model} {self.method} {self.rows}x{self.tokens}{kept}"


RUNS = [
    Run("0.5B", "lora", 1, 1024, True, 3.03, 3.79, 0.2722),
    Run("0.5B", "qlora", 1, 1024, True, 3.12, 3.30, 0.3069),
    Run("0.5B", "qlora", 1, 2048, True, 5.52, 6.28, 0.5944),
    Run("1.5B", "qlora", 1, 512, True, 2.79, 2.91, 0.3419),
    Run("1.5B", "qlora", 1, 1024, True, 4.04, 4.36, 0.4125),
    Run("1.5B", "qlora", 1, 1024, False, 9.34, 9.55, 0.3410),
    Run("1.5B", "qlora", 2, 1024, True, 6.53, 6.88, 0.7695, steps=2),
    Run("1.5B", "qlora", 1, 2048, True, 6.53, 7.10, 0.8801),
    Run("1.5B", "qlora", 1, 4096, True, 11.51, 13.56, 2.4646, steps=2),
    Run("3B", "qlora", 1, 1024, True, 5.17, 5.54, 0.7859, steps=2),
    Run("7B", "qlora", 1, 1024, True, 10.00, 11.23, 1.1095, steps=2),
]


def build_runner(run: Run) -> StepRunner:
    """The model of a run as its harness built it."""
    trace_loading = None
    with torch.device("meta"):
        config = AutoConfig.for_model(**CONFIGS[run.model])
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        if run.method == "qlora":
            trace_loading = kernels.replace_linears_with_4bit(model, torch.bfloat16)
            for parameter in model.parameters():
                parameter.requires_grad_(False)
                if parameter.dtype is torch.bfloat16:
                    parameter.data = parameter.data.float()
        matrices = ["q_proj", "k_proj", "v_proj", "o_proj"]
        lora_config = LoraConfig(r=16, lora_alpha=16, target_modules=matrices, task_type="CAUSAL_LM")
        model: Any = get_peft_model(model, lora_config)
    kernels.clone_packed_outputs(model)
    if run.recomputes:
        enable_gradient_checkpointing(model, "cuda")
    return StepRunner(
        model,
        "cuda",
        partial(model_loss, model),
        gradient_checkpointing=run.recomputes,
        trace_loading=trace_loading or partial(load_in_one_block, model),
    )


@cache
def trace_run(run: Run) -> tuple[OpCounts, AllocatorStats]:
    """The work of a step, and what the allocator made of it."""
    trace = build_runner(run).run(PassSpec(run.rows, run.tokens, run.tokens, padded=False), False)
    return total(trace.phases.values()), trace.replay_allocator()


def build_tables() -> list[Table]:
    """Memory and time."""
    allocated, reserved, timed = [], [], []
    for run in RUNS:
        counts, stats = trace_run(run)
        allocated.append(Line(run.label, stats.peak_allocated / GIB, run.allocated))
        reserved.append(Line(run.label, stats.peak_reserved / GIB, run.reserved))
        timed.append(TimedRun(run.label, (counts,), run.seconds, FIRST_STEP_SECONDS / run.steps))
    return [
        Table("RTX 4080, peak of what is allocated", "GiB", allocated, {"median": 1, "worst": 5}),
        Table("RTX 4080, peak of what is reserved", "GiB", reserved, {"median": 5, "worst": 10}),
        *compare_time("RTX 4080, a step", timed, MACHINE_ID),
    ]
