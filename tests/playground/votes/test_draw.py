"""Each voter gets an own order and own sides, which stay where the page is loaded again."""

from collections import Counter

import pytest
from vote_helpers import make_vote, voter_id

from studio.playground.votes import ballot, draw


def vote_through(vote, voter, choice="tie"):
    """The order in which a voter sees the questions."""
    order = []
    while True:
        question = draw.next_question(vote, voter, ballot.latest_votes(ballot.read_votes(vote)))
        if question is None:
            return order
        order.append(question)
        ballot.cast(vote, voter, question, choice)


def test_a_voter_sees_every_question_once_in_an_order_of_their_own(make_plan):
    orders = [vote_through(make_vote(make_plan(), 12), voter_id(1)) for _ in range(3)]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len(set(map(tuple, orders))) == 3


def test_questions_that_fewer_have_voted_on_come_first(make_plan):
    vote = make_vote(make_plan(), 10)
    for question in range(7):
        ballot.cast(vote, voter_id(1), question, "tie")
    assert set(vote_through(vote, voter_id(2))[:3]) == {7, 8, 9}


def test_sides_are_drawn_for_each_question_and_voter_and_stay(make_plan):
    vote = make_vote(make_plan(), 20)
    sides = [draw.is_first_left(vote, voter_id(v), q) for v in range(50) for q in range(20)]
    assert sides == [draw.is_first_left(vote, voter_id(v), q) for v in range(50) for q in range(20)]
    # 1,000 fair draws: 420 to 580 is five standard deviations.
    assert 420 < Counter(sides)[True] < 580
    by_voter = {tuple(sides[20 * voter : 20 * voter + 20]) for voter in range(50)}
    assert len(by_voter) == 50


@pytest.mark.parametrize("first_is_left", [True, False])
def test_what_is_said_of_the_screen_is_said_of_the_contestants(first_is_left):
    left, right = ("first", "second") if first_is_left else ("second", "first")
    chosen = {name: draw.to_choice(name, first_is_left) for name in draw.SCREEN_CHOICES}
    assert chosen == {"left": left, "right": right, "tie": "tie", "bad": "bad"}
    with pytest.raises(ValueError, match="expected one of"):
        draw.to_choice("first", first_is_left)
