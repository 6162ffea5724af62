"""Makes the README's pictures from a real run: `python tests/screenshots.py [FOLDER]`.

With a folder, every tab at 1280 and 390, light and dark, in both languages.
"""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

# The tour of a first visit would stand before the page.
SEEN = "localStorage.setItem('studio-tour', 'seen')"
ROOT = Path(__file__).parent.parent


def load_browser_fixtures():
    """The browser fixtures' way to find a chromium."""
    spec = importlib.util.spec_from_file_location(
        "browser_conftest", ROOT / "tests" / "browser" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def show(page, selector, path):
    """A picture of the page, scrolled to one of its parts."""
    page.locator(selector).evaluate(
        "(part) => window.scrollTo(0, part.getBoundingClientRect().top + window.scrollY - 24)"
    )
    page.wait_for_timeout(800)
    page.screenshot(path=path)


def walk(page, folder):
    """From the sample to both answers, with a picture on the way where the README wants one."""
    page.locator("#sample-support-tone").click()
    page.locator("#data-notice .good").wait_for()
    page.locator("#health .health").wait_for()
    page.wait_for_timeout(1500)
    show(page, "#intake", folder / "data.png")
    page.get_by_role("button", name="Next: choose a method").click()
    page.locator("#methods tr.chosen .memory b", has_text="GB").wait_for()
    show(page, "#methods", folder / "method.png")
    for part in ("settings", "more-training"):
        page.locator(f"#{part} > button.label-wrap").click()
    for selector, value in (("#epochs", "2"), ("#batch-size", "4")):
        field = page.locator(f"{selector} input[type=number]")
        field.fill(value)
        field.press("Enter")
    page.locator("#to-train").click()
    page.locator("#run-name textarea, #run-name input").press_sequentially("Support replies in our tone")
    page.locator("#start").click()
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 40",
        timeout=600_000,
    )
    show(page, "#live", folder / "train.png")
    page.locator("#live .run-state[data-state=done]").wait_for(timeout=600_000)
    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("My watering can arrived with a crack in it. What now?")
    page.get_by_role("button", name="Ask both").click()
    page.locator("#base .pane[aria-busy=false] .proof").wait_for(timeout=120_000)
    page.locator("#tuned .pane[aria-busy=false] .proof").wait_for(timeout=120_000)
    show(page, "#prompt", folder / "playground.png")
    page.locator("#tab-share-button").click()
    page.locator("#card h4").wait_for()
    show(page, "#share-run", folder / "share.png")


def look(browser, address, folder):
    """Every tab in both widths, both schemes and both languages, as it is after a run."""
    for locale, width in ((locale, width) for locale in ("en-US", "zh-CN") for width in (1280, 390)):
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale
            )
            page.add_init_script(SEEN)
            page.goto(address, wait_until="domcontentloaded")
            page.get_by_role("tab").first.wait_for()
            page.locator("#tab-data-button").click()
            page.locator("#sample-support-tone").click()
            page.locator("#health .health").wait_for()
            for name in ("data", "method", "train", "playground", "share"):
                page.locator(f"#tab-{name}-button").click()
                page.wait_for_timeout(1500)
                page.screenshot(path=folder / f"{name}-{width}-{scheme}-{locale[:2]}.png", full_page=True)
            page.close()


def main():
    from playwright.sync_api import sync_playwright

    fixtures = load_browser_fixtures()
    all_tabs_folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as home, sync_playwright() as driver:
        os.environ.setdefault("STUDIO_HOME", home)
        from studio.ui import app

        opened, address = app.launch("127.0.0.1", 7899, block=False)
        browser = driver.chromium.launch(
            executable_path=fixtures.find_browser() or None, args=fixtures.BROWSER_FLAGS
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.add_init_script(SEEN)
        page.goto(address, wait_until="domcontentloaded")
        walk(page, ROOT / "assets")
        if all_tabs_folder:
            all_tabs_folder.mkdir(parents=True, exist_ok=True)
            look(browser, page.url, all_tabs_folder)
        browser.close()
        opened.close()


if __name__ == "__main__":
    main()
