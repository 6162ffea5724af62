"""The check by meaning: what is found in a data set, and what is said of it."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from meaning_steps import COLUMNS, LABELS, embed_by_label, write_texts

from studio.data import store
from studio.data.quality.fixes import Change
from studio.errors import NotPossible
from studio.meaning import check, report, rows, server

N_ROWS = 120


def direction(text):
    """A text's embedding is near the direction of the word it holds."""
    noise = np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) * 0.02
    word = next((index for index, name in enumerate(LABELS) if name in text), 3)
    vector = np.eye(8)[word] + noise
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def parcels(tmp_path, monkeypatch):
    """120 labelled texts, of which rows 0 and 40 have a wrong label."""
    embed_by_label(monkeypatch, direction)
    labels = [LABELS[index % 3] for index in range(N_ROWS)]
    texts = [
        f"please send this parcel number {index} to the {labels[index]} depot" for index in range(N_ROWS)
    ]
    labels[0], labels[40] = "west", "north"
    return store.add(write_texts(tmp_path / "parcels.csv", labels, texts))


def run(dataset, test="", task="classify", columns=COLUMNS):
    request = {"source": dataset.source, "task": task, "columns": columns, "test": test, "encoder": "tiny"}
    return check.check(request, Path(), lambda *_: None)


def test_wrong_labels_are_a_finding_with_examples_and_no_longer_once_somebody_kept_them(parcels):
    found = run(parcels)
    assert {(doubt.row, doubt.given, doubt.suggested) for doubt in found.doubts} == {
        (0, "west", "north"),
        (40, "north", "south"),
    }
    (finding,) = found.findings
    assert finding.message.render() == "2 of 120 labels are likely wrong."
    assert any("→ west | north (" in example for example in finding.examples)
    assert found.looked_at.render() == "By meaning, 120 of 120 rows were looked at."
    assert report.MeaningReport.from_json(found.to_json()) == found
    store.apply_change(parcels, Change("relabel", (), ((0, "label", "west"),)))
    assert [doubt.row for doubt in run(parcels).doubts] == [40]


def test_test_examples_in_other_words_are_a_finding_with_their_rows(parcels, tmp_path):
    texts = [f"bring number {index} up {word}" for index, word in ((3, "north"), (4, "south"), (5, "north"))]
    texts += [f"nothing of the kind {index}" for index in range(9)]
    test = store.add(write_texts(tmp_path / "test.csv", ["north", "west"] * 6, texts))
    found = run(parcels, test.source)
    leak = next(finding for finding in found.findings if finding.kind == "leak_by_meaning")
    # Row 5 goes west: the same number alone does not make a pair.
    assert found.leaking_rows == leak.rows == (3, 4)
    assert leak.message.render() == "2 of 12 test examples say what 2 of 120 rows say in other words."
    assert any("≈ bring number 3 up north" in example for example in leak.examples)
    assert found.looked_at.render().endswith("12 of 12 test examples were looked at.")


def test_the_caps_are_said(parcels, monkeypatch):
    monkeypatch.setattr(check, "MAX_ROWS", 60)
    found = run(parcels)
    assert found.looked_at.render() == "By meaning, 60 of 120 rows were looked at."


def test_texts_in_another_language_are_not_judged_but_said(tmp_path, monkeypatch):
    embed_by_label(monkeypatch, lambda text: pytest.fail("embedded"))
    texts = [f"请问我的包裹第{index}号什么时候能到" for index in range(60)]
    dataset = store.add(write_texts(tmp_path / "zh.csv", ["a", "b"] * 30, texts))
    (finding,) = run(dataset).findings
    assert (finding.kind, finding.grade) == ("not_english", "open")
    assert "Chinese" in finding.message.render()


def test_there_is_something_to_look_for_where_there_are_labels_or_a_test_set():
    assert report.can_check("classify", COLUMNS, "")
    assert report.can_check("chat", {"prompt": "a", "response": "b"}, "dataset:x")
    assert not report.can_check("chat", {"prompt": "a", "response": "b"}, "")
    assert not report.can_check("classify", {"text": "a", "labels": "b"}, "")


def test_the_server_suggests_rows_without_a_label_and_says_whether_more_labels_pay(tmp_path, monkeypatch):
    embed_by_label(monkeypatch, direction)
    labels = [LABELS[index % 3] if index < 100 else "" for index in range(160)]
    texts = [f"parcel {index} goes {LABELS[index % 3]} today" for index in range(160)]
    dataset = store.add(write_texts(tmp_path / "half.csv", labels, texts))
    request = {
        "source": dataset.source,
        "task": "classify",
        "columns": COLUMNS,
        "encoder": "tiny",
        "texts": 20,
    }
    reply = server.answer(server.Session(), {**request, "do": "next"})
    assert len(reply["suggestions"]) == 20
    assert all(item["row"] >= 100 and item["label"] in item["text"] for item in reply["suggestions"])
    assert (reply["labelled"], reply["unlabelled"], reply["labels"]) == (100, 60, sorted(LABELS))
    messages = server.answer(server.Session(), {**request, "do": "curve"})["messages"]
    assert len(messages) == 5


def test_texts_that_were_never_read_are_missing_and_several_labels_refused(tmp_path):
    dataset = store.add(write_texts(tmp_path / "new.csv", ["a", "b"] * 10 + [""] * 30))
    request = {"do": "next", "source": dataset.source, "task": "classify", "encoder": "tiny", "texts": 20}
    assert server.answer(server.Session(), {**request, "columns": COLUMNS}) == {"missing": True}
    with pytest.raises(NotPossible):
        server.answer(server.Session(), {**request, "columns": {"text": "text", "labels": "label"}})
    with pytest.raises(NotPossible):
        rows.require_one_label("chat", {"prompt": "text"})
