"""What a file is: told by its first bytes and by how its text begins, whatever its ending says."""

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal, NoReturn

from studio.data import delimited
from studio.data.rows import EXPORT
from studio.errors import BadData
from studio.words import Words

Form = Literal["text", "workbook", "parquet", "zip"]
Shape = Literal["table", "lines", "json", "passages"]

AS_TEXT = Words("Save its text as a plain text file (.txt) and drop that here.", "请把其中的文字另存为纯文本（.txt），再上传一次。")
AS_TABLE = Words("Open it in a spreadsheet program and save it as .xlsx or .csv.", "请用表格软件打开，另存为 .xlsx 或 .csv。")
UNPACK = Words("Unpack it and drop the file within, or pack it again as .zip.", "请先解压，上传其中的文件；或重新打包成 .zip。")
NO_WORDS = Words("It holds no text to learn from: bring a table or a text.", "其中没有可供学习的文字：请提供表格或文本。")
WITHOUT_PASSWORD = Words("Take the password off and save it again.", "请去掉密码后重新保存。")

PDF, WORD = Words("a PDF document", "PDF 文档"), Words("a Word document", "Word 文档")
SLIDES, WEB = Words("a presentation", "演示文稿"), Words("a web page (HTML)", "网页（HTML）")
PICTURE, SOUND = Words("a picture", "图片"), Words("a sound or a film", "音频或视频")
MEDIA = Words("a picture, a sound or a film", "图片、音频或视频")
PACKED, BOOK = Words("a packed file", "压缩文件"), Words("an e-book", "电子书")
DATABASE, XML = Words("a database (SQLite)", "数据库（SQLite）"), Words("an XML file", "XML 文件")
RICH, WRITER = Words("a formatted text (RTF)", "带格式的文本（RTF）"), Words("a text document (ODT)", "文字文档（ODT）")
MAIL, LOCKED = Words("an Outlook message", "Outlook 邮件"), Words("protected by a password", "受密码保护的文件")
PROGRAM, WEIGHTS = Words("a program", "程序"), Words("a model or Python's own data (pickle)", "模型或 Python 数据（pickle）")

FIRST_BYTES: tuple[tuple[bytes, Words, Words], ...] = (
    (b"%PDF", PDF, AS_TEXT),
    (b"{\\rtf", RICH, AS_TEXT),
    (b"\x89PNG", PICTURE, NO_WORDS),
    (b"\xff\xd8\xff", PICTURE, NO_WORDS),
    (b"GIF8", PICTURE, NO_WORDS),
    (b"RIFF", MEDIA, NO_WORDS),
    (b"ID3", SOUND, NO_WORDS),
    (b"OggS", SOUND, NO_WORDS),
    (b"\x1f\x8b", PACKED, UNPACK),
    (b"BZh", PACKED, UNPACK),
    (b"\xfd7zXZ", PACKED, UNPACK),
    (b"7z\xbc\xaf\x27\x1c", PACKED, UNPACK),
    (b"Rar!", PACKED, UNPACK),
    (b"\x28\xb5\x2f\xfd", PACKED, UNPACK),
    (b"SQLite format 3\0", DATABASE, EXPORT),
    (b"\x7fELF", PROGRAM, NO_WORDS),
    (b"\x80\x02", WEIGHTS, NO_WORDS),
    (b"\x80\x04", WEIGHTS, NO_WORDS),
    (b"\x80\x05", WEIGHTS, NO_WORDS),
)
# Old Office files hold a directory of streams, whose names tell what the file is.
STREAMS: tuple[tuple[str, Words, Words], ...] = (
    ("EncryptedPackage", LOCKED, WITHOUT_PASSWORD),
    ("WordDocument", WORD, AS_TEXT),
    ("PowerPoint Document", SLIDES, AS_TEXT),
    ("__substg1.0_", MAIL, AS_TEXT),
)
BEGINNINGS: tuple[tuple[re.Pattern[str], Words, Words], ...] = (
    (re.compile(r"<(!doctype\s+html|html|head|body|table|meta)\b", re.IGNORECASE), WEB, AS_TABLE),
    (re.compile(r"<\?xml\b", re.IGNORECASE), XML, EXPORT),
)
OBJECT = re.compile(r'\{\s*("(?:[^"\\]|\\.)*"\s*:|\}|$)')
LIST = re.compile(r'\[\s*(\{\s*["}]|\[|"|\]|$)')
LIST_OF_OBJECTS = re.compile(r'\[\s*(\{\s*["}]|\[\s*["{\[])')
TABLES, LINES, TEXTS = (".csv", ".tsv", ".tab", ".psv", ".xls", ".xlsx"), (".jsonl", ".ndjson"), (".md", ".markdown")


def form(path: Path, name: str) -> Form:
    """Whether a file is text, a workbook, Parquet or a zip. Raises BadData for what holds no rows or is protected."""
    with path.open("rb") as file:
        head = file.read(4096)
        for first, kind, to_do in FIRST_BYTES:
            if head.startswith(first):
                _refuse(name, kind, to_do)
        if head.startswith(b"\xd0\xcf\x11\xe0"):
            whole = head + file.read()
            for stream, kind, to_do in STREAMS:
                if stream.encode("utf-16-le") in whole:
                    _refuse(name, kind, to_do)
            return "workbook"
    if head.startswith(b"PAR1"):
        return "parquet"
    return _zipped(path, name) if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else "text"


def shape(text: str, ending: str, name: str) -> Shape:
    """How a text holds its examples. Raises BadData for a web page and its like."""
    start = text[:10_000].lstrip()
    for beginning, kind, to_do in BEGINNINGS:
        if beginning.match(start):
            _refuse(name, kind, to_do)
    if OBJECT.match(start):
        return "lines" if ending in LINES or _one_a_line(text, "{", "}") else "json"
    if LIST_OF_OBJECTS.match(start) or (ending not in (*TABLES, *TEXTS, *LINES) and LIST.match(start)):
        return "lines" if _one_a_line(text, "[", "]") else "json"
    if ending in LINES:
        return "lines"
    if ending in TABLES:
        return "table"
    if ending in TEXTS:
        return "passages"
    if delimited.agree(text):
        return "table"
    if ending == ".json":
        raise BadData(
            Words("“{name}” holds no JSON: it begins with “{start}”.", "“{name}”的内容不是 JSON：开头是“{start}”。"),
            EXPORT,
            name=name,
            start=start[:30],
        )
    return "passages"


def _one_a_line(text: str, first: str, last: str) -> bool:
    """Whether most of several lines are each a value of their own."""
    lines = [line.strip() for line in text[:200_000].splitlines() if line.strip()]
    return len(lines) > 1 and 2 * sum(line.startswith(first) and line.endswith(last) for line in lines) > len(lines)


def _zipped(path: Path, name: str) -> Form:
    """What a file is that is packed like a zip: Office documents are, too."""
    try:
        with zipfile.ZipFile(path) as packed:
            inside = packed.namelist()
            mime = packed.read("mimetype")[:100] if "mimetype" in inside and packed.getinfo("mimetype").file_size <= 100 else b""
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, LookupError, zlib.error, struct.error):
        raise damaged_zip(name) from None
    if any(member.lower() in ("xl/workbook.xml", "xl/workbook.bin") for member in inside) or b"opendocument.spreadsheet" in mime:
        return "workbook"
    if "word/document.xml" in inside:
        _refuse(name, WORD, AS_TEXT)
    if "ppt/presentation.xml" in inside or b"opendocument.presentation" in mime:
        _refuse(name, SLIDES, AS_TEXT)
    if b"opendocument.text" in mime:
        _refuse(name, WRITER, AS_TEXT)
    if b"epub" in mime:
        _refuse(name, BOOK, AS_TEXT)
    return "zip"


def damaged_zip(name: str) -> BadData:
    """The error for a zip whose directory cannot be read."""
    return BadData(
        Words("“{name}” is damaged: its zip directory cannot be read.", "“{name}”已损坏：无法读取其 zip 目录。"),
        Words("Save or pack it again and drop it here.", "请重新保存或打包，再上传一次。"),
        name=name,
    )


def _refuse(name: str, kind: Words, to_do: Words) -> NoReturn:
    raise BadData(Words("“{name}” is {kind}.", "“{name}”是{kind}。"), to_do, name=name, kind=kind)
