"""A zip of data files: those with the same columns are joined, every other one is left out and told by its name."""

import lzma
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from studio.data import kinds, rows
from studio.data.rows import BRING_PART, Bad, Found, Told, unheard
from studio.errors import BadData
from studio.home import check_room
from studio.words import Words

MAX_MEMBERS = 1000
SMALL = 20_000_000  # bytes unpacked, below which no ratio is of concern
CHUNK = 1 << 20
UNREADABLE = (
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
IGNORED = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")

LEFT_OUT = Words("“{member}” is left out: {why}", "“{member}”已忽略：{why}")
WITHIN = Words("of “{member}” {why}", "（“{member}”）{why}")
IN_ALL = Words("“{member}”: {why}", "“{member}”：{why}")
A_LINK = Words("it is a link and no file", "它是链接而不是文件")
A_ZIP = Words("it is a zip within the zip", "它是压缩包里的压缩包")
HIDDEN = Words("it is protected by a password", "它受密码保护")
DAMAGED = Words("it is damaged", "它已损坏")
TOO_LARGE = Words("it has more than {limit:,.0f} MB", "它超过 {limit:,.0f} MB")
OTHER_COLUMNS = Words("its columns ({columns}) are not those of the other files", "它的列（{columns}）与其他文件不同")

Reader = Callable[[Path, str], Found]


def read(path: Path, name: str, reader: Reader, tell: Told = unheard) -> Found:
    """The joined rows of the members that have the same columns, of the columns that give the most rows.

    Every member is unpacked to a temporary file of our own naming, one at a time, and read by `reader`; `tell` hears how many bytes
    of them are through. Raises BadData where the zip is damaged, protected or too large, or no member could be read; OutOfRoom where the disk has no room for a member.
    """
    read_ones: list[tuple[str, Found]] = []
    bad: list[Bad] = []
    count = fields = characters = through = 0
    try:
        with zipfile.ZipFile(path) as packed:
            check(packed, name)
            inside = list(_members(packed))
            for member, info in inside:
                tell(through, sum(one.file_size for _, one in inside))
                through += info.file_size
                why, found = _member(packed, info, member, reader)
                if why or not found:
                    bad.append((0, LEFT_OUT.filled(member=member, why=why)))
                    continue
                count += len(found.rows)
                fields += len(found.rows) * len(found.columns)
                characters += sum(len(value) for row in found.rows for value in row.values())
                rows.check(count, fields, characters)
                read_ones.append((member, found))
    except UNREADABLE:
        raise kinds.damaged_zip(name) from None
    if not read_ones:
        raise BadData(
            Words("“{name}” holds no file that could be read. {first}", "“{name}”里没有能读取的文件。{first}"),
            Words("Pack the tables or texts themselves into the zip.", "请直接把表格或文本文件打包。"),
            name=name,
            first=Words("{why}.", "{why}。").filled(why=bad[0][1]) if bad else "",
        )
    return _joined(read_ones, bad)


def check(packed: zipfile.ZipFile, name: str) -> None:
    """Raise BadData where a zip says of itself that it holds too many files or unpacks to too much, before anything is unpacked."""
    inside = packed.infolist()
    unpacked = sum(info.file_size for info in inside)
    if len(inside) > MAX_MEMBERS:
        raise BadData(
            Words("“{name}” holds {count:,} files; the limit is {limit:,}.", "“{name}”里有 {count:,} 个文件，上限为 {limit:,} 个。"),
            Words("Join them into a few, or bring a part.", "请合并成少数几个文件，或只取一部分。"),
            name=name,
            count=len(inside),
            limit=MAX_MEMBERS,
        )
    if unpacked > rows.MAX_UNPACKED:
        raise BadData(
            Words(
                "“{name}” unpacks to {size:,.0f} MB; the limit is {limit:,.0f} MB.",
                "“{name}”解压后有 {size:,.0f} MB，上限为 {limit:,.0f} MB。",
            ),
            BRING_PART,
            name=name,
            size=unpacked / 1e6,
            limit=rows.MAX_UNPACKED / 1e6,
        )
    if unpacked > SMALL and unpacked > rows.MAX_RATIO * max(sum(info.compress_size for info in inside), 1):
        raise BadData(
            Words(
                "“{name}” would unpack to more than {limit} times its size, as no table does.",
                "“{name}”解压后会超过原大小的 {limit} 倍，正常的表格不会如此。",
            ),
            Words("Save it again in a spreadsheet program, or bring the file unpacked.", "请用表格软件重新保存，或直接提供未压缩的文件。"),
            name=name,
            limit=rows.MAX_RATIO,
        )


def _members(packed: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The files in a zip under the last part of their names, without what systems add."""
    for info in packed.infolist():
        path = info.filename if info.flag_bits & 0x800 else _respelled(info.filename)
        parts = PurePosixPath(path.replace("\\", "/")).parts
        if info.is_dir() or not parts or any(part in IGNORED or part.startswith("._") for part in parts):
            continue
        yield parts[-1][-120:], info


def _respelled(name: str) -> str:
    """A name without a mark for UTF-8: Chinese systems write it in their own encoding."""
    try:
        return name if name.isascii() else name.encode("cp437").decode("gb18030")
    except UnicodeError:
        return name


def _member(packed: zipfile.ZipFile, info: zipfile.ZipInfo, member: str, reader: Reader) -> tuple[Words | None, Found | None]:
    """What one member holds, or why it is left out."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return A_LINK, None
    if info.flag_bits & 1:
        return HIDDEN, None
    if info.file_size > rows.MAX_BYTES:
        return TOO_LARGE.filled(limit=rows.MAX_BYTES / 1e6), None
    with tempfile.TemporaryDirectory() as folder:
        check_room(Path(folder), info.file_size)
        unpacked = Path(folder) / "member"
        try:
            with packed.open(info) as source, unpacked.open("wb") as target:
                while part := source.read(CHUNK):
                    target.write(part)
        except UNREADABLE:
            return DAMAGED, None
        try:
            if kinds.form(unpacked, member) == "zip":
                return A_ZIP, None
            return None, reader(unpacked, member)
        except BadData as error:
            why = error.what.filled(**error.values)
            return Words(why.en.rstrip("."), why.zh.rstrip("。")), None


def _joined(read_ones: list[tuple[str, Found]], bad: list[Bad]) -> Found:
    """The rows of all files with the columns that give the most rows."""
    kept = max(read_ones, key=lambda one: sum(len(found.rows) for _, found in read_ones if set(found.columns) == set(one[1].columns)))[
        1
    ].columns
    joined: list[rows.Row] = []
    notes: list[Words] = []
    for member, found in read_ones:
        if set(found.columns) != set(kept):
            bad.append((0, LEFT_OUT.filled(member=member, why=OTHER_COLUMNS.filled(columns=found.columns[:12]))))
            continue
        joined += found.rows
        notes += [IN_ALL.filled(member=member, why=said) for said in found.notes]
        bad += [(number, (WITHIN if number else IN_ALL).filled(member=member, why=why)) for number, why in found.bad]
    return Found(kept, joined, bad, notes=tuple(notes))
