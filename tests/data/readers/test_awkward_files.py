"""Files as people bring them: each with the rows that must come out, or the message that must be told."""

import base64
import io
import json
import zipfile
import zlib
from dataclasses import replace
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from refusals import raises_bad_data

from studio.data.readers import (
    archive,
    detect,
    gzip,
    header,
    json_records,
    parquet,
    plain_text,
    read,
    rows,
    zip_check,
)
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles
from studio.i18n import Message, languages

TWO_ROWS = ({"text": "late", "label": "delivery"}, {"text": "twice", "label": "billing"})
# A workbook of Excel 97: prompt and 数, with 你好 and 3.0, bye and 0.5.
OLD_EXCEL = (
    "c-rk)O=uHA6#izCG(V*2rlvwGlu)tS+KYJcQdb4-$yych2gN4s9;7u1OD`4FYRyp)JSkoZy?Cj5@drKVMFfS49t1&16i=Q61rKf3H!ri8Y7Px(P?>L;H*eqjX69w*"
    "&1`00E+$KJce={>3EL4s#fze)#wMsl{TmD9_dKQgb%cs%@J}Hcp^0n>;bH5Gu$n_P-(^VL4n83Xyr*&;1q|nNPP&QM#W7@rieZqXzzwn_(8*D?vm9f&hUG10K4Q6p"
    "Etgpi61OCdVbLD$-=?$pi0ols0;=D8+~zG?wx9#gR2HAVBC6aFcDkoBlYgh9I~d12Xx@gLoa1IDOGwcK&f}|>2EO<!^>NzRn`;*!`?r<$a2@+q83bnFjdFq)5y#Vj"
    "@<{RV#G!*rSP$}Zp=DWc^QQ|_0;1p$dvxE~qr}ZlJ2AB@^D4Ghtm0PA?l{SDw6UJ#9JgqnUb^}D)!yugeUdFRymMFg_YEo}c(|ZiP~!x9I4b7$v)s(`BKNwE^)8kv"
    "%1o+zM>@2!XO=ma*xO6vY-PN*H`eHzNH2ccf4{r<!R{k{VW@m2weZHCLl3=g#;Lu!W-%ZJ#Pw?m4{W~{dM|j#vh$aHAtEguyQg1bZCFN()g;U6oq9S#^F<xLV7}_{"
    "oQ!ciNhCC1*5OO$2Q<I>^q;Hus%*zy<)mHe2VyWVFfcGMFfcGMXa<D-Umws1jgUS)g!OlwWhxc(ndHC40p#hLqJ!yf<fwKr-BA9lMM(I4iB-1ozZWVTrqNwYAj@$~"
    "G@QS5`V+OkXVnd@-?xMs9lz2@oPT)y??*VrS^"
)


def sheet(*lines, merged=(), **names):
    """A worksheet's file; `merged` are ranges with their text, `names` further sheets."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"}) as book:
        for name, sheet_rows in {"One": lines, **names}.items():
            page = book.add_worksheet(name)
            for number, row in enumerate(sheet_rows):
                for column, value in enumerate(row):
                    if value is not None:
                        page.write(number, column, value)
        for cell_range, text in merged:
            book.get_worksheet_by_name("One").merge_range(cell_range, text)
    return file.getvalue()


def parquet_file(**columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def packed(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return file.getvalue()


def open_sheet(*lines):
    """A spreadsheet as LibreOffice saves it, as far as a reader needs it."""
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
            for cell in line
        )
        + "</table:table-row>"
        for line in lines
    )
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    body = f'<office:spreadsheet><table:table table:name="One">{cells}</table:table></office:spreadsheet>'
    content = (
        f'<?xml version="1.0"?><office:document-content {spaces}>'
        f"<office:body>{body}</office:body></office:document-content>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        target.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        target.writestr("content.xml", content)
        target.writestr("META-INF/manifest.xml", "<x/>")
    return file.getvalue()


TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
LONG = "A paragraph that is long enough to stand alone. " * 9
CSV = "text,label\nlate,delivery\ntwice,billing\n"
SURVEY = (
    "Timestamp,How was it?,What would you improve?\n"
    "2024/01/31 10:05,Fine,The price\n"
    "2024/02/01 11:00,So so,The parcel\n"
)

READ = {
    # the way it is written down
    "marked UTF-8": ("a.csv", b"\xef\xbb\xbf" + CSV.encode(), TWO_ROWS),
    "UTF-16 with a mark": ("a.csv", CSV.encode("utf-16"), TWO_ROWS),
    "UTF-16 without one": ("a.csv", CSV.encode("utf-16-le"), TWO_ROWS),
    "UTF-16, big end first": ("a.csv", CSV.encode("utf-16-be"), TWO_ROWS),
    "UTF-16, Chinese, without a mark": (
        "a.csv",
        "问题,回答\n包裹什么时候到,明天\n".encode("utf-16-le"),
        ({"问题": "包裹什么时候到", "回答": "明天"},),
    ),
    "UTF-32": ("a.csv", CSV.encode("utf-32"), TWO_ROWS),
    "GB18030, two characters": ("a.csv", "a,b\n好,1\n".encode("gb18030"), ({"a": "好", "b": "1"},)),
    "GB18030, a few names": (
        "a.csv",
        "编号,姓名\n1,张三\n2,李四\n".encode("gb18030"),
        ({"编号": "1", "姓名": "张三"}, {"编号": "2", "姓名": "李四"}),
    ),
    "GB18030, mostly English": (
        "a.csv",
        ("prompt,response\n" + "How do I pay?,By card\n" * 30 + "你好,您好\n").encode("gb18030"),
        (*({"prompt": "How do I pay?", "response": "By card"},) * 30, {"prompt": "你好", "response": "您好"}),
    ),
    "GB18030 with marks and an emoji": (
        "a.csv",
        "问,答\n“在吗？”——客户,在的😀\n".encode("gb18030"),
        ({"问": "“在吗？”——客户", "答": "在的😀"},),
    ),
    "GBK, traditional characters": (
        "a.csv",
        "問題,回答\n這個訂單怎麼還沒發貨,我們會儘快處理\n".encode("gbk"),
        ({"問題": "這個訂單怎麼還沒發貨", "回答": "我們會儘快處理"},),
    ),
    "Big5": (
        "a.csv",
        "問題,回答\n如何退貨？,請在訂單頁面申請。\n".encode("big5"),
        ({"問題": "如何退貨？", "回答": "請在訂單頁面申請。"},),
    ),
    "Windows, one accent in many lines": (
        "a.csv",
        ("text,label\n" + "plain,good\n" * 40 + "Café Müller,bad\n").encode("cp1252"),
        (*({"text": "plain", "label": "good"},) * 40, {"text": "Café Müller", "label": "bad"}),
    ),
    "Windows, curly quotes": (
        "a.csv",
        "text,label\nIt’s “fine” – really,good\n".encode("cp1252"),
        ({"text": "It’s “fine” – really", "label": "good"},),
    ),
    "Windows, the euro": (
        "a.csv",
        "text,label\n5 € too much,bad\n".encode("cp1252"),
        ({"text": "5 € too much", "label": "bad"},),
    ),
    "Windows, capitals with accents alone": (
        "a.csv",
        "a,b\nÄrger,x\nÄpfel,y\n".encode("cp1252"),
        ({"a": "Ärger", "b": "x"}, {"a": "Äpfel", "b": "y"}),
    ),
    "Latin-1, Spanish": (
        "a.csv",
        "a,b\n¿Cuándo llega?,Mañana\n".encode("latin-1"),
        ({"a": "¿Cuándo llega?", "b": "Mañana"},),
    ),
    "Mac, French": (
        "a.csv",
        "question,réponse\nOù est mon colis,à l’hôtel\n".encode("mac_roman"),
        ({"question": "Où est mon colis", "réponse": "à l’hôtel"},),
    ),
    "Polish": (
        "a.csv",
        "pytanie,odpowiedź\nGdzie jest paczka,Będzie jutro\nChcę zwrócić,Proszę wysłać\n".encode("cp1250"),
        (
            {"pytanie": "Gdzie jest paczka", "odpowiedź": "Będzie jutro"},
            {"pytanie": "Chcę zwrócić", "odpowiedź": "Proszę wysłać"},
        ),
    ),
    "Russian": (
        "a.csv",
        "вопрос,ответ\nГде заказ?,Завтра\n".encode("cp1251"),
        ({"вопрос": "Где заказ?", "ответ": "Завтра"},),
    ),
    "Japanese": (
        "a.csv",
        "質問,回答\n荷物はいつ届きますか,明日です\n".encode("shift_jis"),
        ({"質問": "荷物はいつ届きますか", "回答": "明日です"},),
    ),
    "one damaged byte in UTF-8": (
        "a.csv",
        "文本,标签\n好好好\n".encode()[:-1] + b"\xff,\xe5\xa5\xbd\n",
        ({"文本": "好好好\ufffd", "标签": "好"},),
    ),
    "zero bytes strewn in": ("a.csv", b"text,label\nla\0te,delivery\n\0twice,billing\n", TWO_ROWS),
    # delimiters and quotes
    "semicolons, commas in the text": (
        "a.csv",
        b"text;label\nlate, again;delivery\nno, yes;x\n",
        ({"text": "late, again", "label": "delivery"}, {"text": "no, yes", "label": "x"}),
    ),
    "a comma in an unquoted header": (
        "a.csv",
        b"text, all;label;who\nx;y;z\nu;v;w\n",
        ({"text, all": "x", "label": "y", "who": "z"}, {"text, all": "u", "label": "v", "who": "w"}),
    ),
    "bars": ("a.csv", CSV.replace(",", "|").encode(), TWO_ROWS),
    "commas under the ending of tabs": ("a.tsv", CSV.encode(), TWO_ROWS),
    "tabs under the ending of a text": ("a.txt", CSV.replace(",", "\t").encode(), TWO_ROWS),
    "sep=": ("a.csv", b"sep=;\r\ntext;label\r\nlate;delivery\r\ntwice;billing\r\n", TWO_ROWS),
    "sep= in quotes": ("a.csv", b'"sep=|"\ntext|label\nlate|delivery\ntwice|billing\n', TWO_ROWS),
    "spaces after the commas, then quotes": (
        "a.csv",
        b'text, label\n"late, so late", "delivery"\n',
        ({"text": "late, so late", "label": "delivery"},),
    ),
    "doubled quotes and line ends within": (
        "a.csv",
        b'text,label\n"he said ""no""\nand left",x\n',
        ({"text": 'he said "no"\nand left', "label": "x"},),
    ),
    "a stray quote in the middle": (
        "a.csv",
        b'text,label\n5" pipe,x\nrest,y\n',
        ({"text": '5" pipe', "label": "x"}, {"text": "rest", "label": "y"}),
    ),
    "one column with commas in its texts": (
        "a.csv",
        b"text\nlate, again\nfine\n",
        ({"text": "late, again"}, {"text": "fine"}),
    ),
    "one column with commas and no spaces": (
        "a.csv",
        b"my text\nlate,again\nfine\nno,not,me\n",
        ({"my text": "late,again"}, {"my text": "fine"}, {"my text": "no,not,me"}),
    ),
    "delimiters at the ends of lines": ("a.csv", b"text,label\nlate,delivery,\ntwice,billing,,\n", TWO_ROWS),
    "empty columns at the right": ("a.csv", b"text,label,,\nlate,delivery,,\ntwice,billing,,\n", TWO_ROWS),
    "no line end at the end": ("a.csv", CSV.rstrip().encode(), TWO_ROWS),
    "formulas stay text": (
        "a.csv",
        b"text,label\n\"=cmd|'/C calc'!A0\",+1\n",
        ({"text": "=cmd|'/C calc'!A0", "label": "+1"},),
    ),
    # headers
    "titles above the header": (
        "a.csv",
        b"Tickets of May,,\n,,\nid,text,label\n1,late,x\n2,twice,y\n",
        ({"id": "1", "text": "late", "label": "x"}, {"id": "2", "text": "twice", "label": "y"}),
    ),
    "a title in one field": (
        "a.csv",
        b"Tickets of May\n\ntext,label\nlate,delivery\ntwice,billing\n",
        TWO_ROWS,
    ),
    "no header, labels repeat": (
        "a.csv",
        b"late,x\ntwice,y\nlost,x\nagain,x\n",
        (
            {"column 1": "late", "column 2": "x"},
            {"column 1": "twice", "column 2": "y"},
            {"column 1": "lost", "column 2": "x"},
            {"column 1": "again", "column 2": "x"},
        ),
    ),
    "no header, numbered rows": (
        "a.csv",
        b"1,late\n2,twice\n3,lost\n",
        (
            {"column 1": "1", "column 2": "late"},
            {"column 1": "2", "column 2": "twice"},
            {"column 1": "3", "column 2": "lost"},
        ),
    ),
    "no header, one column of questions": (
        "a.csv",
        b"Where is it?\nHow much?\nWhen?\n",
        ({"text": "Where is it?"}, {"text": "How much?"}, {"text": "When?"}),
    ),
    "a header that is also a class": (
        "a.csv",
        f"message,urgent\n{LONG},urgent\n{LONG},urgent\n{LONG},no\n".encode(),
        tuple({"message": LONG, "urgent": kind} for kind in ("urgent", "urgent", "no")),
    ),
    "a question above its answers": (
        "a.csv",
        b"How was it?\nIt was good.\nFine.\n",
        ({"How was it?": "It was good."}, {"How was it?": "Fine."}),
    ),
    "questions as headers of a survey": (
        "a.csv",
        SURVEY.encode(),
        (
            {"Timestamp": "2024/01/31 10:05", "How was it?": "Fine", "What would you improve?": "The price"},
            {
                "Timestamp": "2024/02/01 11:00",
                "How was it?": "So so",
                "What would you improve?": "The parcel",
            },
        ),
    ),
    "years as headers": (
        "a.csv",
        b"shop,2023,2024\nA,1,2\nB,3,4\n",
        ({"shop": "A", "2023": "1", "2024": "2"}, {"shop": "B", "2023": "3", "2024": "4"}),
    ),
    "row names without a header": (
        "a.csv",
        b"text,label\n1,late,delivery\n2,twice,billing\n",
        ({"column 1": "1", **TWO_ROWS[0]}, {"column 1": "2", **TWO_ROWS[1]}),
    ),
    "a quote left open in the header": ("a.csv", b'text,"label\nlate,delivery\ntwice,billing\n', TWO_ROWS),
    "a header over two lines": (
        "a.csv",
        b'"the\ntext",label\nlate,x\n',
        ({"the text": "late", "label": "x"},),
    ),
    # JSON
    "a list of objects": ("a.json", json.dumps(list(TWO_ROWS), indent=2).encode(), TWO_ROWS),
    "an object of columns": (
        "a.json",
        json.dumps({"text": ["late", "twice"], "label": ["delivery", "billing"]}).encode(),
        TWO_ROWS,
    ),
    "columns as pandas writes them": (
        "a.json",
        b'{"text":{"0":"late","1":"twice"},"label":{"0":"delivery","1":"billing"}}',
        TWO_ROWS,
    ),
    "pandas, split": (
        "a.json",
        b'{"columns":["text","label"],"index":[0,1],"data":[["late","delivery"],["twice","billing"]]}',
        TWO_ROWS,
    ),
    "a list within an object": (
        "a.json",
        json.dumps({"version": 1, "data": list(TWO_ROWS)}).encode(),
        TWO_ROWS,
    ),
    "a list within an object within": (
        "a.json",
        json.dumps({"result": {"count": 2, "items": list(TWO_ROWS)}}).encode(),
        TWO_ROWS,
    ),
    "objects by their ids": (
        "a.json",
        json.dumps({"t1": TWO_ROWS[0], "t2": TWO_ROWS[1]}).encode(),
        ({"id": "t1", **TWO_ROWS[0]}, {"id": "t2", **TWO_ROWS[1]}),
    ),
    "a list of lists": (
        "a.json",
        json.dumps([["text", "label"], *(list(row.values()) for row in TWO_ROWS)]).encode(),
        TWO_ROWS,
    ),
    "a list of texts": ("a.json", b'["late", "twice"]', ({"text": "late"}, {"text": "twice"})),
    "a list of conversations": (
        "a.json",
        json.dumps([TALK, TALK]).encode(),
        ({"messages": json.dumps(TALK)},) * 2,
    ),
    "one conversation": (
        "a.json",
        json.dumps({"messages": TALK}).encode(),
        ({"messages": json.dumps(TALK)},),
    ),
    "JSON Lines called JSON": ("a.json", "\n".join(map(json.dumps, TWO_ROWS)).encode(), TWO_ROWS),
    "JSON called JSON Lines": ("a.jsonl", json.dumps(list(TWO_ROWS), indent=1).encode(), TWO_ROWS),
    "JSON called CSV": ("a.csv", json.dumps(list(TWO_ROWS)).encode(), TWO_ROWS),
    "objects over several lines, one after another": (
        "a.json",
        "\n".join(json.dumps(row, indent=1) for row in TWO_ROWS).encode(),
        TWO_ROWS,
    ),
    "conversations, one a line": (
        "a.jsonl",
        f"{json.dumps(TALK)}\n{json.dumps(TALK)}\n".encode(),
        ({"messages": json.dumps(TALK)},) * 2,
    ),
    "a comma after the last": (
        "a.json",
        b'[{"text": "late"}, {"text": "twice"},]',
        ({"text": "late"}, {"text": "twice"}),
    ),
    "no number is no text": (
        "a.jsonl",
        b'{"a": NaN, "b": 1.5}\n{"a": true, "b": null}\n',
        ({"a": "", "b": "1.5"}, {"a": "true", "b": ""}),
    ),
    "NDJSON with a mark": (
        "a.ndjson",
        b"\xef\xbb\xbf" + "\r\n".join(map(json.dumps, TWO_ROWS)).encode(),
        TWO_ROWS,
    ),
    # workbooks
    "a workbook": ("a.xlsx", sheet(["text", "label"], *(list(row.values()) for row in TWO_ROWS)), TWO_ROWS),
    "a workbook without an ending": (
        "upload",
        sheet(["text", "label"], *(list(row.values()) for row in TWO_ROWS)),
        TWO_ROWS,
    ),
    "a workbook called CSV": (
        "a.csv",
        sheet(["text", "label"], *(list(row.values()) for row in TWO_ROWS)),
        TWO_ROWS,
    ),
    "CSV called a workbook": ("a.xls", CSV.encode(), TWO_ROWS),
    "numbers, dates, truth": (
        "a.xlsx",
        sheet(
            ["n", "half", "day", "yes"],
            [3.0, 0.1 + 0.2, date(2024, 1, 31), True],
            [12345678901, -2, datetime(2024, 1, 31), False],
        ),
        (
            {"n": "3", "half": "0.3", "day": "2024-01-31", "yes": "true"},
            {"n": "12345678901", "half": "-2", "day": "2024-01-31", "yes": "false"},
        ),
    ),
    "a merged title": (
        "a.xlsx",
        sheet(
            [], ["text", "label"], *(list(row.values()) for row in TWO_ROWS), merged=[("A1:B1", "Tickets")]
        ),
        TWO_ROWS,
    ),
    "merged labels": (
        "a.xlsx",
        sheet(["text", "label"], ["late"], ["lost"], merged=[("B2:B3", "delivery")]),
        ({"text": "late", "label": "delivery"}, {"text": "lost", "label": "delivery"}),
    ),
    "a table that begins further in": (
        "a.xlsx",
        sheet([], [], [None, None, "text", "label"], *([None, None, *row.values()] for row in TWO_ROWS)),
        TWO_ROWS,
    ),
    "a first sheet with a note": (
        "a.xlsx",
        sheet(["made in May"], Data=[["text", "label"], *(list(row.values()) for row in TWO_ROWS)]),
        TWO_ROWS,
    ),
    "gaps between rows": (
        "a.xlsx",
        sheet(["text", "label"], [], ["late", "delivery"], [], [], ["twice", "billing"]),
        TWO_ROWS,
    ),
    "a cell beside the table": (
        "a.xlsx",
        sheet(["text", "label"], ["late", "delivery"], ["twice", "billing", None, "?"]),
        ({**TWO_ROWS[0], "column 3": ""}, {**TWO_ROWS[1], "column 3": "?"}),
    ),
    "a workbook of 1997": (
        "a.xls",
        zlib.decompress(base64.b85decode(OLD_EXCEL)),
        ({"prompt": "你好", "数": "3"}, {"prompt": "bye", "数": "0.5"}),
    ),
    "a spreadsheet of LibreOffice": (
        "a.ods",
        open_sheet(["text", "label"], *(row.values() for row in TWO_ROWS)),
        TWO_ROWS,
    ),
    # Parquet
    "Parquet": ("a.parquet", parquet_file(text=["late", "twice"], label=["delivery", "billing"]), TWO_ROWS),
    "Parquet with nested values, numbers and times": (
        "a.bin",
        parquet_file(
            messages=[TALK],
            n=[3.0],
            none=pa.array([None], pa.string()),
            at=pa.array([1_706_695_500_123_456_789], pa.timestamp("ns")),
        ),
        (
            {
                "messages": json.dumps(TALK),
                "n": "3",
                "none": "",
                "at": "2024-01-31 10:05:00.123456",
            },
        ),
    ),
    # running text
    "paragraphs": ("a.txt", f"{LONG}\n\n{LONG}\n".encode(), ({"text": LONG.strip()},) * 2),
    "short paragraphs are gathered": (
        "a.txt",
        b"One.\n\nTwo.\n\nThree.\n",
        ({"text": "One.\n\nTwo.\n\nThree."},),
    ),
    "headings begin a piece": (
        "a.md",
        f"# A\n{LONG}\n## B\n{LONG}\n".encode(),
        ({"text": f"# A\n{LONG.strip()}"}, {"text": f"## B\n{LONG.strip()}"}),
    ),
    "lines without blank ones": ("a.txt", f"{LONG}\n{LONG}\n".encode(), ({"text": LONG.strip()},) * 2),
    "code stays in one piece": (
        "a.md",
        f"```\n# no heading\n\n{LONG}\n```\n\n{LONG}".encode(),
        ({"text": f"```\n# no heading\n\n{LONG.rstrip()}\n```"}, {"text": LONG.strip()}),
    ),
    "a short end goes with the last piece": (
        "a.txt",
        f"{LONG}\n\nThe end.\n".encode(),
        ({"text": f"{LONG.strip()}\n\nThe end."},),
    ),
    # archives
    "a zip of one": ("a.zip", packed({"a.csv": CSV}), TWO_ROWS),
    "a zip of two with the same columns": (
        "a.zip",
        packed({"a.csv": "text,label\nlate,delivery\n", "b.jsonl": '{"label": "billing", "text": "twice"}'}),
        TWO_ROWS,
    ),
    "a zip from a Mac": (
        "a.zip",
        packed({"a.csv": CSV, "__MACOSX/._a.csv": b"\0\5\x16\7", "data/.DS_Store": b"x"}),
        TWO_ROWS,
    ),
    "a zip with a workbook": (
        "a.zip",
        packed({"a.xlsx": sheet(["text", "label"], *(list(row.values()) for row in TWO_ROWS))}),
        TWO_ROWS,
    ),
}


@pytest.mark.parametrize("case", READ)
def test_an_awkward_file_gives_the_rows_a_person_sees_in_it(tmp_path, case):
    name, content, expected = READ[case]
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path)
    assert table.rows == expected
    assert table.columns == tuple(expected[0])
    assert table.bad_lines == ()


# What a help desk, a shop and a survey export: the columns with what somebody wrote, and if that is sure.
DESK = "Ticket ID,Customer Name,Created At,Response Time,Customer Message,Agent Response\n" + "".join(
    f"T-{n},{who},2024-05-{n + 10} 10:05,{n} hours,"
    f"Where is parcel {n} of mine?,It left us on day {n} of May.\n"
    for n, who in enumerate(["Anna Müller", "Ben O'Hara", "Chen Wei", "Ada King", "Li Na", "Tom Fox"])
)
SHOP = "order;customer;answer id;note;reply\n" + "".join(
    f"{n};{who};A-{n};the lamp came broken, number {n};we send lamp {n} again\n"
    for n, who in enumerate(["Meyer", "Schulz", "Wolf", "Kaiser"])
)
CODES = "prompt,response\n" + "".join(f"Is lamp {n} in stock?,{n % 2}\n" for n in range(8))
FORM = "提交时间,客户姓名,客户留言,客服回复\n" + "".join(
    f"2024-05-1{n} 10:05,张三{n},第 {n} 个包裹什么时候能送到？,第 {n} 个包裹已经发出，请耐心等待。\n"
    for n in range(6)
)
UNDERSTOOD = {
    "a help desk": (DESK, {"prompt": "Customer Message", "response": "Agent Response"}, True),
    "a shop": (SHOP, {"prompt": "note", "response": "reply"}, False),
    "answers that are codes": (CODES, {"prompt": "prompt", "response": "response"}, False),
    "a Chinese form": (FORM, {"prompt": "客户留言", "response": "客服回复"}, True),
}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_names_times_and_ids_are_not_taken_for_what_somebody_wrote(tmp_path, case):
    text, roles, is_confident = UNDERSTOOD[case]
    (tmp_path / "export.csv").write_text(text, encoding="utf-8")
    assert infer_roles.guess_roles(read_table(tmp_path / "export.csv"), "chat") == infer_roles.RoleGuess(
        "chat", roles, is_confident
    )


DROPPED_KEYS = json_records.KEYS_DROPPED.format(limit=200, count=203, first="k200")


def skipped_picture(member):
    """What is said of a picture in a zip."""
    reason = replace(detect.IS_UNSUPPORTED.format(name=member, kind=detect.IMAGE), style="clause")
    return archive.MEMBER_SKIPPED.format(member=member, why=reason)


# The name and the content of a file, the rows that remain of it, and the only bad line.
DAMAGED = {
    "a row with too many fields": (
        "a.csv",
        CSV.encode() + b"a,b,c\n",
        TWO_ROWS,
        4,
        header.FIELD_COUNT_DIFFERS.format(found=3, wanted=2),
    ),
    "a quote never closed": (
        "a.csv",
        b'text,label\n"late,delivery\nlate,delivery\ntwice,billing\n',
        TWO_ROWS,
        2,
        header.QUOTE_NEVER_CLOSED,
    ),
    "every row with a comma too many": (
        "a.csv",
        CSV.encode() + b"Hello,you,x\n",
        TWO_ROWS,
        4,
        header.FIELD_COUNT_DIFFERS.format(found=3, wanted=2),
    ),
    "a number in a list within an object": (
        "a.json",
        json.dumps({"data": [TWO_ROWS[0], 7, TWO_ROWS[1]]}).encode(),
        TWO_ROWS,
        2,
        json_records.NOT_JSON,
    ),
    "the header once more": ("a.csv", CSV.encode() + b"text,label\n", TWO_ROWS, 4, header.REPEATS_HEADER),
    "a cell of 300,000 characters": (
        "a.csv",
        CSV.encode() + b"x" * 300_000 + b",y\n",
        TWO_ROWS,
        4,
        rows.CELL_TOO_LONG,
    ),
    "single quotes for JSON, cut off": (
        "a.jsonl",
        "\n".join(map(json.dumps, TWO_ROWS)).encode() + b"\n{'text': 'x'\n",
        TWO_ROWS,
        3,
        json_records.NOT_JSON,
    ),
    "one of a list damaged": (
        "a.json",
        b'[{"text": "late", "label": "delivery"},\n{"text": "x, "label": 1},\n'
        b'{"text": "twice", "label": "billing"}]',
        TWO_ROWS,
        2,
        json_records.DAMAGED_JSON,
    ),
    "one of a list on one line damaged": (
        "a.json",
        b'[{"text": "late", "label": "delivery"}, {"text": x, "label": 1}, '
        b'{"text": "twice", "label": "billing"}]',
        TWO_ROWS,
        2,
        json_records.DAMAGED_JSON,
    ),
    "a list that breaks off": (
        "a.json",
        json.dumps(list(TWO_ROWS)).encode()[:-1] + b', {"text": "thi',
        TWO_ROWS,
        3,
        json_records.REST_UNREADABLE,
    ),
    "a list that ends too early": (
        "a.json",
        json.dumps(list(TWO_ROWS), indent=1).encode() + b', {"text": "third"}]',
        TWO_ROWS,
        10,
        json_records.TEXT_AFTER_LIST,
    ),
    "one of a list damaged, after blank lines": (
        "a.json",
        b'\n\n[{"text": "late", "label": "delivery"},\n{"text": 1 2},\n'
        b'{"text": "twice", "label": "billing"}]',
        TWO_ROWS,
        4,
        json_records.DAMAGED_JSON,
    ),
    "a number among objects": (
        "a.json",
        json.dumps([TWO_ROWS[0], 7, TWO_ROWS[1]]).encode(),
        TWO_ROWS,
        2,
        json_records.NOT_JSON,
    ),
    "Parquet with pictures": (
        "a.parquet",
        parquet_file(text=["late", "twice"], label=["delivery", "billing"], scan=[b"\x89PNG", b"\x89PNG"]),
        TWO_ROWS,
        0,
        parquet.BINARY_COLUMN_SKIPPED.format(column="scan"),
    ),
    "objects of 203 keys": (
        "a.jsonl",
        json.dumps({f"k{n}": "x" for n in range(203)}).encode(),
        ({f"k{n}": "x" for n in range(200)},),
        0,
        DROPPED_KEYS,
    ),
    "a zip with a stranger": (
        "a.zip",
        packed({"a.csv": CSV, "b.csv": "x,y\n1,2\n"}),
        TWO_ROWS,
        0,
        archive.MEMBER_SKIPPED.format(member="b.csv", why=archive.COLUMNS_DIFFER.format(columns=("x", "y"))),
    ),
    "a zip with a picture": (
        "a.zip",
        packed({"a.csv": CSV, "folder/b.png": b"\x89PNG"}),
        TWO_ROWS,
        0,
        skipped_picture("b.png"),
    ),
    "a zip in a zip": (
        "a.zip",
        packed({"a.csv": CSV, "b.zip": packed({"c.csv": CSV})}),
        TWO_ROWS,
        0,
        archive.MEMBER_SKIPPED.format(member="b.zip", why=replace(archive.IS_NESTED_ZIP, style="clause")),
    ),
    "objects of 203 keys in a zip": (
        "a.zip",
        packed({"b.jsonl": json.dumps({f"k{n}": "x" for n in range(203)})}),
        ({f"k{n}": "x" for n in range(200)},),
        0,
        archive.NOTE_ON_MEMBER.format(member="b.jsonl", why=DROPPED_KEYS),
    ),
    "a damaged row in a zip": (
        "a.zip",
        packed({"a.csv": CSV + "x\n"}),
        TWO_ROWS,
        4,
        archive.LINE_IN_MEMBER.format(
            member="a.csv", why=header.FIELD_COUNT_DIFFERS.format(found=1, wanted=2)
        ),
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_damaged_costs_itself_alone_and_is_told(tmp_path, case):
    name, content, expected, line, reason = DAMAGED[case]
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path)
    assert (table.rows, table.bad_lines) == (expected, ((line, reason),))
    assert all(reason.render(language) for language in languages())


# The name and the content of a file, the message, and some of its values.
REFUSED = {
    "a PDF": (
        "a.csv",
        b"%PDF-1.7\n%\xe2\xe3",
        detect.IS_UNSUPPORTED,
        {"name": "a.csv", "kind": detect.PDF},
    ),
    "a photo": ("a.txt", b"\xff\xd8\xff\xe0\0\x10JFIF", detect.IS_UNSUPPORTED, {"kind": detect.IMAGE}),
    "a Word document": (
        "a.docx",
        packed({"word/document.xml": "<w/>"}),
        detect.IS_UNSUPPORTED,
        {"kind": detect.WORD_DOCUMENT},
    ),
    "an old Word document": (
        "a.doc",
        b"\xd0\xcf\x11\xe0" + bytes(500) + "WordDocument".encode("utf-16-le"),
        detect.IS_UNSUPPORTED,
        {"kind": detect.WORD_DOCUMENT},
    ),
    "a presentation": (
        "a.pptx",
        packed({"ppt/presentation.xml": "<p/>"}),
        detect.IS_UNSUPPORTED,
        {"kind": detect.PRESENTATION},
    ),
    "a workbook with a password": (
        "a.xlsx",
        b"\xd0\xcf\x11\xe0" + bytes(500) + "EncryptedPackage".encode("utf-16-le"),
        detect.IS_UNSUPPORTED,
        {"kind": detect.PASSWORD_PROTECTED},
    ),
    "a web page called Excel": (
        "a.xls",
        b"<html><body><table><tr><td>1</td></tr></table></body></html>",
        detect.IS_UNSUPPORTED,
        {"kind": detect.WEB_PAGE},
    ),
    "XML": ("a.csv", b'<?xml version="1.0"?><rows/>', detect.IS_UNSUPPORTED, {"kind": detect.XML}),
    "RTF": ("a.txt", b"{\\rtf1\\ansi hello}", detect.IS_UNSUPPORTED, {"kind": detect.RTF}),
    "gzip that ends too soon": ("a.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0", gzip.IS_DAMAGED, {}),
    "bzip2": ("a.csv.bz2", b"BZh91AY&SY", detect.IS_UNSUPPORTED, {"kind": detect.COMPRESSED_FILE}),
    "a database": (
        "a.csv",
        b"SQLite format 3\0" + bytes(100),
        detect.IS_UNSUPPORTED,
        {"kind": detect.DATABASE},
    ),
    "pickle": ("a.csv", b"\x80\x04\x95\x10", detect.IS_UNSUPPORTED, {"kind": detect.PICKLE}),
    "no JSON": ("a.json", b"prompt: hi\n", plain_text.HOLDS_NO_JSON, {"start": "prompt: hi\n"}),
    "a JSON value": ("a.json", b'{"a": 1', json_records.DAMAGED_FILE, {"line": 1, "column": 8}),
    "an empty list": ("a.json", b"[]", read.ONLY_EMPTY_LINES, {}),
    "several lists": (
        "a.json",
        b'{"train": [{"a": 1}], "test": [{"a": 2}, {"a": 3}]}',
        json_records.SEVERAL_LISTS,
        {"lists": ["train (1)", "test (2)"]},
    ),
    "an empty sheet": ("a.xlsx", sheet(), read.ONLY_EMPTY_LINES, {}),
    "half a workbook": ("a.xlsx", sheet(["a"], ["b"])[:900], zip_check.DAMAGED_ZIP, {}),
    "half a Parquet": ("a.parquet", parquet_file(a=["b"])[:200], parquet.CANNOT_OPEN, {}),
    "Parquet of pictures alone": (
        "a.parquet",
        parquet_file(scan=[b"\x89PNG"]),
        read.NO_READABLE_ROW,
        {"bad": 1},
    ),
    "an empty zip": ("a.zip", packed({}), archive.NO_READABLE_MEMBER, {"first": ""}),
    "a zip of pictures": (
        "a.zip",
        packed({"a.png": b"\x89PNG"}),
        archive.NO_READABLE_MEMBER,
        {"first": Message("{why}.").format(why=skipped_picture("a.png"))},
    ),
    "two names for three fields in every row": (
        "a.csv",
        b"text,label\nHello,you,x\nBye,now,y\n",
        read.NO_READABLE_ROW,
        {
            "first": read.NUMBERED_BAD_LINE.format(
                line=2, why=header.FIELD_COUNT_DIFFERS.format(found=3, wanted=2)
            )
        },
    ),
    "spaces": ("a.txt", b" \n \n", read.ONLY_EMPTY_LINES, {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_no_rows_is_told_for_what_it_is(tmp_path, case):
    name, content, message, values = REFUSED[case]
    path = tmp_path / name
    path.write_bytes(content)
    with raises_bad_data(message, **values):
        read_table(path)


def test_what_is_refused_says_what_to_bring_instead(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"%PDF-1.7\n%\xe2\xe3")
    with raises_bad_data(detect.IS_UNSUPPORTED, kind=detect.PDF) as caught:
        read_table(path)
    assert caught.value.hint.text == detect.SAVE_AS_TEXT.text


def test_a_damaged_mime_type_in_a_zip_is_told_whatever_it_is_packed_with(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as target:
        target.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    content = bytearray(file.getvalue())
    start = content.index(b"mimetype") + len("mimetype")
    content[start + 4 : start + 9] = b"\xff" * 5  # the settings of the LZMA decoder
    path = tmp_path / "a.ods"
    path.write_bytes(content)
    with raises_bad_data(zip_check.DAMAGED_ZIP):
        read_table(path)
