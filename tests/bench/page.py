"""How quick the page is in a real browser, on this machine: `python tests/bench/page.py [--runs N] [--no-watchers]`.

First paint that means something, switching tabs, a slider until the table has moved, and bytes and
milliseconds of each update of the live curve. What many visitors cost is in load.py. Quiet machines only.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SEEN = "localStorage.setItem('studio-tour', 'seen')"  # the tour of a first visit


def browser_tools():
    spec = importlib.util.spec_from_file_location(
        "browser_conftest", ROOT / "tests" / "browser" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ms(values, bar):
    """A median beside its bar and the load of the machine, since a busy one says little."""
    median = f"{statistics.median(values):6.0f} ms (median of {len(values)}, worst {max(values):.0f}"
    return f"{median}; bar {bar} ms; load {os.getloadavg()[0]:.1f})"


def first_paint(browser, address, runs):
    """Until the first tab's heading is drawn, in a browser that has never been here."""
    found = []
    for _ in range(runs):
        context = browser.new_context()
        context.add_init_script(SEEN)
        page = context.new_page()
        began = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.get_by_role("tab").first.wait_for()
        page.locator("#upload").wait_for()
        found.append(1e3 * (time.perf_counter() - began))
        context.close()
    return found


def tab_switch(page, runs):
    """From the click until the other tab's panel is drawn; every tab has been open before."""
    marks = {"Method": "#methods", "Data": "#data-notice"}
    found = []
    for _ in range(runs):
        for name, mark in marks.items():
            began = time.perf_counter()
            page.get_by_role("tab", name=name).click()
            page.locator(mark).wait_for()
            found.append(1e3 * (time.perf_counter() - began))
    return found


def slider(page, runs):
    """From the key until the chosen row says another memory, measured in the browser."""
    page.get_by_role("tab", name="Method").click()
    page.locator("#methods tr.chosen .memory b", has_text="GB").wait_for()
    for part in ("settings", "more-training"):
        page.locator(f"#{part} > button.label-wrap").click()
    page.wait_for_timeout(8000)
    script = """(value) => new Promise((done) => {
      const cell = () => document.querySelector('#methods tr.chosen .memory b').textContent, before = cell();
      const field = document.querySelector('#batch-size input[type=number]'), began = performance.now();
      const watch = new MutationObserver(() => { if (cell() !== before) { watch.disconnect(); done(performance.now() - began); } });
      watch.observe(document.querySelector('#methods'), { subtree: true, childList: true, characterData: true });
      field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); field.dispatchEvent(new Event('change', { bubbles: true }));
      field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true })); field.blur();
      setTimeout(() => { watch.disconnect(); done(-1); }, 10000);
    })"""
    found = [page.evaluate(script, 4 + 8 * (turn % 4)) for turn in range(1, runs + 1)]
    return [value for value in found if value >= 0]


def long_run(home):
    """A run that looks as if it were going on: points are appended by us, one every half second."""
    from studio import plan, presets, runs

    made = runs.create(plan.load(presets.recipes()["support-tone-lora"]))
    runs.claim(made, os.getpid())
    runs.set_status(made, "training", "train", step=1, steps=1000, seconds_left=500.0)
    return made


def watched(browser, address, seconds=20):
    """Bytes and milliseconds of the tab for each update of the curve."""
    from studio import runs

    made = long_run(os.environ["STUDIO_HOME"])
    found = {}

    def go_on(page, seconds):
        step = runs.status(made).step
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            step += 1
            runs.add_point(
                made, "train", step, step / 100, loss=4 - step / 300, tokens_per_second=200.0, memory_gb=2.0
            )
            runs.set_status(made, "training", "train", step=step, steps=1000, seconds_left=500.0)
            page.wait_for_timeout(500)

    page = browser.new_page()
    page.add_init_script(SEEN)
    sizes = []
    page.on(
        "response",
        lambda answer: sizes.append(len(answer.body())) if "component_server" in answer.url else None,
    )
    page.goto(f"{address}?run={made.id}", wait_until="domcontentloaded")
    page.get_by_role("tab", name="Train").click()
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 1 || true"
    )
    page.wait_for_timeout(3000)
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")

    def task_seconds():
        return next(
            one["value"]
            for one in client.send("Performance.getMetrics")["metrics"]
            if one["name"] == "TaskDuration"
        )

    sizes.clear()
    before = task_seconds()
    go_on(page, seconds)
    updates = max(1, len(sizes))
    found["bytes an update"] = statistics.median(sizes) if sizes else 0
    found["ms of the tab an update"] = 1e3 * (task_seconds() - before) / updates
    runs.set_status(made, "stopped", "after")
    return found


def main():
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-watchers", action="store_true", help="leave the live curve out")
    asked = parser.parse_args()
    tools = browser_tools()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as driver:
        os.environ["STUDIO_HOME"] = home
        from studio.ui import app

        opened, address = app.launch("127.0.0.1", 7897, block=False)
        browser = driver.chromium.launch(
            executable_path=tools.find_browser() or None, args=tools.BROWSER_FLAGS
        )
        print(f"first paint     {ms(first_paint(browser, address, asked.runs), 2500)}")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(SEEN)
        page.goto(address, wait_until="domcontentloaded")
        page.locator("#sample-support-tone").click()
        page.locator("#data-notice .good").wait_for()
        print(f"slider to table {ms(slider(page, asked.runs), 120)}")
        print(f"tab switch      {ms(tab_switch(page, asked.runs), 100)}")
        page.close()
        for name, value in ({} if asked.no_watchers else watched(browser, address)).items():
            print(f"{name:<40} {value:8.2f}")
        browser.close()
        opened.close()
    print(
        json.dumps(
            {
                "python": sys.version.split()[0],
                "chromium": subprocess.run(
                    ["chromium", "--version"], capture_output=True, text=True, check=False
                ).stdout.strip(),
            }
        )
    )


if __name__ == "__main__":
    main()
