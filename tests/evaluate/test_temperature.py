"""One temperature makes scores as sure as they are right, and says what loss is left then."""

import math

import pytest

from studio.evaluate import temperature

LOG_9 = math.log(9)


def test_texts_that_are_90_percent_sure_and_75_percent_right_are_divided_by_two():
    """softmax([ln 9, 0]) is 90 %; at the temperature 2 it is softmax([ln 3, 0]), which is 75 %."""
    fitted = temperature.fit([[LOG_9, 0.0]] * 20, [0] * 15 + [1] * 5, several=False)
    assert fitted.temperature == pytest.approx(2, rel=1e-3)
    assert fitted.loss == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


def test_scaling_all_scores_changes_the_temperature_and_not_the_loss():
    logits, targets = [[1.0, 0.0], [0.2, 0.5], [2.0, 1.5]], [0, 0, 0]
    plain = temperature.fit(logits, targets, several=False)
    louder = temperature.fit([[3 * value for value in row] for row in logits], targets, several=False)
    assert louder.temperature == pytest.approx(3 * plain.temperature, rel=1e-3)
    assert louder.loss == pytest.approx(plain.loss, rel=1e-5)


def test_several_labels_have_one_temperature_too():
    fitted = temperature.fit([[LOG_9, -LOG_9]] * 20, [[1, 0]] * 10 + [[1, 1]] * 10, several=True)
    assert fitted.temperature == pytest.approx(2, rel=1e-3)
