"""Asks a model the suites: it is right on an item where it finds the right answer the likeliest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from studio.data import collate, examples, vocabulary_loss
from studio.data.examples import IGNORE_INDEX, Encoded
from studio.evaluate.retention.suites import Item
from studio.models import device

BATCH_SIZE = 16
# Longer than any item in any tokenizer.
MAX_TOKENS = 1024


def score_suites(
    model: Any,
    tokenizer: Any,
    items: Mapping[str, Sequence[Item]],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, list[bool]]:
    """Whether a model is right on each item. It is left in the mode it came in.

    What is compared is how likely the model is to begin its reply with each answer: the token that ends a
    reply does not count, since a tuned model may like to go on where the base stopped.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer, with a chat template.
        items: The items of each suite.
        on_progress: Called before each batch with the answers read so far, of all; it may raise to stop.

    Returns:
        For each suite and item whether the right answer is likelier than every wrong one.
    """
    rows = [
        _encode(item.question, answer, tokenizer)
        for suite_items in items.values()
        for item in suite_items
        for answer in item.answers
    ]
    losses = iter(_measure_losses(model, rows, tokenizer, on_progress))
    return {
        name: [_is_right([next(losses) for _ in item.answers]) for item in suite_items]
        for name, suite_items in items.items()
    }


def _is_right(losses: Sequence[float]) -> bool:
    """Whether the first of some answers is the likeliest, by their losses."""
    return losses[0] < min(losses[1:])


def _encode(question: str, answer: str, tokenizer: Any) -> Encoded:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    encoded = examples.encode_chat(messages, tokenizer, MAX_TOKENS)
    assert encoded, "no item is as long as MAX_TOKENS"
    return replace(encoded, labels=[*encoded.labels[:-1], IGNORE_INDEX])


def _measure_losses(
    model: Any, rows: Sequence[Encoded], tokenizer: Any, on_progress: Callable[[int, int], None]
) -> list[float]:
    """The loss of each row's answer (nats), rows of like length in one batch."""
    collator = collate.build_collator("chat", tokenizer, collate.count_virtual_tokens(model))
    by_length = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    losses = [0.0] * len(rows)
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(rows), BATCH_SIZE):
            on_progress(start, len(rows))
            indices = by_length[start : start + BATCH_SIZE]
            batch = collator([vars(rows[index]) for index in indices])
            for index, loss in zip(indices, _batch_losses(model, batch), strict=True):
                losses[index] = loss
    finally:
        model.train(was_training)
    return losses


def _batch_losses(model: Any, batch: collate.Batch) -> list[float]:
    """The loss of each row, summed over its labelled tokens."""
    token_losses, _ = vocabulary_loss.measure_tokens(model, batch, device.autocast)
    losses: list[float] = token_losses.sum(1).tolist()
    return losses
