"""Arrow files, as `datasets` saves them, become lines of fields, read by pyarrow in the sandbox."""

from collections.abc import Iterator
from typing import Any

from studio.data.readers import arrow_values, parquet
from studio.data.readers.rows import EXPORT_AS_CSV, LineStream
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
CANNOT_OPEN = Message("“{name}” cannot be opened as Arrow: {why}.")


def read_arrow(source: SourceFile) -> LineStream:
    """Open an Arrow file or stream; nested values become JSON, and columns of binary data are left out.

    Raises:
        BadData: The file cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Arrow needs it

    try:
        file = pyarrow.OSFile(str(source.path))
        is_file = source.head.startswith(FILE_MAGIC)
        reader = pyarrow.ipc.open_file(file) if is_file else pyarrow.ipc.open_stream(file)
        schema = reader.schema
        total = reader.num_record_batches if is_file else 0
    except (pyarrow.ArrowException, *arrow_values.READ_ERRORS) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise BadData(
            CANNOT_OPEN, EXPORT_AS_CSV, name=source.name, why=first_line.rstrip(".")[:200]
        ) from None
    binary = [index for index, field in enumerate(schema) if arrow_values.is_binary(field.type)]
    text_columns = [index for index in range(len(schema)) if index not in binary]
    return LineStream(
        arrow_values.iter_lines(_iter_batches(reader, is_file), schema, text_columns),
        total=total,
        columns=tuple(schema[index].name for index in text_columns),
        skipped=tuple(parquet.BINARY_COLUMN_SKIPPED.format(column=schema[index].name) for index in binary),
    )


def _iter_batches(reader: Any, is_file: bool) -> Iterator[Any]:
    for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
        batch.validate(full=True)
        yield batch


READER = Reader(
    name="arrow",
    label="Arrow",
    extensions=(".arrow", ".feather"),
    read=read_arrow,
    magic=(FILE_MAGIC, STREAM_MAGIC),
    sandboxed=True,
    names_columns=True,
)
