"""Several answers to one question in one row, each with a rating, become the best and the worst of them."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.i18n import Message

ANSWERS_NAMES = ("generations", "completions", "responses", "candidates", "answers", "outputs")
RATINGS_NAMES = ("ratings", "scores", "rewards", "score", "rating")
TEXT_KEYS = ("response", "text", "content", "completion", "answer", "output")
RATING_KEYS = ("overall_score", "score", "rating", "reward")
BEST_AND_WORST = Message(
    "Of several answers in “{column}”, the one with the highest rating is the better one, that with the "
    "lowest the worse."
)


class RatedAnswer(NamedTuple):
    """One of several answers, and its rating."""

    rating: float
    text: str


def pair_rated_generations(parsed: ParsedRows) -> ParsedRows:
    """Make a pair of the best and the worst answer of each row; both empty where the ratings are equal."""
    answers = columns.first_named(parsed.columns, ANSWERS_NAMES)
    ratings = columns.first_named(parsed.columns, RATINGS_NAMES)
    if not answers or not columns.holds(parsed, answers, lambda cell: cell.startswith("[")):
        return parsed
    sample_rows = [row for row in parsed.rows[: columns.SAMPLE_CELLS] if row[answers]]
    n_rated = sum(len(_rated_answers(row, answers, ratings)) > 1 for row in sample_rows)
    if n_rated < columns.MIN_SHARE * len(sample_rows):
        return parsed

    def make(row: Row) -> Row:
        rated = _rated_answers(row, answers, ratings)
        if not rated or min(rated).rating == max(rated).rating:
            return {"chosen": "", "rejected": ""}
        best, worst = (choose(rated, key=lambda answer: answer.rating) for choose in (max, min))
        return {"chosen": best.text, "rejected": worst.text}

    dropped = [name for name in (answers, ratings) if name]
    return columns.replace_columns(
        parsed, dropped, ("chosen", "rejected"), make, BEST_AND_WORST.format(column=answers)
    )


def _rated_answers(row: Row, answers_column: str, ratings_column: str) -> list[RatedAnswer]:
    """The answers of a row with their ratings; empty where they have none."""
    answers = columns.load(row[answers_column])
    ratings = columns.load(row[ratings_column]) if ratings_column else None
    if not isinstance(answers, list):
        return []
    if not isinstance(ratings, list):
        ratings = [_find(answer, RATING_KEYS) for answer in answers]
    texts = [answer if isinstance(answer, str) else _find(answer, TEXT_KEYS) for answer in answers]
    scores = [_number(rating) for rating in ratings]
    if len(texts) != len(scores):
        return []
    return [
        RatedAnswer(number, text)
        for text, number in zip(texts, scores, strict=True)
        if isinstance(text, str) and text.strip() and number is not None
    ]


def _find(answer: Any, keys: tuple[str, ...]) -> Any:
    """The value of the first of these keys that an object has; None for anything else."""
    if not isinstance(answer, Mapping):
        return None
    return next((answer[key] for key in keys if key in answer), None)


def _number(rating: Any) -> float | None:
    try:
        number = float(rating)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
