"""Labels on the Data tab: the next texts, wrong labels, texts of another file, what a browser may send."""

import json
import zlib
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from form_fields import ENGLISH
from meaning_steps import COLUMNS, LABELS, answer_in_this_process, embed_by_label, write_texts

from studio.data import store
from studio.ui.data import health as health_panel
from studio.ui.data import label_panel, meaning_report, messages
from studio.ui.form import packing

PACKED = packing.pack_mapping(COLUMNS)


def direction(text):
    vector = np.eye(8)[next((index for index, name in enumerate(LABELS) if name in text), 3)].copy()
    vector[7] = (zlib.crc32(text.encode()) % 1000) / 5000
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    embed_by_label(monkeypatch, direction)
    answer_in_this_process(monkeypatch)
    monkeypatch.setattr(meaning_report, "_reports", {})


@pytest.fixture
def half(tmp_path):
    """A saved set of 120 texts: 90 labelled, of which two wrongly, and 30 without a label."""
    texts = [f"parcel {index} goes {LABELS[index % 3]} today" for index in range(120)]
    labels = [LABELS[index % 3] if index < 90 else "" for index in range(120)]
    labels[0], labels[40] = "west", "north"
    return store.add(write_texts(tmp_path / "half.csv", labels, texts))


def suggest(dataset):
    updates = list(label_panel.suggest(dataset.source, "classify", PACKED, ENGLISH))
    listed = next(content for _, content, _ in reversed(updates) if "rows" in content)
    return updates[-1][0], listed


def save(dataset, content, decisions, columns=PACKED):
    event = SimpleNamespace(decisions=json.dumps(decisions) if isinstance(decisions, list) else decisions)
    fields = {"source": dataset.source, "columns": columns, "content": content}
    return label_panel.save([dataset.source], 0, event, ENGLISH, **fields)


def check(dataset, test=""):
    (*_, last) = meaning_report._check(dataset.source, "classify", COLUMNS, test, ENGLISH)
    return last


def test_twenty_texts_come_prefilled_and_one_save_labels_them_and_one_undo_takes_it_back(half):
    notice, listed = suggest(half)
    assert notice["text"] == "90 texts have a label, 30 wait for one."
    assert notice["more"]
    assert len(listed["rows"]) == 20
    assert all(row["choice"].removeprefix("label:") in row["text"] for row in listed["rows"])
    assert all(row["sure"].endswith("% sure") for row in listed["rows"])
    first, second, *others = listed["rows"]
    decisions = [[first["row"], "label:brand new"], [second["row"], "skip"]]
    decisions += [[row["row"], row["choice"]] for row in others]
    before = half.table()
    source, revision, notice, after = save(half, listed, decisions)
    assert (source, revision, notice["kind"], after) == (half.source, 1, "good", {"continue": True})
    saved = half.table().rows
    assert saved[first["row"]]["label"] == "brand new"
    assert saved[second["row"]]["label"] == ""
    assert sum(1 for row in saved if row["label"]) == 90 + 19
    assert store.undo(half).kind == "label_next"
    assert half.table() == before


def test_after_saving_the_next_ones_follow_and_otherwise_nothing(half):
    go_on = [{"continue": True}, half.source, "classify", PACKED, ENGLISH]
    lists = [content for _, content, _ in label_panel.go_on(*go_on) if "rows" in content]
    assert [len(content["rows"]) for content in lists] == [20]
    assert list(label_panel.go_on({}, *go_on[1:])) == [(gr.skip(),) * 3]


def test_wrong_labels_are_changed_kept_or_dropped_and_not_asked_about_again(half):
    report = check(half)
    assert [finding["kind"] for finding in report["findings"]] == ["wrong_labels"]
    event = SimpleNamespace(id="wrong_labels")
    opened, _, listed = label_panel.review(half.source, "classify", PACKED, "", event, ENGLISH)
    assert opened["open"]
    rows = {row["row"]: row for row in listed["rows"]}
    assert {row: rows[row]["choice"] for row in rows} == {0: "label:north", 40: "label:south"}
    assert rows[0]["given"] == "Now “west”, rather:"
    *_, after = save(half, listed, [[0, "label:north"], [40, "keep"]])
    assert after == {"continue": False}
    assert [half.table().rows[row]["label"] for row in (0, 40)] == ["north", "north"]
    assert check(half)["findings"] == []
    assert health_panel.name_change(half.changes()[-1], "en") == "reviewed labels"


def test_what_was_listed_before_other_changes_is_refused(half):
    _, listed = suggest(half)
    save(half, listed, [[listed["rows"][0]["row"], listed["rows"][0]["choice"]]])
    source, revision, notice, content = save(half, listed, [[1, "drop"]])
    assert (source, revision, content) == (gr.skip(), gr.skip(), {})
    assert notice["text"] == messages.ROWS_CHANGED.render()


@pytest.mark.parametrize(
    "decisions", ["", "no json", "[[", '{"a": 1}', [], [["0", "drop"]], [[0]], [[True, "drop"]]]
)
def test_nonsense_from_a_browser_changes_nothing(half, decisions):
    _, listed = suggest(half)
    before = half.table()
    _, _, notice, _ = save(half, listed, decisions)
    assert notice["text"] == messages.NOTHING_CHOSEN.render()
    assert half.table() == before


def test_other_fixes_do_not_open_the_list_and_another_task_is_refused_in_words(half):
    event = SimpleNamespace(id="leak_by_meaning")
    assert label_panel.review(half.source, "classify", PACKED, "", event, ENGLISH) == (gr.skip(),) * 3
    *_, (notice, content, _) = label_panel.suggest(half.source, "chat", PACKED, ENGLISH)
    assert (notice["kind"], content) == ("bad", {})


def test_texts_of_another_file_are_added_and_the_file_is_not_kept(half, tmp_path):
    path = write_texts(
        tmp_path / "more.csv", [""] * 12, [f"new text {index} of the day" for index in range(12)]
    )
    fields = {"source": half.source, "columns": PACKED}
    *_, (source, revision, notice) = label_panel.add_unlabelled(
        str(path), [half.source], 0, ENGLISH, **fields
    )
    assert (source, revision, notice["kind"]) == (half.source, 1, "good")
    assert notice["text"] == "12 texts added that wait for a label."
    assert len(half.table().rows) == 132
    assert [dataset.source for dataset in store.list_datasets()] == [half.source]


def test_rows_that_a_test_set_gives_away_are_removed_and_come_back(half, tmp_path):
    texts = [f"bring number {index} up {LABELS[index % 3]}" for index in range(12)]
    test = store.add(write_texts(tmp_path / "test.csv", list(LABELS) * 4, texts))
    assert "leak_by_meaning" in [finding["kind"] for finding in check(half, test.source)["findings"]]
    fields = {
        "source": half.source,
        "task": "classify",
        "columns": PACKED,
        "test": test.source,
        "content": {},
    }
    event = SimpleNamespace(id="leak_by_meaning")
    *_, (_, revision, notice, _) = meaning_report.fix_finding([half.source], 0, event, ENGLISH, **fields)
    assert (revision, notice["kind"]) == (1, "good")
    assert len(half.table().rows) == 108
    store.undo(half)
    assert len(half.table().rows) == 120


def test_without_the_encoder_nothing_is_fetched_until_somebody_asks(half, monkeypatch):
    monkeypatch.setattr(meaning_report.client, "has_encoder", lambda: False)
    report = check(half)
    assert [finding["kind"] for finding in report["findings"]] == ["no_encoder"]
    fields = {"source": half.source, "task": "classify", "columns": PACKED, "test": "", "content": report}
    event = SimpleNamespace(id="no_encoder")
    *_, (*_, fetched) = meaning_report.fix_finding([half.source], 0, event, ENGLISH, **fields)
    assert [finding["kind"] for finding in fetched["findings"]] == ["wrong_labels"]
