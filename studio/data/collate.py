"""Encoded examples become batches, and logits become the loss: the same for training and evaluation."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.nn import functional

from studio.data.examples import IGNORE_INDEX
from studio.plan import Task

# Rows are packed from this share of padding on: attention in one kernel for each text costs a fiftieth of a
# step (docs/methods.md#packed-texts).
MIN_PACKED_SHARE = 0.03
Batch = dict[str, Any]
Collator = Callable[[Sequence[dict[str, Any]]], Batch]
Loss = Callable[..., torch.Tensor]


def build_collator(
    task: Task, tokenizer: Any, n_virtual_tokens: int = 0, packs_texts: bool = False
) -> Collator:
    """The collator of a task, which turns rows into one batch, padded on the right.

    Args:
        task: What a model learns from the rows.
        tokenizer: Its `pad_token_id` is used.
        n_virtual_tokens: The virtual tokens that a method puts before each row, whose logits come first.
        packs_texts: Whether the rows become one row without padding instead (studio.data.packed_texts).

    Returns:
        A function of rows with the fields of `Encoded`. Where the rows have a `row_index`, the batch has it
        too, as numbers on the processor, which looks something up by them.
    """

    def collate(rows: Sequence[dict[str, Any]]) -> Batch:
        row_indices = {}
        if rows[0].get("row_index", -1) >= 0:
            row_indices = {"row_index": tuple(row["row_index"] for row in rows)}
        if packs_texts and _padding_share(rows) >= MIN_PACKED_SHARE:
            return {**row_indices, **_pack(rows)}
        input_ids = _pad([row["input_ids"] for row in rows], tokenizer.pad_token_id)
        attention_mask = _pad([[1] * len(row["input_ids"]) for row in rows], 0)
        batch = {**row_indices, "input_ids": input_ids, "attention_mask": attention_mask}
        if task == "classify":
            return {**batch, "labels": _stack_targets([row["labels"] for row in rows])}
        labels = _pad([row["labels"] for row in rows], IGNORE_INDEX, length=input_ids.shape[1])
        return {**batch, **select_labelled_positions(labels, n_virtual_tokens)}

    return collate


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch whose tensors are on a device; what is no tensor stays on the processor."""
    return {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}


def _padding_share(rows: Sequence[dict[str, Any]]) -> float:
    """The share of the positions that would be padding."""
    lengths = [len(row["input_ids"]) for row in rows]
    return 1 - sum(lengths) / (max(lengths) * len(lengths))


def _pack(rows: Sequence[dict[str, Any]]) -> Batch:
    """Rows behind one another in one: positions begin anew with each, whose first token is not predicted.

    `text_lengths` are no tensor: what reads them needs them on the processor (studio.data.packed_texts).
    """
    tokens = [token for row in rows for token in row["input_ids"]]
    positions = [position for row in rows for position in range(len(row["input_ids"]))]
    labels = [label for row in rows for label in (IGNORE_INDEX, *row["labels"][1:])]
    return {
        "input_ids": torch.tensor([tokens]),
        "attention_mask": torch.ones(1, len(tokens), dtype=torch.long),
        "position_ids": torch.tensor([positions]),
        "text_lengths": tuple(len(row["input_ids"]) for row in rows),
        **select_labelled_positions(torch.tensor([labels])),
    }


def _stack_targets(targets: Sequence[list[int] | list[float]]) -> torch.Tensor:
    """What is learned of texts to classify, in the form that tells its loss (`classification_loss`)."""
    if len(targets[0]) > 1:
        return torch.tensor(targets, dtype=torch.float32)
    return torch.tensor([target for (target,) in targets])


def _pad(rows: Sequence[list[int]], value: int, length: int = 0) -> torch.Tensor:
    """Rows padded on the right with a value, to the longest row or at least to `length`: rows x tokens."""
    longest = max(length, *(len(row) for row in rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def get_prompt_config(model: Any) -> Any:
    """PEFT's config of a prompt method (virtual tokens or a prefix); None if the model has none."""
    config = getattr(model, "active_peft_config", None)
    if config is None or not config.is_prompt_learning:
        return None
    return config


def count_virtual_tokens(model: Any) -> int:
    """The number of virtual tokens before each row's logits; a prefix (past keys and values) has none."""
    config = get_prompt_config(model)
    if config is None or config.peft_type == "PREFIX_TUNING":
        return 0
    return int(config.num_virtual_tokens)


@contextmanager
def without_padding_mask(model: Any, task: Task) -> Iterator[None]:
    """Within, a causal model gets no mask of its padding.

    Padding comes behind each text, where a causal model never looks, and nothing is learned there. Without
    the mask attention computes half of the products, and a GPU can take its fastest kernel. Prompt methods
    put positions before the text, and PEFT fits the mask to them; a classifier may look both ways.
    """
    if task == "classify" or get_prompt_config(model) is not None:
        yield
        return
    handle = model.register_forward_pre_hook(_drop_mask, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _drop_mask(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {name: value for name, value in kwargs.items() if name != "attention_mask"}


def select_labelled_positions(labels: torch.Tensor, n_virtual_tokens: int = 0) -> Batch:
    """What a causal model must get so that it computes logits only where a token is learned.

    Args:
        labels: rows x tokens, IGNORE_INDEX where nothing is learned.
        n_virtual_tokens: The virtual tokens before each row.

    Returns:
        `logits_to_keep`, the positions that predict a learned token in any row, and `labels`, rows x 1 +
        positions, whose first column predicts nothing, as in every causal batch (Trainer relies on it).
    """
    predicted_labels = labels[:, 1:]
    positions = (predicted_labels != IGNORE_INDEX).any(0).nonzero().flatten()
    first_column = torch.full_like(labels[:, :1], IGNORE_INDEX)
    return {
        "logits_to_keep": positions + n_virtual_tokens,
        "labels": torch.cat([first_column, predicted_labels[:, positions]], dim=1),
    }


def get_loss(task: Task) -> Loss:
    """The loss of a task: a mean over learned tokens, or over texts to classify."""
    return classification_loss if task == "classify" else token_loss


def token_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross-entropy over the learned tokens.

    Args:
        outputs: Its `logits` are rows x positions x vocabulary.
        labels: rows x 1 + positions.
        num_items_in_batch: The learned tokens to divide by; None for those of `labels`.

    Returns:
        The loss (nats), a scalar.
    """
    logits, labels = outputs.logits.flatten(0, 1), labels[:, 1:].flatten()
    return _mean_cross_entropy(logits, labels, num_items_in_batch)


def classification_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """The mean loss over the texts; the labels tell which one, as they do in transformers' own classifiers.

    Args:
        outputs: Its `logits` are rows x classes.
        labels: The class of each row, as whole numbers: cross-entropy. Or rows x labels, each 1 or 0: binary
            cross-entropy of every label. Or one number for each row: squared error.
        num_items_in_batch: The labels to divide by; None for those of `labels`.

    Returns:
        The loss, a scalar: nats for a text or for a label of it, or a squared standardized number.
    """
    if not labels.is_floating_point():
        return _mean_cross_entropy(outputs.logits, labels, num_items_in_batch)
    n_items = labels.numel() if num_items_in_batch is None else num_items_in_batch
    logits = outputs.logits.float().view_as(labels)
    loss = functional.binary_cross_entropy_with_logits if labels.dim() == 2 else functional.mse_loss
    return loss(logits, labels, reduction="sum") / n_items


def with_class_weights(weights: Sequence[float]) -> Loss:
    """The loss of classification with a gradient in which each text counts by the weight of its class.

    Its value is the plain mean all the same, so that curves compare.
    """
    weights_on = cache(lambda device: torch.tensor(weights, device=device))

    def loss(
        outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        plain = classification_loss(outputs, labels, num_items_in_batch)
        text_losses = functional.cross_entropy(outputs.logits.float(), labels, reduction="none")
        text_weights = weights_on(labels.device)[labels]
        n_items = len(labels) if num_items_in_batch is None else num_items_in_batch
        weighted = (text_weights * text_losses).sum() / n_items
        return weighted + (plain - weighted).detach()

    return loss


def _mean_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, n_items: torch.Tensor | int | None
) -> torch.Tensor:
    total = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    if n_items is None:
        n_items = (labels != IGNORE_INDEX).sum()
    return total / n_items
