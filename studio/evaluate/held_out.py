"""Scores a model on held-out examples: every trained token counts once, however the batches fall."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from studio.data import collate, vocabulary_loss
from studio.data.examples import IGNORE_INDEX, Encoded
from studio.data.targets import LABEL_THRESHOLD, RatingScale
from studio.evaluate import label_scores, temperature
from studio.evaluate.predictions import Measured, Outcome
from studio.evaluate.score_names import CALIBRATED_LOSS
from studio.models import device
from studio.plan import Task


def evaluate(
    model: Any,
    rows: Sequence[Encoded],
    tokenizer: Any,
    task: Task,
    batch_size: int,
    scale: RatingScale | None = None,
) -> Measured:
    """Score a model on encoded examples. The model is left in the mode it came in.

    Args:
        model: The model.
        rows: The examples.
        tokenizer: Its tokenizer.
        task: What it has learned.
        batch_size: Examples that are computed at once.
        scale: How the numbers of the examples were standardized; None for other targets.
    """
    if all(label == IGNORE_INDEX for row in rows for label in row.labels):
        return Measured({}, [])
    was_training = model.training
    model.eval()
    all_logits: list[torch.Tensor] = []
    all_labels: list[torch.Tensor] = []
    outcomes: list[Outcome] = []
    collator = collate.build_collator(task, tokenizer, collate.count_virtual_tokens(model))
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    for start in range(0, len(order), batch_size):
        batch = collator([vars(rows[index]) for index in order[start : start + batch_size]])
        if task == "classify":
            all_labels.append(batch.pop("labels"))
            all_logits.append(_class_logits(model, batch))
        else:
            outcomes += _text_outcomes(*vocabulary_loss.measure_tokens(model, batch, device.autocast))
    model.train(was_training)
    if task == "classify":
        names = list(model.config.id2label.values())
        measured = _score_targets(torch.cat(all_logits), torch.cat(all_labels), names, scale)
    else:
        measured = Measured(_score_texts(outcomes), outcomes)
    by_index = dict(zip(order, measured.outcomes, strict=True))
    return Measured(measured.scores, [by_index[index] for index in range(len(rows))])


def _class_logits(model: Any, batch: collate.Batch) -> torch.Tensor:
    """The logits of a batch of texts to classify, in 32 bits: rows x classes."""
    tensors = collate.to_device(batch, model.device)
    with torch.no_grad(), device.autocast():
        logits: torch.Tensor = model(**tensors).logits
    return logits.float().cpu()


def _text_outcomes(token_losses: torch.Tensor, labels: torch.Tensor) -> list[Outcome]:
    """The loss (nats) of each row of a batch over its trained tokens, and how many there are."""
    row_losses = token_losses.sum(1).tolist()
    n_tokens = (labels != IGNORE_INDEX).sum(1).tolist()
    return [{"loss": loss, "tokens": tokens} for loss, tokens in zip(row_losses, n_tokens, strict=True)]


def _score_texts(outcomes: Sequence[Outcome]) -> dict[str, float]:
    loss = sum(outcome["loss"] for outcome in outcomes) / sum(outcome["tokens"] for outcome in outcomes)
    return {"loss": loss, "perplexity": math.exp(min(loss, 50))}


def _name_labels(probabilities: Sequence[float], names: Sequence[str]) -> Outcome:
    """The labels that a text gets, and how likely each label is."""
    by_name = dict(zip(names, probabilities, strict=True))
    return {
        "labels": [name for name, probability in by_name.items() if probability >= LABEL_THRESHOLD],
        "probabilities": {name: round(probability, 4) for name, probability in by_name.items()},
    }


def _score_targets(
    logits: torch.Tensor, labels: torch.Tensor, names: Sequence[str], scale: RatingScale | None
) -> Measured:
    """Scores and outcomes of texts to classify; the form of the labels tells the kind of target."""
    loss = float(collate.classification_loss(SimpleNamespace(logits=logits), labels))
    if scale:
        values = (scale.mean + scale.deviation * logits.flatten().double()).tolist()
        scores = label_scores.score_ratings(logits.flatten(), labels, scale)
        return Measured({"loss": loss, **scores}, [{"value": round(value, 4)} for value in values])
    several = labels.is_floating_point()
    calibrated = temperature.fit(logits.numpy(), labels.numpy(), several)
    losses = {"loss": loss, CALIBRATED_LOSS: calibrated.loss}
    if several:
        scores = label_scores.score_label_sets(logits, labels, names)
        outcomes = [_name_labels(row, names) for row in logits.sigmoid().tolist()]
        return Measured({**losses, **scores}, outcomes)
    probabilities, predicted = logits.softmax(-1).max(-1)
    pairs = zip(predicted.tolist(), probabilities.tolist(), strict=True)
    return Measured(
        {**losses, **label_scores.score_classes(predicted.tolist(), labels.tolist())},
        [{"label": names[index], "probability": round(value, 4)} for index, value in pairs],
    )
