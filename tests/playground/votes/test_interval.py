"""The interval holds however often one looks: equal models are seldom decided on, unequal ones soon."""

import numpy as np
import pytest

from studio.playground.votes import interval

N_SEQUENCES, N_VOTES = 400, 1_000


def decided(share, seed):
    """Whether each simulated sequence of votes excludes one half at any of its looks, and after how many."""
    votes = np.random.default_rng(seed).random((N_SEQUENCES, N_VOTES)) < share
    hits = votes.cumsum(axis=1)
    misses = np.arange(1, N_VOTES + 1) - hits
    excluded = interval.log_evidence(0.5, hits, misses) >= interval.LOG_LIMIT
    return excluded.any(axis=1), excluded.argmax(axis=1) + 1


def test_equal_models_are_decided_on_at_most_one_time_in_twenty():
    wrong, _ = decided(0.5, seed=0)
    assert wrong.mean() <= 0.05


def test_a_fixed_interval_would_be_wrong_far_more_often():
    """What this replaces: a 95 % interval looked at after each vote from the tenth on."""
    votes = np.random.default_rng(0).random((N_SEQUENCES, N_VOTES)) < 0.5
    n = np.arange(1, N_VOTES + 1)
    scores = abs(votes.cumsum(axis=1) - n / 2) / np.sqrt(n / 4)
    assert (scores[:, 9:] > 1.96).any(axis=1).mean() > 0.3


def test_a_clear_winner_is_found_soon():
    found, after = decided(0.7, seed=1)
    assert found.all()
    assert np.median(after) < 80


def test_the_interval_agrees_with_the_evidence_at_one_half():
    for n_hits, n_misses in ((8, 0), (7, 0), (20, 5), (20, 12), (0, 8), (500, 450)):
        low, high = interval.interval(n_hits, n_misses)
        excludes_half = not low <= 0.5 <= high
        assert excludes_half == (interval.log_evidence(0.5, n_hits, n_misses) >= interval.LOG_LIMIT)
        assert low <= n_hits / (n_hits + n_misses) <= high


def test_eight_preferences_in_a_row_decide_and_seven_do_not():
    """By hand: 2⁷ / 8 = 16 < 20 and 2⁸ / 9 = 28.4 > 20."""
    assert interval.follow([True] * 7).decided_after is None
    assert interval.follow([True] * 8).decided_after == 8
    assert interval.follow([False] * 12).decided_after == 8


def test_without_votes_nothing_is_known():
    assert interval.follow([]) == (0, 0, 0.0, 1.0, None)
    assert interval.interval(0, 0) == (0.0, 1.0)


def test_what_was_decided_once_stays_decided():
    seen = interval.follow([True] * 8 + [True, False] * 20)
    assert seen.decided_after == 8
    assert seen.low > 0.5


@pytest.mark.parametrize(("n_hits", "n_misses"), [(6, 0), (14, 6), (30, 20)])
def test_the_votes_it_asks_for_would_decide(n_hits, n_misses):
    more = interval.more_needed(n_hits, n_misses)
    factor = (n_hits + n_misses + more) / (n_hits + n_misses)
    assert interval.log_evidence(0.5, n_hits * factor, n_misses * factor) >= interval.LOG_LIMIT
    assert more > 0


def test_two_equal_sides_would_never_be_decided_on():
    assert interval.more_needed(10, 10) is None
