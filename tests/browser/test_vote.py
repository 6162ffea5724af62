"""A blind vote in a real browser: by keyboard, on a phone, in both languages, and in the Playground."""

import re

import pytest
from journey_steps import open_tab
from playwright.sync_api import expect
from test_looks import find_violations
from vote_helpers import make_vote

from studio import runs
from studio.playground.votes import ballot
from studio.storage import write_json

pytestmark = pytest.mark.browser


@pytest.fixture
def vote(make_plan):
    """A vote of three questions."""
    return make_vote(make_plan(), n_questions=3)


def open_vote(visit, vote, **options):
    """The page behind the link, for a new visitor."""
    return visit(f"/vote/{vote.token}", landmark=".vote-question", **options)


def vote_by_key(page, key, done):
    page.keyboard.press(key)
    page.get_by_role("status").filter(has_text=f"{done} ").first.wait_for()


def test_keys_vote_and_the_reader_is_taken_to_the_next_question(visit, vote):
    page = open_vote(visit, vote)
    for done, key in enumerate(("1", "3", "4"), 1):
        vote_by_key(page, key, done)
        assert page.evaluate("document.activeElement.tagName") == "H2"
    page.get_by_text("Thank you").wait_for()
    choices = [cast.choice for cast in ballot.read_votes(vote)]
    assert choices[0] in ("first", "second")
    assert choices[1:] == ["tie", "bad"]
    page.get_by_role("button", name="Change last vote").click()
    page.get_by_role("button", name="Equally good").click()
    page.get_by_text("Thank you").wait_for()
    assert [cast.choice for cast in ballot.latest_votes(ballot.read_votes(vote))][1:] == ["tie", "tie"]
    assert page.locator(".vote-verdict").count() == 0
    page.get_by_role("button", name="Show results").click()
    page.locator(".vote-verdict").wait_for()
    page.reload()
    page.get_by_text("Thank you").wait_for()


@pytest.mark.parametrize(
    ("scheme", "locale"), [("dark", "zh-CN"), pytest.param("light", "en-US", marks=pytest.mark.exhaustive)]
)
def test_on_a_phone_nothing_is_cut_off_or_hard_to_read(visit, vote, scheme, locale):
    page = open_vote(visit, vote, viewport={"width": 390, "height": 800}, color_scheme=scheme, locale=locale)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert find_violations(page, f"vote {scheme}") == []
    page.get_by_role("button").first.click()
    page.locator(".vote-bar[value='1']").wait_for()


@pytest.mark.exhaustive
def test_the_playground_takes_the_same_votes(visit, vote):
    run = runs.get(vote.run_id)
    run.model.mkdir()
    write_json(run.folder / "report.json", {"labels": [], "measured_on": "validation"})
    page = visit(f"/?run={run.id}")
    page.evaluate(f"localStorage.setItem('studio-run', '{run.id}')")
    open_tab(page, "Playground")
    expect(page.locator("#compare-run input")).to_have_value(re.compile(re.escape(run.plan.name)))
    page.get_by_role("button", name="Blind vote").click()
    page.locator("#vote .vote-question").wait_for()
    page.get_by_text("only opens on this machine").wait_for()
    page.get_by_role("button", name="Equally good").click()
    page.locator("#vote .vote-bar[value='1']").wait_for()
    assert [cast.choice for cast in ballot.read_votes(vote)] == ["tie"]
