"""Answers that are JSON objects: how often each field is right."""

import json

import pytest

from studio.data.text import json_answers
from studio.evaluate import json_fields

KNOWN = [{"intent": "return", "order": 12 + n, "city": "Graz"} for n in range(4)]
ROWS = [{"prompt": f"case {n}", "response": json.dumps(value)} for n, value in enumerate(KNOWN)]


def test_fields_by_hand():
    texts = [
        json.dumps(KNOWN[0]),
        '{"intent": " return ", "order": 13.0, "city": "Wien"}',
        '{"intent": "refund", "order": "14"}',
        'Here it is: {"intent": "return"}',
    ]
    assert json_fields.score_fields(texts, ROWS) == {
        "valid_json": 0.75,
        "n_json_answers": 4,
        "field/intent": 0.5,
        "field/order": 0.75,
        "field/city": 0.25,
    }


@pytest.mark.parametrize(
    "known",
    [
        ["Thank you.", "It is on its way."],
        ['{"a": 1}', '{"b": 2}'],
        ["[1, 2]", "[3]"],
        ["12", "true"],
        [],
    ],
    ids=["texts", "other keys", "lists", "values", "none"],
)
def test_other_answers_have_no_fields(known):
    rows = [{"prompt": "q", "response": answer} for answer in known]
    assert json_fields.score_fields(known, rows) == {}


def test_one_answer_in_ten_may_be_no_object():
    known = [row["response"] for row in ROWS * 3]
    assert json_answers.find_fields([*known[:9], "sorry"]) == ("intent", "order", "city")
    assert json_answers.find_fields([*known[:8], "sorry", "sorry"]) == ()


@pytest.mark.parametrize(
    ("value", "expected", "is_same"),
    [
        (12, 12.0, True),
        ("12", 12, True),
        (" a ", "a", True),
        ("A", "a", False),
        (None, "None", True),
        (True, 1, False),
        ([1, " a"], [1.0, "a"], True),
        ({"x": 1}, {"x": "1"}, True),
    ],
)
def test_values_are_the_same_but_for_blanks_and_how_numbers_are_written(value, expected, is_same):
    assert json_answers.is_same_value(value, expected) is is_same
