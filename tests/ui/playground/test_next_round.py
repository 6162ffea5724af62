"""Votes become data, or the next run, in one click."""

import pytest
from form_fields import ENGLISH
from vote_helpers import make_vote, voter_id

from studio import runs
from studio.data import store
from studio.playground.votes import ballot
from studio.training import launcher
from studio.ui import access
from studio.ui.playground import next_round


@pytest.fixture
def started(monkeypatch):
    """The runs whose worker would have been started."""
    started_runs = []
    monkeypatch.setattr(launcher, "start", started_runs.append)
    return started_runs


def voted(run, n_votes=12):
    vote = make_vote(None, n_questions=12, run=run)
    for question in range(n_votes):
        ballot.cast(vote, voter_id(1), question, "second")
    return vote


def test_votes_become_a_data_set_of_this_browser(finished):
    vote = voted(finished())
    notice, sources = next_round.save_preferences(vote.token, ["dataset:1"], [], ENGLISH)
    assert "12 pairs" in notice["text"]
    assert sources[0] == "dataset:1"
    assert len(store.find(sources[1]).table().rows) == 12


@pytest.mark.usefixtures("untraced_start")
def test_the_next_round_starts_and_is_the_run_to_look_at(finished, started):
    vote = voted(finished())
    notice, sources, run_ids, run_id = next_round.start_round(vote.token, [], [], ENGLISH)
    assert notice["kind"] == "good", notice
    assert notice["text"] == next_round.STARTED_FROM_BASE.render(count=12)
    assert ([run.id for run in started], run_ids) == ([run_id], [run_id])
    assert runs.get(run_id).plan.data.source == sources[0]


def test_too_few_pairs_start_nothing_and_leave_nothing(finished, started):
    vote = voted(finished(), n_votes=3)
    notice, *_ = next_round.start_round(vote.token, [], [], ENGLISH)
    assert notice["kind"] == "bad"
    assert "3 complete examples" in notice["text"]
    assert (started, store.list_datasets()) == ([], [])


def test_whoever_only_has_the_link_cannot_train(finished, started, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    vote = voted(finished())
    for notice, *_ in (
        next_round.start_round(vote.token, [], [], ENGLISH),
        next_round.save_preferences(vote.token, [], [], ENGLISH),
    ):
        assert notice["text"] == next_round.NOT_YOURS.render()
    assert (started, store.list_datasets()) == ([], [])


def test_without_a_vote_it_says_so():
    assert next_round.save_preferences(None, [], [], ENGLISH)[0]["text"] == "Choose a vote first."
    assert next_round.start_round(None, [], [], ENGLISH)[0]["text"] == "Choose a vote first."
