"""What counts as forgotten."""

import pytest

from studio.evaluate.retention import comparison, suites


def answers(right, wrong):
    return [True] * right + [False] * wrong


def test_the_same_answers_are_no_change():
    change = comparison.compare({"json": answers(30, 10)}, {"json": answers(30, 10)})["json"]
    assert change == {"before": 0.75, "after": 0.75, "n": 40, "low": 0.0, "high": 0.0}
    assert not comparison.is_forgotten(change)


@pytest.mark.parametrize(
    ("lost", "gained", "is_forgotten"),
    # One-sided exact test at 0.05 / 9 = 0.0056: 8 of 8 is 1/256 = 0.0039, 7 of 7 is 1/128 = 0.0078.
    [(7, 0, False), (8, 0, True), (10, 1, False), (11, 1, True), (0, 8, False)],
)
def test_a_fall_counts_where_the_exact_test_says_so(lost, gained, is_forgotten):
    before = answers(lost, gained) + answers(20, 0)
    after = answers(0, lost) + answers(gained + 20, 0)
    changes = comparison.compare({"knowledge": before}, {"knowledge": after})
    assert comparison.is_forgotten(changes["knowledge"]) == is_forgotten
    assert changes["knowledge"]["low"] <= (gained - lost) / len(before) <= changes["knowledge"]["high"]


def test_small_falls_everywhere_are_seen_together():
    names = ("knowledge", "json", "arithmetic")
    before = dict.fromkeys(names, answers(20, 0))
    after = dict.fromkeys(names, answers(16, 4))
    changes = comparison.compare(before, after)
    forgotten = [name for name, change in changes.items() if comparison.is_forgotten(change)]
    assert forgotten == [suites.ALL_SUITES]
    assert changes[suites.ALL_SUITES]["n"] == 60


def test_nothing_asked_is_nothing_compared():
    assert comparison.compare({}, {}) == {}


@pytest.mark.thorough
def test_of_runs_that_change_answers_by_chance_at_most_5_percent_forget():
    import numpy as np

    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        before = {str(suite): list(random.random(20) < 0.7) for suite in range(8)}
        after = {name: list(random.random(20) < 0.7) for name in before}
        alarms += any(map(comparison.is_forgotten, comparison.compare(before, after).values()))
    assert alarms <= 5
