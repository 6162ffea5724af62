"""The stages of RLHF as the estimator sees them: supervised fine-tuning, reward model or DPO, and policy.

Only the first has dropout: a policy must give the same probabilities twice
(studio.methods.rlhf_stages.stage.lora_config). The others are TRL's trainers.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from studio.methods import workload
from studio.methods.cost_profile import CostProfile, low_rank
from studio.methods.rlhf_stages import rule_rewards
from studio.methods.spec import Settings
from studio.methods.workload import Phase, RowTokens, Workload
from studio.models.shape import ModelShape

# Held-out prompts that are answered before and after the policy is trained.
MAX_HELD_OUT_PROMPTS = 32
# So many texts are written or scored at once in an evaluation.
EVAL_BATCH_SIZE = 16
# The longest answer where none is set: this much of the usual example, within these bounds (tokens).
LENGTH_HEADROOM = 1.25
MIN_COMPLETION_TOKENS, MAX_COMPLETION_TOKENS = 16, 64
# The upper bound where the reward is the length of the answer.
MAX_COMPLETION_TOKENS_BY_LENGTH = 256


def max_completion_length(settings: Settings, reward_name: str, example_lengths: Sequence[int]) -> int:
    """How long an answer may be while the policy trains (tokens).

    As set; else what the usual example, or the length that the reward aims at, needs, within bounds.

    Args:
        settings: The method's settings.
        reward_name: The reward, as `rule_rewards.resolve_reward` names it.
        example_lengths: The lengths of the example answers (tokens).
    """
    if settings["max_completion_length"]:
        return int(settings["max_completion_length"])
    target_length = int(settings["reward_length"]) if reward_name == "length" else 0
    upper_bound = MAX_COMPLETION_TOKENS_BY_LENGTH if reward_name == "length" else MAX_COMPLETION_TOKENS
    usual_length = math.ceil(LENGTH_HEADROOM * median(example_lengths))
    needed_length = max(usual_length, 2 * target_length, MIN_COMPLETION_TOKENS)
    return max(min(needed_length, upper_bound), target_length)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """The cost profile of a LoRA on every matrix."""
    return low_rank(shape.linears, int(settings["rank"]), dropout=True)


def phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    """The phases of a run: the supervised stage where it is wanted, then DPO, or reward model and policy."""
    sft_phases: tuple[Phase, ...] = ()
    if settings["sft"] and not settings["start_from"]:
        sft_phases = workload.build_supervised_phases(replace(load, task="chat"), "rlhf", "sft")
    if settings["algorithm"] == "dpo":
        return (*sft_phases, *_dpo_phases(settings, load))
    reward_name = rule_rewards.resolve_reward(settings, load.task)
    reward_model_phases: tuple[Phase, ...] = ()
    if reward_name == "model" and load.task == "prefer":
        reward_model_phases = _reward_model_phases(settings, load)
    return (*sft_phases, *reward_model_phases, *_policy_phases(settings, load, reward_name))


def _pair_texts(load: Workload) -> list[tuple[int, int]]:
    """Tokens of each text and of its answer, two texts a pair; pairs that do not fit are left out."""
    fitting_rows = [row for row in load.rows if _longest_of_pair(row) <= load.training.token_limit]
    texts = []
    for row in fitting_rows or load.rows:
        for answer_tokens in (row.completion_tokens, row.rejected_tokens):
            texts.append((row.prompt_tokens + answer_tokens, answer_tokens))
    return texts


def _longest_of_pair(row: RowTokens) -> int:
    """Tokens of the longer of a pair's two conversations."""
    return row.prompt_tokens + max(row.completion_tokens, row.rejected_tokens)


def _reward_model_phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    """The fit of the initial head on the training texts, the training, and its validations."""
    epochs, batch_size = float(settings["reward_epochs"]), load.training.batch_size or 8
    steps = math.ceil(load.n_train * epochs / batch_size)
    texts = [(tokens, 0) for tokens, _ in _pair_texts(load)]
    n_train_texts, n_validation_texts = 2 * load.n_train, 2 * load.n_validation
    head = Phase(
        "head",
        workload.build_micro_batches(texts, EVAL_BATCH_SIZE, n_train_texts),
        head="classes",
        extra_models=1.0,
    )
    training = Phase(
        "reward",
        workload.build_micro_batches(texts, max(2, load.micro_batch_size), n_train_texts),
        "rlhf",
        with_gradients=True,
        passes=epochs,
        optimizer_steps=steps,
        head="classes",
        extra_models=1.0,
        uses_trl=True,
    )
    validation = Phase(
        "check",
        workload.build_micro_batches(texts, EVAL_BATCH_SIZE, n_validation_texts),
        "rlhf",
        passes=2 + min(steps, load.training.eval_count),  # and the start and the result
        head="classes",
        extra_models=1.0,
    )
    return head, training, validation


def _policy_phases(settings: Settings, load: Workload, reward_name: str) -> tuple[Phase, ...]:
    """The held-out answers, and of each step the writing, the scoring, the reference and the learning."""
    example_lengths = [max(1, row.completion_tokens) for row in load.rows]
    completion_length = max_completion_length(settings, reward_name, example_lengths)
    num_generations, steps = int(settings["num_generations"]), int(settings["steps"])
    prompt_lengths = _fitting_prompt_lengths(load, completion_length)
    prompts_per_step = min(int(settings["prompts_per_step"]), len(prompt_lengths))
    n_answers = num_generations * prompts_per_step * steps
    prompts = [(tokens, 0) for tokens in prompt_lengths]
    full_texts = [(tokens + completion_length, completion_length) for tokens in prompt_lengths]
    train_batches = workload.build_micro_batches(full_texts, num_generations, n_answers)
    extra_models = 1.0 if reward_name == "model" else 0.0
    held_out_answers = Phase(
        "ask",
        workload.build_micro_batches(prompts, EVAL_BATCH_SIZE, MAX_HELD_OUT_PROMPTS),
        passes=2,
        new_tokens=completion_length,
        extra_models=extra_models,
    )
    writing = Phase(
        "write",
        workload.build_micro_batches(prompts, num_generations * prompts_per_step, n_answers),
        "rlhf",
        new_tokens=completion_length,
        extra_models=extra_models,
    )
    scoring = Phase(
        "judge",
        workload.build_micro_batches(full_texts, EVAL_BATCH_SIZE, n_answers),
        head="classes",
        extra_models=extra_models,
    )
    reference = Phase("reference", train_batches, "rlhf", passes=2, extra_models=extra_models, uses_trl=True)
    learning = Phase(
        "rl",
        train_batches,
        "rlhf",
        with_gradients=True,
        optimizer_steps=steps,
        extra_models=extra_models,
        uses_trl=True,
    )
    if reward_name == "model":
        return held_out_answers, writing, scoring, reference, learning
    return held_out_answers, writing, reference, learning


def _fitting_prompt_lengths(load: Workload, completion_length: int) -> list[int]:
    """Tokens of the prompts that leave room for an answer; of the first prompt where none does."""
    max_prompt_tokens = load.training.token_limit - completion_length
    lengths = [row.prompt_tokens for row in load.rows if row.prompt_tokens <= max_prompt_tokens]
    return lengths or [load.rows[0].prompt_tokens]


def _dpo_phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    """The reference's passes, the training, and its validations."""
    steps, batch_size = int(settings["steps"]), min(load.training.batch_size or 8, load.n_train)
    texts = _pair_texts(load)
    train_batches = workload.build_micro_batches(texts, max(2, load.micro_batch_size), 2 * batch_size * steps)
    validation_batches = workload.build_micro_batches(texts, EVAL_BATCH_SIZE, 2 * load.n_validation)
    return (
        Phase("reference", train_batches, "rlhf", uses_trl=True),
        Phase("dpo", train_batches, "rlhf", with_gradients=True, optimizer_steps=steps, uses_trl=True),
        Phase("check", validation_batches, passes=3 + min(steps, load.training.eval_count)),
    )
