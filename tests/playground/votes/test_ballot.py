"""A vote stands in the run's folder, takes votes of many at once, and counts a voter once a question."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from vote_helpers import make_vote, voter_id

from studio import runs
from studio.errors import NotPossible
from studio.playground.votes import ballot
from studio.playground.votes.ballot import BallotQuestion, Contestant


def test_a_vote_is_found_by_its_token_alone(make_plan):
    vote = make_vote(make_plan())
    assert ballot.find(vote.token) == vote
    assert ballot.list_votes(runs.get(vote.run_id)) == [vote]
    for token in ("", "0" * 32, "../" + vote.token, vote.token[:-1] + "*"):
        with pytest.raises(NotPossible, match="does not exist"):
            ballot.find(token)


def test_questions_with_two_equal_answers_are_left_out_and_counted(make_plan):
    run = runs.create(make_plan())
    sides = (Contestant(run.id, "base"), Contestant(run.id, "tuned"))
    prompt = [{"role": "user", "content": "hello"}]
    alike, differing = BallotQuestion(prompt, ("a", "a")), BallotQuestion(prompt, ("a", "b"))
    vote = ballot.create(run, sides, [alike, differing, alike])
    assert (len(vote.questions()), vote.n_alike) == (1, 2)
    with pytest.raises(NotPossible, match="all 2 questions"):
        ballot.create(run, sides, [alike, alike])


def test_the_last_vote_of_a_voter_on_a_question_counts(make_plan):
    vote = make_vote(make_plan())
    for voter, choice in ((1, "first"), (2, "tie"), (1, "second")):
        ballot.cast(vote, voter_id(voter), 3, choice)
    latest = ballot.latest_votes(ballot.read_votes(vote))
    assert [(cast.voter, cast.choice) for cast in latest] == [
        (voter_id(2), "tie"),
        (voter_id(1), "second"),
    ]


def test_what_is_no_vote_is_refused(make_plan):
    vote = make_vote(make_plan(), n_questions=2)
    for voter, question, choice in (
        (voter_id(1), 2, "first"),
        (voter_id(1), -1, "first"),
        (voter_id(1), 0, "left"),
        ("someone", 0, "first"),
    ):
        with pytest.raises(NotPossible, match="does not match a question"):
            ballot.cast(vote, voter, question, choice)
    assert ballot.read_votes(vote) == []


def test_a_full_vote_takes_no_new_voter(make_plan, monkeypatch):
    monkeypatch.setattr(ballot, "MAX_VOTERS", 2)
    vote = make_vote(make_plan())
    for voter in (1, 2, 1):
        ballot.cast(vote, voter_id(voter), 0, "tie")
    with pytest.raises(NotPossible, match="2 people"):
        ballot.cast(vote, voter_id(3), 0, "tie")


def test_a_vote_that_is_being_written_is_left_out(make_plan):
    vote = make_vote(make_plan())
    ballot.cast(vote, voter_id(1), 0, "tie")
    with (vote.folder / "votes.jsonl").open("ab") as file:
        file.write(b'{"voter": "12')
    assert len(ballot.read_votes(vote)) == 1


CAST_FROM_A_PROCESS = """
import sys
from studio.playground.votes import ballot
vote = ballot.find(sys.argv[1])
for question in range(40):
    ballot.cast(vote, sys.argv[2], question, "first")
"""


def test_ten_voters_at_once_lose_no_vote(make_plan):
    """Eight threads of the page, and two more processes that write to the same file."""
    vote = make_vote(make_plan(), n_questions=40)
    processes = [
        subprocess.Popen([sys.executable, "-c", CAST_FROM_A_PROCESS, vote.token, voter_id(number)])
        for number in (8, 9)
    ]
    started = time.perf_counter()

    def vote_on_all(number):
        for question in range(40):
            ballot.cast(vote, voter_id(number), question, "second")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(vote_on_all, range(8)))
    assert time.perf_counter() - started < 60
    assert [process.wait() for process in processes] == [0, 0]
    cast = {(vote.voter, vote.question) for vote in ballot.read_votes(vote)}
    assert cast == {(voter_id(voter), question) for voter in range(10) for question in range(40)}


def test_a_passcode_is_checked_and_not_stored(make_plan):
    vote = make_vote(make_plan(), passcode="swordfish")
    assert vote.is_passcode("swordfish")
    assert not vote.is_passcode("Swordfish")
    assert not vote.is_passcode("")
    assert "swordfish" not in json.dumps(vote.passcode)
    assert make_vote(make_plan()).is_passcode("anything")
