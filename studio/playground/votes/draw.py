"""Draws for each voter the order of the questions, and for each question which answer stands on the left."""

import random
from collections import Counter
from collections.abc import Sequence

from studio.playground.votes.ballot import BlindVote, CastVote, Choice

# What a voter says of the two answers on the screen.
SCREEN_CHOICES = ("left", "right", "tie", "bad")


def next_question(vote: BlindVote, voter: str, votes: Sequence[CastVote]) -> int | None:
    """The number of the question that a voter sees next; None once they have voted on all.

    The voter's own shuffled order, but questions on which fewer have voted come first: only the first
    preference on each question counts for the interval (see interval.py), so voters share the list out before
    they overlap.

    Args:
        vote: The vote.
        voter: The voter.
        votes: The latest votes of all.
    """
    answered = {cast.question for cast in votes if cast.voter == voter}
    n_votes = Counter(cast.question for cast in votes)
    open_questions = [number for number in _own_order(vote, voter) if number not in answered]
    return min(open_questions, key=lambda number: n_votes[number], default=None)


def is_first_left(vote: BlindVote, voter: str, question: int) -> bool:
    """Whether the first contestant's answer stands on the left: a fair draw for each voter and question."""
    return random.Random(f"{vote.seed} {voter} {question}").random() < 0.5  # noqa: S311 - the seed is secret


def to_choice(screen_choice: str, first_is_left: bool) -> Choice:
    """What a choice on the screen says of the contestants; raises ValueError where it is none."""
    if screen_choice == "tie":
        return "tie"
    if screen_choice == "bad":
        return "bad"
    if screen_choice not in SCREEN_CHOICES:
        raise ValueError(f"expected one of {SCREEN_CHOICES}, but got {screen_choice!r:.40}")
    return "first" if (screen_choice == "left") == first_is_left else "second"


def _own_order(vote: BlindVote, voter: str) -> list[int]:
    order = list(range(len(vote.questions())))
    random.Random(f"{vote.seed} {voter}").shuffle(order)  # noqa: S311 - the seed is secret
    return order
