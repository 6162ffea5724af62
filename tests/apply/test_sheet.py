"""A sheet keeps every row as it is, and the column to read is guessed."""

import os
import time

import pytest
from apply_cases import make_sheet

from studio.apply import job, sheet
from studio.errors import BadData, NotPossible


def test_a_sheet_is_found_by_its_id_and_by_nothing_else():
    created = make_sheet(("id", "text"), [("1", "hello"), ("2", "bye")])
    assert sheet.find(created.id) == created
    assert created.rows() == [["1", "hello"], ["2", "bye"]]
    for wrong in ("", "..", "../runs", "0" * 32, None):
        with pytest.raises(NotPossible):
            sheet.find(wrong)
    sheet.delete("..")
    sheet.delete(created.id)
    with pytest.raises(NotPossible):
        sheet.find(created.id)


def test_a_sheet_of_a_month_ago_is_deleted_unless_a_row_was_done_since():
    old, resumed, new = (make_sheet(("text",), [("hello",)]) for _ in range(3))
    long_ago = time.time() - (sheet.KEEP_DAYS + 1) * sheet.DAY_SECONDS
    (resumed.folder / "results.jsonl").write_text("{}\n", encoding="utf-8")
    for folder in (old.folder, resumed.folder):
        for path in (folder, folder / sheet.CARD_FILE, folder / sheet.ROWS_FILE):
            os.utime(path, (long_ago, long_ago))
    assert old.id in sheet.delete_abandoned()
    assert not old.folder.exists()
    assert sheet.find(resumed.id).rows() == sheet.find(new.id).rows() == [["hello"]]


TICKETS = [
    (f"T-{n}", "2026-01-05", f"The parcel number {n} has not arrived yet, please help me.") for n in range(5)
]


@pytest.mark.parametrize(
    ("columns", "trained", "expected"),
    [
        (("id", "date", "what they wrote"), {"text": "body", "label": "kind"}, "what they wrote"),
        (("id", "date", "message"), {"text": "body"}, "message"),
        (("id", "body", "message"), {"text": "body"}, "body"),
        (("id", "date", "customer"), {"prompt": "question", "response": "reply"}, "customer"),
    ],
)
def test_the_column_of_the_training_or_the_one_with_texts_is_guessed(columns, trained, expected):
    task = "classify" if "text" in trained else "chat"
    assert sheet.guess_column(make_sheet(columns, TICKETS), task, {"data": {"columns": trained}}) == expected


def test_a_sheet_of_empty_columns_has_its_first_column_guessed():
    assert sheet.guess_column(make_sheet(("a", "b"), [("", "")] * 4), "classify", {}) == "a"


def test_messages_of_a_conversation_stay_rows(tmp_path):
    """As data to learn from they would be joined into two conversations."""
    file = tmp_path / "log.csv"
    lines = ["conversation_id,speaker,text"]
    for number in (1, 2):
        lines += [
            f"{number},customer,where is my parcel number {number}?",
            f"{number},agent,it is on its way",
        ]
    file.write_text("\n".join(lines), encoding="utf-8")
    read = job.read_file(file, "log.csv", sheet.new_id())
    assert (read.n_rows, read.columns) == (4, ("conversation_id", "speaker", "text"))


HOSTILE = [
    ("photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00" * 50),
    ("empty.csv", b""),
    ("broken.xlsx", b"PK\x03\x04 no workbook"),
    ("paper.pdf", b"%PDF-1.7 nothing for us \x00\x01\x02"),
]


@pytest.mark.parametrize(("name", "content"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_a_file_that_is_no_table_gets_a_sentence_and_leaves_nothing(name, content, tmp_path):
    file = tmp_path / name
    file.write_bytes(content)
    sheet_id = sheet.new_id()
    with pytest.raises(BadData, match=name):
        job.read_file(file, name, sheet_id)
    assert not (sheet.sheets_folder() / sheet_id).exists()
