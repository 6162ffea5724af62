"""What a file is: told by its first bytes and by how its text begins, whatever its ending says."""

import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal, NoReturn

from studio.data.readers import csv as csv_reader
from studio.data.readers.rows import EXPORT_AS_CSV
from studio.errors import BadData
from studio.i18n import Message

FileType = Literal["text", "workbook", "parquet", "zip"]
TextLayout = Literal["table", "lines", "json", "passages"]

SAVE_AS_TEXT = Message("Save its text as a plain text file (.txt) and drop that here.")
SAVE_AS_TABLE = Message("Open it in a spreadsheet program and save it as .xlsx or .csv.")
UNPACK_FIRST = Message("Unpack it and drop the file within, or pack it again as .zip.")
NO_TEXT_INSIDE = Message("It holds no text to learn from: bring a table or a text.")
REMOVE_PASSWORD = Message("Take the password off and save it again.")

PDF, WORD_DOCUMENT = Message("a PDF document"), Message("a Word document")
PRESENTATION, WEB_PAGE = Message("a presentation"), Message("a web page (HTML)")
IMAGE, AUDIO_OR_VIDEO = Message("a picture"), Message("a sound or a film")
MEDIA = Message("a picture, a sound or a film")
COMPRESSED_FILE, EBOOK = Message("a packed file"), Message("an e-book")
DATABASE, XML = Message("a database (SQLite)"), Message("an XML file")
RTF, ODT = Message("a formatted text (RTF)"), Message("a text document (ODT)")
OUTLOOK_MESSAGE, PASSWORD_PROTECTED = Message("an Outlook message"), Message("protected by a password")
PROGRAM, PICKLE = Message("a program"), Message("a model or Python's own data (pickle)")

MAGIC_BYTES: tuple[tuple[bytes, Message, Message], ...] = (
    (b"%PDF", PDF, SAVE_AS_TEXT),
    (b"{\\rtf", RTF, SAVE_AS_TEXT),
    (b"\x89PNG", IMAGE, NO_TEXT_INSIDE),
    (b"\xff\xd8\xff", IMAGE, NO_TEXT_INSIDE),
    (b"GIF8", IMAGE, NO_TEXT_INSIDE),
    (b"RIFF", MEDIA, NO_TEXT_INSIDE),
    (b"ID3", AUDIO_OR_VIDEO, NO_TEXT_INSIDE),
    (b"OggS", AUDIO_OR_VIDEO, NO_TEXT_INSIDE),
    (b"\x1f\x8b", COMPRESSED_FILE, UNPACK_FIRST),
    (b"BZh", COMPRESSED_FILE, UNPACK_FIRST),
    (b"\xfd7zXZ", COMPRESSED_FILE, UNPACK_FIRST),
    (b"7z\xbc\xaf\x27\x1c", COMPRESSED_FILE, UNPACK_FIRST),
    (b"Rar!", COMPRESSED_FILE, UNPACK_FIRST),
    (b"\x28\xb5\x2f\xfd", COMPRESSED_FILE, UNPACK_FIRST),
    (b"SQLite format 3\0", DATABASE, EXPORT_AS_CSV),
    (b"\x7fELF", PROGRAM, NO_TEXT_INSIDE),
    (b"\x80\x02", PICKLE, NO_TEXT_INSIDE),
    (b"\x80\x04", PICKLE, NO_TEXT_INSIDE),
    (b"\x80\x05", PICKLE, NO_TEXT_INSIDE),
)
# Old Office files hold a directory of streams, whose names tell what the file is.
OLE_STREAMS: tuple[tuple[str, Message, Message], ...] = (
    ("EncryptedPackage", PASSWORD_PROTECTED, REMOVE_PASSWORD),
    ("WordDocument", WORD_DOCUMENT, SAVE_AS_TEXT),
    ("PowerPoint Document", PRESENTATION, SAVE_AS_TEXT),
    ("__substg1.0_", OUTLOOK_MESSAGE, SAVE_AS_TEXT),
)
MARKUP_STARTS: tuple[tuple[re.Pattern[str], Message, Message], ...] = (
    (re.compile(r"<(!doctype\s+html|html|head|body|table|meta)\b", re.IGNORECASE), WEB_PAGE, SAVE_AS_TABLE),
    (re.compile(r"<\?xml\b", re.IGNORECASE), XML, EXPORT_AS_CSV),
)
JSON_OBJECT_START = re.compile(r'\{\s*("(?:[^"\\]|\\.)*"\s*:|\}|$)')
JSON_LIST_START = re.compile(r'\[\s*(\{\s*["}]|\[|"|\]|$)')
JSON_RECORDS_START = re.compile(r'\[\s*(\{\s*["}]|\[\s*["{\[])')
TABLE_EXTENSIONS, JSONL_EXTENSIONS, MARKDOWN_EXTENSIONS = (
    (".csv", ".tsv", ".tab", ".psv", ".xls", ".xlsx"),
    (".jsonl", ".ndjson"),
    (".md", ".markdown"),
)


def detect_file_type(path: Path, name: str) -> FileType:
    """Whether a file is text, a workbook, Parquet or a zip. Raises BadData for what holds no rows or is protected."""
    with path.open("rb") as file:
        head = file.read(4096)
        for magic, kind, to_do in MAGIC_BYTES:
            if head.startswith(magic):
                _refuse(name, kind, to_do)
        if head.startswith(b"\xd0\xcf\x11\xe0"):
            content = head + file.read()
            for stream, kind, to_do in OLE_STREAMS:
                if stream.encode("utf-16-le") in content:
                    _refuse(name, kind, to_do)
            return "workbook"
    if head.startswith(b"PAR1"):
        return "parquet"
    return _detect_zip_type(path, name) if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else "text"


def detect_layout(text: str, extension: str, name: str) -> TextLayout:
    """How a text holds its examples. Raises BadData for a web page and its like."""
    start = text[:10_000].lstrip()
    for pattern, kind, to_do in MARKUP_STARTS:
        if pattern.match(start):
            _refuse(name, kind, to_do)
    if JSON_OBJECT_START.match(start):
        return "lines" if extension in JSONL_EXTENSIONS or _is_one_value_per_line(text, "{", "}") else "json"
    if JSON_RECORDS_START.match(start) or (
        extension not in (*TABLE_EXTENSIONS, *MARKDOWN_EXTENSIONS, *JSONL_EXTENSIONS)
        and JSON_LIST_START.match(start)
    ):
        return "lines" if _is_one_value_per_line(text, "[", "]") else "json"
    if extension in JSONL_EXTENSIONS:
        return "lines"
    if extension in TABLE_EXTENSIONS:
        return "table"
    if extension in MARKDOWN_EXTENSIONS:
        return "passages"
    if csv_reader.is_delimited(text):
        return "table"
    if extension == ".json":
        raise BadData(
            Message("“{name}” holds no JSON: it begins with “{start}”."),
            EXPORT_AS_CSV,
            name=name,
            start=start[:30],
        )
    return "passages"


def _is_one_value_per_line(text: str, opening: str, closing: str) -> bool:
    """Whether most of several lines are each a value of their own."""
    lines = [line.strip() for line in text[:200_000].splitlines() if line.strip()]
    return len(lines) > 1 and 2 * sum(
        line.startswith(opening) and line.endswith(closing) for line in lines
    ) > len(lines)


def _detect_zip_type(path: Path, name: str) -> FileType:
    """What a file is that is packed like a zip: Office documents are, too."""
    try:
        with zipfile.ZipFile(path) as zip_file:
            members = zip_file.namelist()
            mime = (
                zip_file.read("mimetype")[:100]
                if "mimetype" in members and zip_file.getinfo("mimetype").file_size <= 100
                else b""
            )
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        LookupError,
        zlib.error,
        struct.error,
    ):
        raise damaged_zip(name) from None
    if (
        any(member.lower() in ("xl/workbook.xml", "xl/workbook.bin") for member in members)
        or b"opendocument.spreadsheet" in mime
    ):
        return "workbook"
    if "word/document.xml" in members:
        _refuse(name, WORD_DOCUMENT, SAVE_AS_TEXT)
    if "ppt/presentation.xml" in members or b"opendocument.presentation" in mime:
        _refuse(name, PRESENTATION, SAVE_AS_TEXT)
    if b"opendocument.text" in mime:
        _refuse(name, ODT, SAVE_AS_TEXT)
    if b"epub" in mime:
        _refuse(name, EBOOK, SAVE_AS_TEXT)
    return "zip"


def damaged_zip(name: str) -> BadData:
    """The error for a zip whose directory cannot be read."""
    return BadData(
        Message("“{name}” is damaged: its zip directory cannot be read."),
        Message("Save or pack it again and drop it here."),
        name=name,
    )


def _refuse(name: str, kind: Message, to_do: Message) -> NoReturn:
    raise BadData(Message("“{name}” is {kind}."), to_do, name=name, kind=kind)
