"""Certainty is made honest by one temperature; where that cannot be fitted, it says so."""

import numpy as np
import pytest

from studio.apply import calibration

LOG_9 = float(np.log(9))


def test_texts_that_are_90_percent_sure_and_75_percent_right_end_at_75_percent():
    """softmax([ln 9, 0]) is 90 %; at the temperature 2 it is softmax([ln 3, 0]), which is 75 %."""
    logits, targets = [[LOG_9, 0.0]] * 20, [0] * 15 + [1] * 5
    fitted = calibration.fit(logits, targets, several=False)
    assert fitted.temperature == pytest.approx(2, rel=1e-3)
    assert calibration.certainty(logits[0], fitted.temperature, several=False) == pytest.approx(
        0.75, abs=1e-3
    )
    wanted = {"count": 20, "right": 0.75, "before": 0.9, "after": 0.75}
    assert {name: round(value, 3) for name, value in fitted.message.values.items()} == wanted


def test_several_labels_are_calibrated_label_by_label_and_the_least_sure_one_counts():
    logits, targets = [[LOG_9, -LOG_9]] * 20, [[1, 0]] * 10 + [[1, 1]] * 10
    fitted = calibration.fit(logits, targets, several=True)
    assert fitted.temperature == pytest.approx(2, rel=1e-3)
    # Half the texts have both labels right, whatever single labels come to.
    wanted = {"count": 20, "right": 0.5, "before": 0.9, "after": 0.75}
    assert {name: round(value, 3) for name, value in fitted.message.values.items()} == wanted
    assert calibration.certainty([LOG_9, -2 * LOG_9], 1.0, several=True) == pytest.approx(0.9)
    assert calibration.certainty([-2 * LOG_9, LOG_9], 2.0, several=True) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("targets", "message"),
    [([0] * 15 + [1] * 4, calibration.TOO_FEW), ([0] * 20, calibration.ALL_RIGHT), ([], calibration.TOO_FEW)],
)
def test_too_few_texts_or_no_mistake_leave_the_scores_as_they_are_and_say_so(targets, message):
    fitted = calibration.fit([[LOG_9, 0.0]] * len(targets), targets, several=False)
    assert fitted.temperature == 1
    assert fitted.message.text == message.text
