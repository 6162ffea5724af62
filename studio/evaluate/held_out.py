"""Scores a model on held-out examples: every trained token counts once, however the batches fall."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from studio.data import collate
from studio.data.examples import IGNORE_INDEX, Encoded
from studio.plan import Task


def evaluate(
    model: Any, rows: Sequence[Encoded], tokenizer: Any, task: Task, batch_size: int
) -> dict[str, float]:
    """Score a model on encoded examples. The model is left in the mode it came in.

    Returns:
        For classification the loss per text (nats), `accuracy` and macro `f1` (shares, 0 to 1); for every
        other task the loss per trained token (nats) and its `perplexity`.
    """
    was_training = model.training
    model.eval()
    total_loss, n_targets = 0.0, 0
    predictions: list[int] = []
    labels: list[int] = []
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
                predictions += outputs.logits.argmax(-1).tolist()
                labels += batch_labels.tolist()
    model.train(was_training)
    loss = total_loss / n_targets
    if task != "classify":
        return {"loss": loss, "perplexity": math.exp(min(loss, 50))}
    return {"loss": loss, "accuracy": _accuracy(predictions, labels), "f1": macro_f1(predictions, labels)}


def macro_f1(predictions: Sequence[int], labels: Sequence[int]) -> float:
    """The mean over the classes that occur of F1 = 2·hits / (times predicted + times labelled)."""
    pairs = list(zip(predictions, labels, strict=True))
    scores = []
    for label in set(predictions) | set(labels):
        n_hits = pairs.count((label, label))
        scores.append(2 * n_hits / (predictions.count(label) + labels.count(label)))
    return sum(scores) / len(scores)


def _accuracy(predictions: Sequence[int], labels: Sequence[int]) -> float:
    pairs = zip(predictions, labels, strict=True)
    return sum(predicted == label for predicted, label in pairs) / len(labels)
