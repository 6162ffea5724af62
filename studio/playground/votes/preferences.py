"""Votes become preference data: of each question the answer that most people prefer, and the other one."""

import json
from collections import Counter

from studio.data import store
from studio.data.store import Dataset
from studio.data.text import chat_format
from studio.errors import NotPossible
from studio.i18n import Message
from studio.playground.votes import ballot
from studio.playground.votes.ballot import BallotQuestion, BlindVote

ORIGIN = "votes"
COLUMNS = ("prompt", "chosen", "rejected")


def to_rows(vote: BlindVote) -> list[dict[str, str]]:
    """A row for each question on which more people prefer one answer than the other; ties are left out."""
    votes = ballot.latest_votes(ballot.read_votes(vote))
    tallies = [Counter[str]() for _ in vote.questions()]
    for cast in votes:
        tallies[cast.question][cast.choice] += 1
    rows = []
    for question, tally in zip(vote.questions(), tallies, strict=True):
        if tally["first"] != tally["second"]:
            rows.append(_to_row(question, is_second_better=tally["second"] > tally["first"]))
    return rows


def _to_row(question: BallotQuestion, is_second_better: bool) -> dict[str, str]:
    first, second = question.answers
    chosen, rejected = (second, first) if is_second_better else (first, second)
    is_single = len(question.messages) == 1
    prompt = question.prompt if is_single else chat_format.dump_messages(question.messages)
    return dict(zip(COLUMNS, (prompt, chosen, rejected), strict=True))


def save(vote: BlindVote, name: str) -> Dataset:
    """Store the preferences as a data set, ready for RLHF.

    Raises:
        NotPossible: No question has a preference yet.
    """
    rows = to_rows(vote)
    if not rows:
        raise NotPossible(
            Message("No question has a winner yet, so there is nothing to learn from."),
            Message("Vote first; “equally good” and “both bad” do not count."),
        )
    with store.open_draft() as draft:
        file = draft / "preferences.jsonl"
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        dataset = store.add(file, f"{name}.jsonl", origin=ORIGIN)
    store.save_choice(dataset, "prefer", {column: column for column in COLUMNS})
    return store.find(dataset.source)
