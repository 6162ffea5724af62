"""What the data make of RLHF: which stages there are, how many steps, and how long an answer may be."""

import math
from collections.abc import Sequence
from typing import Literal

from studio.methods.spec import Settings
from studio.methods.workload import MAX_ANSWER_TOKENS
from studio.models.shape import ModelShape
from studio.plan import Task

# Those that learn from judged answers directly; the others practise and are scored.
DIRECT_ALGORITHMS = ("dpo", "simpo", "orpo", "kto")
DirectAlgorithm = Literal["dpo", "simpo", "orpo", "kto"]
# The longest answer where none is set: nine of ten examples fit, within these bounds (tokens).
COMPLETION_QUANTILE = 0.9
MIN_COMPLETION_TOKENS, MAX_COMPLETION_TOKENS = 16, 128
# The upper bound where the reward is the length of the answer.
MAX_COMPLETION_TOKENS_BY_LENGTH = 256
# Practice asks each question about once, at least in so many steps, as long as the answers it writes keep
# within so many tokens in all: writing and learning from them takes most of a run's time.
MIN_PRACTICE_STEPS, MAX_PRACTICE_TOKENS = 20, 50_000
# From so many pairs on the reward model itself is trained; with fewer its linear start ranks as well.
MIN_PAIRS_TO_TRAIN_ON = 1_000
# A reward model is the lower part of the language model's blocks: what is in the middle of a model ranks
# answers better than what is at its end (docs/methods.md#reward_depth).
REWARD_DEPTH = 0.6
# Learning from judged answers directly: about so many steps, within 1 and so many epochs.
DIRECT_TARGET_STEPS, MAX_DIRECT_EPOCHS = 40, 3


def resolve_algorithm(settings: Settings, task: Task) -> str:
    """The algorithm that the settings mean; "data" is GRPO for questions alone, else RLOO."""
    name = str(settings["algorithm"])
    if name != "data":
        return name
    return "grpo" if task == "prompts" else "rloo"


def default_learning_rate(shape: ModelShape) -> float:
    """The learning rate of the last stage where none is set.

    TRL's 1e-6 is for training all parameters of large models; LoRA takes ten and more times that, and small
    models bear, and need, more.
    """
    return 1e-4 if shape.total() < 400e6 else 2e-5


def has_sft(settings: Settings, task: Task) -> bool:
    """Whether there is a supervised stage: questions show no answer, ORPO imitates as it ranks."""
    is_wanted = bool(settings["sft"]) and not settings["start_from"]
    return is_wanted and task != "prompts" and resolve_algorithm(settings, task) != "orpo"


def reward_blocks(n_blocks: int) -> int:
    """Blocks of a new reward model on a language model with so many."""
    return max(1, round(REWARD_DEPTH * n_blocks))


def practice_steps(settings: Settings, n_questions: int, max_completion_tokens: int) -> int:
    """Steps of practice: as set, else until each question was asked about once, as far as time allows.

    Args:
        settings: The method's settings.
        n_questions: Questions to practise on.
        max_completion_tokens: The most tokens of an answer.
    """
    if settings["steps"]:
        return int(settings["steps"])
    prompts_per_step = min(int(settings["prompts_per_step"]), n_questions)
    tokens_per_step = prompts_per_step * int(settings["num_generations"]) * max_completion_tokens
    affordable_steps = MAX_PRACTICE_TOKENS // tokens_per_step
    wanted_steps = math.ceil(n_questions / prompts_per_step)
    return max(min(wanted_steps, affordable_steps), MIN_PRACTICE_STEPS)


def reward_steps(settings: Settings, n_pairs: int, batch_size: int, is_fresh: bool) -> int:
    """Steps in which the reward model itself is trained; none where its linear start is all of it.

    One that an earlier run has trained has no such start and is always trained on.
    """
    is_trained = n_pairs >= MIN_PAIRS_TO_TRAIN_ON or not is_fresh
    epochs = float(settings["reward_epochs"]) or float(is_trained)
    return math.ceil(n_pairs * epochs / batch_size)


def direct_steps(settings: Settings, n_rows: int, batch_size: int) -> int:
    """Steps of learning from judged answers: as set, else one epoch over them, up to three where few."""
    if settings["steps"]:
        return int(settings["steps"])
    epochs = min(max(round(DIRECT_TARGET_STEPS * batch_size / n_rows), 1), MAX_DIRECT_EPOCHS)
    return math.ceil(epochs * n_rows / batch_size)


def micro_batch_size(n_examples: int, accumulation_steps: int, texts_per_example: int) -> int:
    """How many examples of a step are computed at once: a share of them that leaves none out.

    A pair is two texts, so half as many pairs as texts fit. KTO, whose examples are single answers, compares
    each with its neighbour's question and needs two at once.

    Args:
        n_examples: The pairs, or single answers, of a step.
        accumulation_steps: In how many parts the plan computes a step of single texts.
        texts_per_example: 2 for pairs, 1 for single answers.
    """
    fewest = 2 // texts_per_example
    most = n_examples // (texts_per_example * accumulation_steps)
    even_shares = [size for size in range(fewest, n_examples + 1) if n_examples % size == 0] or [fewest]
    return max((size for size in even_shares if size <= most), default=even_shares[0])


def max_completion_length(settings: Settings, reward_name: str, example_lengths: Sequence[int]) -> int:
    """How long an answer may be while the policy trains (tokens).

    As set; else so long that COMPLETION_QUANTILE of the example answers fit, or the length that the reward
    aims at, within bounds. A known answer shows no way there: then as long as in the test after training.

    Args:
        settings: The method's settings.
        reward_name: The reward, as `rule_rewards.resolve_reward` names it.
        example_lengths: The lengths of the example answers (tokens); empty where there are none.
    """
    if settings["max_completion_length"]:
        return int(settings["max_completion_length"])
    if reward_name == "answer" or not example_lengths:
        return MAX_ANSWER_TOKENS
    target_length = int(settings["reward_length"]) if reward_name == "length" else 0
    upper_bound = MAX_COMPLETION_TOKENS_BY_LENGTH if reward_name == "length" else MAX_COMPLETION_TOKENS
    long_example = sorted(example_lengths)[math.ceil(COMPLETION_QUANTILE * len(example_lengths)) - 1]
    needed_length = max(long_example, 2 * target_length, MIN_COMPLETION_TOKENS)
    return max(min(needed_length, upper_bound), target_length)
