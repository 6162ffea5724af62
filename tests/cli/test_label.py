"""`studio label`: the next texts and likely wrong labels in the terminal."""

import csv
import json
import zlib

import numpy as np
import pytest
from meaning_steps import LABELS, answer_in_this_process, embed_by_label, write_texts

from studio.cli.main import main
from studio.data import store


def direction(text):
    vector = np.eye(8)[next((index for index, name in enumerate(LABELS) if name in text), 3)].copy()
    vector[7] = (zlib.crc32(text.encode()) % 1000) / 5000
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    embed_by_label(monkeypatch, direction)
    answer_in_this_process(monkeypatch)


@pytest.fixture
def half_csv(tmp_path):
    """120 texts: 90 labelled, of which two wrongly, and 30 without a label."""
    texts = [f"parcel {index} goes {LABELS[index % 3]} today" for index in range(120)]
    labels = [LABELS[index % 3] if index < 90 else "" for index in range(120)]
    labels[0], labels[40] = "west", "north"
    return write_texts(tmp_path / "half.csv", labels, texts)


@pytest.fixture
def type_lines(monkeypatch):
    """`type_lines(line, …)`: what a person types, and then the end of the input."""

    def type_(*lines):
        waiting = iter(lines)

        def read(_prompt):
            try:
                return next(waiting)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)

    return type_


def read_labels(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [row["label"] for row in csv.DictReader(file)]


def test_the_next_texts_are_accepted_corrected_and_skipped_into_a_new_file(half_csv, type_lines, capsys):
    type_lines("", "brand new", "-", "q")
    before = half_csv.read_bytes()
    assert main(["label", str(half_csv)]) == 0
    printed = capsys.readouterr().out
    assert "2 labels, 0 rows dropped" in printed
    labels = read_labels(half_csv.with_name("half-labelled.csv"))
    assert labels.count("brand new") == 1
    assert sum(map(bool, labels)) == 92
    assert half_csv.read_bytes() == before
    assert main(["label", str(half_csv)]) != 0, "the labels of the last time are not written over"
    assert "half-labelled.csv" in capsys.readouterr().err
    assert sum(map(bool, read_labels(half_csv.with_name("half-labelled.csv")))) == 92


def test_wrong_labels_of_a_data_set_are_gone_through_and_can_be_undone(half_csv, type_lines, capsys):
    dataset = store.add(half_csv)
    type_lines("", "d")
    assert main(["label", dataset.source, "--wrong"]) == 0
    assert "now west" in capsys.readouterr().out
    assert len(dataset.table().rows) == 119
    assert store.undo(dataset).kind == "relabel"
    assert len(dataset.table().rows) == 120


def test_texts_of_a_second_file_join_and_json_lists_them(half_csv, tmp_path, capsys):
    more = write_texts(tmp_path / "more.csv", [""] * 10, [f"number {index} north" for index in range(10)])
    target = tmp_path / "out.csv"
    arguments = [
        "label",
        str(half_csv),
        "--unlabelled",
        str(more),
        "--to",
        str(target),
        "--json",
        "--count",
        "5",
    ]
    assert main(arguments) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["labelled"], listed["unlabelled"], len(listed["next"])) == (90, 40, 5)
    assert all(item["row"] > 90 and item["label"] in LABELS for item in listed["next"])
    assert listed["curve"]
    assert len(read_labels(target)) == 130


def test_a_file_without_labels_is_refused_in_a_sentence(tmp_path, capsys):
    path = tmp_path / "plain.csv"
    path.write_text("text\n" + "one text of many words\n" * 20, encoding="utf-8")
    assert main(["label", str(path)]) == 2
    assert "--label COLUMN" in capsys.readouterr().err


def test_data_says_what_was_found_by_meaning(half_csv, tmp_path, capsys):
    texts = [f"bring number {index} up {LABELS[index % 3]}" for index in range(12)]
    test = write_texts(tmp_path / "test.csv", list(LABELS) * 4, texts)
    assert main(["data", str(half_csv), "--test", str(test), "--meaning"]) == 0
    printed = capsys.readouterr().out
    assert "By meaning, 90 of 90 rows and 12 of 12 test examples were looked at." in printed
    assert "2 of 90 labels are likely wrong." in printed
    assert "12 of 12 test examples say what" in printed
    assert main(["data", str(half_csv), "--meaning", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["by_meaning"]
    assert {item["row"]: item["suggested"] for item in found["wrong_labels"]} == {1: "north", 41: "south"}
