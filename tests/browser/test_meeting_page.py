"""The break-even on the page for the meeting counts with what is typed in, and stays open until it can."""

import pytest
from meeting_runs import ESTIMATE, make_run

from studio.export.meeting import messages, page
from studio.storage import write_json

pytestmark = pytest.mark.browser
RESULTS = ("api_cost", "own_cost", "equal_volume", "payback")


@pytest.fixture
def sheet(browser):
    """The page of a run whose machine costs 0.60 an hour, without any studio behind it."""
    run = make_run()
    write_json(run.folder / "estimate.json", ESTIMATE)
    context = browser.new_context(locale="en-US", offline=True)
    opened = context.new_page()
    opened.set_content(page.render_page(run))
    yield opened
    context.close()


def results(sheet):
    return [sheet.locator(f"#{name}").inner_text() for name in RESULTS]


def test_a_break_even_is_that_of_the_prices_typed_in(sheet):
    assert results(sheet) == ["…", "438", "…", "…"]  # 0.60 × 730 hours
    sheet.fill("#volume", "500")
    assert sheet.input_value("#as_of") == ""
    sheet.fill("#api_price", "2")
    sheet.fill("#training_cost", "281")
    # 2 × 500 = 1,000 for the API; 438 ÷ 2 = 219; 281 ÷ (1,000 − 438) = 0.5 months.
    assert results(sheet) == ["1,000", "438", "219", "0.5"]
    assert len(sheet.input_value("#as_of")) == len("2026-11-28")


@pytest.mark.exhaustive
def test_a_training_is_never_paid_back_where_the_api_is_cheaper(sheet):
    sheet.fill("#volume", "1")
    sheet.fill("#api_price", "2")
    assert results(sheet) == ["2", "438", "219", messages.WORDS["never"].render()]
