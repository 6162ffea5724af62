"""A run at a box of one's own, in a real browser: nothing leaves before it is agreed to."""

import pytest
from journey_steps import open_tab, wait_for_end
from playwright.sync_api import expect
from stand_in_box import install_box, install_fake_worker

pytestmark = pytest.mark.browser


@pytest.fixture
def box(studio_home, tmp_path, monkeypatch):
    """A box called “box” with a worker that does not train."""
    box = install_box(tmp_path / "box", studio_home, monkeypatch)
    install_fake_worker(box, studio_home)
    yield box
    (studio_home / "machines.yaml").unlink()


def choose_box(page, model_folder):
    """A sample, a base model and the box are chosen, and the Train tab is open."""
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    open_tab(page, "Method")
    page.locator("#model input").fill(str(model_folder))
    page.locator("#model input").press("Enter")
    expect(page.locator("#model-notice")).to_contain_text(model_folder.name)
    page.locator("#machine input").click()
    page.get_by_role("option", name="box").click()
    open_tab(page, "Train")


@pytest.mark.exhaustive
def test_a_run_leaves_this_machine_only_once_agreed_and_comes_back(visit, box, tiny_chat):
    page = visit()
    choose_box(page, tiny_chat)
    page.locator("#start").click()

    sheet = page.locator("#consent")
    expect(sheet).to_contain_text("ada@box")
    expect(page.locator("#train-notice")).to_contain_text("Nothing has been sent yet.")
    assert not (box.home / ".studio-remote").exists()

    page.get_by_label("Keep data and result there afterwards").check()
    page.get_by_role("button", name="Agree and start there").click()
    expect(sheet).to_be_hidden()
    wait_for_end(page)
    assert list((box.root / "home" / "runs").iterdir()), "it was to stay there"


@pytest.mark.exhaustive
def test_a_bake_off_leaves_this_machine_only_once_agreed(visit, box, tiny_chat):
    page = visit()
    choose_box(page, tiny_chat)
    page.locator("#bake-off > button.label-wrap").click()
    expect(page.locator("#bake-off-methods")).to_contain_text("LoRA")
    page.locator("#bake-off-start").click()

    sheet = page.locator("#bake-off-consent")
    expect(sheet).to_contain_text("none is dropped on the way", timeout=60_000)
    expect(page.locator("#bake-off-notice")).to_contain_text("Nothing has been sent yet.")
    assert not (box.home / ".studio-remote").exists()

    sheet.get_by_role("button", name="Agree and start there").click()
    expect(sheet).to_be_hidden()
    expect(page.locator("#bake-off-notice")).to_contain_text("each to its end", timeout=30_000)
    page.locator("#bake-off-stop").click()
    expect(page.locator("#bake-off-stop")).to_be_hidden(timeout=120_000)


@pytest.mark.exhaustive
def test_what_changes_under_the_sheet_and_what_goes_on_is_agreed_to_anew(visit, box, tiny_chat):
    box.behave("dies")
    page = visit()
    choose_box(page, tiny_chat)
    page.locator("#start").click()
    sheet = page.locator("#consent")
    expect(sheet).to_contain_text("ada@box")
    page.locator("#run-name input, #run-name textarea").fill("Another name")
    page.get_by_role("button", name="Agree and start there").click()
    expect(sheet).to_contain_text("Another name")
    expect(page.locator("#train-notice")).to_contain_text("has changed since it was shown")
    assert not (box.home / ".studio-remote").exists()
    page.get_by_role("button", name="Agree and start there").click()
    expect(sheet).to_be_hidden()

    resume = page.locator("#live .run-resume")
    expect(resume).to_be_visible(timeout=60_000)
    box.behave("")
    resume.click()
    sheet = page.locator("#resume-consent")
    expect(sheet).to_contain_text("goes on from what it has kept", timeout=30_000)
    assert box.calls.count("nohup") == 1
    sheet.get_by_role("button", name="Agree and start there").click()
    expect(sheet).to_be_hidden()
    wait_for_end(page)
    assert box.calls.count("nohup") == 2
