"""Encoded examples become tensors, and a model's scores become the loss: the same for training and for checking."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from studio.data.prepare import IGNORED
from studio.plan import Task

Batch = dict[str, torch.Tensor]
Collate = Callable[[Sequence[dict[str, Any]]], Batch]
Loss = Callable[..., torch.Tensor]


def collator(task: Task, tokenizer: Any, shift: int = 0) -> Collate:
    """The collator of a task: rows of `input_ids` and `labels`, as in Encoded, become one padded batch.

    `shift` counts the virtual tokens a method puts before each row, whose scores come first. Rows with a `number` keep it.
    """

    def collate(rows: Sequence[dict[str, Any]]) -> Batch:
        longest = max(len(row["input_ids"]) for row in rows)
        padded = [row["input_ids"] + [tokenizer.pad_token_id] * (longest - len(row["input_ids"])) for row in rows]
        mask = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
        found = {"input_ids": torch.tensor(padded), "attention_mask": torch.tensor(mask)}
        if rows[0].get("number", -1) >= 0:
            found["number"] = torch.tensor([row["number"] for row in rows])
        if task == "classify":
            return {**found, "labels": torch.tensor([row["labels"][0] for row in rows])}
        labels = [row["labels"] + [IGNORED] * (longest - len(row["labels"])) for row in rows]
        return {**found, **learned(torch.tensor(labels), shift)}

    return collate


def prompt(model: Any) -> Any:
    """PEFT's config of what a prompt method put before the model's text (virtual tokens or a prefix); None where there is none."""
    config = getattr(model, "active_peft_config", None)
    return config if config is not None and config.is_prompt_learning else None


def shift(model: Any) -> int:
    """How many virtual tokens stand before each row's scores: those of PEFT's prompt methods but for prefixes, which are no tokens."""
    config = prompt(model)
    return 0 if config is None or config.peft_type == "PREFIX_TUNING" else int(config.num_virtual_tokens)


def learned(labels: torch.Tensor, shift: int = 0) -> Batch:
    """What to ask of a causal model so that it scores words only where something is learned.

    `labels` is rows x tokens. `logits_to_keep` names the positions that predict a learned token in any row; the new
    `labels` is rows x 1 + positions, whose first column predicts nothing, as in every causal batch (Trainer relies on it).
    """
    keep = (labels[:, 1:] != IGNORED).any(0).nonzero().flatten()
    return {"logits_to_keep": keep + shift, "labels": torch.cat([torch.full_like(labels[:, :1], IGNORED), labels[:, 1:][:, keep]], dim=1)}


def loss(task: Task) -> Loss:
    """The loss of a task: mean cross-entropy over learned tokens, or over texts."""
    return class_loss if task == "classify" else answer_loss


def answer_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
    """Mean cross-entropy (nats) over the learned tokens; `outputs.logits` is rows x positions x vocabulary, `labels` rows x 1 + positions."""
    return _mean(outputs.logits.flatten(0, 1), labels[:, 1:].flatten(), num_items_in_batch)


def class_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
    """Mean cross-entropy (nats) over the texts; `outputs.logits` is rows x classes, `labels` rows."""
    return _mean(outputs.logits, labels, num_items_in_batch)


def _mean(logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor | int | None) -> torch.Tensor:
    total = torch.nn.functional.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    return total / (count if count is not None else (labels != IGNORED).sum())
