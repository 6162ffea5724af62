"""What a run is judged by: a measure for each kind of task, scored row by row so that rows can be paired."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

from studio.data import targets
from studio.data.examples import Example
from studio.data.text import json_answers
from studio.evaluate import known_answers, paired, predictions
from studio.evaluate.paired import Difference, Estimate
from studio.evaluate.predictions import Outcome, Prediction

# Wanted answers of at most so many characters (the median) are compared word for word; longer ones can be
# right in many wordings.
MAX_EXACT_CHARACTERS = 40
# So many questions at most are answered in writing: enough to see a change, and minutes on a CPU.
MAX_QUESTIONS = 64
Kind = Literal["hits", "errors", "f1"]


@dataclass(frozen=True)
class Measure:
    """How the answer to one row is scored.

    Attributes:
        name: Its name in the verdict.
        kind: "hits" (right or wrong), "errors" (a number, lower is better), or "f1" (counts of labels).
        needs: What an outcome must hold.
        score: The score of an outcome.
    """

    name: str
    kind: Kind
    needs: str
    score: Callable[[Outcome, Example], Any]

    def can_score(self, prediction: Prediction) -> bool:
        """Whether the tuned model answered what is scored."""
        return self.needs in prediction.tuned

    def estimate(self, scores: Sequence[Any]) -> Estimate:
        """The measure over all rows with its 95 % interval."""
        if self.kind == "hits":
            return paired.estimate_share(scores)
        return paired.estimate_mean(scores) if self.kind == "errors" else paired.estimate_f1(np.array(scores))

    def compare(self, first: Sequence[Any], second: Sequence[Any], alpha: float) -> Difference:
        """How much better the first model is on the same rows."""
        if self.kind == "hits":
            return paired.compare_hits(first, second, alpha)
        if self.kind == "errors":
            return paired.compare_means(first, second, alpha)
        return paired.compare_f1(np.array(first), np.array(second), alpha)


def _count_labels(outcome: Outcome, example: Example) -> tuple[int, int]:
    """Labels rightly predicted, and labels predicted plus labels expected: the counts of an F1."""
    predicted, expected = set(outcome["labels"]), set(targets.labels_of(example))
    return len(predicted & expected), len(predicted) + len(expected)


def is_same_answer(text: str, wanted: str) -> bool:
    """Whether a text is the wanted one but for blanks and case; of JSON objects, whether all fields are."""
    given_object, wanted_object = json_answers.parse_object(text), json_answers.parse_object(wanted)
    if wanted_object is not None:
        return given_object is not None and json_answers.is_same_value(given_object, wanted_object)
    return text.split() == wanted.split() or known_answers.is_correct(text, wanted, "exact")


def _gives_known_answer(outcome: Outcome, example: Example) -> bool:
    """An answer that was cut is wrong, whatever number it broke off at."""
    return not predictions.is_cut(outcome) and known_answers.is_correct(outcome["text"], example["answer"])


ACCURACY = Measure("accuracy", "hits", "label", lambda outcome, row: outcome["label"] == row["label"])
MICRO_F1 = Measure("micro_f1", "f1", "labels", _count_labels)
ABSOLUTE_ERROR = Measure(
    "mae", "errors", "value", lambda outcome, row: abs(outcome["value"] - float(row["rating"]))
)
KNOWN_ANSWER = Measure(
    "answer_accuracy",
    "hits",
    "text",
    _gives_known_answer,
)
EXACT_MATCH = Measure(
    "exact_match",
    "hits",
    "text",
    lambda outcome, row: is_same_answer(outcome["text"], predictions.expected_text(row)),
)
LOSS = Measure("loss", "errors", "loss", lambda outcome, row: outcome["loss"])
PAIRS = Measure("pairs", "hits", "margin", lambda outcome, row: outcome["margin"] > 0)


def choose(answered: Sequence[Prediction]) -> Measure | None:
    """The measure that suits what was wanted of the rows, whatever the models answered; None for nothing."""
    candidates = (PAIRS, ACCURACY, MICRO_F1, ABSOLUTE_ERROR, *_text_measures(answered))
    return next((measure for measure in candidates if any(map(measure.can_score, answered))), None)


def _text_measures(answered: Sequence[Prediction]) -> tuple[Measure, ...]:
    if any(prediction.example.get("answer") for prediction in answered):
        return (KNOWN_ANSWER,)
    wanted = [predictions.expected_text(prediction.example) for prediction in answered]
    is_short = 0 < median(map(len, wanted)) <= MAX_EXACT_CHARACTERS
    return (EXACT_MATCH, LOSS) if is_short or json_answers.find_fields(wanted) else (LOSS,)
