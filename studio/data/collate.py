"""Encoded examples become tensors, and a model's scores become the loss: the same for training and for checking."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from studio.data.examples import IGNORE_INDEX
from studio.plan import Task

Batch = dict[str, torch.Tensor]
Collator = Callable[[Sequence[dict[str, Any]]], Batch]
Loss = Callable[..., torch.Tensor]


def build_collator(task: Task, tokenizer: Any, n_virtual_tokens: int = 0) -> Collator:
    """The collator of a task: rows of `input_ids` and `labels`, as in Encoded, become one padded batch.

    `shift` counts the virtual tokens a method puts before each row, whose scores come first. Rows with a `number` keep it.
    """

    def collate(rows: Sequence[dict[str, Any]]) -> Batch:
        longest_row = max(len(row["input_ids"]) for row in rows)
        padded_ids = [
            row["input_ids"] + [tokenizer.pad_token_id] * (longest_row - len(row["input_ids"]))
            for row in rows
        ]
        attention_mask = [
            [1] * len(row["input_ids"]) + [0] * (longest_row - len(row["input_ids"])) for row in rows
        ]
        batch = {"input_ids": torch.tensor(padded_ids), "attention_mask": torch.tensor(attention_mask)}
        if rows[0].get("number", -1) >= 0:
            batch["number"] = torch.tensor([row["number"] for row in rows])
        if task == "classify":
            return {**batch, "labels": torch.tensor([row["labels"][0] for row in rows])}
        labels = [row["labels"] + [IGNORE_INDEX] * (longest_row - len(row["labels"])) for row in rows]
        return {**batch, **select_labelled_positions(torch.tensor(labels), n_virtual_tokens)}

    return collate


def get_prompt_config(model: Any) -> Any:
    """PEFT's config of what a prompt method put before the model's text (virtual tokens or a prefix); None where there is none."""
    config = getattr(model, "active_peft_config", None)
    return config if config is not None and config.is_prompt_learning else None


def count_virtual_tokens(model: Any) -> int:
    """How many virtual tokens stand before each row's scores: those of PEFT's prompt methods but for prefixes, which are no tokens."""
    config = get_prompt_config(model)
    return 0 if config is None or config.peft_type == "PREFIX_TUNING" else int(config.num_virtual_tokens)


def select_labelled_positions(labels: torch.Tensor, n_virtual_tokens: int = 0) -> Batch:
    """What to ask of a causal model so that it scores words only where something is learned.

    `labels` is rows x tokens. `logits_to_keep` names the positions that predict a learned token in any row; the new
    `labels` is rows x 1 + positions, whose first column predicts nothing, as in every causal batch (Trainer relies on it).
    """
    positions = (labels[:, 1:] != IGNORE_INDEX).any(0).nonzero().flatten()
    return {
        "logits_to_keep": positions + n_virtual_tokens,
        "labels": torch.cat(
            [torch.full_like(labels[:, :1], IGNORE_INDEX), labels[:, 1:][:, positions]], dim=1
        ),
    }


def get_loss(task: Task) -> Loss:
    """The loss of a task: mean cross-entropy over learned tokens, or over texts."""
    return classification_loss if task == "classify" else token_loss


def token_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross-entropy (nats) over the learned tokens; `outputs.logits` is rows x positions x vocabulary, `labels` rows x 1 + positions."""
    return _mean_cross_entropy(outputs.logits.flatten(0, 1), labels[:, 1:].flatten(), num_items_in_batch)


def classification_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross-entropy (nats) over the texts; `outputs.logits` is rows x classes, `labels` rows."""
    return _mean_cross_entropy(outputs.logits, labels, num_items_in_batch)


def _mean_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, n_items: torch.Tensor | int | None
) -> torch.Tensor:
    total = torch.nn.functional.cross_entropy(
        logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum"
    )
    return total / (n_items if n_items is not None else (labels != IGNORE_INDEX).sum())
