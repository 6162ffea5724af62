"""The stages of RLHF as the estimator sees them: learning from answers, from pairs, and practice that writes before it learns.

Only the first has dropout: a policy must say the same twice (studio.methods.rlhf_stages.stage.lora_config). The others are TRL's trainers.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from studio.methods import workload
from studio.methods.cost_profile import CostProfile, low_rank
from studio.methods.rlhf_stages import rule_rewards
from studio.methods.spec import Settings
from studio.methods.workload import Phase, Workload
from studio.models.shape import ModelShape

# Held-out questions that are answered before and after practice; so many are written or judged at once.
MAX_HELD_OUT_PROMPTS, EVAL_BATCH_SIZE = 32, 16
# The longest answer where nobody says: this much of the usual example, within these bounds (tokens).
LENGTH_HEADROOM, MIN_COMPLETION_TOKENS, MAX_COMPLETION_TOKENS, MAX_COMPLETION_TOKENS_BY_LENGTH = (
    1.25,
    16,
    64,
    256,
)


def max_completion_length(settings: Settings, reward_name: str, example_lengths: Sequence[int]) -> int:
    """How long an answer may be in practice (tokens): as set, else what the usual example or the length aimed at needs, within bounds.

    `answers` are the lengths of the example answers, `what` names the reward.
    """
    target_length = int(settings["reward_length"]) if reward_name == "length" else 0
    estimated_length = min(
        max(math.ceil(LENGTH_HEADROOM * median(example_lengths)), 2 * target_length, MIN_COMPLETION_TOKENS),
        MAX_COMPLETION_TOKENS_BY_LENGTH if reward_name == "length" else MAX_COMPLETION_TOKENS,
    )
    return int(settings["max_completion_length"]) or max(estimated_length, target_length)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """That of a LoRA on every matrix."""
    return low_rank(shape.linears, int(settings["rank"]), dropout=True)


def phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    """The supervised stage where it is wanted, then pairs alone (DPO), or a reward model where pairs are the reward, and practice."""
    sft_phases = (
        workload.build_supervised_phases(replace(load, task="chat"), "rlhf", "sft")
        if settings["sft"] and not settings["start_from"]
        else ()
    )
    if settings["algorithm"] == "dpo":
        return (*sft_phases, *_dpo_phases(settings, load))
    reward_name = rule_rewards.resolve_reward(settings, load.task)
    reward_model_phases = (
        _reward_model_phases(settings, load) if reward_name == "model" and load.task == "prefer" else ()
    )
    return (*sft_phases, *reward_model_phases, *_policy_phases(settings, load, reward_name))


def _pair_texts(load: Workload) -> list[tuple[int, int]]:
    """Both answers of each pair that is read whole."""
    max_length = load.training.max_length
    fitting_rows = [
        row
        for row in load.rows
        if row.prompt_tokens + max(row.completion_tokens, row.rejected_tokens) <= max_length
    ] or list(load.rows)
    return [
        (row.prompt_tokens + answer, answer)
        for row in fitting_rows
        for answer in (row.completion_tokens, row.rejected_tokens)
    ]


def _reward_model_phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    epochs, batch_size = float(settings["reward_epochs"]), load.training.batch_size or 8
    steps = math.ceil(load.n_train * epochs / batch_size)
    texts = [(tokens, 0) for tokens, _ in _pair_texts(load)]
    train_batches = workload.build_micro_batches(texts, max(2, load.micro_batch_size), 2 * load.n_train)
    check_batches = workload.build_micro_batches(texts, EVAL_BATCH_SIZE, 2 * load.n_validation)
    return (
        Phase(
            "head",
            workload.build_micro_batches(texts, EVAL_BATCH_SIZE, 2 * load.n_train),
            head="classes",
            extra_models=1.0,
        ),
        Phase(
            "reward",
            train_batches,
            "rlhf",
            with_gradients=True,
            passes=epochs,
            optimizer_steps=steps,
            head="classes",
            extra_models=1.0,
            uses_trl=True,
        ),
        Phase(
            "check",
            check_batches,
            "rlhf",
            passes=2 + min(steps, load.training.eval_count),
            head="classes",
            extra_models=1.0,
        ),
    )


def _policy_phases(settings: Settings, load: Workload, reward_name: str) -> tuple[Phase, ...]:
    completion_length = max_completion_length(
        settings, reward_name, [max(1, row.completion_tokens) for row in load.rows]
    )
    num_generations, steps = int(settings["num_generations"]), int(settings["steps"])
    prompts = [
        (row.prompt_tokens, 0)
        for row in load.rows
        if row.prompt_tokens + completion_length <= load.training.max_length
    ] or [(load.rows[0].prompt_tokens, 0)]
    prompts_per_step = min(int(settings["prompts_per_step"]), len(prompts))
    full_texts = [(tokens + completion_length, completion_length) for tokens, _ in prompts]
    batches = workload.build_micro_batches(
        full_texts, num_generations, num_generations * prompts_per_step * steps
    )
    extra_models = 1.0 if reward_name == "model" else 0.0
    scoring_phases = (
        (
            Phase(
                "judge",
                workload.build_micro_batches(
                    full_texts, EVAL_BATCH_SIZE, num_generations * prompts_per_step * steps
                ),
                head="classes",
                extra_models=extra_models,
            ),
        )
        if extra_models
        else ()
    )
    return (
        Phase(
            "ask",
            workload.build_micro_batches(prompts, EVAL_BATCH_SIZE, MAX_HELD_OUT_PROMPTS),
            passes=2,
            new_tokens=completion_length,
            extra_models=extra_models,
        ),
        Phase(
            "write",
            workload.build_micro_batches(
                prompts, num_generations * prompts_per_step, num_generations * prompts_per_step * steps
            ),
            "rlhf",
            new_tokens=completion_length,
            extra_models=extra_models,
        ),
        *scoring_phases,
        Phase("reference", batches, "rlhf", passes=2, extra_models=extra_models, uses_trl=True),
        Phase(
            "rl",
            batches,
            "rlhf",
            with_gradients=True,
            optimizer_steps=steps,
            extra_models=extra_models,
            uses_trl=True,
        ),
    )


def _dpo_phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    steps, batch_size = int(settings["steps"]), min(load.training.batch_size or 8, load.n_train)
    train_batches = workload.build_micro_batches(
        _pair_texts(load), max(2, load.micro_batch_size), 2 * batch_size * steps
    )
    check_batches = workload.build_micro_batches(_pair_texts(load), EVAL_BATCH_SIZE, 2 * load.n_validation)
    return (
        Phase("reference", train_batches, "rlhf", uses_trl=True),
        Phase("dpo", train_batches, "rlhf", with_gradients=True, optimizer_steps=steps, uses_trl=True),
        Phase("check", check_batches, "rlhf", passes=2 + min(steps, load.training.eval_count)),
    )
