"""Sixteen steps on a Tesla T4, published in data/measurements of github.com/Anassbzdd/fitcheck (MIT),
rehearsed here without a card.

Its harness (scripts/measure.py) was read for what
it does: base weights in fp16 and no autocast, LoRA on the four attention matrices with alpha twice the rank
and no dropout, non-reentrant checkpointing, texts of full length without padding, the model's own loss over
every position, torch's AdamW (its foreach form), the memory-efficient kernel with keys and values repeated
for every head, or plain ("eager") attention. QLoRA is NF4 without double quantisation; PEFT brings everything
else to 32 bits first (prepare_model_for_kbit_training). Peaks are torch's max_memory_allocated and
max_memory_reserved of the second step, where fragments of loading and of the first step lie about. Step times
are of one step each.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import torch
from estimator_card import MIB, Line, Table, adamw, own_loss
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations import sdpa_attention

from studio.estimate.benchmark import calibrate
from studio.estimate.machines import catalogue, rates
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.tracing import kernels
from studio.estimate.tracing.allocator import AllocatorStats
from studio.estimate.tracing.meta_step import PassSpec, StepRunner, enable_gradient_checkpointing

PHASES = ("forward", "backward", "update")


def llama(
    hidden: int, inner: int, layers: int, heads: int, keys: int, words: int, tied: bool, kind: str = "llama"
) -> dict[str, Any]:
    """A config of the Llama kind."""
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "vocab_size": words,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 8192,
        "use_cache": False,
    }


CONFIGS = {
    "SmolLM2-135M": llama(576, 1536, 30, 9, 3, 49152, True),
    "SmolLM2-360M": llama(960, 2560, 32, 15, 5, 49152, True),
    "SmolLM2-1.7B": llama(2048, 8192, 24, 32, 32, 49152, True),
    "Qwen2.5-1.5B": llama(1536, 8960, 28, 12, 2, 151936, True, "qwen2"),
    "Qwen2.5-7B": llama(3584, 18944, 28, 28, 4, 152064, False, "qwen2"),
    "Mistral-7B": llama(4096, 14336, 32, 32, 8, 32768, False, "mistral") | {"sliding_window": None},
    "deepseek-1.3b": llama(2048, 5504, 24, 16, 16, 32256, False),
}


@dataclass(frozen=True)
class Run:
    """One published run on the T4.

    Peaks in MiB, the step in seconds (None where the same settings were not timed).
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


def staged(run: Run) -> StepRunner:
    """The model of a run as its harness built it."""
    half, before = torch.float16, None
    with torch.device("meta"):
        config = AutoConfig.for_model(**CONFIGS[run.model])
        model = AutoModelForCausalLM.from_config(
            config, dtype=half, attn_implementation="eager" if run.attention == "eager" else "sdpa"
        )
        if run.method == "qlora":
            before = kernels.replace_linears_with_4bit(model, half, nested=False)
            for value in model.parameters():
                value.requires_grad_(False)
                value.data = value.data.float() if value.dtype is half else value.data
        parts = ["q_proj", "k_proj", "v_proj", "o_proj"]
        model = get_peft_model(
            model,
            LoraConfig(
                r=run.rank,
                lora_alpha=2 * run.rank,
                target_modules=parts,
                task_type="CAUSAL_LM",
                lora_dropout=0.0,
            ),
        )
    kernels.clone_packed_outputs(model)
    enable_gradient_checkpointing(model)
    stage = StepRunner(
        model,
        "cuda",
        partial(own_loss, model),
        gradient_checkpointing=True,
        attention="efficient",
        build_optimizer=adamw,
    )
    if before:
        stage.trace_loading = before
    return stage


@cache
def rehearsed(run: Run) -> tuple[OpCounts, AllocatorStats]:
    """The work of the run's second step, and what the card's allocator made of it all."""
    with patch.object(
        sdpa_attention, "use_gqa_in_sdpa", lambda *_: False
    ):  # the harness repeats keys and values
        trace = staged(run).run(PassSpec(run.rows, run.tokens, run.tokens, padded=False))
    return total(trace.phases.values()), trace.replay_allocator()


def memory() -> list[Table]:
    """Both peaks of every run, estimated without any fitted figure."""
    allocated, reserved = [], []
    for run in RUNS:
        _, outcome = rehearsed(run)
        allocated.append(
            Line(run.label, max(outcome.peaks_by_phase[name][0] for name in PHASES) / MIB, run.allocated)
        )
        reserved.append(Line(run.label, outcome.peak_reserved / MIB, run.reserved))
    return [
        Table("T4, peak of what is allocated", "MiB", allocated, {"median": 1, "worst": 5}),
        Table("T4, peak of what is reserved", "MiB", reserved, {"median": 3, "worst": 9}),
    ]


def time() -> Table:
    """Each run's step from the four rates fitted on all other runs, as "measure this machine" fits them."""
    timed = [(run, rehearsed(run)[0], run.seconds) for run in RUNS if run.seconds]
    start, lines = rates.rates_from_spec(catalogue.load_machines()["hf-t4-small"]), []
    for run, tally, seconds in timed:
        others = [(other, spent) for name, other, spent in timed if name != run]
        found = calibrate.fit_rates([other for other, _ in others], [spent for _, spent in others], start)
        lines.append(Line(run.label, found.estimate_seconds(tally), seconds))
    found = calibrate.fit_rates([tally for _, tally, _ in timed], [spent for _, _, spent in timed], start)
    note = (
        f"fitted on all: {found.flop_16 / 1e12:.1f} and {found.flop_32 / 1e12:.1f} TFLOP/s in 16 and 32 bits, "
        f"{found.bandwidth / 1e9:.0f} GB/s, {1e6 * found.operation:.1f} µs an operation"
    )
    return Table("T4, a step, leaving the run itself out of the fit", "s", lines, {"mean": 15}, (note,))


def tables() -> list[Table]:
    """Memory and time."""
    return [*memory(), time()]
