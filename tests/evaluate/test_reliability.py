"""Calibration by hand: confidence against accuracy, bin by bin."""

import pytest

from studio.evaluate import reliability
from studio.evaluate.predictions import Prediction


def rows(*confidence_and_right):
    return [
        Prediction(
            index, {"text": "t", "label": "a"}, {"label": "a" if is_right else "b", "probability": sure}
        )
        for index, (sure, is_right) in enumerate(confidence_and_right)
    ]


def test_the_error_is_the_gap_of_each_bin_weighted_by_its_texts():
    bins = reliability.bin_by_confidence(rows((0.91, True), (0.99, False), (0.55, True), (0.6, True)))
    assert [(found.low, found.n) for found in bins] == [(0.5, 2), (0.9, 2)]
    # |1 - 0.575| of two texts and |0.5 - 0.95| of two
    assert reliability.expected_calibration_error(bins) == pytest.approx((2 * 0.425 + 2 * 0.45) / 4)


def test_a_classifier_that_is_as_sure_as_it_is_right_has_no_error():
    bins = reliability.bin_by_confidence(rows((0.75, True), (0.75, True), (0.75, True), (0.75, False)))
    assert reliability.expected_calibration_error(bins) == 0


def test_certainty_belongs_to_the_last_bin():
    (found,) = reliability.bin_by_confidence(rows((1.0, True)))
    assert (found.low, found.high) == (0.9, 1.0)


def test_without_confidence_there_are_no_bins():
    assert reliability.bin_by_confidence([Prediction(0, {"text": "t", "label": "a"}, {"label": "a"})]) == ()


def test_of_several_labels_each_is_a_decision_whether_it_is_given_or_left_out():
    outcome = {"labels": ["a"], "probabilities": {"a": 0.9, "b": 0.2}}
    row = Prediction(0, {"text": "t", "labels": '["a", "b"]'}, outcome)
    left_out, given = reliability.bin_by_confidence([row])
    # b is left out with 80 %, which is wrong; a is given with 90 %, which is right.
    assert (left_out.confidence, left_out.accuracy) == (0.8, 0.0)
    assert (given.confidence, given.accuracy) == (0.9, 1.0)
    assert reliability.expected_calibration_error([left_out, given]) == pytest.approx((0.8 + 0.1) / 2)
