"""A workbook offers its sheets of like columns together, and each sheet without its hidden rows."""

import pytest
from field_cases import QA, answer, question, workbook
from refusals import raises_bad_data

from studio.data.readers import sheet_views, spreadsheet
from studio.data.readers.read import read_table

JUNE = [QA[0], *([question(n), answer(n)] for n in range(100, 112))]


def written(tmp_path, content):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    return path


def hide(*rows):
    """Hides rows of the first sheet, counted from its top."""
    return lambda book, pages: [pages[0].set_row(row, None, None, {"hidden": True}) for row in rows]


def test_sheets_of_like_columns_are_joined_on_request(tmp_path):
    path = written(tmp_path, workbook(("May", QA), ("June & July", JUNE), ("Notes", [["a"], ["b"]])))
    table = read_table(path)
    assert table.sheets == ("May", "June & July", "Notes", "May + June & July")
    assert (table.sheet, len(table.rows)) == ("May", 40)
    joined = read_table(path, sheet="May + June & July")
    assert (len(joined.rows), joined.bad_lines) == (52, ())
    assert [row["question"] for row in joined.rows][39:41] == [question(39), question(100)]


def test_hidden_rows_are_told_and_left_out_on_request(tmp_path):
    path = written(tmp_path, workbook(("Q & A", QA), change=hide(3, 4, 5)))
    table = read_table(path)
    visible = sheet_views.visible_name("Q & A")
    assert table.sheets == ("Q & A", visible)
    assert table.notes == (sheet_views.HAS_HIDDEN_ROWS.format(count=3, sheet="Q & A", visible=visible),)
    left = read_table(path, sheet=visible)
    assert [row["question"] for row in left.rows] == [question(n) for n in range(40) if n not in (2, 3, 4)]


@pytest.mark.parametrize("sheet", ["May + June", "May (visible rows)", "April"])
def test_a_view_that_is_not_there_is_refused_with_those_that_are(tmp_path, sheet):
    path = written(tmp_path, workbook(("May", QA)))
    with raises_bad_data(spreadsheet.NO_SUCH_SHEET, name="a.xlsx", sheet=sheet, sheets=["May"]):
        read_table(path, sheet=sheet)
