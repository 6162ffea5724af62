"""The file formats that become rows: one file each, listed here."""

from studio.data.readers import (
    archive,
    arrow,
    csv,
    dialogue,
    fasttext,
    gzip,
    json_lines,
    json_records,
    markdown_table,
    parquet,
    plain_text,
    spreadsheet,
)
from studio.data.readers.spec import Reader
from studio.i18n import Message

# In the order in which they are tried: the first format that recognises a file reads it. A format that
# recognises more than another comes after it; running text, which anything may be, is last.
READERS: tuple[Reader, ...] = (
    spreadsheet.READER,
    parquet.READER,
    arrow.READER,
    archive.READER,
    gzip.READER,
    json_lines.READER,
    json_records.READER,
    fasttext.READER,
    markdown_table.READER,
    dialogue.READER,
    csv.READER,
    plain_text.READER,
)


def get(name: str) -> Reader:
    """The reader of this name. Raises KeyError where there is none."""
    return {reader.name: reader for reader in READERS}[name]


def accepted_extensions() -> tuple[str, ...]:
    """The extensions that the page offers for upload; what a file is, its content decides."""
    return tuple(extension for reader in READERS for extension in reader.extensions)


def format_labels(archives: bool = True) -> tuple[Message | str, ...]:
    """What the formats are called, in alphabetical order, for a sentence that lists them.

    Args:
        archives: Whether archives are listed, too.
    """
    labels = dict.fromkeys(reader.label for reader in READERS if archives or not reader.is_archive)
    return tuple(sorted(labels, key=lambda label: _english(label).casefold()))


def may_lack_header(extension: str) -> bool:
    """Whether a file with this extension names its columns in its first row, which may then be an example."""
    return not any(extension in reader.extensions and reader.names_columns for reader in READERS)


def _english(label: Message | str) -> str:
    return label.render() if isinstance(label, Message) else label
