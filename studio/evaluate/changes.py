"""Which held-out rows the tuned model answers better than what there was before, and which worse."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from studio.data.text.text_length import shorten
from studio.evaluate import measures, predictions
from studio.evaluate.measures import Measure
from studio.evaluate.predictions import Answered, Outcome, Prediction
from studio.i18n import Message

EMPTY_ANSWER = Message("(an empty answer)")
CUT_ANSWER = Message("{text} … (cut at the length limit)")


class Changes(NamedTuple):
    """The rows whose score changed, those that changed most first."""

    better: Sequence[Prediction]
    worse: Sequence[Prediction]


def find(answered: Answered) -> Changes:
    """The rows that got better and worse by the measure of the verdict, which counts the same rows.

    Empty where nothing can be scored, or nothing answered before.
    """
    measure = measures.choose(answered.predictions)
    if not measure:
        return Changes((), ())
    gains = [
        (_gain(measure, row, row.before), row)
        for row in answered.predictions
        if row.before and measure.can_score(row)
    ]
    gains.sort(key=lambda item: (-abs(item[0]), item[1].row))
    return Changes([row for gain, row in gains if gain > 0], [row for gain, row in gains if gain < 0])


def describe_answer(outcome: Outcome, max_characters: int) -> Message | str:
    """A written answer, shortened; that it is empty, or was cut before it ended, where it was."""
    text = shorten(outcome["text"], max_characters)
    if not text:
        return EMPTY_ANSWER
    return CUT_ANSWER.format(text=text) if predictions.is_cut(outcome) else text


def _gain(measure: Measure, row: Prediction, before: Any) -> float:
    """How much better the tuned model's answer is; above 0 is better."""
    tuned_score, old_score = measure.score(row.tuned, row.example), measure.score(before, row.example)
    if measure.kind == "hits":
        return float(tuned_score) - float(old_score)
    if measure.kind == "errors":
        return float(old_score - tuned_score)
    # Counts of an F1: labels that are wrong or missing are what two times the hits lack of the mentions.
    return float(2 * (tuned_score[0] - old_score[0]) - (tuned_score[1] - old_score[1]))
