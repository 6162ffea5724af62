"""How many items of each suite a run is asked: few enough that asking stays cheaper than training."""

from studio.evaluate.retention.suites import SUITE_NAMES
from studio.plan import RetentionChoice

ALL_ITEMS = 40
# By default half of the items are asked, some 21,000 tokens (docs/methods.md#retention).
DEFAULT_ITEMS = 20
# Fewer items than these in each suite would show next to nothing.
MIN_ITEMS = 5
# What the items come to, on average of both languages (docs/methods.md#retention): answers that are read for
# an item, tokens of each with its question, and tokens of the answer alone.
ANSWERS_PER_ITEM = 2.5
TOKENS_PER_ANSWER = 53
ANSWER_TOKENS = 8
# Before and after; a training step takes a forward pass and, for the backward pass, twice as much again.
RETENTION_PASSES, TRAINING_PASSES = 2, 3
# The most time that asking may take, as a share of the time that the training takes.
MAX_TIME_SHARE = 0.5


def count_items(choice: RetentionChoice, trained_tokens: float) -> int:
    """How many items of each suite are asked; 0 where none are.

    Args:
        choice: The plan's setting: "auto" asks at most DEFAULT_ITEMS, and fewer where training is short.
        trained_tokens: Tokens that training reads in all its epochs.
    """
    if choice == "none":
        return 0
    if choice == "all":
        return ALL_ITEMS
    tokens_per_item = len(SUITE_NAMES) * ANSWERS_PER_ITEM * TOKENS_PER_ANSWER
    affordable_tokens = MAX_TIME_SHARE * TRAINING_PASSES * trained_tokens / RETENTION_PASSES
    n_items = min(DEFAULT_ITEMS, int(affordable_tokens / tokens_per_item))
    return n_items if n_items >= MIN_ITEMS else 0
