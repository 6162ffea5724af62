"""Before a run starts the Method tab says how many rows will judge it, and what they can show."""

import pytest

from studio.evaluate import paired
from studio.evaluate.evidence import ALPHA
from studio.ui.form.form_state import read_form
from studio.ui.method import held_out


def describe(n_examples, shares):
    return held_out.describe(
        read_form({"source": "", "task": "chat", "columns": {}}), n_examples, shares, "en"
    )


def test_a_test_part_is_counted_and_what_it_can_show_is_said():
    text = describe(980, (0.1, 0.1))
    points = round(100 * paired.visible_difference(98))
    assert (
        text == f"98 test rows will judge the result. They can show differences of {points} points or more."
    )


def test_validation_rows_must_show_more():
    text = describe(980, (0.1, 0.0))
    points = round(100 * paired.visible_difference(98, alpha=ALPHA["validation"]))
    assert "validation rows" in text
    assert f"{points} points" in text
    assert points > round(100 * paired.visible_difference(98))


@pytest.mark.parametrize(
    ("n_examples", "shares", "offer"),
    [
        (140, (0.1, 0.1), "set the test part to 15% (21 rows)"),
        (60, (0.1, 0.0), "set the test part to 35% (21 rows)"),
        (30, (0.1, 0.1), "bring more examples"),
    ],
)
def test_fewer_than_twenty_rows_come_with_a_larger_test_part(n_examples, shares, offer):
    assert offer in describe(n_examples, shares)
