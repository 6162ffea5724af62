"""The learning curve: a power law through three sizes, and what it says when they cannot say."""

import numpy as np
import pytest

from studio.evaluate import learning_curve
from studio.evaluate.learning_curve import Projection, SizeResult
from studio.i18n import languages


def size(n_rows, n_wrong, n_held_out, seed=0):
    errors = np.zeros(n_held_out)
    errors[:n_wrong] = 1
    np.random.default_rng(seed).shuffle(errors)
    return SizeResult(n_rows, errors)


def nested(n_rows, n_wrong, n_held_out):
    """Rows that a larger size has wrong, a smaller one has wrong too."""
    errors = np.zeros(n_held_out)
    errors[:n_wrong] = 1
    return SizeResult(n_rows, errors)


def test_a_power_law_is_found_again():
    # 0.4 at 100 rows, halved with each fourfold: 0.1 · (rows / 1600)^-0.5
    assert learning_curve.fit_power_law([100, 400, 1600], [0.4, 0.2, 0.1]) == pytest.approx((0.1, 0.5))
    assert learning_curve.fit_power_law([100, 200, 400], [0.0, 0.0, 0.0]) == (0.0, 0.0)


def test_the_gain_is_that_of_the_fitted_curve():
    results = [nested(100, 4000, 10_000), nested(400, 2000, 10_000), nested(1600, 1000, 10_000)]
    projection = learning_curve.project(results)
    assert projection.extra_rows == 500
    # 0.1 · (1 - (2100 / 1600)^-0.5) = 0.1 · (1 - 0.87287) = 0.0127
    assert projection.gain == pytest.approx(0.0127, abs=1e-4)
    assert projection.low < projection.gain < projection.high
    assert projection.high - projection.low < 0.002
    assert projection.describe().render().startswith("+500 rows ≈ +1.3 points (1.")


def test_the_same_results_always_give_the_same_interval():
    results = [nested(100, 40, 100), nested(200, 30, 100), nested(400, 22, 100)]
    assert learning_curve.project(results) == learning_curve.project(results)


def test_rows_that_belong_together_give_a_narrower_interval_than_independent_ones():
    counts = [(100, 80), (200, 60), (400, 45)]
    paired = learning_curve.project([nested(rows, wrong, 200) for rows, wrong in counts])
    apart = learning_curve.project([size(rows, wrong, 200, seed=rows) for rows, wrong in counts])
    assert paired.gain == pytest.approx(apart.gain)
    assert paired.high - paired.low < apart.high - apart.low


def test_few_held_out_rows_cannot_tell():
    results = [size(100, 8, 25, 1), size(200, 7, 25, 2), size(400, 6, 25, 3)]
    projection = learning_curve.project(results)
    assert projection.low < 0 < projection.high
    assert projection.describe().render().startswith("Cannot tell: by these sizes, +200 rows may change it")


def test_a_curve_that_is_flat_on_many_rows_says_that_more_hardly_helps():
    results = [nested(100, 1000, 10_000), nested(200, 985, 10_000), nested(400, 970, 10_000)]
    said = learning_curve.project(results).describe().render()
    assert said == "More data would hardly help: +200 rows bring at most 0.1 points."


def test_an_early_rise_promises_nothing_where_the_two_largest_sizes_are_alike():
    # As measured on Banking77's 20 largest classes: 68, 30 and 30 of 303 wrong.
    projection = learning_curve.project([nested(150, 68, 303), nested(299, 30, 303), nested(598, 30, 303)])
    assert projection.low <= 0 < projection.gain
    assert not projection.describe().render().startswith("+200 rows")


def test_sizes_on_no_curve_are_not_projected():
    results = [nested(100, 300, 1000), nested(200, 100, 1000), nested(400, 280, 1000)]
    projection = learning_curve.project(results)
    assert not projection.is_smooth
    assert projection.describe() == learning_curve.NO_POWER_LAW


@pytest.mark.parametrize(("n_rows", "extra"), [(40, 20), (690, 200), (19, 10), (1_000_000, 10_000)])
def test_a_round_number_of_rows_up_to_half_is_asked_about(n_rows, extra):
    assert learning_curve.choose_extra_rows(n_rows) == extra


@pytest.mark.thorough
def test_the_interval_holds_the_true_gain_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(learning_curve, "N_RESAMPLES", 200)
    rng = np.random.default_rng(0)
    rows, true_errors = [100, 200, 400], np.array([0.4, 0.3, 0.225])  # a factor of 0.75 for each doubling
    true_gain = 0.225 * (1 - 1.5 ** -(np.log(4 / 3) / np.log(2)))
    hits = 0
    for _ in range(20):
        drawn = [
            SizeResult(n, (rng.random(200) < p).astype(float)) for n, p in zip(rows, true_errors, strict=True)
        ]
        projection = learning_curve.project(drawn)
        hits += projection.low <= true_gain <= projection.high
    assert hits >= 16  # 95 % of 20 is 19; below 16 by chance in 3 of 1,000


def test_of_a_loss_the_fall_is_said_and_not_points():
    rng = np.random.default_rng(0)
    row_losses = rng.gamma(4, 0.25, 500)  # a mean of 1
    results = [
        SizeResult(rows, row_losses * factor) for rows, factor in ((100, 2.0), (200, 1.6), (400, 1.28))
    ]
    said = learning_curve.project(results, "loss").describe().render()
    # Each doubling takes a fifth: 1.28 · (1 - 1.5^-0.3219) = 0.157 of a mean that is about 1
    assert said.startswith("+200 rows ≈ loss lower by 0.15")
    assert results[0].describe("loss").render().startswith("100 rows: loss ")


OUTCOMES = {
    "helps": (0.015, 0.004, 0.028, True, False),
    "hardly": (0.0, -0.002, 0.003, True, True),
    "cannot tell": (0.01, -0.02, 0.04, True, False),
    "no curve": (0.01, -0.02, 0.04, False, False),
}


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("measure", ["accuracy", "loss", "mae"])
def test_every_outcome_is_a_whole_sentence(measure, language):
    said = [Projection(measure, 200, *values).describe().render(language) for values in OUTCOMES.values()]
    assert len(set(said)) == len(OUTCOMES)
    assert all("{" not in sentence for sentence in said)


def test_the_gain_is_told_in_points_with_its_interval():
    sentence = Projection("accuracy", 200, *OUTCOMES["helps"]).describe().render()
    assert sentence == "+200 rows ≈ +1.5 points (0.4–2.8, 95% interval)."
