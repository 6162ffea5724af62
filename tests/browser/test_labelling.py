"""Labels on the Data tab in a real browser: the next texts by keyboard alone, wrong ones, and their undo."""

import zlib

import numpy as np
import pytest
from meaning_steps import LABELS, answer_in_this_process, embed_by_label, write_texts
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive]


def direction(text):
    vector = np.eye(8)[next((index for index, name in enumerate(LABELS) if name in text), 3)].copy()
    vector[7] = (zlib.crc32(text.encode()) % 1000) / 5000
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def half_csv(tmp_path, monkeypatch):
    """120 texts: 90 labelled, of which one wrongly, and 30 without a label."""
    embed_by_label(monkeypatch, direction)
    answer_in_this_process(monkeypatch)
    texts = [f"parcel {index} goes {LABELS[index % 3]} today" for index in range(120)]
    labels = [LABELS[index % 3] if index < 90 else "" for index in range(120)]
    labels[0] = "west"
    return write_texts(tmp_path / "half.csv", labels, texts)


def test_texts_are_labelled_by_keyboard_and_a_wrong_label_is_mended(visit, half_csv):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(half_csv))
    wrong = page.locator("#meaning button[data-id=wrong_labels]")
    expect(wrong).to_be_visible()
    expect(page.locator("#health")).to_contain_text("30 of 120 texts have no label yet.")
    page.locator("#labelling button").first.press("Enter")
    page.locator("#label-next").press("Enter")
    items = page.locator("#label-list li")
    expect(items).to_have_count(20)
    expect(page.locator("#label-list [data-head]")).to_be_focused()
    page.locator("#new-label").fill("brand new")
    page.locator("#new-label").press("Enter")
    first = items.first.locator("select")
    expect(first).to_be_focused()
    first.press("End")
    expect(first).to_have_value("label:brand new")
    page.locator("#label-list button[data-do=save]").press("Enter")
    expect(page.locator("#health button[data-do=undo]")).to_have_text("Undo: labelled texts")
    expect(items).to_have_count(10)
    expect(wrong).to_be_visible()
    wrong.press("Enter")
    expect(items).to_have_count(1)
    expect(items.first.locator("select")).to_have_value("label:north")
    page.locator("#label-list button[data-do=save]").press("Enter")
    expect(page.locator("#health button[data-do=undo]")).to_have_text("Undo: reviewed labels")
    expect(wrong).to_have_count(0)
