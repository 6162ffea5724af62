"""How many general questions a run is asked."""

import pytest

from studio.evaluate.retention import budget, suites


@pytest.mark.parametrize(
    ("choice", "trained_tokens", "n_items"),
    [
        ("none", 1e9, 0),
        ("all", 0, 40),
        ("auto", 1e9, 20),
        # An item of each suite is 8 · 2.5 · 53 = 1,060 tokens; twice those may take half of three passes.
        ("auto", 1060 * 10 * 2 / 1.5, 10),
        ("auto", 1060 * 4.9 * 2 / 1.5, 0),
    ],
)
def test_asking_takes_at_most_half_as_long_as_training(choice, trained_tokens, n_items):
    assert budget.count_items(choice, trained_tokens) == n_items


def test_the_suites_have_as_many_answers_as_the_estimate_counts():
    items = [item for part in suites.choose_items("en", 40).values() for item in part]
    assert sum(len(item.answers) for item in items) / len(items) == budget.ANSWERS_PER_ITEM
