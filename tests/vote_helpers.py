"""Blind votes without models: questions whose answers say whose they are."""

from studio import runs
from studio.playground.votes import ballot
from studio.playground.votes.ballot import BallotQuestion, Contestant


def make_vote(plan, n_questions=6, passcode="", run=None):
    """A vote between base and tuned model of a run that needs no result."""
    run = run or runs.create(plan)
    questions = [
        BallotQuestion([{"role": "user", "content": f"question {n}"}], (f"base {n}", f"tuned {n}"))
        for n in range(n_questions)
    ]
    return ballot.create(run, (Contestant(run.id, "base"), Contestant(run.id, "tuned")), questions, passcode)


def voter_id(number):
    return f"{number:032x}"
