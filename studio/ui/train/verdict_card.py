"""The verdict on top of a run that has ended: a word, a sentence to repeat, and the evidence behind it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from studio.data.text.text_length import shorten
from studio.evaluate import changes, detail_scores, measures, predictions, reliability, verdict
from studio.evaluate.detail_scores import DetailScore
from studio.evaluate.predictions import Answered, Prediction
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.i18n import Message, format_value
from studio.runs import Run
from studio.ui.train import corrections, score_bars

ICONS = {"ship": "✓", "do_not_ship": "✗", "cannot_tell": "?"}
NO_VERDICT = Message("There is no verdict: this run is from a studio that kept no answers to held-out rows.")
VERDICT, EVIDENCE, NEXT = Message("Verdict"), Message("Show the evidence"), Message("What to do next")
CLASS_TABLE = Message("Each class: how many texts, and how well it is found")
CLASS_HEADS = (
    Message("Class"),
    Message("Texts"),
    Message("Precision"),
    Message("Recall"),
    Message("F1", context="class"),
)
SCORES = Message("More scores")
CLASSIFIER_SCORE_HEADS = Message("Measure", context="score"), Message("Linear model"), Message("Tuned model")
TEXT_SCORE_HEADS = Message("Measure", context="score"), Message("Base model"), Message("Tuned model")
SCORE_LINE = Message("{name}: {value}")
MISTAKES = Message("The most confident mistakes")
MISTAKE_HEADS = (Message("Text"), Message("Expected"), Message("Given"), Message("Confidence"))
CONFUSION, GIVEN_AXIS, EXPECTED_AXIS = (
    Message("Which classes are taken for which"),
    Message("given"),
    Message("expected"),
)
CHANGES = Message("{better} got better, {worse} worse; the worst changes first")
ANSWER_HEADS = (
    Message("Question", context="verdict"),
    Message("Wanted"),
    Message("Base model"),
    Message("Tuned model"),
)
# How many rows a table shows, and how much of each text (characters).
MAX_ROWS, MAX_CHARACTERS = 20, 300
# More classes than this make a confusion matrix that nobody can read.
MAX_MATRIX_CLASSES = 30
Table = dict[str, Any]


def describe(run: Run, report: dict[str, Any], lang: str) -> dict[str, Any] | None:
    """The card's values for the browser; None while a run has no report."""
    if not report:
        return None
    result = verdict.read(report)
    if not result:
        missing = verdict.read_fault(report) or NO_VERDICT
        return {"state": "none", "icon": "–", "word": "", "headline": missing.render(lang)}
    answered, fault = predictions.try_to_read(run.folder)
    scores = _find_scores(answered, result)
    reasons = [*result.reasons, fault] if fault else result.reasons
    return {
        "state": result.state,
        "icon": ICONS[result.state],
        "heading": VERDICT.render(lang),
        "word": result.word.render(lang),
        "headline": result.headline.render(lang),
        "scores": _describe_scores(scores, lang),
        "reasons": [message.render(lang) for message in reasons],
        "next": NEXT.render(lang),
        "evidence": EVIDENCE.render(lang),
        "tables": [*_score_tables(scores, result, lang), *_evidence_tables(answered, result, lang)],
        "bars": score_bars.describe(run, report, result, lang),
        "matrix": _build_matrix(answered, result, lang) if answered else None,
    }


def _find_scores(answered: Answered | None, result: Verdict) -> Sequence[DetailScore]:
    """The scores behind a verdict; of too few rows no percentage is called a result."""
    scores = detail_scores.compute(answered) if answered else ()
    return [score for score in scores if result.n >= MIN_ROWS or not score.is_share]


def _describe_scores(scores: Sequence[DetailScore], lang: str) -> list[str]:
    """The scores that stand in sight, each with its name."""
    return [
        SCORE_LINE.render(lang, name=score.name, value=score.describe(score.tuned))
        for score in scores
        if not score.is_detail
    ]


def _score_tables(scores: Sequence[DetailScore], result: Verdict, lang: str) -> list[Table]:
    """Every score beside that of what there was before."""
    if not scores:
        return []
    heads = CLASSIFIER_SCORE_HEADS if _is_classified(result) else TEXT_SCORE_HEADS
    rows = [
        [
            str(format_value(part, lang))
            for part in (score.name, score.describe(score.before), score.describe(score.tuned))
        ]
        for score in scores
    ]
    return [_table(SCORES.render(lang), heads, rows, lang)]


def _is_classified(result: Verdict) -> bool:
    return result.measure == measures.ACCURACY.name


def _evidence_tables(answered: Answered | None, result: Verdict, lang: str) -> list[Table]:
    if not answered:
        return []
    calibration = _calibration_tables(answered, result, lang)
    if _is_classified(result):
        return [_class_table(answered, result, lang), *calibration, _mistake_table(answered, lang)]
    has_answers = any("text" in row.tuned for row in answered.predictions)
    return [*calibration, *([_answer_table(answered, lang)] if has_answers else [])]


def _class_table(answered: Answered, result: Verdict, lang: str) -> Table:
    """How well each class is found; of too few rows in counts."""
    n_expected = Counter(row.example["label"] for row in answered.predictions)
    n_predicted = Counter(row.tuned["label"] for row in answered.predictions)
    hits = Counter(row.example["label"] for row in answered.predictions if _is_right(row))
    rows = []
    for label in sorted(n_expected, key=lambda name: (hits[name] / n_expected[name], name)):
        fractions = [
            (hits[label], n_predicted[label]),
            (hits[label], n_expected[label]),
            (2 * hits[label], n_predicted[label] + n_expected[label]),
        ]
        if result.n < MIN_ROWS:
            cells = [f"{part}/{total}" for part, total in fractions]
        else:
            cells = [f"{part / max(total, 1):.0%}" for part, total in fractions]
        rows.append([label, str(n_expected[label]), *cells])
    return _table(CLASS_TABLE.render(lang), CLASS_HEADS, rows, lang)


def _calibration_tables(answered: Answered, result: Verdict, lang: str) -> list[Table]:
    """How sure it is beside how often it is right; nothing where that is unknown or the rows are too few."""
    bins = reliability.bin_by_confidence(answered.predictions)
    if not bins or result.n < MIN_ROWS:
        return []
    rows = [
        [
            f"{100 * item.low:.0f}–{item.high:.0%}",
            str(item.n),
            f"{item.confidence:.0%}",
            f"{item.accuracy:.0%}",
        ]
        for item in bins
    ]
    caption = reliability.describe(bins, result.measure == measures.MICRO_F1.name).render(lang)
    return [_table(caption, reliability.CALIBRATION_HEADS, rows, lang)]


def _mistake_table(answered: Answered, lang: str) -> Table:
    mistakes = [row for row in answered.predictions if not _is_right(row)]
    mistakes.sort(key=lambda row: (-row.tuned["probability"], row.row))
    rows = [
        [
            shorten(row.example["text"], MAX_CHARACTERS),
            row.example["label"],
            row.tuned["label"],
            f"{row.tuned['probability']:.0%}",
        ]
        for row in mistakes[:MAX_ROWS]
    ]
    labels = sorted({row.example["label"] for row in answered.predictions})
    acts = [corrections.describe_correction(row, labels, lang) for row in mistakes[:MAX_ROWS]]
    return {**_table(MISTAKES.render(lang), MISTAKE_HEADS, rows, lang), "acts": acts}


def _is_right(row: Prediction) -> bool:
    return bool(row.tuned["label"] == row.example["label"])


def _answer_table(answered: Answered, lang: str) -> Table:
    """Wanted, base and tuned side by side; what got worst stands first, what did not change last."""
    better, worse = changes.find(answered)
    changed_rows = {row.row for row in (*worse, *better)}
    unchanged = [row for row in answered.predictions if row.row not in changed_rows]
    answered_rows = [row for row in (*worse, *better, *unchanged) if "text" in row.tuned and row.base]
    caption = CHANGES.render(lang, better=len(better), worse=len(worse))
    rows = [_side_by_side(row, lang) for row in answered_rows[:MAX_ROWS]]
    acts = [corrections.describe_addition(row, lang) for row in answered_rows[:MAX_ROWS]]
    return {**_table(caption, ANSWER_HEADS, rows, lang), "acts": acts}


def _side_by_side(row: Prediction, lang: str) -> list[str]:
    """Question, wanted answer, and what base and tuned model wrote."""
    question_and_answer = (predictions.input_text(row.example), predictions.expected_text(row.example))
    written = [
        changes.describe_answer(outcome, MAX_CHARACTERS) for outcome in (row.base, row.tuned) if outcome
    ]
    return [
        *(shorten(text, MAX_CHARACTERS) for text in question_and_answer),
        *(text.render(lang) if isinstance(text, Message) else text for text in written),
    ]


def _build_matrix(answered: Answered, result: Verdict, lang: str) -> dict[str, Any] | None:
    """The confusion matrix as Plotly draws it; None where there are no classes, or too many to read."""
    if not _is_classified(result):
        return None
    labels = sorted(
        {label for row in answered.predictions for label in (row.example["label"], row.tuned["label"])}
    )
    if len(labels) > MAX_MATRIX_CLASSES:
        return None
    counts = Counter((row.example["label"], row.tuned["label"]) for row in answered.predictions)
    return {
        "title": CONFUSION.render(lang),
        "given": GIVEN_AXIS.render(lang),
        "expected": EXPECTED_AXIS.render(lang),
        "labels": labels,
        "counts": [[counts[expected, given] for given in labels] for expected in labels],
    }


def _table(caption: str, heads: Sequence[Message], rows: list[list[str]], lang: str) -> Table:
    return {"caption": caption, "heads": [head.render(lang) for head in heads], "rows": rows}
