"""Test texts that say the same in other words."""

import numpy as np
import pytest

from studio.meaning import leaks

ALIKE = np.array([[1.0, 0.0], [0.98, np.sqrt(1 - 0.98**2)]], np.float32)


def find(first, second, vectors=ALIKE):
    return leaks.find([first], vectors[:1], [second], vectors[1:])


def test_a_pair_that_is_close_in_meaning_is_found():
    (leak,) = find("How can I close my account?", "What must I do to end the account?")
    assert (leak.index, leak.test_index) == (0, 0)
    assert leak.cosine == pytest.approx(0.98, abs=1e-3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("I paid 20 pounds twice", "20.50 pounds were taken two times"),
        ("Why is my identity verified?", "For what reason isn't it verified, my identity?"),
        ("How can I close my account now", "how can i close my account now?"),  # which MinHash finds
    ],
)
def test_other_numbers_denials_and_near_duplicates_are_no_such_pair(first, second):
    assert find(first, second) == []


def test_what_is_far_in_meaning_is_none():
    assert find("How can I close my account?", "Where is the cat?", np.eye(2, dtype=np.float32)) == []
