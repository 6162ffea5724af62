"""Generates answers that are to be JSON objects, and counts how often each of their fields is right."""

from collections.abc import Callable, Sequence
from typing import Any

from studio.data import examples
from studio.data.examples import Example
from studio.data.text import json_answers
from studio.evaluate import answers
from studio.evaluate.score_names import FIELD_PREFIX


def measure_fields(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Example],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, float]:
    """The share of right values in each field, over at most answers.MAX_QUESTIONS greedy answers.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer, with a chat template.
        rows: Examples of a chat.
        on_progress: Called with the questions answered so far, of all.

    Returns:
        Shares (0 to 1): `valid_json`, the answers that are a JSON object, and `field/NAME` for each field,
        where an answer without the field, or without valid JSON, is wrong; and `n_json_answers`. Empty
        where the known answers are not JSON objects with the same keys.
    """
    known_answers = [examples.to_messages(example)[-1]["content"] for example in rows]
    fields = json_answers.find_fields(known_answers)
    if not fields:
        return {}
    pairs = [
        (example, expected)
        for example, answer in zip(rows, known_answers, strict=True)
        if set(expected := json_answers.parse_object(answer) or {}) == set(fields)
    ][: answers.MAX_QUESTIONS]
    longest = max(len(tokenizer(answer)["input_ids"]) for answer in known_answers)
    texts = answers.answer_questions(
        model, tokenizer, [example for example, _ in pairs], json_answers.max_new_tokens(longest), on_progress
    )
    given = [json_answers.parse_object(text) for text in texts]
    n_right = {
        field: sum(
            value is not None and field in value and json_answers.is_same_value(value[field], expected[field])
            for value, (_, expected) in zip(given, pairs, strict=True)
        )
        for field in fields
    }
    return {
        "valid_json": sum(value is not None for value in given) / len(pairs),
        "n_json_answers": float(len(pairs)),
        **{FIELD_PREFIX + field: count / len(pairs) for field, count in n_right.items()},
    }
