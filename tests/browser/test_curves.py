"""The curve of a run that goes on, in a real browser: every point stays, whatever one does with the page."""

import os
import re

import pytest
from journey_steps import open_tab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

DRAWN = "document.querySelector('#live .js-plotly-plot')?.data?.map((trace) => trace.x.length) ?? []"


@pytest.fixture
def live_run(studio_home, make_plan):
    """A run that seems to train in this process; it ends with the test, as others would wait for it."""
    from studio import runs

    run = runs.create(make_plan("lora", "chat"))
    runs.claim(run, os.getpid())
    yield run
    runs.set_status(run, "stopped", "after")


def train(run, steps):
    """What a worker writes in these of 60 steps."""
    from studio import runs

    for step in steps:
        if step % 10 == 0:
            runs.add_point(run, "train", step, 0.0, eval_loss=3.0 - step / 100, best_step=step)
        runs.add_point(run, "train", step, step / 20, loss=3.0 - step / 50, memory_gb=1.0)
    runs.set_status(run, "training", "train", step=steps[-1], steps=60, seconds_left=9.0)


def wait_for_points(page, n_training, n_validation):
    """Wait until the first chart shows so many points; the third trace is the best state."""
    page.wait_for_function(f"() => String({DRAWN}) === '{n_training},{n_validation},1'")


def wait_until(page, holds):
    """Wait until it holds, while the page goes on."""
    for _ in range(300):
        if holds():
            return
        page.wait_for_timeout(100)
    pytest.fail("it never held")


@pytest.mark.exhaustive
def test_a_growing_curve_keeps_every_point_over_tabs_themes_and_reloads(visit, live_run):
    train(live_run, range(0, 11))
    page = visit(f"/?run={live_run.id}&tab=train")
    wait_for_points(page, 11, 2)
    for step in range(11, 15):
        train(live_run, [step])
    wait_for_points(page, 15, 2)
    open_tab(page, "Data")
    train(live_run, range(15, 41))
    expect(page).to_have_title(re.compile(r"^63 %"))  # seen from another tab
    open_tab(page, "Train")
    wait_for_points(page, 41, 5)
    page.evaluate("document.body.classList.toggle('dark')")
    train(live_run, range(41, 51))
    wait_for_points(page, 51, 6)
    page.reload(wait_until="domcontentloaded")
    open_tab(page, "Train")
    wait_for_points(page, 51, 6)
    steps = page.evaluate("document.querySelector('#live .js-plotly-plot').data[0].x")
    assert steps == list(range(51))


@pytest.mark.exhaustive
def test_a_run_is_stopped_and_started_again_from_its_card(visit, live_run, monkeypatch):
    from studio import runs
    from studio.training import launcher
    from studio.ui.train import live_view

    resumed = []
    monkeypatch.setattr(launcher, "resume", lambda run: resumed.append(run.id))
    train(live_run, range(0, 11))
    page = visit(f"/?run={live_run.id}&tab=train")
    wait_for_points(page, 11, 2)
    start_again = page.locator("#live").get_by_role("button", name=live_view.START_AGAIN.text)
    expect(start_again).to_be_hidden()
    page.locator("#live").get_by_role("button", name="Stop and keep").click()
    page.locator("#live .run-state[data-state=stopping]").wait_for()
    assert live_run.stop_file.exists()
    runs.set_status(live_run, "stopped", "after")
    page.locator("#live .run-state[data-state=unlearned]").wait_for()
    start_again.press("Enter")
    wait_until(page, lambda: resumed == [live_run.id])
