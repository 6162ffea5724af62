"""Both contestants answer held-out questions once, in a child process that can be stopped."""

import json
import shutil

import pytest

from studio import processes, runs
from studio.errors import NotPossible
from studio.playground.votes import ballot, prepare
from studio.playground.votes.ballot import BlindVote, Contestant


def sides(run):
    return Contestant(run.id, "base"), Contestant(run.id, "tuned")


def held_out_prompts(run):
    lines = (run.folder / "data" / f"{runs.report(run)['measured_on']}.jsonl").read_text().splitlines()
    return {json.loads(line)["prompt"] for line in lines}


@pytest.mark.exhaustive
def test_base_and_tuned_answer_the_questions_that_were_kept_aside(finished):
    run = finished("lora", "chat")
    *progress, vote = prepare.prepare(sides(run), 5)
    assert isinstance(vote, BlindVote)
    questions = vote.questions()
    assert 0 < len(questions) <= 5
    assert {question.prompt for question in questions} <= held_out_prompts(run)
    assert any(question.answers[1].startswith("Thanks for asking") for question in questions)
    assert not any(question.answers[0].startswith("Thanks for asking") for question in questions)
    assert progress[-1].total == 2 * min(5, len(held_out_prompts(run)))
    assert ballot.find(vote.token) == vote


def test_closing_it_stops_the_child_and_stores_nothing(finished, monkeypatch):
    closed = []

    def stream_replies():
        try:
            yield {"done": 1, "total": 10}
            yield {"answers": [[], []]}
        finally:
            closed.append(True)

    replies = stream_replies()  # held here, so that nothing but closing it ends it
    monkeypatch.setattr(processes, "stream_replies", lambda *_: replies)
    run = finished("lora", "chat")
    before = ballot.list_votes(run)
    steps = prepare.prepare(sides(run), 5)
    next(steps)
    assert next(steps) == prepare.Progress(1, 10)
    steps.close()
    assert closed
    assert ballot.list_votes(run) == before


def test_questions_that_the_other_run_has_learned_are_not_asked(finished, studio_home):
    run = finished("lora", "chat")
    other = runs.get(shutil.copytree(run.folder, runs.folder() / ("a" * 32)).name)
    contestants = (Contestant(other.id, "tuned"), Contestant(run.id, "tuned"))
    part = runs.report(run)["measured_on"]
    rows = (run.folder / "data" / f"{part}.jsonl").read_text().splitlines()
    (other.folder / "data" / "train.jsonl").write_text("\n".join(rows[1:]) + "\n")
    prompts = prepare.select_prompts(contestants, 100)
    assert [prompt[0]["content"] for prompt in prompts] == [json.loads(rows[0])["prompt"]]
    (other.folder / "data" / "train.jsonl").write_text("\n".join(rows) + "\n")
    with pytest.raises(NotPossible, match="no held-out question"):
        prepare.select_prompts(contestants, 100)


def test_a_classifier_needs_no_vote(finished):
    with pytest.raises(NotPossible, match="right or wrong"):
        prepare.select_prompts(sides(finished("lora", "classify")), 5)
