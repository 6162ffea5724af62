"""A zip of data files: those with the same columns are joined, every other one is left out and told by its name."""

import lzma
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from studio.data.readers import detect, rows
from studio.data.readers.rows import BRING_PART, BadLine, ParsedRows
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress, require_disk_space

MAX_MEMBERS = 1000
RATIO_CHECK_MIN_BYTES = 20_000_000  # bytes unpacked, below which no ratio is of concern
CHUNK_BYTES = 1 << 20
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
# What systems put into a zip of their own accord.
SYSTEM_FILES = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")

MEMBER_SKIPPED = Message("“{member}” is left out: {why}")
LINE_IN_MEMBER = Message("of “{member}” {why}")
NOTE_ON_MEMBER = Message("“{member}”: {why}")
IS_LINK = Message("it is a link and no file")
IS_NESTED_ZIP = Message("it is a zip within the zip")
IS_ENCRYPTED = Message("it is protected by a password")
IS_DAMAGED = Message("it is damaged")
MEMBER_TOO_LARGE = Message("it has more than {limit:,.0f} MB")
COLUMNS_DIFFER = Message("its columns ({columns}) are not those of the other files")

MemberReader = Callable[[Path, str], ParsedRows]


def read_zip(
    path: Path, name: str, reader: MemberReader, on_progress: ProgressCallback = no_progress
) -> ParsedRows:
    """The joined rows of the members that have the same columns, of the columns that give the most rows.

    Every member is unpacked to a temporary file of our own naming, one at a time, and read by `reader`; `tell` hears how many bytes
    of them are through. Raises BadData where the zip is damaged, protected or too large, or no member could be read; OutOfRoom where the disk has no room for a member.
    """
    member_tables: list[tuple[str, ParsedRows]] = []
    bad_lines: list[BadLine] = []
    row_count = field_count = character_count = bytes_done = 0
    try:
        with zipfile.ZipFile(path) as zip_file:
            check_zip(zip_file, name)
            members = list(_data_members(zip_file))
            for member, info in members:
                on_progress(bytes_done, sum(entry.file_size for _, entry in members))
                bytes_done += info.file_size
                why, parsed = _read_member(zip_file, info, member, reader)
                if why or not parsed:
                    bad_lines.append((0, MEMBER_SKIPPED.format(member=member, why=why)))
                    continue
                row_count += len(parsed.rows)
                field_count += len(parsed.rows) * len(parsed.columns)
                character_count += sum(len(value) for row in parsed.rows for value in row.values())
                rows.check_limits(row_count, field_count, character_count)
                member_tables.append((member, parsed))
    except ZIP_ERRORS:
        raise detect.damaged_zip(name) from None
    if not member_tables:
        raise BadData(
            Message("“{name}” holds no file that could be read. {first}"),
            Message("Pack the tables or texts themselves into the zip."),
            name=name,
            first=Message("{why}.").format(why=bad_lines[0][1]) if bad_lines else "",
        )
    return _join_members(member_tables, bad_lines)


def check_zip(zip_file: zipfile.ZipFile, name: str) -> None:
    """Raise BadData where a zip says of itself that it holds too many files or unpacks to too much, before anything is unpacked."""
    entries = zip_file.infolist()
    unpacked_bytes = sum(info.file_size for info in entries)
    if len(entries) > MAX_MEMBERS:
        raise BadData(
            Message("“{name}” holds {count:,} files; the limit is {limit:,}."),
            Message("Join them into a few, or bring a part."),
            name=name,
            count=len(entries),
            limit=MAX_MEMBERS,
        )
    if unpacked_bytes > rows.MAX_UNPACKED_BYTES:
        raise BadData(
            Message("“{name}” unpacks to {size:,.0f} MB; the limit is {limit:,.0f} MB."),
            BRING_PART,
            name=name,
            size=unpacked_bytes / 1e6,
            limit=rows.MAX_UNPACKED_BYTES / 1e6,
        )
    if unpacked_bytes > RATIO_CHECK_MIN_BYTES and unpacked_bytes > rows.MAX_COMPRESSION_RATIO * max(
        sum(info.compress_size for info in entries), 1
    ):
        raise BadData(
            Message("“{name}” would unpack to more than {limit} times its size, as no table does."),
            Message("Save it again in a spreadsheet program, or bring the file unpacked."),
            name=name,
            limit=rows.MAX_COMPRESSION_RATIO,
        )


def _data_members(zip_file: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The files in a zip under the last part of their names, without what systems add."""
    for info in zip_file.infolist():
        path = info.filename if info.flag_bits & 0x800 else _decode_name(info.filename)
        parts = PurePosixPath(path.replace("\\", "/")).parts
        if info.is_dir() or not parts or any(part in SYSTEM_FILES or part.startswith("._") for part in parts):
            continue
        yield parts[-1][-120:], info


def _decode_name(name: str) -> str:
    """A name without a mark for UTF-8: Chinese systems write it in their own encoding."""
    try:
        return name if name.isascii() else name.encode("cp437").decode("gb18030")
    except UnicodeError:
        return name


def _read_member(
    zip_file: zipfile.ZipFile, info: zipfile.ZipInfo, member: str, reader: MemberReader
) -> tuple[Message | None, ParsedRows | None]:
    """What one member holds, or why it is left out."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return IS_LINK, None
    if info.flag_bits & 1:
        return IS_ENCRYPTED, None
    if info.file_size > rows.MAX_BYTES:
        return MEMBER_TOO_LARGE.format(limit=rows.MAX_BYTES / 1e6), None
    with tempfile.TemporaryDirectory() as folder:
        require_disk_space(Path(folder), info.file_size)
        unpacked = Path(folder) / "member"
        try:
            with zip_file.open(info) as source, unpacked.open("wb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
        except ZIP_ERRORS:
            return IS_DAMAGED, None
        try:
            if detect.detect_file_type(unpacked, member) == "zip":
                return IS_NESTED_ZIP, None
            return None, reader(unpacked, member)
        except BadData as error:
            return replace(error.message, style="clause"), None


def _join_members(member_tables: list[tuple[str, ParsedRows]], bad_lines: list[BadLine]) -> ParsedRows:
    """The rows of all files with the columns that give the most rows."""
    columns = max(
        member_tables,
        key=lambda candidate: sum(
            len(parsed.rows)
            for _, parsed in member_tables
            if set(parsed.columns) == set(candidate[1].columns)
        ),
    )[1].columns
    joined_rows: list[rows.Row] = []
    notes: list[Message] = []
    for member, parsed in member_tables:
        if set(parsed.columns) != set(columns):
            bad_lines.append(
                (
                    0,
                    MEMBER_SKIPPED.format(
                        member=member, why=COLUMNS_DIFFER.format(columns=parsed.columns[:12])
                    ),
                )
            )
            continue
        joined_rows += parsed.rows
        notes += [NOTE_ON_MEMBER.format(member=member, why=note) for note in parsed.notes]
        bad_lines += [
            (line_number, (LINE_IN_MEMBER if line_number else NOTE_ON_MEMBER).format(member=member, why=why))
            for line_number, why in parsed.bad_lines
        ]
    return ParsedRows(columns, joined_rows, bad_lines, notes=tuple(notes))
