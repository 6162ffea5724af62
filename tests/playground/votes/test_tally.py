"""The result says who is preferred, how surely, and what does not count for either side."""

import random

import pytest
from vote_helpers import make_vote, voter_id

from studio.playground.votes import ballot, tally
from studio.playground.votes.ballot import CastVote


def result_after(vote, *votes):
    for voter, question, choice in votes:
        ballot.cast(vote, voter_id(voter), question, choice)
    return [sentence.render() for sentence in tally.describe(vote)]


def test_nobody_has_voted(make_plan):
    assert result_after(make_vote(make_plan()))[0] == tally.NO_PREFERENCE.render()


def test_ties_and_two_bad_answers_count_for_neither_side(make_plan):
    vote = make_vote(make_plan())
    sentences = result_after(vote, (1, 0, "tie"), (1, 1, "bad"), (1, 2, "bad"))
    assert sentences[0] == tally.NO_PREFERENCE.render()
    assert tally.NOT_COUNTED.render(tie=1, bad=2) in sentences
    assert tally.MOSTLY_BAD.render(share=2 / 3) in sentences


def test_the_winner_is_named_with_its_interval(make_plan):
    vote = make_vote(make_plan(), n_questions=20)
    first, *_ = result_after(vote, *((1, question, "second") for question in range(10)))
    assert first.startswith("Decided after 8 votes")
    assert "people prefer the tuned model, on 10 of 10 questions" in first
    vote = make_vote(make_plan(), n_questions=20)
    first, *_ = result_after(vote, *((1, question, "first") for question in range(10)))
    assert "people prefer the base model, on 10 of 10 questions (100%" in first


def test_it_says_how_many_more_votes_would_decide(make_plan):
    vote = make_vote(make_plan(), n_questions=20)
    _, more, *_ = result_after(vote, *((1, question, "second") for question in range(6)))
    assert more == tally.MORE_VOTES.render(more=2)
    even, more, *_ = result_after(vote, *((1, question, "first") for question in range(6, 12)))
    assert even == tally.EVEN.render(wins=6, n=12)
    assert more == tally.TOO_CLOSE.render()


def test_too_few_questions_are_said_to_be_too_few(make_plan):
    vote = make_vote(make_plan(), n_questions=6)
    _, more, *_ = result_after(vote, *((1, question, "second") for question in range(6)))
    assert more == tally.NOT_ENOUGH_QUESTIONS.render(more=2, left=0)


def test_agreement_counts_pairs_of_voters_on_the_same_question(make_plan):
    vote = make_vote(make_plan())
    votes = [(1, 0, "first"), (2, 0, "first"), (3, 0, "second"), (1, 1, "tie"), (2, 1, "tie"), (1, 2, "bad")]
    result_after(vote, *votes)
    result = tally.count(vote)
    # Question 0 has three pairs, one of which agrees; question 1 has one, which agrees; question 2 has none.
    assert (result.n_agreeing, result.n_pairs) == (2, 4)
    # Of six votes 2, 1, 2 and 1: 1/9 + 1/36 + 1/9 + 1/36.
    assert round(result.chance, 4) == round(10 / 36, 4)


def test_a_question_counts_once_however_many_agree_on_it(make_plan):
    vote = make_vote(make_plan())
    result_after(vote, *((voter, 0, "second") for voter in range(20)))
    assert tally.count(vote).preference.n == 1


@pytest.mark.thorough
def test_ten_voters_who_always_agree_decide_wrongly_at_most_one_time_in_twenty():
    """Equal models, but people see the same in a question: counting each vote would be wrong far oftener."""
    n_wrong = n_wrong_by_vote = 0
    for seed in range(200):
        draw = random.Random(seed)
        opinions = [draw.choice(("first", "second")) for _ in range(60)]
        order = [(voter, question) for voter in range(10) for question in range(60)]
        draw.shuffle(order)
        votes = [CastVote(voter_id(voter), question, opinions[question], 0.0) for voter, question in order]
        n_wrong += tally.interval.follow(tally.first_preferences(votes)).decided_after is not None
        n_second = sum(vote.choice == "second" for vote in votes)
        evidence = tally.interval.log_evidence(0.5, n_second, len(votes) - n_second)
        n_wrong_by_vote += evidence >= tally.interval.LOG_LIMIT
    assert n_wrong <= 10
    assert n_wrong_by_vote > 40
