"""Votes become pairs that RLHF learns from."""

import pytest
from vote_helpers import make_vote, voter_id

from studio.data import examples
from studio.errors import NotPossible
from studio.playground.votes import ballot, preferences


def test_the_preferred_answer_is_chosen_and_ties_are_left_out(make_plan):
    vote = make_vote(make_plan(), n_questions=5)
    for voter, question, choice in (
        (1, 0, "second"),
        (1, 1, "first"),
        (1, 2, "tie"),
        (1, 3, "first"),
        (2, 3, "second"),
        (1, 4, "second"),
        (2, 4, "first"),
        (3, 4, "second"),
    ):
        ballot.cast(vote, voter_id(voter), question, choice)
    assert preferences.to_rows(vote) == [
        {"prompt": "question 0", "chosen": "tuned 0", "rejected": "base 0"},
        {"prompt": "question 1", "chosen": "base 1", "rejected": "tuned 1"},
        {"prompt": "question 4", "chosen": "tuned 4", "rejected": "base 4"},
    ]


def test_the_data_set_is_ready_for_rlhf(make_plan):
    vote = make_vote(make_plan(), n_questions=12)
    for question in range(12):
        ballot.cast(vote, voter_id(1), question, "second")
    dataset = preferences.save(vote, "Votes")
    task, columns = dataset.chosen
    assert (task, dataset.name) == ("prefer", "Votes.jsonl")
    pairs, n_left_out = examples.build_examples(dataset.table(), task, columns)
    assert (len(pairs), n_left_out) == (12, 0)
    assert pairs[0]["chosen"].startswith("tuned")


def test_without_a_preference_there_is_no_data(make_plan):
    vote = make_vote(make_plan())
    ballot.cast(vote, voter_id(1), 0, "tie")
    with pytest.raises(NotPossible, match="Vote first"):
        preferences.save(vote, "Votes")
