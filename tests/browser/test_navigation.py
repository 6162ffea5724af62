"""Where a person is stays so: tab, scroll position, focus and a run that goes on, whatever else happens."""

import os

import pytest
from journey_steps import open_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def expect_tab(page, name):
    expect(page.get_by_role("tab", selected=True)).to_have_text(name)


@pytest.mark.exhaustive
def test_the_tab_stays_over_a_reload_and_all_tabs_of_the_browser_change_language_together(visit):
    page = visit()
    other = visit("/?tab=train", context=page.context)
    expect_tab(other, "Train")
    open_tab(page, "Method")
    page.reload(wait_until="domcontentloaded")
    expect_tab(page, "Method")
    page.locator("#language").click()
    expect_tab(page, "方法")
    expect_tab(other, "训练")
    expect(page).to_have_title("训练工作室")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    other.reload(wait_until="domcontentloaded")
    expect_tab(other, "训练")
    other.locator("#language").click()
    expect_tab(page, "Method")


@pytest.mark.exhaustive
def test_back_leads_to_the_tab_before_and_arrow_keys_to_the_one_beside(visit):
    page = visit()
    open_tab(page, "Train")
    open_tab(page, "Method")
    page.go_back()
    expect_tab(page, "Train")
    page.go_back()
    expect_tab(page, "Data")
    page.get_by_role("tab", name="Data").focus()
    page.keyboard.press("ArrowLeft")
    expect_tab(page, "Share")
    expect(page.get_by_role("tab", name="Share")).to_be_focused()
    expect(page.locator("[role=tab][tabindex='0']")).to_have_text("Share")


@pytest.mark.exhaustive
def test_next_leads_to_the_top_of_the_next_tab_and_a_reload_to_where_one_was(visit):
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#health .health")).to_be_visible()
    page.get_by_role("button", name="Next: choose a method").click()
    expect(page.locator("#tab-method").get_by_role("heading").first).to_be_focused()
    assert page.evaluate("window.scrollY") == 0
    expect(page.locator("#methods tbody tr")).to_have_count(10)
    page.evaluate("window.scrollTo(0, 500)")
    page.wait_for_function("window.scrollY === 500")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_function("Math.abs(window.scrollY - 500) < 50")


@pytest.mark.exhaustive
def test_a_run_that_goes_on_stays_in_the_strip_beside_other_data(visit, make_plan):
    from studio import runs

    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    runs.set_status(run, "training")
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#story")).to_contain_text("140 examples")
    expect(page.locator("#story")).to_contain_text(f"“{run.plan.name}” is training")
    expect(page.locator("#story .next")).to_contain_text("check the settings")
    runs.set_status(run, "failed")
    expect(page.locator("#story")).not_to_contain_text("is training")


WATCH_STRIP = """() => {
  window.seen = [];
  const note = () => {
    const text = document.querySelector('#story')?.innerText || '';
    if (text !== window.seen.at(-1)) window.seen.push(text);
  };
  new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.exhaustive
def test_the_strip_never_shows_the_figures_of_another_plan(visit):
    page = visit()
    expect(page.locator("#story")).to_contain_text("none yet")
    page.evaluate(WATCH_STRIP)
    page.locator("#sample-ticket-triage").click()
    expect(page.locator("#story")).to_contain_text("MiniLM")
    shown = [text for text in page.evaluate("window.seen") if "240 examples" in text]
    assert shown
    assert not any("SmolLM2" in text for text in shown)
    page.context.add_init_script(f"addEventListener('DOMContentLoaded', {WATCH_STRIP})")
    page.reload(wait_until="domcontentloaded")
    expect(page.locator("#story")).to_contain_text("MiniLM")
    shown = page.evaluate("window.seen")
    assert any("MiniLM" in text for text in shown)
    assert not any("SmolLM2" in text for text in shown)


@pytest.mark.exhaustive
def test_a_page_that_outlived_its_server_is_loaded_anew(visit):
    page = visit("/?tab=method")
    expect_tab(page, "Method")
    page.route("**/app_id", lambda route: route.fulfill(json={"app_id": 1}))
    with page.expect_navigation(wait_until="domcontentloaded"):
        page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect_tab(page, "Method")
