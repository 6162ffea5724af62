"""Measure a model on the held-out examples: every learned token counts once, however the batches fall."""

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
    """Loss in nats per learned token with its perplexity, or loss per text with accuracy and macro F1 (shares, 0 to 1).

    The model is left in the mode it came in.
    """
    collator, loss, was_training = (
        collate.build_collator(task, tokenizer, collate.count_virtual_tokens(model)),
        collate.get_loss(task),
        model.training,
    )
    order = sorted(rows, key=lambda row: len(row.input_ids))
    total_loss, total_tokens = 0.0, 0
    predictions: list[int] = []
    targets: list[int] = []
    model_kwargs: dict[str, Any] = (
        {} if task == "classify" else {"use_cache": False}
    )  # keys and values are kept for writing, and nothing is written
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), batch_size):
            tensors = {
                name: value.to(model.device)
                for name, value in collator([vars(row) for row in order[start : start + batch_size]]).items()
            }
            labels = tensors.pop("labels")
            outputs = model(**tensors, **model_kwargs)
            n_tokens = int((labels != IGNORE_INDEX).sum())
            total_loss += float(loss(outputs, labels)) * n_tokens
            total_tokens += n_tokens
            if task == "classify":
                predictions += outputs.logits.argmax(-1).tolist()
                targets += labels.tolist()
    model.train(was_training)
    if task == "classify":
        return {
            "loss": total_loss / total_tokens,
            "accuracy": _accuracy(predictions, targets),
            "f1": macro_f1(predictions, targets),
        }
    return {"loss": total_loss / total_tokens, "perplexity": math.exp(min(total_loss / total_tokens, 50))}


def macro_f1(predictions: Sequence[int], targets: Sequence[int]) -> float:
    """The mean over classes of F1 = 2·hits / (times said + times meant); classes that do not occur do not count."""
    scores = []
    for label in set(predictions) | set(targets):
        n_correct = sum(
            1 for predicted, target in zip(predictions, targets, strict=True) if predicted == target == label
        )
        scores.append(2 * n_correct / (predictions.count(label) + targets.count(label)))
    return sum(scores) / len(scores)


def _accuracy(predictions: Sequence[int], targets: Sequence[int]) -> float:
    return sum(
        1 for predicted, target in zip(predictions, targets, strict=True) if predicted == target
    ) / len(targets)
