"""Scores of several labels and of numbers, by hand."""

import pytest
import torch

from studio.data.targets import RatingScale
from studio.evaluate import label_scores, score_names

NAMES = ("billing", "delivery", "unused")
# Three texts; a logit of 0 is a probability of one half, from which on a label counts.
LOGITS = torch.tensor([[2.0, -1.0, -3.0], [0.0, 1.0, -3.0], [-2.0, -2.0, -3.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def test_label_sets_by_hand():
    scores = label_scores.score_label_sets(LOGITS, LABELS, NAMES)
    # billing: named twice, meant twice, one hit; delivery: once, once, one hit.
    assert scores["f1/billing"] == pytest.approx(2 / 4)
    assert scores["f1/delivery"] == 1
    assert "f1/unused" not in scores
    assert scores["macro_f1"] == pytest.approx(0.75)
    assert scores["micro_f1"] == pytest.approx(2 * 2 / 6)
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert score_names.without_parts(scores).keys() == {"macro_f1", "micro_f1", "exact_match"}


def test_no_label_named_and_none_meant_is_an_exact_match():
    nothing = torch.zeros(2, 2)
    scores = label_scores.score_label_sets(nothing - 5, nothing, ("a", "b"))
    assert (scores["exact_match"], scores["micro_f1"]) == (1, 0)


def test_ratings_by_hand():
    scale = RatingScale(mean=3, deviation=2, median=4, step=1)
    right = torch.tensor([1.0, 3.0, 5.0, 4.0])
    predicted = torch.tensor([1.5, 4.0, 4.5, 2.0])
    scores = label_scores.score_ratings((predicted - 3) / 2, (right - 3) / 2, scale)
    assert scores["mae"] == pytest.approx((0.5 + 1 + 0.5 + 2) / 4)
    assert scores["mae_of_median"] == pytest.approx((3 + 1 + 1 + 0) / 4)
    assert scores["within_half_step"] == 0.5
    assert scores["within_one_step"] == 0.75
    # Ranks 1 2 4 3 and 1 3 4 2: 1 - 6 * (0 + 1 + 0 + 1) / (4 * 15).
    assert scores["spearman"] == pytest.approx(0.8)


def test_a_model_that_always_says_the_same_has_no_rank_correlation():
    scale = RatingScale(mean=0, deviation=1, median=2, step=0)
    scores = label_scores.score_ratings(torch.full((3,), 2.0), torch.tensor([1.0, 2.0, 3.0]), scale)
    assert scores["spearman"] == 0
    assert scores["mae"] == scores["mae_of_median"]
    assert "within_one_step" not in scores
