"""The advice of a range test follows from its losses, and says how little 30 steps can show."""

import pytest

from studio.evaluate import rate_range
from studio.evaluate.rate_range import RateRange

RATES = (1e-5, 1e-4, 1e-3, 1e-2)


@pytest.mark.parametrize(
    ("losses", "planned", "advised", "expected"),
    [
        # The lowest loss is at 1e-3; a third of that is 3e-4.
        ((2.0, 1.8, 1.0, 5.0), 1e-5, 3e-4, (rate_range.FALLS, rate_range.TRY)),
        ((2.0, 1.8, 1.0, 5.0), 2e-4, 3e-4, (rate_range.FALLS, rate_range.KEEP)),
        ((2.0, 1.8, 1.5, 1.0), 1e-3, 3e-3, (rate_range.FALLS_TO_THE_END, rate_range.KEEP)),
        # 1.99 is half a percent below the start.
        ((2.0, 1.99, 2.0, 5.0), 1e-3, None, (rate_range.NEVER_FELL,)),
    ],
    ids=["far off", "near", "still falling", "noise"],
)
def test_the_advice_is_a_third_of_the_rate_with_the_lowest_loss(losses, planned, advised, expected):
    tested = RateRange(RATES, losses, start=2.0, planned=planned)
    assert tested.advised == (None if advised is None else pytest.approx(advised))
    assert [message.text for message in tested.describe()] == [
        *(message.text for message in expected),
        rate_range.LIMIT.text,
    ]
    assert RateRange.from_json(tested.to_json()) == tested
