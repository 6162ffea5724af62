"""Counts how often each field of answers that are to be JSON objects is right."""

from collections.abc import Sequence

from studio.data import examples
from studio.data.examples import Example
from studio.data.text import json_answers
from studio.evaluate.score_names import FIELD_PREFIX


def score_fields(texts: Sequence[str], questions: Sequence[Example]) -> dict[str, float]:
    """The share of right values in each field.

    Args:
        texts: The text that a model wrote to each question.
        questions: Examples of a chat.

    Returns:
        Shares (0 to 1): `valid_json`, the answers that are a JSON object, and `field/NAME` for each field,
        where an answer without the field, or without valid JSON, is wrong; and `n_json_answers`. Empty
        where the known answers are not JSON objects with the same keys.
    """
    known_answers = [examples.answer_text(question) for question in questions]
    fields = json_answers.find_fields(known_answers)
    if not fields:
        return {}
    pairs = [
        (json_answers.parse_object(text), expected)
        for text, answer in zip(texts, known_answers, strict=True)
        if set(expected := json_answers.parse_object(answer) or {}) == set(fields)
    ]
    n_right = {
        field: sum(
            value is not None and field in value and json_answers.is_same_value(value[field], expected[field])
            for value, expected in pairs
        )
        for field in fields
    }
    return {
        "valid_json": sum(value is not None for value, _ in pairs) / len(pairs),
        "n_json_answers": float(len(pairs)),
        **{FIELD_PREFIX + field: count / len(pairs) for field, count in n_right.items()},
    }
