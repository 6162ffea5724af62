"""Measure a model on the held-out examples: every learned token counts once, however the batches fall."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from studio.data import batch
from studio.data.prepare import IGNORED, Encoded
from studio.plan import Task


def measure(model: Any, rows: Sequence[Encoded], tokenizer: Any, task: Task, batch_size: int) -> dict[str, float]:
    """Loss in nats per learned token with its perplexity, or loss per text with accuracy and macro F1 (shares, 0 to 1).

    The model is left in the mode it came in.
    """
    collate, loss, was_training = batch.collator(task, tokenizer, batch.shift(model)), batch.loss(task), model.training
    order = sorted(rows, key=lambda row: len(row.input_ids))
    total, count = 0.0, 0
    said: list[int] = []
    meant: list[int] = []
    plain: dict[str, Any] = (
        {} if task == "classify" else {"use_cache": False}
    )  # keys and values are kept for writing, and nothing is written
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), batch_size):
            tensors = {
                name: value.to(model.device) for name, value in collate([vars(row) for row in order[start : start + batch_size]]).items()
            }
            labels = tensors.pop("labels")
            outputs = model(**tensors, **plain)
            learned = int((labels != IGNORED).sum())
            total += float(loss(outputs, labels)) * learned
            count += learned
            if task == "classify":
                said += outputs.logits.argmax(-1).tolist()
                meant += labels.tolist()
    model.train(was_training)
    if task == "classify":
        return {"loss": total / count, "accuracy": _accuracy(said, meant), "f1": macro_f1(said, meant)}
    return {"loss": total / count, "perplexity": math.exp(min(total / count, 50))}


def macro_f1(said: Sequence[int], meant: Sequence[int]) -> float:
    """The mean over classes of F1 = 2·hits / (times said + times meant); classes that do not occur do not count."""
    scores = []
    for name in set(said) | set(meant):
        hits = sum(1 for one, other in zip(said, meant, strict=True) if one == other == name)
        scores.append(2 * hits / (said.count(name) + meant.count(name)))
    return sum(scores) / len(scores)


def _accuracy(said: Sequence[int], meant: Sequence[int]) -> float:
    return sum(1 for one, other in zip(said, meant, strict=True) if one == other) / len(meant)
