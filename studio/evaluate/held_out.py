"""Scores a model on held-out examples: every trained token counts once, however the batches fall."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from studio.data import collate
from studio.data.examples import IGNORE_INDEX, Encoded
from studio.data.targets import RatingScale
from studio.evaluate import label_scores
from studio.plan import Task


def evaluate(
    model: Any,
    rows: Sequence[Encoded],
    tokenizer: Any,
    task: Task,
    batch_size: int,
    scale: RatingScale | None = None,
) -> dict[str, float]:
    """Score a model on encoded examples. The model is left in the mode it came in.

    Args:
        model: The model.
        rows: The examples.
        tokenizer: Its tokenizer.
        task: What it has learned.
        batch_size: Examples that are computed at once.
        scale: How the numbers of the examples were standardized; None for other targets.

    Returns:
        For classification the `loss` (`collate.classification_loss`) and the scores of label_scores; for
        every other task the loss per trained token (nats) and its `perplexity`; nothing
        where no token is trained.
    """
    if all(label == IGNORE_INDEX for row in rows for label in row.labels):
        return {}
    was_training = model.training
    model.eval()
    total_loss, n_targets = 0.0, 0
    all_logits: list[torch.Tensor] = []
    all_labels: list[torch.Tensor] = []
    collator = collate.build_collator(task, tokenizer, collate.count_virtual_tokens(model))
    get_loss = collate.get_loss(task)
    # Keys and values are cached for writing text, and nothing is written here.
    model_kwargs = {} if task == "classify" else {"use_cache": False}
    by_length = sorted(rows, key=lambda row: len(row.input_ids))
    with torch.no_grad():
        for start in range(0, len(by_length), batch_size):
            batch = collator([vars(row) for row in by_length[start : start + batch_size]])
            tensors = {name: tensor.to(model.device) for name, tensor in batch.items()}
            batch_labels = tensors.pop("labels")
            outputs = model(**tensors, **model_kwargs)
            n_batch_targets = int((batch_labels != IGNORE_INDEX).sum())
            total_loss += float(get_loss(outputs, batch_labels)) * n_batch_targets
            n_targets += n_batch_targets
            if task == "classify":
                all_logits.append(outputs.logits.float().cpu())
                all_labels.append(batch_labels.cpu())
    model.train(was_training)
    loss = total_loss / n_targets
    if task != "classify":
        return {"loss": loss, "perplexity": math.exp(min(loss, 50))}
    logits, labels = torch.cat(all_logits), torch.cat(all_labels)
    if not labels.is_floating_point():
        return {"loss": loss, **label_scores.score_classes(logits.argmax(-1).tolist(), labels.tolist())}
    if scale:
        return {"loss": loss, **label_scores.score_ratings(logits.flatten(), labels, scale)}
    names = list(model.config.id2label.values())
    return {"loss": loss, **label_scores.score_label_sets(logits, labels, names)}
