"""Nine runs of an earlier studio on an NVIDIA H200 (shared/cases/card-h200-2026-11.md), estimated again.

They are estimated as they were run: LoRA with dropout 0.05, checkpointing from a billion parameters on, a mask where
texts are padded, the scores of all learned positions at once. Texts are the first 160 of gsm8k (2,000 of Banking77 for
BERT), counted with SmolLM2's tokenizer. The time is that of the training's steps: the tokens of its texts over the
median rate that the file tells. The memory is the peak, with the context. The tenth run, DPO, is left out: its trainer
has changed in TRL too.

The file states no measurement of that machine. It is simulated in two ways: the rates are fitted on the other eight
runs, or the cost of an operation alone is taken from one run (LoRA of 3B) and holds for the others.
"""

import csv
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import card
from estimator_card import Line, Table, TimedRun, compare_time

from studio import methods
from studio.data import collate
from studio.estimate import dataset_lengths, estimate_one
from studio.estimate.analytic import memory
from studio.estimate.analytic import time as time_model
from studio.estimate.machines import catalogue, rates
from studio.estimate.method_run import MethodRun
from studio.estimate.tracing import meta_step, server, traced_passes
from studio.estimate.tracing.client import tracing_client
from studio.estimate.tracing.traced_passes import TracedPasses
from studio.methods.workload import RowTokens, Workload
from studio.models import load
from studio.models import shape as model_shapes
from studio.models.fetch import fetch
from studio.plan import Training

DATA = Path(__file__).parents[3] / "shared" / "data"
MACHINE_ID = "hf-h200"
SHAPES: dict[str, dict[str, Any]] = {
    "3B": card.SHAPES["llama-3b"],
    "0.6B": card.SHAPES["qwen3-0.6b"],
    "BERT-base": {
        "model_type": "bert",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "vocab_size": 49152,
    },
}
DROPOUT = {"dropout": 0.05}


@dataclass(frozen=True)
class Run:
    """One run: its rate is that of tokens without padding in the median step, its peak is in GB."""

    model: str
    method: str
    tokens_per_second: float
    peak: float
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether it sorts texts."""
        return self.model == "BERT-base"


RUNS = (
    Run("3B", "lora", 2209, 14.56, (("dropout", 0.05),)),
    Run("3B", "qlora", 1820, 9.74, (("dropout", 0.05),)),
    Run("3B", "frozen", 11075, 24.31, (("blocks", 2),)),
    Run("3B", "prefix", 7361, 24.17),
    Run("3B", "adapter", 4143, 14.21),
    Run("0.6B", "full", 5004, 21.99),
    Run("0.6B", "peft", 3893, 22.57),
    Run("0.6B", "qat", 5688, 22.31),
    Run("BERT-base", "full", 5835, 3.83),
)
RECOMPUTES = ("lora", "qlora", "adapter")


def count_rows(is_classifier: bool) -> tuple[RowTokens, ...]:
    """The texts in tokens."""
    tokenizer = load.tokenizer(fetch("smollm2-135m").folder)
    if is_classifier:
        with (DATA / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
            texts = [row["text"] for row in csv.DictReader(file)][:2000]
        return tuple(RowTokens(len(tokenizer(text)["input_ids"])) for text in texts)
    lines = (DATA / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:160]
    rows = [json.loads(line) for line in lines]
    parsed = [{"prompt": row["question"], "response": row["answer"]} for row in rows]
    return tuple(dataset_lengths.count_row(row, "chat", tokenizer) for row in parsed)


class WholeLoss:
    """The loss that an earlier studio used: of the scores of all learned positions at once."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> Any:
        return collate.get_loss("chat")

    def __exit__(self, *_: object) -> None: ...


def choose_earlier_optimizer(in_bf16: bool, n_trained: int, paged_gpu_bytes: float | None) -> str:
    """What kept the averages: pages from 300 million parameters on (and on 4 bits, where they are small)."""
    return "paged_adamw_8bit" if n_trained >= 300e6 else "adamw_torch_fused"


@contextmanager
def earlier_studio() -> Iterator[None]:
    """Traces as the runs were, in this process and in a home of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, {"STUDIO_HOME": folder}),
        patch.object(tracing_client, "_fetch", server.handle_request),
        patch.object(traced_passes, "_reads_padding_mask", lambda *_: True),
        patch.object(meta_step, "VocabularyLoss", WholeLoss),
        patch.object(meta_step, "fused_norms", lambda *_: nullcontext()),
        patch.object(memory, "choose_optimizer", choose_earlier_optimizer),
    ):
        yield


def build_run(run: Run, rows: tuple[RowTokens, ...]) -> MethodRun:
    """A run as the studio estimates it, with its training settings."""
    batch_size, max_length = (32, 128) if run.is_classifier else (8, 512)
    recomputes = run.model == "3B" and run.method in RECOMPUTES
    training = Training(
        epochs=1,
        batch_size=batch_size,
        gradient_accumulation_steps=1,
        max_length=max_length,
        eval_count=1,
        gradient_checkpointing=recomputes,
        retention="none",
    )
    method = methods.get(run.method)
    num_labels = 77 if run.is_classifier else 0
    task = "classify" if run.is_classifier else "chat"
    shape = model_shapes.from_config(SHAPES[run.model])
    workload = Workload(task, rows, len(rows), 0.05, training, shape, num_labels)
    return MethodRun(method, method.resolve_settings(dict(run.settings)), workload)


def estimate_run(run: Run) -> tuple[TimedRun, Line]:
    """The work of a run's training with the time it took, and its peak estimated and measured (GB)."""
    machine = catalogue.load_machines()[MACHINE_ID]
    rows = counted_rows(run.is_classifier)
    method_run = build_run(run, rows)
    passes = TracedPasses(SHAPES[run.model], machine)
    for request in passes.pending_requests(method_run):
        response = tracing_client.send_request(request)
        if "problem" in response:
            raise RuntimeError(f"{run.model} {run.method}: {response['problem']}")
    estimate = estimate_one.estimate_method(method_run, machine, None, passes)
    label = f"{run.model} {run.method}"
    pieces = []
    for phase in method_run.phases:
        if phase.with_gradients:
            pieces += time_model.count_pieces(
                phase,
                method_run.workload,
                method_run.parameters.trainable,
                machine.kind,
                lambda phase, micro_batch: passes(method_run, phase, micro_batch),
            )
    n_tokens = sum(row.tokens for row in rows) * (1 - method_run.workload.validation_share)
    seconds = n_tokens / run.tokens_per_second
    return TimedRun(label, tuple(pieces), seconds), Line(label, estimate.memory_gb.likely, run.peak)


@cache
def counted_rows(is_classifier: bool) -> tuple[RowTokens, ...]:
    """The texts in tokens, the shortest first."""
    return tuple(sorted(count_rows(is_classifier), key=lambda row: row.tokens))


def build_tables() -> list[Table]:
    """Memory and time; none where the data is not here."""
    if not (DATA / "gsm8k_train.jsonl").is_file():
        return []
    counted_rows(False), counted_rows(True)  # by the tokenizer of this home
    with earlier_studio():
        results = [estimate_run(run) for run in RUNS]
    timed, peaks = [run for run, _ in results], [line for _, line in results]
    return [
        Table("H200, peak of the run", "GB", peaks, {"median": 5, "worst": 10}),
        *compare_time("H200, the steps of a run", timed, MACHINE_ID),
        simulate_one_measurement(timed),
    ]


def simulate_one_measurement(timed: list[TimedRun]) -> Table:
    """The steps of all other runs, where the cost of an operation alone is known, from the first one."""
    from_spec = rates.rates_from_spec(catalogue.load_machines()[MACHINE_ID])
    low, high = 1e-6, 1e-3
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        if timed[0].estimate(replace(from_spec, operation=middle)) > timed[0].seconds:
            high = middle
        else:
            low = middle
    measured = replace(from_spec, operation=low)
    lines = [Line(run.label, run.estimate(measured), run.seconds) for run in timed[1:]]
    note = f"operation of {1e6 * low:.1f} µs, from {timed[0].label}"
    title = "H200, the steps of a run, an operation's cost from one run"
    return Table(title, "s", lines, {"median": 15}, (note,))
