"""Contenders are compared on the rows that all answered, and only those that are shown to be worse lose."""

import numpy as np
from scipy import stats

from studio.evaluate import bake_off
from studio.evaluate.predictions import Prediction

N_DRAWS, N_ROWS, N_LOOKS = 200, 80, 3


def answers(right):
    """Answers to texts of one class, from whether each is right."""
    return [
        Prediction(row, {"text": f"text {row}", "label": "a"}, {"label": "a" if is_right else "b"})
        for row, is_right in enumerate(right)
    ]


def test_the_best_one_leads_and_one_that_is_shown_to_be_worse_loses():
    right = {"first": [True] * 40, "second": [True] * 38 + [False] * 2, "third": [False] * 30 + [True] * 10}
    ranking = bake_off.rank({name: answers(values) for name, values in right.items()}, N_LOOKS)
    assert (ranking.leader, ranking.losers, ranking.n_rows) == ("first", ("third",), 40)
    assert ranking.leads["third"].value == 0.75
    assert ranking.estimates["second"].value == 0.95


def test_of_equal_contenders_the_first_one_leads_and_none_loses():
    rows = answers([True, False] * 20)
    ranking = bake_off.rank({"first": rows, "second": rows, "third": rows}, N_LOOKS)
    assert (ranking.leader, ranking.losers) == ("first", ())


def test_a_lower_loss_leads():
    def losses(value):
        return [
            Prediction(row, {"prompt": "p", "response": "a long answer " * 5}, {"loss": value + row / 100})
            for row in range(30)
        ]

    ranking = bake_off.rank({"higher": losses(2.0), "lower": losses(1.0)}, N_LOOKS)
    assert (ranking.leader, ranking.losers) == ("lower", ("higher",))


def test_rows_that_one_of_them_did_not_answer_do_not_count():
    ranking = bake_off.rank({"first": answers([True] * 20), "second": answers([True] * 12)}, N_LOOKS)
    assert ranking.n_rows == 12


def test_contenders_without_a_row_in_common_are_not_ranked():
    later_rows = [Prediction(99, {"text": "t", "label": "a"}, {"label": "a"})]
    assert bake_off.rank({"first": answers([True]), "second": later_rows}, N_LOOKS) is None


def test_of_equal_contenders_one_is_seldom_dropped_in_a_whole_bake_off():
    rng = np.random.default_rng(0)
    n_wrong = 0
    for _ in range(N_DRAWS):
        draws = rng.random((N_LOOKS, 4, N_ROWS)) < 0.8
        looks = [
            bake_off.rank({str(name): answers(right) for name, right in enumerate(look)}, N_LOOKS)
            for look in draws
        ]
        n_wrong += any(look.losers for look in looks)
    assert stats.binomtest(n_wrong, N_DRAWS, bake_off.MAX_FALSE_DROPS, alternative="greater").pvalue > 0.01


def test_one_that_is_far_worse_is_mostly_dropped():
    rng = np.random.default_rng(0)
    n_dropped = 0
    for _ in range(N_DRAWS):
        better, worse = rng.random(N_ROWS) < 0.9, rng.random(N_ROWS) < 0.6
        n_dropped += (
            "worse" in bake_off.rank({"better": answers(better), "worse": answers(worse)}, N_LOOKS).losers
        )
    assert n_dropped >= 0.8 * N_DRAWS
