"""What a zip may hold: one that unpacks to too much is refused before anything in it is unpacked."""

import lzma
import struct
import zipfile
import zlib

from studio.data.readers import rows
from studio.data.readers.rows import BRING_PART
from studio.errors import BadData
from studio.i18n import Message

MAX_MEMBERS = 1000
RATIO_CHECK_MIN_BYTES = 20_000_000  # bytes unpacked, below which no ratio is of concern
TOO_MANY_MEMBERS = Message("“{name}” holds {count:,} files; the limit is {limit:,}.")
UNPACKED_TOO_LARGE = Message("“{name}” unpacks to {size:,.0f} MB; the limit is {limit:,.0f} MB.")
COMPRESSED_TOO_MUCH = Message("“{name}” would unpack to more than {limit} times its size, as no table does.")
DAMAGED_ZIP = Message("“{name}” is damaged: its zip directory cannot be read.")
# What zipfile and its decompressors raise at a damaged, encrypted or unknown kind of zip.
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


def check_zip(zip_file: zipfile.ZipFile, name: str) -> None:
    """Check what a zip says of itself, before anything is unpacked.

    Args:
        zip_file: The zip; Office documents are zips, too.
        name: What the person called the file.

    Raises:
        BadData: It holds too many files, or unpacks to too many bytes or to too many times its size.
    """
    entries = zip_file.infolist()
    if len(entries) > MAX_MEMBERS:
        raise BadData(
            TOO_MANY_MEMBERS,
            Message("Join them into a few, or bring a part."),
            name=name,
            count=len(entries),
            limit=MAX_MEMBERS,
        )
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > rows.MAX_UNPACKED_BYTES:
        raise BadData(
            UNPACKED_TOO_LARGE,
            BRING_PART,
            name=name,
            size=unpacked_bytes / 1e6,
            limit=rows.MAX_UNPACKED_BYTES / 1e6,
        )
    packed_bytes = max(sum(entry.compress_size for entry in entries), 1)
    ratio = unpacked_bytes / packed_bytes
    if unpacked_bytes > RATIO_CHECK_MIN_BYTES and ratio > rows.MAX_COMPRESSION_RATIO:
        raise BadData(
            COMPRESSED_TOO_MUCH,
            Message("Save it again in a spreadsheet program, or bring the file unpacked."),
            name=name,
            limit=rows.MAX_COMPRESSION_RATIO,
        )


def damaged_zip(name: str) -> BadData:
    """The error for a zip whose directory cannot be read."""
    return BadData(
        DAMAGED_ZIP,
        Message("Save or pack it again and drop it here."),
        name=name,
    )
