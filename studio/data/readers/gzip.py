"""Files packed by gzip, such as .jsonl.gz, are unpacked to a bounded size and read as what they are."""

import gzip
import tempfile
import zlib
from pathlib import Path

from studio.data.readers import rows
from studio.data.readers.rows import BRING_PART, ParsedRows
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import require_disk_space

MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 20
IS_NESTED = Message("“{name}” is packed within another packed file.")
IS_DAMAGED = Message("“{name}” is damaged: it cannot be unpacked to its end.")
UNPACKS_TO_MORE = Message("“{name}” unpacks to more than {limit:,.0f} MB.")
UNPACK_FIRST = Message("Unpack it and bring the file within.")


def read_gzip(source: SourceFile) -> ParsedRows:
    """Unpack a file and read it by `source.read_member`, under its name without the ending.

    Raises:
        BadData: It is damaged, unpacks to more than a data set may hold, or what is in it cannot be used.
        OutOfDiskSpace: The disk has no space for it.
    """
    if source.read_member is None:
        raise BadData(IS_NESTED, UNPACK_FIRST, name=source.name)
    name = Path(source.name).stem if source.extension == ".gz" else source.name
    with tempfile.TemporaryDirectory() as folder:
        require_disk_space(Path(folder), rows.MAX_BYTES)
        unpacked = Path(folder) / "member"
        _unpack(source, unpacked)
        return source.read_member(SourceFile(name, unpacked, on_progress=source.on_progress))


def _unpack(source: SourceFile, target: Path) -> None:
    size_bytes = 0
    try:
        with gzip.open(source.path) as packed, target.open("wb") as unpacked:
            while chunk := packed.read(CHUNK_BYTES):
                size_bytes += len(chunk)
                if size_bytes > rows.MAX_BYTES:
                    raise BadData(UNPACKS_TO_MORE, BRING_PART, name=source.name, limit=rows.MAX_BYTES / 1e6)
                unpacked.write(chunk)
    except (OSError, EOFError, zlib.error):
        raise BadData(IS_DAMAGED, Message("Pack or download it again."), name=source.name) from None


READER = Reader(
    name="gzip",
    label="gz",
    extensions=(".gz",),
    read=read_gzip,
    magic=(MAGIC,),
    is_archive=True,
    names_columns=True,
)
