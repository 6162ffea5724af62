"""A machine of one's own, typed in by keyboard in a real browser: tried, added, removed and brought back."""

import re
import sys

import pytest
from journey_steps import open_tab
from playwright.sync_api import expect
from stand_in_box import install_box

pytestmark = pytest.mark.browser


@pytest.fixture
def box(studio_home, tmp_path, monkeypatch):
    """A box that `ssh ada@box` reaches, and that no list of machines has."""
    box = install_box(tmp_path / "box", studio_home, monkeypatch)
    (studio_home / "machines.yaml").unlink()
    yield box
    (studio_home / "machines-added.yaml").unlink(missing_ok=True)


def press(page, name):
    """Press a button by the keyboard alone."""
    button = page.get_by_role("button", name=name, exact=True)
    button.focus()
    button.press("Enter")


@pytest.mark.exhaustive
def test_a_box_is_added_by_keyboard_removed_and_brought_back(visit, box):
    page = visit()
    open_tab(page, "Method")
    press(page, "Your own machines ▼")
    page.get_by_label("Name of the machine").focus()
    page.keyboard.type("Ada's box")
    page.keyboard.press("Tab")
    page.keyboard.type("ada@box")
    page.keyboard.press("Tab")
    page.keyboard.type(sys.executable)
    press(page, "Test the connection")
    expect(page.locator("#own-notice")).to_contain_text("answers, and has Python 3.11")
    expect(page.locator("#own-list")).to_contain_text("Nothing has been added yet.")
    press(page, "Add it")
    expect(page.locator("#own-list")).to_contain_text("ada@box")
    expect(page.locator("#machine input")).to_have_value(re.compile("^Ada's box, "))
    press(page, "Remove: Ada's box")
    expect(page.locator("#own-list")).to_contain_text("Nothing has been added yet.")
    press(page, "Undo")
    expect(page.locator("#own-list")).to_contain_text("Ada's box")
