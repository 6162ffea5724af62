"""The page behind a vote's link: it shows that vote's texts alone, hides whose they are, and takes votes."""

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from vote_helpers import make_vote

from studio import runs
from studio.playground.votes import ballot, draw, tally
from studio.ui import vote_page
from studio.ui.vote_page import RateLimit, VoteMiddleware


@pytest.fixture(autouse=True)
def fresh_limits(monkeypatch):
    """What one test asks does not count for the next."""
    monkeypatch.setattr(vote_page, "REQUESTS", RateLimit(vote_page.MAX_REQUESTS))
    monkeypatch.setattr(vote_page, "WRONG_PASSCODES", RateLimit(vote_page.MAX_WRONG_PASSCODES))


@pytest.fixture
def client():
    """A browser before a studio of which only the votes answer; everything else says "studio"."""
    studio = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("studio"))])
    return TestClient(VoteMiddleware(studio), headers={"accept-language": "en"})


def post(client, vote, path, **body):
    return client.post(f"/vote/{vote.token}/{path}", json=body)


def test_a_voter_votes_on_every_question_once(client, make_plan):
    vote = make_vote(make_plan(), n_questions=5)
    reply = post(client, vote, "next").json()
    voter, seen = reply["voter"], []
    while "question" in reply:
        question = reply["question"]
        seen.append(question["number"])
        assert {question["left"], question["right"]} == {
            f"base {question['number']}",
            f"tuned {question['number']}",
        }
        reply = post(client, vote, "cast", voter=voter, question=question["number"], choice="left").json()
        assert (reply["done"], reply["total"]) == (len(seen), 5)
    assert sorted(seen) == list(range(5))
    for cast in ballot.read_votes(vote):
        assert cast.choice == ("first" if draw.is_first_left(vote, voter, cast.question) else "second")


def test_nothing_says_whose_an_answer_is(client, make_plan):
    vote = make_vote(make_plan())
    reply = post(client, vote, "next").json()
    assert set(reply) == {"voter", "done", "total", "question"}
    assert set(reply["question"]) == {"number", "prompt", "left", "right"}
    page = client.get(f"/vote/{vote.token}").text
    assert vote.seed not in page + json.dumps(reply)
    assert vote.run_id not in page + json.dumps(reply)
    assert runs.get(vote.run_id).plan.name not in page


def test_the_result_is_told_when_it_is_asked_for(client, make_plan):
    vote = make_vote(make_plan())
    assert post(client, vote, "result").json()["sentences"][0] == tally.NO_PREFERENCE.render()


@pytest.mark.parametrize("path", ["", "/next"])
def test_a_link_that_names_no_vote_shows_nothing(client, path):
    reply = client.post(f"/vote/{'0' * 32}{path}", json={}) if path else client.get(f"/vote/{'0' * 32}")
    assert reply.status_code in (400, 404)
    assert "This vote does not exist." in reply.text


def test_other_pages_are_the_studios(client):
    assert client.get("/").text == "studio"
    assert client.get("/votes").text == "studio"


def test_without_the_passcode_no_question_is_shown(client, make_plan):
    vote = make_vote(make_plan(), passcode="swordfish")
    assert "question 0" not in client.get(f"/vote/{vote.token}").text
    for path in ("next", "cast", "result"):
        reply = post(client, vote, path, passcode="guess", question=0, choice="left")
        assert (reply.status_code, reply.json()) == (401, {"error": vote_page.TEXTS["wrong"].render()})
    assert post(client, vote, "next", passcode="swordfish").json()["question"]


def test_guessing_the_passcode_ends_after_some_tries(client, make_plan, monkeypatch):
    monkeypatch.setattr(vote_page, "WRONG_PASSCODES", RateLimit(3))
    vote = make_vote(make_plan(), passcode="swordfish")
    replies = [post(client, vote, "next", passcode=f"guess {n}").status_code for n in range(4)]
    assert replies == [401, 401, 401, 400]
    assert "Wait a minute" in post(client, vote, "next", passcode="swordfish").json()["error"]


def test_too_many_requests_are_refused(client, make_plan, monkeypatch):
    monkeypatch.setattr(vote_page, "REQUESTS", RateLimit(3))
    vote = make_vote(make_plan())
    assert [post(client, vote, "next").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert client.get("/").text == "studio"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"no json",
        json.dumps({"voter": "x" * 3_000}).encode(),
        json.dumps({"question": 0, "choice": "first"}).encode(),
        json.dumps({"question": "one", "choice": "left"}).encode(),
        json.dumps({"voter": "1" * 32, "question": 99, "choice": "left"}).encode(),
        json.dumps({"voter": ["1"], "question": 0, "choice": "left"}).encode(),
    ],
)
def test_what_is_no_vote_is_refused_with_a_sentence(client, make_plan, body):
    vote = make_vote(make_plan())
    reply = client.post(f"/vote/{vote.token}/cast", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(vote_page.NOT_A_VOTE.render())
    assert ballot.read_votes(vote) == []


def test_the_page_speaks_chinese(client, make_plan):
    vote = make_vote(make_plan())
    page = client.get(f"/vote/{vote.token}", headers={"accept-language": "zh-CN"}).text
    assert '<html lang="zh">' in page
    assert "哪个回答更好？" in page


def test_the_page_and_the_component_show_all_words_of_the_script():
    used = {name for name in vote_page.TEXTS if f"texts.{name}" in vote_page.script()}
    dynamic = {"left", "right", "tie", "bad", "leftTitle", "rightTitle"}
    assert used | dynamic == set(vote_page.TEXTS)
