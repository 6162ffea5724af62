"""The interval of a share agrees with figures from the literature."""

import pytest

from studio.data.intervals import wilson_interval


@pytest.mark.parametrize(
    ("n_hits", "n", "expected"),
    [
        (81, 263, (0.255, 0.366)),  # Newcombe 1998, Table I, method 3
        (15, 148, (0.062, 0.161)),
        (0, 20, (0.0, 0.161)),
        (1, 29, (0.006, 0.172)),
    ],
)
def test_the_interval_is_that_of_newcombes_table(n_hits, n, expected):
    assert wilson_interval(n_hits, n) == pytest.approx(expected, abs=6e-4)
