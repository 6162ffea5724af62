"""Accessibility in a real browser: no tab is wider than the screen, and axe finds nothing serious.

The page is looked at when it is empty, when it is filled, and after a run.
"""

import pytest
from axe_playwright_python.sync_playwright import Axe
from journey_steps import answer_all_six, open_part, open_tab, wait_for_end
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

LANDMARKS = {
    "data": "#data-notice",
    "method": "#methods table",
    "train": "#start",
    "playground": "#prompt",
    "share": "#prepare",
}
SET_DARK = "(dark) => document.body.classList.toggle('dark', dark)"
# Nothing has been added, removed or changed for a while, and no transition runs.
WAIT_UNTIL_STILL = """() => new Promise((done) => {
  let timer;
  const wait = () => { clearTimeout(timer); timer = setTimeout(look, 300); };
  const watch = new MutationObserver(wait);
  const look = () => {
    if (document.getAnimations().some((one) => one instanceof CSSTransition)) return wait();
    watch.disconnect();
    done();
  };
  watch.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  wait();
})"""
# The width of the page once it is drawn in its new size.
DRAWN_WIDTH = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
  () => done(document.documentElement.scrollWidth))))"""


def find_violations(page, view, within=None):
    """What axe calls serious or critical in the page as it is now, and headings that skip a level.

    `within` is the selector of a part that alone is looked at, since it stands before all others.
    """
    violations = Axe().run(page, within).response["violations"]
    return [
        (view, item["id"], item["nodes"][0]["html"][:200], item["nodes"][0]["failureSummary"][:200])
        for item in violations
        if item["impact"] in ("serious", "critical") or item["id"] == "heading-order"
    ]


def open_accordions(page):
    """Open all accordions of a tab."""
    for button in page.locator(".tabitem button.label-wrap:visible").all():
        if "open" not in (button.get_attribute("class") or ""):
            button.click()
    page.evaluate(WAIT_UNTIL_STILL)


@pytest.mark.parametrize(
    ("widths", "scheme", "locale"),
    [
        ((1920, 1280, 768, 390), "dark", "zh-CN"),
        pytest.param((768, 390, 1920, 1280), "light", "en-US", marks=pytest.mark.exhaustive),
    ],
)
def test_no_tab_is_wider_than_the_screen_or_hard_to_read(visit, widths, scheme, locale):
    page = visit(viewport={"width": widths[-1], "height": 844}, color_scheme=scheme, locale=locale)
    page.locator("#sample-ticket-triage").click()
    expect(page.locator("#health .health")).to_be_visible()
    violations = []
    for name, landmark in LANDMARKS.items():
        page.locator(f"#tab-{name}-button").click()
        expect(page.locator(landmark)).to_be_visible()
        open_accordions(page)
        for screen_width in widths:
            page.set_viewport_size({"width": screen_width, "height": 844})
            assert page.evaluate(DRAWN_WIDTH) <= screen_width, (name, screen_width)
        violations += find_violations(page, name)
    assert not violations, "\n".join(map(str, violations))


def test_results_and_dialogs_are_accessible(visit, finished_run):
    page, violations = visit(f"/?run={finished_run('chat')}"), []

    def check(view, dark, within=None):
        page.evaluate(SET_DARK, dark)
        page.evaluate(WAIT_UNTIL_STILL)
        violations.extend(find_violations(page, f"{view}, {'dark' if dark else 'light'}", within))
        page.evaluate(SET_DARK, False)

    open_tab(page, "Data")
    page.locator("#sample-support-tone").click()
    expect(page.locator("#health .health")).to_be_visible()
    open_tab(page, "Train")
    wait_for_end(page)
    open_accordions(page)
    check("curves and outcome", dark=True)
    open_tab(page, "Method")
    open_part(page, "chooser")
    answer_all_six(page)
    expect(page.locator("#choice .advice-figures")).to_be_visible()
    check("the recommendation", dark=False)
    page.locator("#open-glossary").click()
    expect(page.locator("dialog.glossary")).to_be_visible()
    check("glossary", dark=True, within="dialog.glossary")
    page.keyboard.press("Escape")
    page.locator("#show-around").click()
    tour = "#tour [role=dialog], #tour dialog"
    expect(page.locator(tour).first).to_be_visible()
    check("tour", dark=True, within=tour)
    assert not violations, "\n".join(map(str, violations))
