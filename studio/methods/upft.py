"""UPFT: the model learns from the openings of its own answers, so questions alone are enough (Ji et al. 2025, arXiv 2503.02875)."""

from dataclasses import replace
from typing import Any

from studio.data.examples import Encoded
from studio.i18n import label
from studio.methods import lora, workload
from studio.methods.cost_profile import CostProfile, low_rank
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import peft_adapter
from studio.methods.training.sampling_sizes import (
    GENERATION_BATCH_SIZE,
    MAX_COMPLETION_TOKENS,
    SIMILARITY_QUESTIONS,
    SIMILARITY_SAMPLES,
    SIMILARITY_TOKENS,
)
from studio.methods.workload import Phase, RowTokens, Workload
from studio.models.shape import ModelShape
from studio.plan import Task

# What the task template adds to a question, about (tokens).
TASK_TEMPLATE_TOKENS = 14
SETTINGS = (
    Setting(
        "prefix_length",
        label("How much of each answer's beginning is learned, in tokens (prefix length)"),
        label(
            "Up to here right and wrong answers still begin alike. The paper takes 8 for general models, 32 for maths models, 128 for models that reason at length."
        ),
        16,
        "int",
        2,
        256,
        aliases=("opening",),
    ),
    Setting(
        "full_share",
        label("Share of questions learned with the whole answer (structure tuning)"),
        label(
            "Keeps the model from forgetting how an answer ends. The paper takes 0.1, and 0.3 with fewer than 1,000 questions; more hurts."
        ),
        0.1,
        "float",
        0,
        1,
    ),
    Setting(
        "instruction",
        label("A text put before every question (task prefix)"),
        label(
            "Used alike in sampling, training, checking and afterwards. Leave it empty unless the model already answers better with it."
        ),
        "",
        "str",
        high=500,
    ),
    Setting(
        "temperature",
        label("How freely the model writes its own answers (temperature)"),
        label("0.6 as in the paper; higher is more varied."),
        0.6,
        "float",
        0.1,
        2,
        advanced=True,
    ),
    Setting(
        "template",
        label("Ask for the first step where only an opening is learned (task template)"),
        label(
            "Lets an opening end there without teaching the model to break off its answers: without the template no end is learned."
        ),
        True,
        "bool",
        advanced=True,
    ),
    Setting(
        "rank",
        label("How far the model may change (rank)"),
        label("The paper trains every parameter; a LoRA of this rank stands in for that here."),
        16,
        "int",
        1,
        256,
        advanced=True,
        aliases=("r",),
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """The paper trains everything at 1e-6; a LoRA wants ten times that and more (design/methods.md), a small model more again."""
    return 1e-4 if shape.total() < 400e6 else 2e-5


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """That of a LoRA of this rank on all matrices."""
    return lora.count_parameters(
        shape, lora.settings_for_rank(int(settings["rank"]), dropout=0.0), num_labels
    )


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """That of a LoRA without dropout."""
    return low_rank(shape.linears, int(settings["rank"]), dropout=False)


def phases(settings: Settings, run_workload: Workload) -> tuple[Phase, ...]:
    """Openings are looked at and written, a share of them as whole answers, and then learned."""
    prefix_length, full_share, template_tokens = (
        int(settings["prefix_length"]),
        float(settings["full_share"]),
        TASK_TEMPLATE_TOKENS if settings["template"] else 0,
    )
    prompt_lengths = [(row.prompt_tokens, 0) for row in run_workload.rows]
    completion_tokens = max(
        prefix_length,
        min(
            MAX_COMPLETION_TOKENS,
            run_workload.training.max_length
            - sorted(tokens for tokens, _ in prompt_lengths)[len(prompt_lengths) // 2],
        ),
    )
    rows = tuple(
        RowTokens(row.prompt_tokens + template_tokens, prefix_length + (1 if template_tokens else 0))
        for row in run_workload.rows
    )
    if full_share:  # of those with a whole answer one in so many
        rows += tuple(
            RowTokens(
                row.prompt_tokens,
                max(
                    prefix_length,
                    min(MAX_COMPLETION_TOKENS, run_workload.training.max_length - row.prompt_tokens),
                ),
            )
            for row in run_workload.rows[:: round(1 / full_share)]
        )
    return (
        Phase(
            "openings",
            workload.build_micro_batches(
                prompt_lengths, SIMILARITY_SAMPLES, SIMILARITY_QUESTIONS * SIMILARITY_SAMPLES
            ),
            new_tokens=SIMILARITY_TOKENS,
        ),
        Phase(
            "openings",
            workload.build_micro_batches(
                prompt_lengths, GENERATION_BATCH_SIZE, run_workload.count * (1 - full_share)
            ),
            new_tokens=prefix_length,
        ),
        Phase(
            "openings",
            workload.build_micro_batches(
                prompt_lengths, GENERATION_BATCH_SIZE, run_workload.n_train * full_share
            ),
            new_tokens=completion_tokens,
        ),
        *workload.build_supervised_phases(replace(run_workload, task="chat", rows=rows), "upft"),
    )


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA; it still answers as before, and writes its own examples so."""
    return lora.attach(model, lora.settings_for_rank(int(settings["rank"]), dropout=0.0), task)


def generate_rows(context: TrainingContext) -> tuple[list[Encoded], list[Encoded]]:
    """The model's own openings, one for each question."""
    from studio.methods.training import self_prefixes  # noqa: PLC0415 - loads torch

    return self_prefixes.generate_rows(context)


METHOD = Method(
    name="upft",
    tasks=("chat", "prompts"),
    settings=SETTINGS,
    exports=("adapter", "merged"),
    weights="frozen",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    phases=phases,
    attach=attach,
    train=peft_adapter.train,
    save=peft_adapter.save,
    load=peft_adapter.load,
    merge=peft_adapter.merge,
    generate_rows=generate_rows,
)
