"""UPFT: the model learns from the openings of its own answers, so questions alone are enough.

Ji et al. 2025, arXiv 2503.02875.
"""

from dataclasses import replace
from typing import Any

from studio.data.examples import Encoded
from studio.i18n import label
from studio.methods import lora
from studio.methods.cost_profile import CostProfile, plain_low_rank
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import first_step, peft_adapter
from studio.methods.training.sampling_sizes import (
    GENERATION_BATCH_SIZE,
    MAX_COMPLETION_TOKENS,
    SIMILARITY_QUESTIONS,
    SIMILARITY_SAMPLES,
    SIMILARITY_TOKENS,
    full_answer_share,
)
from studio.methods.workload import (
    Phase,
    RowTokens,
    Workload,
    build_micro_batches,
    build_supervised_phases,
)
from studio.models.shape import ModelShape
from studio.plan import Task

SETTINGS = (
    Setting(
        "prefix_length",
        label("Prefix length"),
        label(
            "Tokens learned from the beginning of each answer. The paper takes 8 for general "
            "models, 32 for maths, 128 for long reasoning."
        ),
        default=16,
        kind="int",
        low=2,
        high=256,
        aliases=("opening",),
    ),
    Setting(
        "full_share",
        label("Structure tuning"),
        label(
            "Share of questions learned with the whole answer, so that the model does not "
            "forget how answers end. -1: as in the paper, 0.3 below 1,000 questions, else "
            "0.1."
        ),
        default=-1,
        kind="float",
        low=-1,
        high=1,
    ),
    Setting(
        "instruction",
        label("Task prefix"),
        label(
            "Text put before every question, in training and afterwards. Leave it empty "
            "unless the model answers better with it."
        ),
        default="",
        kind="str",
        high=500,
    ),
    Setting(
        "temperature",
        label("Temperature"),
        label("How varied the model’s own answers are. 0.6 as in the paper."),
        default=0.6,
        kind="float",
        low=0.1,
        high=2,
        advanced=True,
    ),
    Setting(
        "template",
        label("Task template"),
        label("Asks for the first step only, so that the model does not learn to break off its answers."),
        default=True,
        kind="bool",
        advanced=True,
    ),
    Setting(
        "rank",
        label("LoRA rank (r)"),
        label("How much the model can change. The paper trains all parameters; here a LoRA of this rank."),
        default=16,
        kind="int",
        low=1,
        high=256,
        advanced=True,
        aliases=("r",),
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """The paper trains everything at 1e-6.

    A LoRA wants ten times that and more (docs/methods.md), and a small model more again.
    """
    return 1e-4 if shape.total() < 400e6 else 2e-5


def _lora_settings(settings: Settings) -> Settings:
    return lora.settings_for_rank(int(settings["rank"]))


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """That of a LoRA of this rank on all matrices."""
    return lora.count_parameters(shape, _lora_settings(settings), num_labels)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """That of a LoRA without dropout."""
    return plain_low_rank(shape.linears, int(settings["rank"]))


def phases(settings: Settings, workload: Workload) -> tuple[Phase, ...]:
    """Measure how alike openings are, generate openings and a share of full answers, then train on them."""
    prompt_lengths = [(row.prompt_tokens, 0) for row in workload.rows]
    full_share = full_answer_share(float(settings["full_share"]), workload.n_train)
    n_full = workload.n_train * full_share
    return (
        Phase(
            "openings",
            build_micro_batches(
                prompt_lengths, SIMILARITY_SAMPLES, SIMILARITY_QUESTIONS * SIMILARITY_SAMPLES
            ),
            new_tokens=SIMILARITY_TOKENS,
        ),
        Phase(
            "openings",
            build_micro_batches(prompt_lengths, GENERATION_BATCH_SIZE, workload.n_read - n_full),
            new_tokens=int(settings["prefix_length"]),
        ),
        Phase(
            "openings",
            build_micro_batches(prompt_lengths, GENERATION_BATCH_SIZE, n_full),
            new_tokens=_full_answer_tokens(settings, workload, _median_prompt_tokens(workload)),
        ),
        *build_supervised_phases(
            replace(workload, task="chat", rows=_generated_rows(settings, workload, full_share)), "upft"
        ),
    )


def _generated_rows(settings: Settings, workload: Workload, full_share: float) -> tuple[RowTokens, ...]:
    """Lengths of the generated examples: a full answer to every so many questions, else an opening."""
    template_tokens = workload.first_step_tokens if settings["template"] else 0
    opening_tokens = int(settings["prefix_length"]) + bool(settings["template"])  # with its end
    rows = []
    for index, row in enumerate(workload.rows):
        is_full = int((index + 1) * full_share) > int(index * full_share)
        if is_full:
            answer_tokens = _full_answer_tokens(settings, workload, row.prompt_tokens)
            rows.append(RowTokens(row.prompt_tokens, answer_tokens))
        else:
            rows.append(RowTokens(row.prompt_tokens + template_tokens, opening_tokens))
    return tuple(rows)


def _full_answer_tokens(settings: Settings, workload: Workload, prompt_tokens: int) -> int:
    """Tokens of a full answer: what the prompt leaves, at most MAX_COMPLETION_TOKENS, at least an opening."""
    free_tokens = workload.training.token_limit - prompt_tokens
    return max(int(settings["prefix_length"]), min(MAX_COMPLETION_TOKENS, free_tokens))


def _median_prompt_tokens(workload: Workload) -> int:
    prompt_tokens = sorted(row.prompt_tokens for row in workload.rows)
    return prompt_tokens[len(prompt_tokens) // 2]


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA; it still answers as before, and writes its own examples so."""
    return lora.attach(model, _lora_settings(settings), task)


def generate_rows(context: TrainingContext) -> tuple[list[Encoded], list[Encoded]]:
    """Training and validation rows of the model's own openings, one for each question."""
    from studio.methods.training import self_prefixes  # noqa: PLC0415 - loads torch

    return self_prefixes.generate_rows(context)


METHOD = Method(
    name="upft",
    tasks=first_step.TASKS,
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
