"""More scores than the one that a verdict rests on, of the tuned model and of what there was before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from studio.data.text import json_answers
from studio.evaluate import label_scores, measures, predictions, reliability
from studio.evaluate.predictions import Answered, Outcome, Prediction
from studio.i18n import Message

MACRO_F1 = Message("Macro F1")
CALIBRATION_ERROR = Message("Expected calibration error")
CHRF = Message("chrF (overlap of characters)")
EXACT_MATCH = Message("Exact match")
VALID_JSON = Message("Valid JSON")
LENGTH = Message("Median length (wanted: {wanted:,.0f} characters)")
LOSS = Message("Loss per token")
SHARE, NUMBER = Message("{value:.0%}", context="score"), Message("{value:.1f}", context="score")
CHARACTERS, NATS = Message("{value:,.0f} characters"), Message("{value:.2f}", context="score")


@dataclass(frozen=True)
class DetailScore:
    """A score of the tuned model beside that of what there was before.

    Attributes:
        name: What it is.
        template: How a value is written.
        tuned: That of the tuned model.
        before: That of the base, of a classifier that of the linear model; None where it is not known.
        is_detail: Whether it waits behind a click.
    """

    name: Message
    template: Message
    tuned: float
    before: float | None = None
    is_detail: bool = False

    @property
    def is_share(self) -> bool:
        """Whether its values are shares of the rows, which few rows cannot tell."""
        return self.template == SHARE

    def describe(self, value: float | None) -> Message | str:
        """A value as people read it."""
        return "–" if value is None else self.template.format(value=value)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a report; `from_json` reads them."""
        texts = {"name": self.name.to_json(), "template": self.template.to_json()}
        return {**texts, "tuned": self.tuned, "before": self.before, "is_detail": self.is_detail}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "DetailScore":
        """A score from a report."""
        texts = {name: Message.from_json(raw[name]) for name in ("name", "template")}
        return cls(**{**raw, **texts})


def build_report(answered: Answered) -> dict[str, Any]:
    """For a report: every detail score, and the bins of the calibration where confidences are known."""
    bins = reliability.bin_by_confidence(answered.predictions)
    return {
        "detail_scores": [score.to_json() for score in compute(answered)],
        "calibration": [item._asdict() for item in bins],
    }


def compute(answered: Answered) -> tuple[DetailScore, ...]:
    """The scores that suit what was answered; none for numbers and pairs, whose verdict says all."""
    rows = answered.predictions
    if measures.ACCURACY.can_score(rows[0]):
        return (_compare(MACRO_F1, SHARE, rows, _macro_f1), *_score_calibration(rows))
    return (*_score_calibration(rows), *_score_texts(rows))


def _score_calibration(rows: Sequence[Prediction]) -> Iterator[DetailScore]:
    if bins := reliability.bin_by_confidence(rows):
        yield DetailScore(CALIBRATION_ERROR, SHARE, reliability.expected_calibration_error(bins))


def _macro_f1(outcomes: Sequence[Outcome], rows: Sequence[Prediction]) -> float:
    labels = [row.example["label"] for row in rows]
    return label_scores.macro_f1([outcome["label"] for outcome in outcomes], labels)


def _score_texts(rows: Sequence[Prediction]) -> Iterator[DetailScore]:
    written = [row for row in rows if _has_wanted_text(row)]
    if written:
        wanted = [predictions.expected_text(row.example) for row in written]
        yield _compare(CHRF, NUMBER, written, _chrf)
        yield _compare(EXACT_MATCH, SHARE, written, _exact_match)
        if json_answers.find_fields(wanted):
            yield _compare(VALID_JSON, SHARE, written, _valid_json)
        length = LENGTH.format(wanted=median(map(len, wanted)))
        yield _compare(length, CHARACTERS, written, _median_length)
    with_loss = [row for row in rows if "loss" in row.tuned]
    if with_loss:
        yield _compare(LOSS, NATS, with_loss, _mean_loss, is_detail=True)


def _has_wanted_text(row: Prediction) -> bool:
    """Whether an answer was written that can be compared with a whole wanted one, not a mere result."""
    is_whole = bool(predictions.expected_text(row.example)) and not row.example.get("answer")
    return is_whole and "text" in row.tuned


Score = Callable[[Sequence[Outcome], Sequence[Prediction]], float]


def _compare(
    name: Message, template: Message, rows: Sequence[Prediction], score: Score, is_detail: bool = False
) -> DetailScore:
    """A score of the tuned model, and of what there was before where that answered every row."""
    tuned = score([row.tuned for row in rows], rows)
    outcomes = [row.before for row in rows if row.before]
    is_known = len(outcomes) == len(rows) and all(_can_compare(row) for row in rows)
    return DetailScore(name, template, tuned, score(outcomes, rows) if is_known else None, is_detail)


def _can_compare(row: Prediction) -> bool:
    """Whether both outcomes hold the same."""
    return set(row.tuned) <= set(row.before or {})


def _chrf(outcomes: Sequence[Outcome], rows: Sequence[Prediction]) -> float:
    """chrF of all answers (0 to 100; Popović 2015): the overlap of their characters with the wanted ones."""
    import sacrebleu  # noqa: PLC0415 - slow to load

    wanted = [predictions.expected_text(row.example) for row in rows]
    return float(sacrebleu.corpus_chrf([outcome["text"] for outcome in outcomes], [wanted]).score)


def _exact_match(outcomes: Sequence[Outcome], rows: Sequence[Prediction]) -> float:
    pairs = zip(outcomes, rows, strict=True)
    return mean(
        measures.is_same_answer(outcome["text"], predictions.expected_text(row.example))
        for outcome, row in pairs
    )


def _valid_json(outcomes: Sequence[Outcome], rows: Sequence[Prediction]) -> float:
    return mean(json_answers.parse_object(outcome["text"]) is not None for outcome in outcomes)


def _median_length(outcomes: Sequence[Outcome], rows: Sequence[Prediction]) -> float:
    return float(median(len(outcome["text"]) for outcome in outcomes))


def _mean_loss(outcomes: Sequence[Outcome], rows: Sequence[Prediction]) -> float:
    return float(mean(outcome["loss"] for outcome in outcomes))
