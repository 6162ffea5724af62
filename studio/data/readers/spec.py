"""What a file format is to the studio: an entry of the registry of readers, and the file that is read."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from studio.data.readers import text_encoding, zip_check
from studio.data.readers.rows import LineStream, ParsedRows
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

HEAD_BYTES = 4096
TEXT_START_LENGTH = 10_000  # characters by which a text format is recognised
MAX_MIMETYPE_BYTES = 100
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
OLE_MAGIC = b"\xd0\xcf\x11\xe0"
# What a file of most formats must hold; shown where no row of it could be read.
EXPECTED_TABLE = Message(
    "The first line must name the columns, and each further line hold one example. {first}"
)


class ZipDirectory(NamedTuple):
    """What the directory of a zip says of it.

    Attributes:
        members: The names of the files in it.
        mimetype: What the member `mimetype` of OpenDocument and EPUB holds; empty where there is none.
    """

    members: tuple[str, ...]
    mimetype: bytes


@dataclass(frozen=True)
class SourceFile:
    """A file to read, or a pasted text; what is needed of its content is read once, on first use.

    Attributes:
        name: What the person called it: error messages cite it, and its extension is a hint at the format.
        path: Where the file lies; unused for a pasted text.
        pasted_text: The text, where it was pasted and is no file.
        sheet: The sheet of a workbook to read; "" for the one with the most usable rows.
        on_progress: Receives how much has been read, in a unit of the reader's own, and how much there is.
        read_member: Reads a file that was unpacked from this one. None in such a member itself: an archive
            within an archive is not read.
        keeps_rows: Whether the rows stay as they are, even where they are messages of conversations.
    """

    name: str
    path: Path = Path()
    pasted_text: str | None = None
    sheet: str = ""
    keeps_rows: bool = False
    on_progress: ProgressCallback = no_progress
    read_member: "Callable[[SourceFile], ParsedRows] | None" = None

    @property
    def extension(self) -> str:
        """The extension of its name in lower case, with the dot; "" where it has none."""
        return Path(self.name).suffix.lower()

    @cached_property
    def head(self) -> bytes:
        """Its first bytes, by which binary formats are recognised."""
        with self.path.open("rb") as file:
            return file.read(HEAD_BYTES)

    @cached_property
    def text(self) -> str:
        """Its content as text. Raises BadData where it is none."""
        return self.pasted_text if self.pasted_text is not None else self._decoded.text

    @cached_property
    def _decoded(self) -> text_encoding.Decoded:
        return text_encoding.decode(self.path.read_bytes(), self.name)

    @property
    def guessed_encoding(self) -> str:
        """The encoding that its text was read in, where that was a guess; "" where nothing was guessed."""
        was_read_as_text = "_decoded" in vars(self)
        return self._decoded.guessed_encoding if was_read_as_text else ""

    @cached_property
    def text_start(self) -> str:
        """The beginning of its text, without blanks before it. Raises BadData where it is no text."""
        return self.text[:TEXT_START_LENGTH].lstrip()

    @property
    def is_zip(self) -> bool:
        """Whether it begins as a zip does; Office documents are zips, too."""
        return self.head.startswith(ZIP_MAGIC)

    @cached_property
    def zip_directory(self) -> ZipDirectory:
        """The directory of a zip. Raises BadData where it is damaged."""
        try:
            with zipfile.ZipFile(self.path) as zip_file:
                members = tuple(zip_file.namelist())
                mimetype = b""
                if "mimetype" in members and zip_file.getinfo("mimetype").file_size <= MAX_MIMETYPE_BYTES:
                    mimetype = zip_file.read("mimetype")[:MAX_MIMETYPE_BYTES]
        except (*zip_check.ZIP_ERRORS, LookupError):
            raise zip_check.damaged_zip(self.name) from None
        return ZipDirectory(members, mimetype)


def matches_any_content(source: SourceFile) -> bool:
    """The test of a format that its first bytes alone make certain."""
    return True


@dataclass(frozen=True)
class Reader:
    """One file format: how it is recognised and how it is read. READERS in the package lists all.

    Attributes:
        name: A unique name.
        label: What lists of formats on screen call it.
        extensions: What a file to upload may be called, in lower case with the dot. Content decides what a
            file is; the first extension names a pasted text. Empty where another format has the same.
        read: Reads a file of this format. Raises BadData where nothing in it can be used, or where it holds
            more than a data set may. A reader that runs in the sandbox returns a LineStream.
        magic: The first bytes of a file, any of which begins a binary format; empty for a text format.
        matches: Whether the content is of this format. Called only where `magic` fits, and of a text format
            only where the content is text. May raise BadData for a file that no other format should read.
        sandboxed: Whether `read` runs in a child process with bounded memory and time: for formats whose
            parser a file made for it could break or exhaust.
        has_sheets: Whether a file may hold several sheets, of which one is read.
        is_archive: Whether a file holds files of other formats, which `SourceFile.read_member` reads.
        names_columns: Whether the format itself names the columns, so that no first row was taken for names.
        expected_content: What such a file must hold, said where no row could be read; {object} is an example
            object, {first} the first damaged line.
        pasted_extension: Chooses the extension that names a pasted text; None for the first of `extensions`.
    """

    name: str
    label: Message | str
    extensions: tuple[str, ...]
    read: Callable[[SourceFile], ParsedRows | LineStream]
    magic: tuple[bytes, ...] = ()
    matches: Callable[[SourceFile], bool] = matches_any_content
    sandboxed: bool = False
    has_sheets: bool = False
    is_archive: bool = False
    names_columns: bool = False
    expected_content: Message = EXPECTED_TABLE
    pasted_extension: Callable[[str], str] | None = None

    @property
    def is_text(self) -> bool:
        """Whether the format is text, which can be pasted, too."""
        return not self.magic
