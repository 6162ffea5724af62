"""Files made to do harm cost an answer: a sentence comes back soon, and nothing is written elsewhere."""

import gzip
import io
import json
import random
import stat
import struct
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from data_damages import mutated, within
from refusals import raises_bad_data
from sampling import sample

from studio.data.readers import archive, rows, sandbox, zip_check
from studio.data.readers.read import read_table
from studio.errors import BadData
from studio.i18n import Message

CSV = "text,label\nlate,delivery\ntwice,billing\n"
TWO_ROWS = ({"text": "late", "label": "delivery"}, {"text": "twice", "label": "billing"})
SHEET = "xl/worksheets/sheet1.xml"


def skipped(member, reason):
    """The bad line of a file in a zip that is left out."""
    return 0, archive.MEMBER_SKIPPED.format(member=member, why=reason)


def packed(path, files, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def workbook(path, cells=((0, 0, "text"), (1, 0, "late"))):
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row, column, value in cells:
            sheet.write(row, column, value)
    return path


def repacked(path, change):
    """A zip with some members changed: `change` maps a name to what makes new bytes of the old."""
    with zipfile.ZipFile(path) as source:
        files = {name: source.read(name) for name in source.namelist()}
    return packed(
        path, {name: change[name](content) if name in change else content for name, content in files.items()}
    )


def assert_refused(path, message, seconds=10.0, **values):
    """Assert that a file is refused with this message and values, soon."""
    with within(seconds), raises_bad_data(message, **values):
        read_table(path)


def test_a_zip_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.csv": b"text\n" + bytes(30_000_000)})
    assert path.stat().st_size < 100_000
    assert_refused(path, zip_check.COMPRESSED_TOO_MUCH, seconds=2, limit=200)


def test_a_workbook_that_unpacks_to_far_more_is_refused_before_it_is_opened(tmp_path):
    path = repacked(
        workbook(tmp_path / "a.xlsx"),
        {SHEET: lambda content: content.replace(b"<sheetData>", b" " * 30_000_000 + b"<sheetData>")},
    )
    assert_refused(path, zip_check.COMPRESSED_TOO_MUCH, seconds=2, limit=200)


def test_a_zip_over_the_unpacked_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_UNPACKED_BYTES", 1_000_000)
    path = packed(tmp_path / "a.zip", {f"{n}.csv": CSV.ljust(600_000) for n in range(2)}, zipfile.ZIP_STORED)
    assert_refused(path, zip_check.UNPACKED_TOO_LARGE, size=1.2, limit=1.0)


def test_a_zip_that_lies_about_its_sizes_is_read_no_further_than_it_says(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.csv": CSV, "b.csv": CSV + "x,y\n" * 1_000_000})
    raw = path.read_bytes()
    size = struct.pack("<L", len(CSV) + 4_000_000)
    path.write_bytes(raw.replace(size, struct.pack("<L", 50)))
    table = read_table(path)
    assert table.rows == TWO_ROWS
    assert table.bad_lines == (skipped("b.csv", archive.IS_DAMAGED),)


def test_too_many_files_in_a_zip_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_check, "MAX_MEMBERS", 3)
    path = packed(tmp_path / "a.zip", {f"{n}.csv": CSV for n in range(4)})
    assert_refused(path, zip_check.TOO_MANY_MEMBERS, count=4, limit=3)


def test_the_files_of_a_zip_together_may_not_have_more_rows_than_one(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 5)
    path = packed(tmp_path / "a.zip", {f"{n}.csv": CSV for n in range(3)})
    assert_refused(path, rows.TOO_MANY_ROWS, limit=5)


def test_a_file_within_a_zip_may_not_be_larger_than_one_beside_it(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", {"a.csv": CSV, "b.csv": CSV * 1000})
    monkeypatch.setattr(rows, "MAX_BYTES", 20_000)
    table = read_table(path)
    too_large = archive.MEMBER_TOO_LARGE.format(limit=0.02)
    assert (table.rows, table.bad_lines) == (TWO_ROWS, (skipped("b.csv", too_large),))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.csv",
        "/tmp/evil.csv",
        "..\\..\\evil.csv",
        "C:\\evil.csv",
        "a/../../evil.csv",
        "evil.csv\0.png",
    ],
)
def test_a_path_in_a_zip_leads_nowhere(tmp_path, name):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    before = sorted(path for path in tmp_path.rglob("*"))
    path = packed(folder / "a.zip", {name: CSV})
    assert read_table(path).rows == TWO_ROWS
    assert sorted(entry for entry in tmp_path.rglob("*") if entry != path) == before


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("text,label\nsecret,x\n")
    link = zipfile.ZipInfo("link.csv")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(link, str(secret))
        target.writestr("a.csv", CSV)
    table = read_table(path)
    assert table.rows == TWO_ROWS
    assert table.bad_lines == (skipped("link.csv", archive.IS_LINK),)


def test_a_zip_with_a_password_says_so(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.csv": CSV})
    raw = bytearray(path.read_bytes())
    raw[6] |= 1  # in the file's own header
    raw[raw.index(b"PK\1\2") + 8] |= 1  # and in the directory
    path.write_bytes(raw)
    reason = Message("{why}.").format(why=skipped("a.csv", archive.IS_ENCRYPTED)[1])
    assert_refused(path, archive.NO_READABLE_MEMBER, first=reason)


def test_a_chinese_name_in_a_zip_is_said_as_it_was_written(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.csv": CSV, "????.csv": "x,y\n1,2\n"})
    path.write_bytes(path.read_bytes().replace(b"????.csv", "工单.csv".encode("gb18030")))
    _, message = read_table(path).bad_lines[0]
    assert message.text == archive.MEMBER_SKIPPED.text
    assert message.values["member"] == "工单.csv"


@pytest.mark.parametrize("name", ["a.xlsx", "{a} {0}.xlsx"])
def test_two_cells_far_apart_do_not_fill_the_memory(tmp_path, name):
    path = workbook(tmp_path / name, [(0, 0, "a"), (1_048_575, 16_383, "z")])
    assert_refused(path, sandbox.OUT_OF_RESOURCES, name=name)


def test_entities_that_name_each_other_are_not_written_out(tmp_path):
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'.encode()
    path = workbook(tmp_path / "a.xlsx")
    repacked(
        path,
        {
            "xl/sharedStrings.xml": lambda content: (
                bomb + content.split(b"?>", 1)[1].replace(b"late", b"&l11;")
            )
        },
    )
    with within(10):
        try:
            assert max(len(row["text"]) for row in read_table(path).rows) < 1000
        except BadData as error:
            assert error.render()


def test_cells_that_say_they_are_repeated_a_billion_times_do_not_fill_the_memory(tmp_path):
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    cell = (
        '<table:table-cell office:value-type="string" table:number-columns-repeated="16384">'
        "<text:p>x</text:p></table:table-cell>"
    )
    content = (
        f'<?xml version="1.0"?><office:document-content {spaces}><office:body><office:spreadsheet>'
        '<table:table table:name="One">'
        f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row></table:table>'
        "</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    files = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": content,
        "META-INF/manifest.xml": "<x/>",
    }
    with within(60), pytest.raises(BadData) as caught:
        read_table(packed(tmp_path / "a.ods", files))
    assert caught.value.message.values["name"] == "a.ods"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("count", "text", "message", "limit"),
    sample(
        [
            (3_000_000, "x", rows.TOO_MANY_ROWS, 200_000),
            (150_000, "x" * 1000, rows.TOO_MANY_CHARACTERS, 100_000_000),
        ],
        [(150_000, "x" * 1000, rows.TOO_MANY_CHARACTERS, 100_000_000)],
    ),
)
def test_a_small_parquet_with_much_in_it_is_refused(tmp_path, count, text, message, limit):
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [text])}), path
    )
    assert path.stat().st_size < 200_000
    assert_refused(path, message, limit=limit)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
@pytest.mark.parametrize(
    "deep", ["[" * 100_000, '{"a":' * 100_000, '[{"a":' + "[" * 50_000], ids=["lists", "objects", "within"]
)
def test_deep_json_is_told_and_nothing_breaks(tmp_path, name, deep):
    path = tmp_path / name
    path.write_text(deep)
    with pytest.raises(BadData):
        read_table(path)


def test_json_over_a_hundred_levels_deep_costs_its_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "1"}\n{"a": ' + "[" * 120 + "]" * 120 + '}\n{"a": ' + "[" * 50 + "]" * 50 + "}\n")
    table = read_table(path)
    assert [row["a"] for row in table.rows] == ["1", "[" * 50 + "]" * 50]
    assert table.bad_lines == ((2, rows.NESTED_TOO_DEEP),)


def test_a_cell_of_ten_megabytes_costs_its_row_and_little_time(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(CSV + f'"{"x," * 5_000_000}",y\nlast,z\n')
    with within(5):
        table = read_table(path)
    assert table.rows == (*TWO_ROWS, {"text": "last", "label": "z"})
    assert table.bad_lines[0][0] == 4


def test_a_workbook_s_cell_over_the_limit_costs_its_row(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [(0, 0, "text"), (1, 0, "late"), (2, 0, "MARK"), (3, 0, "twice")])
    repacked(path, {"xl/sharedStrings.xml": lambda content: content.replace(b"MARK", b"x" * 250_000)})
    table = read_table(path)
    assert [row["text"] for row in table.rows] == ["late", "twice"]
    assert [line for line, _ in table.bad_lines] == [3]


def test_a_formula_stays_a_text(tmp_path):
    cells = ["=cmd|'/C calc'!A0", "+1+1", "-2", "@SUM(A1)", '=HYPERLINK("http://x")']
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": cell}) for cell in cells))
    assert [row["text"] for row in read_table(path).rows] == cells


@pytest.mark.parametrize(
    "content",
    ['a,b\n"' + 'x,"\n' * 40_000, "a,b\n" + '"x,y\n' * 40_000, "a,b\n" + '"' * 200_000],
    ids=["every line", "open", "quotes"],
)
def test_quotes_without_end_take_no_time_without_end(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with within(5):
        try:
            read_table(path)
        except BadData as error:
            assert error.render()


def test_damage_all_over_a_list_takes_no_time_without_end(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[" + '{"a": "x},' * 20_000 + "]")
    with within(5), pytest.raises(BadData):
        read_table(path)


def seeds():
    """Small valid files of every kind."""
    table = pa.table({"text": ["late", "twice"], "label": ["delivery", "billing"]})
    files = {
        "a.csv": CSV.encode(),
        "b.csv": "问题;回答\n“你好”;您好\n".encode("gb18030"),
        "c.csv": b'sep=|\na|b\n"x\ny"|\'z\n',
        "a.tsv": CSV.replace(",", "\t").encode("utf-16"),
        "a.json": json.dumps({"data": list(TWO_ROWS)}).encode(),
        "b.json": json.dumps(list(TWO_ROWS), indent=1).encode(),
        "c.json": b'{"text":{"0":"late","1":"twice"},"label":{"0":"a","1":"b"}}',
        "a.jsonl": "\n".join(map(json.dumps, TWO_ROWS)).encode(),
        "a.md": b"# One\n\ntext\n\n```\ncode\n```\n\n## Two\n" + b"words and words " * 60,
        "a": "Once upon a time.\n\nThe end: 完。\n".encode(),
    }
    files |= {
        "a.csv.gz": gzip.compress(CSV.encode()),
        "b.md": b"# One\n\n| text | label |\n|---|---|\n| late | delivery |\n| twice | billing |\n",
        "a.txt": "Q: 你好？\nA: Yes.\n\nQ: Late?\nA: No.\n".encode(),
        "b.txt": "张三 2024-05-01 10:05\n你好？\n\n客服 2024-05-01 10:06\n您好。\n\n".encode() * 4,
        "c.txt": b"__label__delivery late\n__label__billing __label__late twice\n",
        "d.json": b"[{'text': 'late', 'label': 'a'}, {'text': 'twice', 'label': 'b',}]",
    }
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    files["a.arrow"] = file.getvalue()
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    files["b.arrow"] = file.getvalue()
    file = io.BytesIO()
    pq.write_table(table, file)
    files["a.parquet"] = file.getvalue()
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.merge_range("A1:B1", "Tickets")
        for number, row in enumerate((("text", "label"), ("late", 3.5), ("twice", "x")), 1):
            sheet.write_row(number, 0, row)
    files["a.xlsx"] = file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a.csv", CSV)
        target.writestr("b.jsonl", '{"text": "x", "label": "y"}')
    files["a.zip"] = file.getvalue()
    return files


def inside(raw, member, chance):
    """A zip whose member is changed, with everything around it right."""
    with zipfile.ZipFile(io.BytesIO(raw)) as source:
        files = {name: source.read(name) for name in source.namelist()}
    file = io.BytesIO()
    packed(file, {**files, member: mutated(files[member], chance)})
    return file.getvalue()


# How many changed files of a format are read; workbooks and Parquet start a process each: fewer in CI.
MUTATIONS = {"a.parquet": 8, "a.arrow": 8, "b.arrow": 8, "a.xlsx": 20}
FEW = {"a.parquet": 3, "a.arrow": 3, "a.xlsx": 6}
FUZZED = [(name, MUTATIONS.get(name, 45)) for name in seeds()]
IN_CI = [(name, FEW.get(name, count)) for name, count in FUZZED if name != "b.arrow"]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "count"), sample(dict.fromkeys([*IN_CI, *FUZZED]), IN_CI))
def test_a_damaged_file_of_any_kind_is_read_or_told_and_nothing_else(tmp_path, name, count):
    chance = random.Random(f"5 {name}")
    raw = seeds()[name]
    for number in range(count):
        path = tmp_path / name
        if name == "a.xlsx" and number % 2:
            content = inside(
                raw,
                chance.choice((SHEET, "xl/sharedStrings.xml", "xl/workbook.xml", "xl/styles.xml")),
                chance,
            )
        else:
            content = mutated(raw, chance)
        path.write_bytes(content)
        try:
            table = read_table(path)
        except BadData as error:
            assert all(error.sentences("en") + error.sentences("zh"))
            continue
        assert table.rows
        assert all(tuple(row) == table.columns for row in table.rows)
        assert all(line >= 0 and why.render("en") and why.render("zh") for line, why in table.bad_lines)
        "".join(value for row in table.rows for value in row.values()).encode("utf-8", "surrogatepass")
