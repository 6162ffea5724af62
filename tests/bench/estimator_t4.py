"""Sixteen steps on a Tesla T4, published by github.com/Anassbzdd/fitcheck (MIT), traced here without a GPU.

The rows are from its data/measurements. Its harness (scripts/measure.py) was read for what it does: base
weights in fp16 and no autocast, LoRA on the four attention matrices with alpha twice the rank and no dropout,
non-reentrant checkpointing, texts of full length without padding, the model's own loss over every position,
torch's AdamW (its foreach form), the memory-efficient kernel with keys and values repeated for every head, or
plain ("eager") attention. QLoRA is NF4 without double quantisation; PEFT brings everything else to 32 bits
first (prepare_model_for_kbit_training). Peaks are torch's max_memory_allocated and max_memory_reserved of the
second step, where fragments of loading and of the first step lie about. Step times are of one step each.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import torch
from estimator_card import MIB, Line, Table, TimedRun, compare_time, foreach_adamw, model_loss
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations import sdpa_attention

from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing import kernels
from studio.estimate.tracing.allocator import AllocatorStats
from studio.estimate.tracing.meta_step import PassSpec, StepRunner, enable_gradient_checkpointing

MACHINE_ID = "hf-t4-small"
PHASES = ("forward", "backward", "update")


def llama(
    widths: tuple[int, int],
    layers: int,
    heads: tuple[int, int],
    vocab_size: int,
    tied: bool,
    model_type: str = "llama",
) -> dict[str, Any]:
    """A config of the Llama kind; `widths` are hidden and intermediate, `heads` those of queries and keys."""
    return {
        "model_type": model_type,
        "hidden_size": widths[0],
        "intermediate_size": widths[1],
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "vocab_size": vocab_size,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 8192,
        "use_cache": False,
    }


MISTRAL_7B = llama((4096, 14336), 32, (32, 8), 32768, False, "mistral") | {"sliding_window": None}
CONFIGS = {
    "SmolLM2-135M": llama((576, 1536), 30, (9, 3), 49152, True),
    "SmolLM2-360M": llama((960, 2560), 32, (15, 5), 49152, True),
    "SmolLM2-1.7B": llama((2048, 8192), 24, (32, 32), 49152, True),
    "Qwen2.5-1.5B": llama((1536, 8960), 28, (12, 2), 151936, True, "qwen2"),
    "Qwen2.5-7B": llama((3584, 18944), 28, (28, 4), 152064, False, "qwen2"),
    "Mistral-7B": MISTRAL_7B,
    "deepseek-1.3b": llama((2048, 5504), 24, (16, 16), 32256, False),
}


@dataclass(frozen=True)
class Run:
    """One published run on the T4.

    Peaks are in MiB, the step is in seconds, or None where the same settings were not timed.
    """

    model: str
    method: str
    rows: int
    tokens: int
    attention: str
    rank: int
    allocated: float
    reserved: float
    seconds: float | None

    @property
    def label(self) -> str:
        """What it was, in one line of a table."""
        return f"{self.model} {self.method} {self.rows}x{self.tokens} {self.attention}"


RUNS = [
    Run("SmolLM2-135M", "lora", 2, 512, "fused", 32, 1026.919, 1070, 0.2717),
    Run("SmolLM2-135M", "lora", 2, 512, "eager", 32, 1027.294, 1104, 0.2835),
    Run("SmolLM2-135M", "qlora", 2, 512, "fused", 32, 1063.814, 1194, 0.3623),
    Run("SmolLM2-360M", "lora", 1, 4096, "fused", 32, 3754.777, 3912, None),
    Run("SmolLM2-360M", "lora", 1, 4096, "eager", 32, 4908.512, 7304, 4.315),
    Run("SmolLM2-360M", "qlora", 1, 4096, "fused", 32, 4017.842, 4518, 3.610),
    Run("SmolLM2-360M", "qlora", 1, 4096, "eager", 32, 5687.154, 8164, 6.222),
    Run("SmolLM2-1.7B", "qlora", 4, 1024, "eager", 32, 5297.271, 6996, 6.786),
    Run("Qwen2.5-1.5B", "qlora", 2, 1024, "eager", 32, 6838.541, 7548, 2.695),
    Run("Qwen2.5-1.5B", "lora", 2, 1024, "eager", 32, 7405.810, 7910, 1.350),
    Run("Qwen2.5-1.5B", "qlora", 2, 1024, "fused", 32, 6827.666, 7400, 2.588),
    Run("Qwen2.5-1.5B", "lora", 2, 1024, "fused", 32, 7401.810, 7766, 1.511),
    Run("Qwen2.5-7B", "qlora", 1, 1024, "eager", 16, 10584.768, 11746, 3.909),
    Run("Mistral-7B", "qlora", 1, 1024, "eager", 16, 6190.584, 6740, 4.069),
    Run("deepseek-1.3b", "qlora", 1, 1024, "eager", 16, 1975.486, 2274, 1.105),
    Run("deepseek-1.3b", "qlora", 1, 1024, "fused", 16, 1971.736, 2172, 0.999),
]


def build_runner(run: Run) -> StepRunner:
    """The model of a run as its harness built it."""
    trace_loading = None
    attention = "eager" if run.attention == "eager" else "sdpa"
    with torch.device("meta"):
        config = AutoConfig.for_model(**CONFIGS[run.model])
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float16, attn_implementation=attention)
        if run.method == "qlora":
            trace_loading = kernels.replace_linears_with_4bit(model, torch.float16, nested=False)
            for parameter in model.parameters():
                parameter.requires_grad_(False)
                if parameter.dtype is torch.float16:
                    parameter.data = parameter.data.float()
        lora_config = LoraConfig(
            r=run.rank,
            lora_alpha=2 * run.rank,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
            task_type="CAUSAL_LM",
            lora_dropout=0.0,
        )
        model = get_peft_model(model, lora_config)
    kernels.clone_packed_outputs(model)
    enable_gradient_checkpointing(model, "cuda")
    runner = StepRunner(
        model,
        "cuda",
        partial(model_loss, model),
        gradient_checkpointing=True,
        attention="efficient",
        build_optimizer=foreach_adamw,
    )
    if trace_loading:
        runner.trace_loading = trace_loading
    return runner


@cache
def trace_run(run: Run) -> tuple[OpCounts, AllocatorStats]:
    """The work of the run's second step, and what the GPU's allocator made of it all."""
    # The harness repeats keys and values.
    with patch.object(sdpa_attention, "use_gqa_in_sdpa", lambda *_: False):
        trace = build_runner(run).run(PassSpec(run.rows, run.tokens, run.tokens, padded=False))
    return total(trace.phases.values()), trace.replay_allocator()


def compare_memory() -> list[Table]:
    """Both peaks of every run, estimated without any fitted figure."""
    allocated, reserved = [], []
    for run in RUNS:
        _, stats = trace_run(run)
        peak_allocated = max(stats.peaks_by_phase[name][0] for name in PHASES)
        allocated.append(Line(run.label, peak_allocated / MIB, run.allocated))
        reserved.append(Line(run.label, stats.peak_reserved / MIB, run.reserved))
    return [
        Table("T4, peak of what is allocated", "MiB", allocated, {"median": 1, "worst": 5}),
        Table("T4, peak of what is reserved", "MiB", reserved, {"median": 3, "worst": 9}),
    ]


def build_tables() -> list[Table]:
    """Memory and time."""
    timed = [TimedRun(run.label, (trace_run(run)[0],), run.seconds) for run in RUNS if run.seconds]
    return [*compare_memory(), *compare_time("T4, a step", timed, MACHINE_ID)]
