"""Whatever rows are written down in a format come back as they were; running text loses none of its words."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.data.readers import plain_text, sandbox
from studio.data.readers.error_cells import ERROR_VALUES
from studio.data.readers.read import read_pasted_text, read_table

many_examples = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
NAMES = ("prompt", "response", "the label", "备注")
# Any text that can be written, with what tables stumble over more often than by chance; a carriage return is
# read as a line end.
texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from(",;\t|\"\n\\ '={}[]<>#好é"))
)
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))
printed = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]),
        st.sampled_from(",;\t|\"\n\\ '={}[]<>#好é"),
    )
)


def is_kept(cell):
    """An error value of a spreadsheet is read as an empty cell."""
    return cell.strip().upper() not in ERROR_VALUES


def is_single_value(cell):
    """What a line of a single column can be, as no line is blank or the header again."""
    return is_kept(cell) and cell.strip() and cell != "prompt"


def tables(cells, min_width=2):
    """Columns and rows, none of which is blank or the header itself."""
    cells = cells.filter(is_kept)
    return st.integers(min_width, len(NAMES)).flatmap(
        lambda width: st.lists(
            st.lists(cells, min_size=width, max_size=width).filter(
                lambda row: any(cell.strip() for cell in row) and tuple(row) != NAMES[: len(row)]
            ),
            min_size=1,
            max_size=8,
        )
    )


def dicts(rows):
    return tuple(dict(zip(NAMES, row, strict=False)) for row in rows)


def written(rows, delimiter, quoting=csv.QUOTE_MINIMAL):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
    writer.writerows([NAMES[: len(rows[0])], *rows])
    return file.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "bar"])
@many_examples
@given(
    rows=tables(texts),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16")),
)
def test_a_delimited_file_comes_back_as_it_was_written(tmp_path_factory, delimiter, rows, quoting, encoding):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(written(rows, delimiter, quoting).encode(encoding))
    table = read_table(path)
    assert (table.rows, table.bad_lines) == (dicts(rows), ())


@many_examples
@given(
    rows=st.lists(
        texts.filter(lambda cell: cell.strip() and cell != "prompt" and is_kept(cell)), min_size=1, max_size=8
    )
)
def test_a_single_column_comes_back_as_it_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "one.csv"
    path.write_bytes(written([[cell] for cell in rows], ",", csv.QUOTE_ALL).encode())
    assert read_table(path).rows == tuple({"prompt": cell} for cell in rows)


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "cp1252"])
@many_examples
@given(indices=st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_a_table_in_an_old_encoding_comes_back_as_it_was_written(tmp_path_factory, encoding, indices):
    texts_by_encoding = {
        "gb18030": (
            "包裹什么时候能送到",
            "您好，明天送到。",
            "怎么退款？",
            "订单在哪里查看",
            "谢谢您的帮助",
            "发票抬头写错了",
        ),
        "big5": (
            "包裹什麼時候會到",
            "您好，明天送達。",
            "如何退款？",
            "訂單在哪裡查詢",
            "謝謝您",
            "發票抬頭寫錯了",
        ),
        "cp1252": (
            "Où est mon colis ?",
            "El niño llegó",
            "Größe und Länge",
            "It’s “fine”",
            "Smörgåsbord",
            "café",
        ),
    }
    texts = texts_by_encoding[encoding]
    rows = [[f"row {number}", texts[index]] for number, index in enumerate(indices)]
    path = tmp_path_factory.getbasetemp() / "old.csv"
    path.write_bytes(written(rows, ",").encode(encoding))
    assert read_table(path).rows == dicts(rows)


@pytest.mark.parametrize("name", ["round.jsonl", "round.json", "round.txt"])
@many_examples
@given(
    rows=tables(any_text, min_width=1),
    escaped=st.booleans(),
    indent=st.sampled_from((None, 1)),
)
def test_json_comes_back_as_it_was_written(tmp_path_factory, name, rows, escaped, indent):
    path = tmp_path_factory.getbasetemp() / name
    if name == "round.jsonl":
        content = "\n".join(json.dumps(row, ensure_ascii=escaped) for row in dicts(rows))
    else:
        content = json.dumps(dicts(rows), ensure_ascii=escaped, indent=indent)
    path.write_text(content, encoding="utf-8", newline="")
    table = read_table(path)
    assert (table.rows, table.bad_lines) == (dicts(rows), ())


@many_examples
@given(rows=tables(printed, min_width=1))
def test_a_workbook_comes_back_as_it_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round.xlsx"
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([NAMES[: len(rows[0])], *rows]):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, cell)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sandbox, "read_in_subprocess", sandbox.run_request
        )  # the reader itself, without a process for each example
        table = read_table(path)
    assert (table.rows, table.bad_lines) == (dicts(rows), ())


@many_examples
@given(
    rows=tables(any_text, min_width=1),
    integers=st.lists(st.integers(-(2**62), 2**62), min_size=8, max_size=8),
)
def test_parquet_comes_back_as_it_was_written(tmp_path_factory, rows, integers):
    path = tmp_path_factory.getbasetemp() / "round.parquet"
    written_rows = [{**row, "n": number} for row, number in zip(dicts(rows), integers, strict=False)]
    pq.write_table(pa.Table.from_pylist(written_rows), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "read_in_subprocess", sandbox.run_request)
        table = read_table(path)
    assert table.rows == tuple({**row, "n": str(row["n"])} for row in written_rows)


@many_examples
@given(
    rows=tables(printed.filter(lambda cell: "\t" not in cell), min_width=2).filter(lambda rows: len(rows) > 1)
)
def test_cells_copied_from_a_spreadsheet_come_back_when_pasted(rows):
    table = read_pasted_text(written(rows, "\t"))
    assert (table.name, table.rows) == ("pasted.tsv", dicts(rows))


@many_examples
@given(parts=st.lists(st.text(st.sampled_from("abc de.!。好#`~\n\r\t "), max_size=900), max_size=12))
def test_running_text_loses_no_word_and_keeps_its_order(parts):
    text = "\n\n".join(parts)
    parsed = plain_text.read_plain_text(text)
    assert "".join("".join(row["text"] for row in parsed.rows).split()) == "".join(text.split())
    assert parsed.bad_lines == []
    assert all(len(row["text"]) >= plain_text.MIN_PIECE_LENGTH for row in parsed.rows[:-1])


@many_examples
@given(text=st.text(st.sampled_from("ab. 。"), min_size=500, max_size=3000))
def test_a_paragraph_without_end_is_cut_into_cells(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_text.rows, "MAX_CELL_LENGTH", 450)
        parsed = plain_text.read_plain_text(text)
    assert "".join("".join(row["text"] for row in parsed.rows).split()) == "".join(text.split())
    assert all(0 < len(row["text"]) <= 450 for row in parsed.rows)
