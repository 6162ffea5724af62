"""The sentences on how a data set was read: damaged rows, delimiters and a first row that may be an example."""

import pytest
from data_tab_steps import read_outputs, upload
from form_fields import CHINESE, ENGLISH

from studio.data.readers import header
from studio.ui.data import messages, schema_summary
from studio.ui.data import tab as data_tab


def damaged_row_text(line):
    reason = header.FIELD_COUNT_DIFFERS.format(found=3, wanted=2)
    return messages.DAMAGED_ROW.render(line=line, why=reason)


def test_damaged_rows_are_listed_with_line_and_reason_and_the_others_are_counted(tmp_path):
    rows = [
        f"where is parcel {n}?,It is on its way {n}.{',a field too many' if n % 2 else ''}\n"
        for n in range(60)
    ]
    notice = upload(tmp_path, "a.csv", "prompt,response\n" + "".join(rows)).notice
    assert messages.DAMAGED_ROW_COUNT.render(count=30) in notice["more"]
    assert len(notice["list"]) == schema_summary.MAX_DAMAGE_LISTED + 1 == 21
    assert notice["list"][0] == damaged_row_text(3)
    assert notice["list"][-1] == messages.DAMAGED_MORE.render(count=10)


def test_a_single_damaged_row_is_named_at_once_and_after_what_else_is_wrong(tmp_path):
    rows = [
        f"where is parcel {n}?,It is on its way {n}.{',a field too many' if n == 3 else ''}\n"
        for n in range(12)
    ]
    expected = f"{messages.DAMAGED_ROW_COUNT.render(count=1)} {damaged_row_text(5)}"
    notice = upload(tmp_path, "a.csv", "prompt,response\n" + "".join(rows)).notice
    assert "list" not in notice
    assert notice["more"].endswith(expected)
    notice = upload(tmp_path, "b.csv", "prompt,response\n" + "".join(rows[:6])).notice
    assert notice["kind"] == "bad", "five complete rows are too few"
    assert notice["more"].endswith(expected)


@pytest.mark.parametrize(("delimiter", "name"), [("^", "^"), ("\x01", "\\x01"), (",", "")])
def test_an_unusual_delimiter_is_named_also_when_the_data_set_is_opened_again(tmp_path, delimiter, name):
    rows = [f"where is {n}?{delimiter}It is here {n}.\n" for n in range(12)]
    result = upload(tmp_path, "a.csv", f"prompt{delimiter}response\n" + "".join(rows))
    if name:
        assert messages.DELIMITER_USED.render(sign=name) in result.notice["text"]
    else:
        assert "divided" not in result.notice["text"]
    assert read_outputs(data_tab.restore(result.source, ENGLISH)).notice == result.notice


def test_a_first_row_that_may_be_an_example_is_reported_as_taken_for_names(tmp_path):
    rows = [f"怎么办理第{n}项业务,到第{n}号窗口办理" for n in "一二三四五六七八九十"]
    result = upload(tmp_path, "a.csv", "\n".join(rows) + "\n")
    warning = header.FIRST_ROW_TAKEN_AS_HEADER.format(first="怎么办理第一项业务 | 到第一号窗口办理")
    assert result.notice["kind"] == "check"
    assert warning.render() in result.notice["more"]
    restored = read_outputs(data_tab.restore(result.source, CHINESE))
    assert warning.render("zh") in restored.notice["more"]
    assert warning.render("zh") != warning.render()
    with_names = upload(tmp_path, "b.csv", "问题,回答\n" + "\n".join(rows) + "\n")
    assert "taken for the names" not in with_names.notice["more"]
