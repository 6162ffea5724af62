"""What a file is: its first bytes and how its text begins decide, whatever its extension says."""

import re
from typing import NoReturn

from studio.data import readers
from studio.data.readers import spreadsheet
from studio.data.readers.rows import EXPORT_AS_CSV
from studio.data.readers.spec import OLE_MAGIC, Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message

SAVE_AS_TEXT = Message("Save its text as a plain text file (.txt) and drop that here.")
SAVE_AS_TABLE = Message("Open it in a spreadsheet program and save it as .xlsx or .csv.")
UNPACK_FIRST = Message("Unpack it and drop the file within, or pack it again as .zip.")
NO_TEXT_INSIDE = Message("It holds no text to learn from: bring a table or a text.")
REMOVE_PASSWORD = Message("Take the password off and save it again.")

PDF = Message("a PDF document")
WORD_DOCUMENT = Message("a Word document")
PRESENTATION = Message("a presentation")
WEB_PAGE = Message("a web page (HTML)")
IMAGE = Message("a picture")
AUDIO_OR_VIDEO = Message("a sound or a film")
MEDIA = Message("a picture, a sound or a film")
COMPRESSED_FILE = Message("a packed file")
EBOOK = Message("an e-book")
DATABASE = Message("a database (SQLite)")
NUMBERS_TABLE = Message("a table of Apple Numbers")
XML = Message("an XML file")
RTF = Message("a formatted text (RTF)")
ODT = Message("a text document (ODT)")
OUTLOOK_MESSAGE = Message("an Outlook message")
PASSWORD_PROTECTED = Message("protected by a password")
PROGRAM = Message("a program")
PICKLE = Message("a model or Python's own data (pickle)")

IS_UNSUPPORTED = Message("“{name}” is {kind}.")
# Formats that are refused: the first bytes, what it is, and what to do instead.
MAGIC_BYTES: tuple[tuple[bytes, Message, Message], ...] = (
    (b"%PDF", PDF, SAVE_AS_TEXT),
    (b"{\\rtf", RTF, SAVE_AS_TEXT),
    (b"\x89PNG", IMAGE, NO_TEXT_INSIDE),
    (b"\xff\xd8\xff", IMAGE, NO_TEXT_INSIDE),
    (b"GIF8", IMAGE, NO_TEXT_INSIDE),
    (b"RIFF", MEDIA, NO_TEXT_INSIDE),
    (b"ID3", AUDIO_OR_VIDEO, NO_TEXT_INSIDE),
    (b"OggS", AUDIO_OR_VIDEO, NO_TEXT_INSIDE),
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
# New Office files and e-books are zips: a member or a part of the MIME type tells what the file is.
ZIP_MEMBERS: tuple[tuple[str, Message, Message], ...] = (
    ("word/document.xml", WORD_DOCUMENT, SAVE_AS_TEXT),
    ("ppt/presentation.xml", PRESENTATION, SAVE_AS_TEXT),
    ("Index/Document.iwa", NUMBERS_TABLE, SAVE_AS_TABLE),
)
ZIP_MIMETYPES: tuple[tuple[bytes, Message], ...] = (
    (b"opendocument.presentation", PRESENTATION),
    (b"opendocument.text", ODT),
    (b"epub", EBOOK),
)
MARKUP_STARTS: tuple[tuple[re.Pattern[str], Message, Message], ...] = (
    (re.compile(r"<(!doctype\s+html|html|head|body|table|meta)\b", re.IGNORECASE), WEB_PAGE, SAVE_AS_TABLE),
    (re.compile(r"<\?xml\b", re.IGNORECASE), XML, EXPORT_AS_CSV),
)


def detect_reader(source: SourceFile) -> Reader:
    """The reader of a file: the first registered format that recognises its content.

    Raises:
        BadData: The file is of a format that holds no rows, is protected by a password, damaged, or no text.
    """
    if source.pasted_text is None:
        _refuse_binary_formats(source)
        for reader in readers.READERS:
            if not reader.is_text and source.head.startswith(reader.magic) and reader.matches(source):
                return reader
    return detect_text_reader(source)


def detect_text_reader(source: SourceFile) -> Reader:
    """The reader of a text. Raises BadData for a web page and its like."""
    for pattern, kind, hint in MARKUP_STARTS:
        if pattern.match(source.text_start):
            _refuse(source, kind, hint)
    return next(reader for reader in readers.READERS if reader.is_text and reader.matches(source))


def _refuse_binary_formats(source: SourceFile) -> None:
    """Raise BadData for a file of a known format that holds no rows."""
    for magic, kind, hint in MAGIC_BYTES:
        if source.head.startswith(magic):
            _refuse(source, kind, hint)
    if source.head.startswith(OLE_MAGIC):
        content = source.path.read_bytes()
        for stream, kind, hint in OLE_STREAMS:
            if stream.encode("utf-16-le") in content:
                _refuse(source, kind, hint)
    if source.is_zip and not spreadsheet.is_workbook(source):
        members, mimetype = source.zip_directory
        for member, kind, hint in ZIP_MEMBERS:
            if member in members:
                _refuse(source, kind, hint)
        for part, kind in ZIP_MIMETYPES:
            if part in mimetype:
                _refuse(source, kind, SAVE_AS_TEXT)


def _refuse(source: SourceFile, kind: Message, hint: Message) -> NoReturn:
    raise BadData(IS_UNSUPPORTED, hint, name=source.name, kind=kind)
