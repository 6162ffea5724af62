"""The blind vote on the Playground tab, called as plain functions."""

from types import SimpleNamespace

import pytest
from form_fields import CHINESE, ENGLISH
from vote_helpers import make_vote

from studio import runs
from studio.playground.votes import prepare
from studio.ui import access
from studio.ui.playground import blind_vote


def test_without_a_run_it_says_so():
    notice, _ = next(blind_vote.prepare_vote(None, "", 10, "", ENGLISH))
    assert notice["text"] == "Choose a finished run first."


def test_a_run_without_a_result_is_refused_with_a_sentence(make_plan):
    *_, (notice, _) = blind_vote.prepare_vote(runs.create(make_plan()).id, "", 10, "", ENGLISH)
    assert notice["kind"] == "bad"
    assert "has not learned anything yet" in notice["text"]


def test_progress_is_told_and_the_new_vote_is_chosen(make_plan, monkeypatch):
    run = runs.create(make_plan())
    vote = make_vote(None, 4, run=run)
    monkeypatch.setattr(
        prepare,
        "prepare",
        lambda *_: iter([prepare.Progress(0, 0), prepare.Progress(3, 8), vote]),
    )
    steps = list(blind_vote.prepare_vote(run.id, "", 10, "", ENGLISH))
    assert [notice["text"] for notice, _ in steps] == [
        blind_vote.LOADING.render(),
        blind_vote.WRITING.render(done=3, total=8),
        blind_vote.READY.render(count=4),
    ]
    assert steps[-1][1]["value"] == vote.token


def test_votes_of_a_run_are_listed_and_classifiers_are_no_opponents(finished):
    chosen, other, classifier = finished("lora"), finished("full"), finished("lora", "classify")
    vote = make_vote(None, run=chosen)
    opponents, votes = blind_vote.update_choices(chosen.id, [], ENGLISH)
    assert [run_id for _, run_id in opponents["choices"]] == ["", other.id]
    assert classifier.id not in str(opponents)
    assert votes["value"] == vote.token


@pytest.mark.parametrize("visitor", [ENGLISH, CHINESE])
def test_no_vote_shows_nothing(visitor):
    value, link, panel = blind_vote.open_vote(None, visitor)
    assert (value["token"], link["addresses"], panel["visible"]) == ("", [], False)


def visitor_at(host):
    return SimpleNamespace(headers={"host": host, "origin": f"http://{host}", "accept-language": "en"})


def test_the_link_says_that_it_opens_on_this_machine_only(make_plan):
    vote = make_vote(make_plan())
    _, link, panel = blind_vote.open_vote(vote.token, visitor_at("127.0.0.1:7860"))
    assert panel["visible"]
    assert link["addresses"] == [f"http://127.0.0.1:7860/vote/{vote.token}"]
    assert "studio --host 0.0.0.0" in link["more"]


def test_on_an_open_page_the_link_has_an_address_that_others_reach(make_plan, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    monkeypatch.setattr(blind_vote, "_network_addresses", lambda: ["192.168.0.7"])
    vote = make_vote(make_plan())
    _, link, _ = blind_vote.open_vote(vote.token, visitor_at("localhost:7860"))
    assert link["addresses"] == [f"http://192.168.0.7:7860/vote/{vote.token}"]
    _, link, _ = blind_vote.open_vote(vote.token, visitor_at("studio.example.org"))
    assert link["addresses"] == [f"http://studio.example.org/vote/{vote.token}"]
    assert "nothing else of yours" in link["more"]
