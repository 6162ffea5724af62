"""Scores of predicted labels and numbers, from what a model answers to each text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from studio.data.targets import LABEL_THRESHOLD, RatingScale
from studio.evaluate.score_names import LABEL_PREFIX

if TYPE_CHECKING:
    import torch


def score_classes(predicted: Sequence[int], labels: Sequence[int]) -> dict[str, float]:
    """The scores of texts with one label each: `accuracy` and macro `f1` (0 to 1), and `n_examples`."""
    pairs = zip(predicted, labels, strict=True)
    n_right = sum(predicted_label == label for predicted_label, label in pairs)
    return {
        "accuracy": n_right / len(labels),
        "f1": macro_f1(predicted, labels),
        "n_examples": float(len(labels)),
    }


def macro_f1(predictions: Sequence[int | str], labels: Sequence[int | str]) -> float:
    """The mean over the classes that occur of F1 = 2·hits / (times predicted + times labelled)."""
    pairs = list(zip(predictions, labels, strict=True))
    scores = []
    for label in set(predictions) | set(labels):
        n_hits = pairs.count((label, label))
        scores.append(2 * n_hits / (predictions.count(label) + labels.count(label)))
    return sum(scores) / len(scores)


def score_label_sets(
    logits: "torch.Tensor", labels: "torch.Tensor", names: Sequence[str]
) -> dict[str, float]:
    """The scores of texts with several labels each; a label is predicted from LABEL_THRESHOLD on.

    Args:
        logits: Texts x labels.
        labels: Texts x labels, each 1 or 0.
        names: The labels.

    Returns:
        Each from 0 to 1: `micro_f1` over all labels of all texts, `macro_f1`, its mean over single labels,
        `exact_match`, the share of the texts with all labels right, and `f1/NAME` for each that occurs.
    """
    predicted, labels = logits.sigmoid() >= LABEL_THRESHOLD, labels.bool()
    hits = (predicted & labels).sum(0)
    mentions = predicted.sum(0) + labels.sum(0)
    per_label = {
        LABEL_PREFIX + name: 2 * int(n_hits) / int(n_mentions)
        for name, n_hits, n_mentions in zip(names, hits, mentions, strict=True)
        if n_mentions
    }
    return {
        "micro_f1": 2 * int(hits.sum()) / max(1, int(mentions.sum())),
        "macro_f1": sum(per_label.values()) / max(1, len(per_label)),
        "exact_match": float((predicted == labels).all(dim=1).float().mean()),
        **per_label,
    }


def score_ratings(logits: "torch.Tensor", labels: "torch.Tensor", scale: RatingScale) -> dict[str, float]:
    """The scores of texts with a number each.

    Args:
        logits: The predicted number of each text, standardized.
        labels: The right one, standardized.
        scale: How the numbers were standardized.

    Returns:
        In the numbers' own unit `mae`, the mean absolute error, and `mae_of_median`, that of always guessing
        the training examples' median; `spearman`, the rank correlation (-1 to 1; 0 where all predictions
        are the same); on a scale with steps, `within_half_step` and `within_one_step`, the shares (0 to 1)
        of predictions no further off than that.
    """
    from scipy import stats  # noqa: PLC0415 - slow to load, and wanted for numbers alone

    predicted, right = (scale.mean + scale.deviation * values.double() for values in (logits, labels))
    errors = (predicted - right).abs()
    has_ranks = len(predicted.unique()) > 1 and len(right.unique()) > 1
    scores = {
        "mae": float(errors.mean()),
        "mae_of_median": float((right - scale.median).abs().mean()),
        "spearman": float(stats.spearmanr(predicted, right).statistic) if has_ranks else 0.0,
    }
    if scale.step:
        # Standardized numbers are held in 32 bits.
        limits = {"within_half_step": 0.5 * scale.step, "within_one_step": scale.step}
        scores |= {name: float((errors <= 1.0001 * limit).double().mean()) for name, limit in limits.items()}
    return scores
