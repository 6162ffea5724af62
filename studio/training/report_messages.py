"""Sentences on a run's report that the page and the command line share."""

from collections.abc import Mapping
from typing import Any

from studio.i18n import Message

TEXTS_CUT_OR_DROPPED = Message(
    "Examples cut at {length} tokens: {cut}; left out as too long: {dropped}."
    " Raise the longest example (max length) or shorten the texts."
)
START_KEPT = Message(
    "No step was better than the start, so the start is kept: nothing was learned."
    " Try more examples, another learning rate or another method."
)
LINEAR_MODEL_KEPT = Message(
    "No step was better than the linear model that the training started from, so that is the result."
    " Try more examples, another learning rate or another method."
)
LINEAR_BASELINE = Message(
    "A linear model on the same embeddings reaches {accuracy:.0%}, in {seconds:.0f} seconds."
)


def describe_linear_baseline(report: Mapping[str, Any]) -> Message | None:
    """How often a linear model on the base's embeddings is right; None where none was fitted to classes."""
    baseline = report.get("linear_baseline")
    if not isinstance(baseline, Mapping) or "accuracy" not in baseline:
        return None
    return LINEAR_BASELINE.format(accuracy=baseline["accuracy"], seconds=baseline["seconds"])


def describe_truncation(report: Mapping[str, Any]) -> Message | None:
    """How many examples were cut or dropped as too long; None where none was, or the report does not say."""
    texts = report.get("texts")
    if not isinstance(texts, Mapping) or not (texts.get("cut") or texts.get("dropped")):
        return None
    return TEXTS_CUT_OR_DROPPED.format(length=texts["max_length"], cut=texts["cut"], dropped=texts["dropped"])


def describe_kept_start(report: Mapping[str, Any]) -> Message | None:
    """That no step was better than the state before the first, which is the result; None where one was."""
    if report.get("best_step", 1):
        return None
    return LINEAR_MODEL_KEPT if report.get("linear_baseline") else START_KEPT
