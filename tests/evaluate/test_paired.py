"""Paired tests rarely see a difference where there is none, and see those they say they can see."""

import math

import numpy as np
import pytest
from sampling import sample
from scipy import stats

from studio.evaluate import paired

N_DRAWS = 200


def draw_hits(generator, n, difference, losses):
    """Right and wrong answers of two models to n rows; the first is better by `difference` on average."""
    kinds = generator.choice(3, size=n, p=[difference + losses, losses, 1 - difference - 2 * losses])
    is_right_anyway = generator.random(n) < 0.6
    first = (kinds == 0) | ((kinds == 2) & is_right_anyway)
    second = (kinds == 1) | ((kinds == 2) & is_right_anyway)
    return first.tolist(), second.tolist()


def draw_errors(generator, n, gain):
    second = generator.gamma(2.0, 1.0, n)
    return second - gain + generator.normal(0, 1.0, n), second


def draw_counts(generator, n, quality):
    """Labels rightly predicted, and predicted plus meant, of texts with two of four labels each."""
    meant = generator.random((n, 4)) < 0.5
    is_right = generator.random((n, 4)) < quality
    predicted = np.where(is_right, meant, ~meant)
    return np.stack([(predicted & meant).sum(1), predicted.sum(1) + meant.sum(1)], axis=1)


def count_seen(differences):
    return sum(difference.is_better for difference in differences) / N_DRAWS


def test_mcnemar_by_hand():
    first, second = [True] * 9 + [False], [True] * 3 + [False] * 6 + [True]
    difference = paired.compare_hits(first, second)
    assert (difference.n_better, difference.n_worse) == (6, 1)
    assert difference.value == 0.5
    # 6 of 7 by chance: 2 * (7 + 1) / 2**7 = 0.125
    assert not difference.is_better
    assert paired.compare_hits(first, second, alpha=0.125).is_better
    assert paired.compare_hits(second, first, alpha=0.125).is_worse


@pytest.mark.parametrize("n", [20, 47, 98])
def test_what_the_test_shows_its_interval_shows_too(n):
    for n_worse in range(n // 3):
        n_better = next(
            count
            for count in range(n)
            if stats.binomtest(count, count + n_worse or 1).pvalue <= 0.05 and count > n_worse
        )
        if n_better + n_worse > n:
            break
        first = [True] * n_better + [False] * (n - n_better)
        second = [False] * n_better + [True] * n_worse + [False] * (n - n_better - n_worse)
        difference = paired.compare_hits(first, second)
        assert difference.is_better
        assert difference.low > 0


@pytest.mark.parametrize("n", sample([20, 50, 98, 500], [20, 98]))
@pytest.mark.parametrize("losses", [0.02, 0.2])
def test_a_model_against_itself_is_seldom_better(n, losses):
    generator = np.random.default_rng(n)
    draws = [paired.compare_hits(*draw_hits(generator, n, 0.0, losses)) for _ in range(N_DRAWS)]
    assert count_seen(draws) <= 0.05


@pytest.mark.parametrize("n", sample([20, 50, 98, 500], [20, 98]))
@pytest.mark.parametrize("losses", [0.02, 0.1])
def test_a_difference_of_the_size_that_rows_can_show_is_seen(n, losses):
    visible = paired.visible_difference(n, losses)
    generator = np.random.default_rng(n)
    draws = [paired.compare_hits(*draw_hits(generator, n, visible, losses)) for _ in range(400)]
    assert (
        sum(difference.is_better for difference in draws) / 400 >= 0.77
    )  # 0.8 within the noise of 400 draws


@pytest.mark.thorough
@pytest.mark.parametrize("n", sample([20, 98], [20]))
def test_errors_of_a_model_against_itself_seldom_differ_and_visible_ones_do(n):
    generator = np.random.default_rng(n)
    same = [paired.compare_means(*draw_errors(generator, n, 0.0)) for _ in range(N_DRAWS)]
    assert count_seen(same) <= 0.05
    visible = float(np.mean([difference.visible for difference in same]))
    better = [paired.compare_means(*draw_errors(generator, n, 1.05 * visible)) for _ in range(N_DRAWS)]
    assert count_seen(better) >= 0.8


@pytest.mark.thorough
@pytest.mark.parametrize("n", sample([30, 60], [30]))
def test_label_sets_of_equal_models_seldom_differ_and_of_better_ones_do(n):
    generator = np.random.default_rng(n)
    same = [
        paired.compare_f1(draw_counts(generator, n, 0.7), draw_counts(generator, n, 0.7))
        for _ in range(N_DRAWS)
    ]
    assert count_seen(same) <= 0.05
    visible = float(np.mean([difference.visible for difference in same]))
    better = paired.compare_f1(draw_counts(generator, 5000, 0.95), draw_counts(generator, 5000, 0.7))
    assert better.is_better
    assert better.value > visible


def test_the_same_rows_always_give_the_same_interval():
    first, second = draw_errors(np.random.default_rng(1), 40, 0.3)
    assert paired.compare_means(first, second) == paired.compare_means(first, second)


def test_more_rows_show_smaller_differences():
    visible = [paired.visible_difference(n) for n in (14, 20, 50, 100, 400, 2000)]
    assert visible == sorted(visible, reverse=True)
    assert paired.visible_difference(3) == math.inf
    n = paired.rows_to_show(0.1)
    assert paired.visible_difference(n) <= 0.1
    assert paired.visible_difference(n // 2) > 0.1


def test_guessing_is_told_from_knowing():
    difference = paired.compare_with_chance([True] * 70 + [False] * 30)
    assert difference.is_better
    assert difference.value == pytest.approx(0.2)
    assert not paired.compare_with_chance([True] * 55 + [False] * 45).is_better
    assert paired.compare_with_chance([True] * 30 + [False] * 70).is_worse


def test_f1_by_hand():
    # text 1: {a} for {a, b}, text 2: {a, b} for {b}: 2 hits of 6 mentions -> 4/6
    estimate = paired.estimate_f1(np.array([[1, 3], [1, 3]]))
    assert estimate.value == pytest.approx(2 / 3)
