"""What everybody can see, read and reach: no tab wider than the screen, and nothing that axe calls serious, empty, filled and after a run."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from journey_steps import answer_all_six, open_tab, start_tiny, wait_for_end
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# On a phone the last tabs lie in a menu.
OPEN_TAB = "(name) => [...document.querySelectorAll('[role=tab], .overflow-dropdown button')].find((tab) => tab.textContent.includes(name)).click()"
LANDMARK = {"1": "#upload", "2": "#methods table", "3": "#start", "4": "#prompt", "5": "#prepare"}
DARK = "(dark) => document.body.classList.toggle('dark', dark)"


def serious(page, where):
    found = Axe().run(page).response["violations"]
    return [
        (where, item["id"], item["nodes"][0]["html"][:200], item["nodes"][0]["failureSummary"][:200])
        for item in found
        if item["impact"] in ("serious", "critical")
    ]


def unfold(page):
    """Open everything of a tab that can be opened."""
    for button in page.locator(".tabitem button.label-wrap:visible").all():
        if "open" not in (button.get_attribute("class") or ""):
            button.click()
    page.wait_for_timeout(900)


@pytest.mark.parametrize(
    ("width", "other", "scheme", "locale"), [(1280, 1920, "light", "en-US"), (390, 768, "dark", "zh-CN")]
)
def test_no_tab_is_wider_than_the_screen_or_hard_to_read(visit, width, other, scheme, locale):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme, locale=locale)
    page.locator("#sample-ticket-triage").click()
    expect(page.locator("#health .health")).to_be_visible()
    found = []
    for name, landmark in LANDMARK.items():
        page.evaluate(OPEN_TAB, f"{name} · ")
        expect(page.locator(landmark)).to_be_visible()
        unfold(page)
        for size in (other, width):
            page.set_viewport_size({"width": size, "height": 844})
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= size, (name, size)
        found += serious(page, name)
    assert not found, "\n".join(map(str, found))


def test_what_comes_with_a_run_and_on_demand_is_hard_to_read_for_nobody(visit, chat_csv, tiny_chat):
    page, found = visit(), []

    def look(where, dark):
        page.evaluate(DARK, dark)
        page.wait_for_timeout(500)
        found.extend(serious(page, f"{where}, {'dark' if dark else 'light'}"))
        page.evaluate(DARK, False)

    start_tiny(page, chat_csv, tiny_chat, epochs=2)
    wait_for_end(page)
    unfold(page)
    look("curves and outcome", dark=True)
    open_tab(page, "Playground")
    page.get_by_label("Your question or text").fill("where is my lamp")
    page.get_by_role("button", name="Ask both").click()
    for side in ("base", "tuned"):
        expect(page.locator(f"#{side} .proof.holds")).to_be_visible(timeout=60_000)
    look("two answers", dark=False)
    open_tab(page, "Method")
    page.locator("#chooser button.label-wrap").click()
    answer_all_six(page)
    page.locator("#choose").click()
    heading = page.locator("#choice h3")
    expect(heading).to_be_focused()
    look("the chooser's answer", dark=False)
    page.locator("#open-glossary").click()
    expect(page.locator("dialog.glossary")).to_be_visible()
    look("glossary", dark=True)
    page.keyboard.press("Escape")
    page.locator("#show-around").click()
    expect(page.locator("#tour [role=dialog], #tour dialog").first).to_be_visible()
    look("tour", dark=True)
    assert not found, "\n".join(map(str, found))
