"""Zip archives of data files: those with the same columns are joined, all others are left out and named."""

import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from studio.data.readers import rows, zip_check
from studio.data.readers.rows import BadLine, ParsedRows
from studio.data.readers.spec import ZIP_MAGIC, Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import require_disk_space

CHUNK_BYTES = 1 << 20
MAX_MEMBER_NAME_LENGTH = 120
MAX_NAMED_COLUMNS = 12
UTF8_NAME_FLAG = 0x800
ENCRYPTED_FLAG = 1
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
NO_READABLE_MEMBER = Message("“{name}” holds no file that could be read. {first}")
PACK_THE_FILES = Message("Pack the tables or texts themselves into the zip.")

MemberReader = Callable[[SourceFile], ParsedRows]


class MemberTable(NamedTuple):
    """The rows of one file in a zip, and its name."""

    member: str
    parsed: ParsedRows


def read_zip(source: SourceFile) -> ParsedRows:
    """Read the files in a zip and join those with the same columns; other files are left out.

    Of several sets of columns, the one with the most rows is taken. Each file is unpacked to a temporary file
    under a name of our own, one at a time, and read by `source.read_member`.
    Progress is reported in unpacked bytes.

    Raises:
        BadData: The zip is damaged, protected, too large or itself in a zip, or no file in it could be read.
        OutOfDiskSpace: The disk has no space for a file in it.
    """
    if source.read_member is None:
        raise BadData(IS_NESTED_ZIP, PACK_THE_FILES)
    tables: list[MemberTable] = []
    bad_lines: list[BadLine] = []
    row_count = field_count = character_count = bytes_done = 0
    try:
        with zipfile.ZipFile(source.path) as zip_file:
            zip_check.check_zip(zip_file, source.name)
            members = list(_data_members(zip_file))
            total_bytes = sum(info.file_size for _, info in members)
            for member, info in members:
                source.on_progress(bytes_done, total_bytes)
                bytes_done += info.file_size
                parsed = _read_member(zip_file, info, member, source.read_member)
                if isinstance(parsed, Message):
                    bad_lines.append((0, MEMBER_SKIPPED.format(member=member, why=parsed)))
                    continue
                row_count += len(parsed.rows)
                field_count += len(parsed.rows) * len(parsed.columns)
                character_count += sum(len(value) for row in parsed.rows for value in row.values())
                rows.check_limits(row_count, field_count, character_count)
                tables.append(MemberTable(member, parsed))
    except zip_check.ZIP_ERRORS:
        raise zip_check.damaged_zip(source.name) from None
    if not tables:
        raise BadData(
            NO_READABLE_MEMBER,
            PACK_THE_FILES,
            name=source.name,
            first=Message("{why}.").format(why=bad_lines[0][1]) if bad_lines else "",
        )
    return _join_tables(tables, bad_lines)


def _data_members(zip_file: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The files in a zip, under the last part of their names, without those that systems add."""
    for info in zip_file.infolist():
        path = info.filename if info.flag_bits & UTF8_NAME_FLAG else _decode_name(info.filename)
        parts = PurePosixPath(path.replace("\\", "/")).parts
        is_system_file = any(part in SYSTEM_FILES or part.startswith("._") for part in parts)
        if parts and not info.is_dir() and not is_system_file:
            yield parts[-1][-MAX_MEMBER_NAME_LENGTH:], info


def _decode_name(name: str) -> str:
    """A name that is not marked as UTF-8, which zipfile reads as CP437.

    Chinese systems write it in their own encoding.
    """
    try:
        return name if name.isascii() else name.encode("cp437").decode("gb18030")
    except UnicodeError:
        return name


def _read_member(
    zip_file: zipfile.ZipFile, info: zipfile.ZipInfo, member: str, read_member: MemberReader
) -> ParsedRows | Message:
    """What one file in a zip holds, or why it is left out."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return IS_LINK
    if info.flag_bits & ENCRYPTED_FLAG:
        return IS_ENCRYPTED
    if info.file_size > rows.MAX_BYTES:
        return MEMBER_TOO_LARGE.format(limit=rows.MAX_BYTES / 1e6)
    with tempfile.TemporaryDirectory() as folder:
        require_disk_space(Path(folder), info.file_size)
        unpacked = Path(folder) / "member"
        try:
            _unpack(zip_file, info, unpacked)
        except zip_check.ZIP_ERRORS:
            return IS_DAMAGED
        try:
            return read_member(SourceFile(member, unpacked))
        except BadData as error:
            return replace(error.message, style="clause")


def _unpack(zip_file: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    with zip_file.open(info) as packed, target.open("wb") as unpacked:
        while chunk := packed.read(CHUNK_BYTES):
            unpacked.write(chunk)


def _join_tables(tables: list[MemberTable], bad_lines: list[BadLine]) -> ParsedRows:
    """The rows of all files with the columns that give the most rows; other files are left out."""
    columns = _most_common_columns(tables)
    joined_rows: list[rows.Row] = []
    notes: list[Message] = []
    for member, parsed in tables:
        if set(parsed.columns) != set(columns):
            reason = COLUMNS_DIFFER.format(columns=parsed.columns[:MAX_NAMED_COLUMNS])
            bad_lines.append((0, MEMBER_SKIPPED.format(member=member, why=reason)))
            continue
        joined_rows += parsed.rows
        notes += [NOTE_ON_MEMBER.format(member=member, why=note) for note in parsed.notes]
        for line_number, reason in parsed.bad_lines:
            message = LINE_IN_MEMBER if line_number else NOTE_ON_MEMBER
            bad_lines.append((line_number, message.format(member=member, why=reason)))
    return ParsedRows(columns, joined_rows, bad_lines, notes=tuple(notes))


def _most_common_columns(tables: list[MemberTable]) -> tuple[str, ...]:
    """The columns that give the most rows, in the order of the first file that has them."""
    groups: dict[frozenset[str], list[ParsedRows]] = {}
    for table in tables:
        groups.setdefault(frozenset(table.parsed.columns), []).append(table.parsed)
    largest = max(groups.values(), key=lambda group: sum(len(parsed.rows) for parsed in group))
    return largest[0].columns


READER = Reader(
    name="zip",
    label="zip",
    extensions=(".zip",),
    read=read_zip,
    magic=ZIP_MAGIC,
    is_archive=True,
    names_columns=True,  # a table joined from several files has no first row of its own
)
