"""Error values of spreadsheets are empty cells."""

import pytest
import xlsxwriter

from studio.data.readers import error_cells
from studio.data.readers.read import read_table
from studio.data.readers.rows import ParsedRows

ERRORS = ["#NV", "#N/A", "#DIV/0!", "#BEZUG!", "#WERT!", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!"]
ERRORS += ["#ZAHL!", "#NOMBRE?", "#VALEUR!", "#nv", " #N/A "]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_value_counts_as_an_empty_cell(error):
    parsed = ParsedRows(("question", "answer"), [{"question": "Where?", "answer": error}], [])
    cleared = error_cells.clear_error_cells(parsed)
    assert cleared.rows == [{"question": "Where?", "answer": ""}]
    assert cleared.notes[0].values == {"count": 1, "values": [error.strip()]}


@pytest.mark.parametrize("text", ["#sale!", "N/A", "#NV means none", "#1", "#"])
def test_other_texts_stay(text):
    parsed = ParsedRows(("a",), [{"a": text}], [])
    assert error_cells.clear_error_cells(parsed) is parsed


def test_the_errors_of_a_workbook_are_counted_and_said(tmp_path):
    path = tmp_path / "tickets.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        rows = [["question", "answer"], ["a", "#NV"], ["b", "yes"], ["c", "#NV"]]
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
        sheet.write_formula(4, 1, "=1/0", value="#DIV/0!")
        sheet.write(4, 0, "d")
    table = read_table(path)
    assert [row["answer"] for row in table.rows] == ["", "yes", "", ""]
    assert [note.text for note in table.notes] == [error_cells.ERRORS_CLEARED.text]
    assert table.notes[0].values == {"count": 2, "values": ["#NV"]}


def test_the_errors_of_an_exported_csv_are_cleared_too(tmp_path):
    path = tmp_path / "tickets.csv"
    path.write_text("question,answer\na,#BEZUG!\nb,yes\n", encoding="utf-8")
    assert [row["answer"] for row in read_table(path).rows] == ["", "yes"]
