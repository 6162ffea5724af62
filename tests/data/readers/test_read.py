"""A file becomes rows; what cannot be read costs as little as possible, and says why."""

import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from refusals import raises_bad_data

from studio.data import readers
from studio.data.readers import (
    detect,
    header,
    json_lines,
    json_records,
    read,
    rows,
    spec,
    spreadsheet,
    text_encoding,
    zip_check,
)
from studio.data.readers.read import read_pasted_text, read_table

CHINESE = "问题,回答\n" + "".join(
    f"第{n}号订单的包裹什么时候能送到我家？,您好，您的包裹明天上午就会送到，请耐心等待。\n" for n in range(20)
)


def file(tmp_path, content, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_csv_is_read(tmp_path):
    table = read_table(file(tmp_path, 'prompt,response\nHi,"Hello, you"\n"Two\nlines","a ""quote"""\n'))
    assert table.columns == ("prompt", "response")
    assert table.rows == (
        {"prompt": "Hi", "response": "Hello, you"},
        {"prompt": "Two\nlines", "response": 'a "quote"'},
    )
    assert table.bad_lines == ()


@pytest.mark.parametrize(
    ("sign", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.csv"), ("|", "a.csv"), ("\t", "a.tsv")]
)
def test_the_delimiter_is_found(tmp_path, sign, name):
    table = read_table(
        file(
            tmp_path,
            f"text{sign}label\nlate, again{sign}delivery\n" if sign != "," else "text,label\nlate,delivery\n",
            name,
        )
    )
    assert table.columns == ("text", "label")
    assert table.rows[0]["label"] == "delivery"


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize("sign", "\x01\x02\x1c\x1d\x1e\x1f^~¦§¬｜:#&*=/@$%+\\·•；")
def test_a_rare_delimiter_is_found_and_named(tmp_path, sign, name):
    table = read_table(
        file(
            tmp_path,
            f"text{sign}label{sign}who\nlate, again{sign}delivery{sign}Ann\nno, yes{sign}x{sign}Ben\n",
            name,
        )
    )
    if name == "a.txt" and sign in ":#&*=/@$%+\\·•；":  # may be a text that holds this sign
        assert table.columns == ("text",)
        return
    assert (table.columns, table.delimiter, table.bad_lines) == (("text", "label", "who"), sign, ())
    assert table.rows[0] == {"text": "late, again", "label": "delivery", "who": "Ann"}


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", "time: what\n10:05 late again\n11:30 lost\n12:00 broken\n", ("time: what",)),
        ("a.csv", "ticket #\n#12\n#13\n#14\n", ("ticket #",)),
        ("a.csv", "and/or\nyes/no, maybe\nnever\n", ("and/or",)),
        ("a.csv", "text,link\nlate,https://a.b/c\nlost,https://a.b/d\n", ("text", "link")),
        ("a.csv", "a:b,c:d\n1:2,3:4\n5:6,7:8\n", ("a:b", "c:d")),
        ("a.csv", "text\nlate: again\nlost: again\n", ("text",)),
        ("a.txt", "User: hello there\nBot: hi\nUser: bye now\nBot: bye\n", ("messages",)),
        ("a.txt", "name=Ann\nage=3\ntown=Ulm\n", ("text",)),
        ("a.csv", "||".join(["text", "label"]) + "\nlate||x\nlost||y\n", ("text", "label")),
        ("a.csv", "::".join(["text", "label"]) + "\nlate, again||::x\nlost::y\n", ("text", "label")),
    ],
)
def test_a_sign_that_only_some_lines_hold_divides_nothing(tmp_path, name, content, columns):
    assert read_table(file(tmp_path, content, name)).columns == columns


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_line_ends_of_every_system_are_read(tmp_path, end):
    assert len(read_table(file(tmp_path, end.join(["a,b", "1,2", "3,4", ""]))).rows) == 2


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "gb18030"],
    ids=["UTF-8", "UTF-8 with a mark, as Excel writes it", "UTF-16", "GB18030"],
)
def test_chinese_is_read_in_the_usual_encodings(tmp_path, encoding):
    table = read_table(file(tmp_path, CHINESE.encode(encoding)))
    assert table.columns == ("问题", "回答")
    assert table.rows[3] == {
        "问题": "第3号订单的包裹什么时候能送到我家？",
        "回答": "您好，您的包裹明天上午就会送到，请耐心等待。",
    }


def test_western_letters_of_an_old_encoding_are_read(tmp_path):
    text = "text,label\n" + "".join(
        f"Das Päckchen für Jörg Müller, Nummer {n}, ist schön groß\n".replace(", ", " ").replace(
            "groß", "groß,gut"
        )
        for n in range(20)
    )
    assert "Päckchen für Jörg" in read_table(file(tmp_path, text.encode("latin-1"))).rows[0]["text"]


def test_a_damaged_row_costs_that_row_alone(tmp_path):
    table = read_table(file(tmp_path, "prompt,response\na,b\nonly one\nc,d\ne,f,too many\ng,h\n"))
    assert [row["prompt"] for row in table.rows] == ["a", "c", "g"]
    assert [line for line, _ in table.bad_lines] == [3, 5]
    assert table.bad_lines[0][1] == header.FIELD_COUNT_DIFFERS.format(found=1, wanted=2)


def test_a_quote_that_is_never_closed_costs_that_row_alone(tmp_path):
    lines = [f"question {n},answer {n}" for n in range(20)]
    lines[3] = 'question 3,"answer 3'
    table = read_table(file(tmp_path, "\n".join(["prompt,response", *lines, ""])))
    intact = [row["prompt"] for row in table.rows if row["prompt"] != "question 3"]
    assert intact == [f"question {n}" for n in range(20) if n != 3]


def test_empty_lines_are_no_rows_and_no_damage(tmp_path):
    table = read_table(file(tmp_path, "a,b\n\n1,2\n , \n\n3,4\n\n"))
    assert (len(table.rows), table.bad_lines) == (2, ())


def test_blank_lines_before_the_header_do_not_matter(tmp_path):
    table = read_table(file(tmp_path, "\n\nprompt,response\na,b\n"))
    assert table.columns == ("prompt", "response")
    assert len(table.rows) == 1


def test_column_names_are_trimmed_numbered_and_told_apart(tmp_path):
    assert read_table(file(tmp_path, " a ,,a\n1,2,3\n")).columns == ("a", "column 2", "a (3)")


def test_a_jsonl_is_read_and_plain_values_kept_as_text(tmp_path):
    lines = [{"prompt": "Hi", "n": 3}, {"prompt": "回", "tags": ["a"], "none": None}]
    table = read_table(file(tmp_path, "\n".join(json.dumps(line) for line in lines), "rows.jsonl"))
    assert table.columns == ("prompt", "n", "tags", "none")
    assert table.rows == (
        {"prompt": "Hi", "n": "3", "tags": "", "none": ""},
        {"prompt": "回", "n": "", "tags": '["a"]', "none": ""},
    )


def test_a_damaged_line_of_jsonl_costs_that_line_alone(tmp_path):
    table = read_table(
        file(tmp_path, '{"a": "1"}\n{"a": \n[1]\n\n{"a": "2"}\n' + "[" * 100_000 + "\n", "rows.jsonl")
    )
    assert [row["a"] for row in table.rows] == ["1", "2"]
    assert [line for line, _ in table.bad_lines] == [2, 3, 6]


def test_a_comma_after_each_object_of_a_jsonl_costs_nothing(tmp_path):
    table = read_table(
        file(
            tmp_path,
            "".join(f'{{"prompt": "q {n},", "response": "a"}},{" " * n}\n' for n in range(9)),
            "a.jsonl",
        )
    )
    assert (len(table.rows), table.bad_lines, table.rows[0]) == (9, (), {"prompt": "q 0,", "response": "a"})


@pytest.mark.parametrize(
    ("name", "content", "expected", "reason"),
    [
        ("a.jsonl", "hello\nyou\n", json_lines.EXPECTED_LINES, json_records.NOT_JSON),
        ("a.json", '[{"prompt": one}]', json_records.EXPECTED_JSON, json_records.REST_UNREADABLE),
        (
            "a.csv",
            "prompt,response\nonly one\n",
            spec.EXPECTED_TABLE,
            header.FIELD_COUNT_DIFFERS.format(found=1, wanted=2),
        ),
    ],
    ids=["JSON Lines", "JSON", "table"],
)
def test_what_a_file_must_hold_is_said_of_its_own_kind(tmp_path, name, content, expected, reason):
    with raises_bad_data(read.NO_READABLE_ROW, name=name) as caught:
        read_table(file(tmp_path, content, name))
    hint = caught.value.hint
    assert hint.text == expected.text
    assert hint.values["object"] == '{"prompt": "…", "response": "…"}'
    assert hint.values["first"].values["why"] == reason


def test_a_line_separator_within_a_jsonl_text_does_not_end_the_line(tmp_path):
    text = "first\u2028second\u0085third"
    table = read_table(file(tmp_path, json.dumps({"a": text}, ensure_ascii=False) + "\n", "rows.jsonl"))
    assert [row["a"] for row in table.rows] == [text]


def test_half_an_emoji_in_jsonl_leaves_text_that_can_be_written(tmp_path):
    table = read_table(file(tmp_path, '{"a": "ok"}\n{"a": "half \\ud83d"}\n', "rows.jsonl"))
    assert [row["a"].encode("utf-8")[:4] for row in table.rows] == [b"ok", b"half"]


@pytest.mark.parametrize(
    ("content", "name", "message", "values"),
    [
        (b"", "a.csv", read.EMPTY_FILE, {"name": "a.csv"}),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 20,
            "a.csv",
            detect.IS_UNSUPPORTED,
            {"name": "a.csv", "kind": detect.IMAGE},
        ),
        (b"PK\x03\x04\x00\x00\x00", "a.jsonl", zip_check.DAMAGED_ZIP, {"name": "a.jsonl"}),
        (bytes(range(256)) * 20, "a.csv", text_encoding.BINARY_DATA, {"name": "a.csv"}),
        (b"prompt,response\n", "a.csv", read.ONLY_A_HEADER, {"name": "a.csv"}),
        (b"\n\n\n", "a.csv", read.ONLY_EMPTY_LINES, {"name": "a.csv"}),
        (b"not json\n", "a.jsonl", read.NO_READABLE_ROW, {"name": "a.jsonl", "bad": 1}),
        (
            b"a,b\n1\n2\n",
            "a.csv",
            read.NO_READABLE_ROW,
            {
                "name": "a.csv",
                "bad": 2,
                "first": read.NUMBERED_BAD_LINE.format(
                    line=2, why=header.FIELD_COUNT_DIFFERS.format(found=1, wanted=2)
                ),
            },
        ),
        (
            b",".join(b"c%d" % n for n in range(300)) + b"\n" + b",".join(b"1" for _ in range(300)),
            "a.csv",
            rows.TOO_MANY_COLUMNS,
            {"count": 300, "limit": 200},
        ),
    ],
    ids=[
        "empty",
        "picture",
        "archive",
        "binary",
        "header only",
        "blank",
        "no json",
        "all damaged",
        "too wide",
    ],
)
def test_a_file_that_cannot_be_used_says_what_it_is_and_what_to_do(tmp_path, content, name, message, values):
    with raises_bad_data(message, **values):
        read_table(file(tmp_path, content, name))


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 2_000_000)
    with raises_bad_data(read.FILE_TOO_LARGE, size=3.000004, limit=2.0):
        read_table(file(tmp_path, b"a,b\n" + b"x" * 3_000_000))


def test_more_rows_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 10)
    assert len(read_table(file(tmp_path, "a,b\n" + "1,2\n" * 10)).rows) == 10
    with raises_bad_data(rows.TOO_MANY_ROWS, limit=10):
        read_table(file(tmp_path, "a,b\n" + "1,2\n" * 11))


def test_a_cell_over_the_limit_costs_its_row(tmp_path):
    table = read_table(file(tmp_path, f"a,b\n1,2\n{'x' * 200_001},2\n3,4\n"))
    assert len(table.rows) == 2
    assert table.bad_lines == ((3, rows.CELL_TOO_LONG),)


def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    with raises_bad_data(read.NO_SUCH_FILE, name="a.csv", folder=tmp_path):
        read_table(tmp_path / "a.csv")


def test_the_name_a_person_gave_is_the_one_that_is_said(tmp_path):
    path = file(tmp_path, b"", "original.csv")
    with raises_bad_data(read.EMPTY_FILE, name="my tickets.csv"):
        read_table(path, "my tickets.csv")


def test_more_fields_or_characters_than_the_limit_are_refused(tmp_path, monkeypatch):
    path = file(tmp_path, "a,b\n" + "12345,67890\n" * 10)
    monkeypatch.setattr(rows, "MAX_FIELDS", 19)
    with raises_bad_data(rows.TOO_MANY_FIELDS, limit=19):
        read_table(path)
    monkeypatch.undo()
    monkeypatch.setattr(rows, "MAX_CHARACTERS", 99)
    with raises_bad_data(rows.TOO_MANY_CHARACTERS, limit=99):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "a,b\n" * 20), ("a.txt", "a\n" * 20)], ids=["table", "text"]
)
def test_more_lines_than_the_limit_are_refused(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(rows, "MAX_LINES", 10)
    with raises_bad_data(rows.TOO_MANY_LINES, limit=10):
        read_table(file(tmp_path, content, name))


def test_more_damaged_lines_than_rows_may_be_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 10)
    with raises_bad_data(rows.TOO_MANY_BAD_LINES, limit=10, line=1, why=json_records.NOT_JSON):
        read_table(file(tmp_path, "x\n" * 11, "a.jsonl"))


def test_more_values_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_JSON_VALUES", 10)
    for name in ("a.json", "a.jsonl"):
        with raises_bad_data(json_records.TOO_MANY_VALUES, limit=10):
            read_table(file(tmp_path, '[{"a": 1, "b": 2, "c": [1, 2, 3, 4, 5, 6, 7]}]', name))


def test_objects_with_ever_other_keys_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_FIELDS", 100)
    with raises_bad_data(json_records.TOO_MANY_KEYS, count=20, rows=20):
        read_table(
            file(tmp_path, "\n".join(json.dumps({f"key {number}": "x"}) for number in range(20)), "a.jsonl")
        )


def test_one_line_of_a_jsonl_may_not_be_longer_than_any_row(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "MAX_LINE_LENGTH", 50)
    table = read_table(file(tmp_path, '{"a": "1"}\n{"a": "' + "x" * 50 + '"}\n', "a.jsonl"))
    assert [line for line, _ in table.bad_lines] == [2]


def test_a_workbook_says_its_sheets_and_reads_the_one_that_is_asked_for(tmp_path):
    path = tmp_path / "two.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for name, values in (
            ("Notes", [["made in May"]]),
            ("Tickets", [["text", "label"], ["late", "delivery"]]),
            ("Old", [["a"], ["b"]]),
        ):
            sheet = book.add_worksheet(name)
            for number, row in enumerate(values):
                sheet.write_row(number, 0, row)
    table = read_table(path)
    assert (table.sheets, table.sheet, table.columns) == (
        ("Notes", "Tickets", "Old"),
        "Tickets",
        ("text", "label"),
    )
    assert read_table(path, sheet="Old").rows == ({"a": "b"},)
    with raises_bad_data(
        spreadsheet.NO_SUCH_SHEET, name="two.xlsx", sheet="New", sheets=["Notes", "Tickets", "Old"]
    ):
        read_table(path, sheet="New")


def test_a_workbook_opens_at_the_visible_sheet_with_the_most_usable_rows(tmp_path):
    path = tmp_path / "cover.xlsx"
    cover = [["Help desk", "export"], ["made by", "the May team"], ["one"], ["two"], ["three"], ["four"]]
    tickets = [["text", "label"], *([f"late {number}", "delivery"] for number in range(4))]
    lookup = [["code", "city"], *([str(number), "Bern"] for number in range(30))]
    with xlsxwriter.Workbook(path) as book:
        for name, values in (("Cover", cover), ("Tickets", tickets), ("Lookup", lookup)):
            sheet = book.add_worksheet(name)
            for number, row in enumerate(values):
                sheet.write_row(number, 0, row)
        book.get_worksheet_by_name("Lookup").hide()
    table = read_table(path)
    assert (table.sheet, len(table.rows)) == ("Tickets", 4)
    assert len(read_table(path, sheet="Lookup").rows) == 30


def test_a_sheet_of_what_has_none_is_told(tmp_path):
    with raises_bad_data(read.HAS_NO_SHEETS, name="a.csv", sheet="One"):
        read_table(file(tmp_path, "a,b\n1,2\n", "a.csv"), sheet="One")


@pytest.mark.parametrize(
    ("text", "name", "columns", "count"),
    [
        ("prompt\tresponse\nhi\thello, you\nbye\tsee you\n", "pasted.tsv", ("prompt", "response"), 2),
        ("prompt,response\nhi,hello\n", "pasted.csv", ("prompt", "response"), 1),
        ("prompt;response\nhi, you;hello\nbye;see you", "pasted.csv", ("prompt", "response"), 2),
        ('{"a": "1"}\n{"a": "2"}', "pasted.jsonl", ("a",), 2),
        ('[{"a": "1"}, {"a": "2"}]', "pasted.json", ("a",), 2),
        ('{"data": [{"a": "1"}]}', "pasted.json", ("a",), 1),
        ("Once upon a time, there was a king.\nHe had no daughter, alas.", "pasted.txt", ("text",), 1),
        ("从前有一位国王，他没有女儿。", "pasted.txt", ("text",), 1),
    ],
    ids=[
        "cells of a spreadsheet",
        "commas",
        "semicolons",
        "JSON Lines",
        "a JSON list",
        "an object",
        "prose",
        "Chinese prose",
    ],
)
def test_pasted_text_is_taken_for_what_it_is(text, name, columns, count):
    table = read_pasted_text(text)
    assert (table.name, table.columns, len(table.rows)) == (name, columns, count)


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_paste_says_so(text):
    with raises_bad_data(read.NOTHING_PASTED):
        read_pasted_text(text)


def test_a_paste_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 10)
    with raises_bad_data(read.FILE_TOO_LARGE, name="pasted text"):
        read_pasted_text("x" * 11)


def test_a_paste_is_measured_in_bytes_as_a_file_is(monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 30)
    assert read_pasted_text("我" * 10).rows
    with raises_bad_data(read.FILE_TOO_LARGE, size=33e-6, limit=30e-6):
        read_pasted_text("我" * 11)


def test_every_ending_the_page_offers_is_one_that_is_read(tmp_path):
    columns = {}
    for extension in readers.accepted_extensions():
        # whatever it is called, its content decides
        path = file(tmp_path, '{"text": "a"}\n{"text": "b"}\n', f"a{extension}")
        columns[extension] = read_table(path).columns
    assert set(columns.values()) == {("text",)}, columns


def test_excel_s_own_first_line_names_the_delimiter(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text("sep=;\nprompt;response\nwhere, then;here\n")
    assert read_table(path).rows == ({"prompt": "where, then", "response": "here"},)


def test_a_comma_within_a_quoted_header_is_no_delimiter(tmp_path):
    path = tmp_path / "quoted.csv"
    path.write_text('"hi, you";answer\na;b\n')
    assert read_table(path).columns == ("hi, you", "answer")


def test_repeated_columns_never_lose_a_value(tmp_path):
    path = tmp_path / "same.csv"
    path.write_text("a,a (3),a\n1,2,3\n")
    assert list(read_table(path).rows[0].values()) == ["1", "2", "3"]


def written(tmp_path, name):
    """A file of 3,000 rows in the form that its ending names."""
    rows = [{"prompt": f"where is {n}?", "response": f"here is {n}."} for n in range(3000)]
    path = tmp_path / name
    text = {
        "a.csv": "prompt,response\n" + "".join(f"{row['prompt']},{row['response']}\n" for row in rows),
        "a.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "a.json": json.dumps(rows),
    }
    if name in text:
        path.write_text(text[name], encoding="utf-8")
    elif name == "a.parquet":
        pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), path)
    elif name == "a.zip":
        with zipfile.ZipFile(path, "w") as packed:
            for number in range(3):
                packed.writestr(f"{number}.csv", text["a.csv"])
    else:
        with xlsxwriter.Workbook(path) as book:
            page = book.add_worksheet()
            for number, line in enumerate([list(rows[0]), *(list(row.values()) for row in rows)]):
                page.write_row(number, 0, line)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.xlsx", "a.parquet", "a.zip"])
def test_how_far_a_file_is_read_is_told_in_megabytes(tmp_path, monkeypatch, name):
    monkeypatch.setattr(rows, "PROGRESS_INTERVAL_SECONDS", 0)
    path, reports = written(tmp_path, name), []
    size = path.stat().st_size / 1e6
    read_table(path, on_progress=lambda done, total: reports.append((done, total)))
    assert [total for _, total in reports] == [size] * len(reports)
    assert (reports[0][0], reports[-1][0]) == (0, size)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert len({done for done, _ in reports}) > 2, "it is reported between"


QUESTIONS = [f"How do I reset {thing}?" for thing in ("the lamp", "my router", "a clock", "this phone")]
ANSWERS = [f"Open Settings, and hold {number} down." for number in range(4)]
CHINESE_QUESTIONS, CHINESE_ANSWERS = (
    [f"怎么退第{number}件货？" for number in "一二三四"],
    [f"请在订单页申请退货，{number}天内到账。" for number in "一二三四"],
)


@pytest.mark.parametrize(
    ("title", "names", "questions", "answers"),
    [
        ("客服对话导出", ("问题", "回答"), CHINESE_QUESTIONS, CHINESE_ANSWERS),
        ("客服对话导出,一月", ("问题", "回答"), ["在吗", "在", "好", "谢谢"], ["在的", "嗯", "好", "不谢"]),
        ("Tickets", ("question", "answer"), QUESTIONS, ANSWERS),
        ("Help desk export, January", ("question", "answer"), QUESTIONS, ANSWERS),
    ],
)
def test_a_title_above_two_columns_is_passed_over(tmp_path, title, names, questions, answers):
    lines = [f'{question},"{answer}"' for question, answer in zip(questions, answers, strict=True)]
    text = "\n".join([title, ",".join(names), *lines, ""])
    for table in (read_table(file(tmp_path, text)), read_pasted_text(text)):
        assert (table.columns, table.bad_lines) == (names, ())
        columns = [*zip(*(row.values() for row in table.rows), strict=True)]
        assert columns == [tuple(questions), tuple(answers)]


@pytest.mark.parametrize(
    ("text", "columns", "count"),
    [
        ("text\nlate,delivery\ntwice,billing\n", ("text",), 2),
        ("文本\n好的,谢谢\n" + "我的包裹一直没到,请帮我看看\n" * 4, ("文本",), 5),
        ("question, answer\nyes,no\nmaybe,never\n", ("question", "answer"), 2),
    ],
)
def test_names_are_not_taken_for_a_title(tmp_path, text, columns, count):
    table = read_table(file(tmp_path, text))
    assert (table.columns, len(table.rows)) == (columns, count)


@pytest.mark.parametrize(
    ("questions", "answers"),
    [(QUESTIONS, ANSWERS), (CHINESE_QUESTIONS, CHINESE_ANSWERS), (QUESTIONS, ["x " * 40] * 4)],
)
@pytest.mark.parametrize("sign", [",", "\t"])
def test_questions_and_answers_without_a_header_lose_no_row(tmp_path, questions, answers, sign):
    quote = '"' if sign == "," else ""
    text = "".join(
        f"{question}{sign}{quote}{answer.strip()}{quote}\n"
        for question, answer in zip(questions, answers, strict=True)
    )
    for table in (read_table(file(tmp_path, text)), read_pasted_text(text)):
        assert (table.columns, len(table.rows)) == (("column 1", "column 2"), 4)
        assert [*table.rows[0].values()] == [questions[0], answers[0].strip()]


@pytest.mark.parametrize(
    "name", ["How was it?", "Was it good?,What would you change.", "What did they ask?,answer"]
)
def test_a_question_among_the_names_of_a_survey_stays_one(tmp_path, name):
    count = name.count(",") + 1
    table = read_table(
        file(
            tmp_path,
            name + "\n" + "".join(",".join(["Quite fine", "the price"][:count]) + "\n" for _ in range(5)),
        )
    )
    assert table.columns == tuple(name.split(","))


@pytest.mark.parametrize(
    ("names", "below", "doubtful"),
    [
        (("question", "answer"), (CHINESE_QUESTIONS[0], CHINESE_ANSWERS[0]), False),
        (("问题", "回答"), (CHINESE_QUESTIONS[0], CHINESE_ANSWERS[0]), False),
        (("id", "label"), ("1", "billing"), False),
        (("customer_message", "support_answer"), ("where is parcel 7?", "It came in May, 7."), False),
        (("how to reset my lamp", "hold the button"), ("how to clean my lamp", "use a dry cloth"), True),
        (("怎么才能申请退货呢", "在订单页点退货"), ("怎么查看物流信息", "在订单页点查看物流"), True),
        (("Tell me a joke.", "answer"), ("Tell me another.", "No"), True),
    ],
)
def test_names_that_may_be_an_example_are_doubted(names, below, doubtful):
    assert header.is_doubtful_header(names, [below] * 5) is doubtful


def test_a_second_paragraph_of_an_answer_stays_with_it(tmp_path):
    conversations = [
        f"Customer: Where is parcel {n}?\nAgent: It left us.\n\nIt arrives by {n} pm."
        if n == 4
        else f"Customer: Where is parcel {n}?\nAgent: It left us on day {n}."
        for n in range(8)
    ]
    table = read_table(file(tmp_path, "\n\n".join(["Our best conversations", *conversations]), "chats.txt"))
    assert len(table.rows) == 8
    assert json.loads(table.rows[4]["messages"])[-1]["content"] == "It left us.\n\nIt arrives by 4 pm."
