"""Parquet becomes lines of fields, read in batches by pyarrow, which runs in the sandbox."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from studio.data.readers import arrow_values, rows
from studio.data.readers.rows import LineStream
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message

BATCH_ROWS = 200
BINARY_COLUMN_SKIPPED = Message("“{column}” holds pictures or other binary data and is left out")
CANNOT_OPEN = Message("“{name}” cannot be opened as Parquet: {why}.")


def read_parquet(source: SourceFile) -> LineStream:
    """Open a Parquet file; nested values become JSON, and columns of binary data are left out.

    Where the file is damaged further on, the last line has the number of the first lost row, and None.

    Raises:
        BadData: The file cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(source.path)
        schema = file.schema_arrow
    except (pyarrow.ArrowException, *arrow_values.READ_ERRORS) as error:
        raise _damaged_parquet(source.name, error) from None
    binary_columns = [index for index, field in enumerate(schema) if arrow_values.is_binary(field.type)]
    text_columns = [index for index in range(len(schema)) if index not in binary_columns]
    return LineStream(
        arrow_values.iter_lines(_iter_batches(file), schema, text_columns),
        total=file.metadata.num_rows,
        columns=tuple(schema[index].name for index in text_columns),
        skipped=tuple(BINARY_COLUMN_SKIPPED.format(column=schema[index].name) for index in binary_columns),
    )


def _iter_batches(file: Any) -> Iterator[Any]:
    yield from file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)


def merge_files(paths: Sequence[Path], target: Path, name: str) -> tuple[int, int]:
    """Write the rows of several Parquet files to one, as many as a data set may hold.

    Columns of binary data are left out.

    Args:
        paths: The files, in order; the first one's columns are written.
        target: The file to write.
        name: What error messages call them.

    Returns:
        How many rows were written, and how many there are in all the files.

    Raises:
        BadData: A file cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        files = [parquet.ParquetFile(path) for path in paths]
        schema = pyarrow.schema(
            [field for field in files[0].schema_arrow if not arrow_values.is_binary(field.type)]
        )
        max_rows = min(rows.MAX_ROWS, rows.MAX_FIELDS // max(len(schema), 1))
        batches = itertools.chain.from_iterable(
            file.iter_batches(BATCH_ROWS, columns=schema.names, use_threads=False) for file in files
        )
        row_count = size_bytes = 0
        with parquet.ParquetWriter(target, schema) as writer:
            for batch in batches:
                size_bytes += batch.nbytes
                if row_count == max_rows or size_bytes > rows.MAX_CHARACTERS:
                    break
                new_rows = batch.slice(0, max_rows - row_count)
                writer.write_batch(new_rows.select(schema.names).cast(schema))
                row_count += new_rows.num_rows
    except (pyarrow.ArrowException, *arrow_values.READ_ERRORS) as error:
        raise _damaged_parquet(name, error) from None
    return row_count, sum(file.metadata.num_rows for file in files)


def _damaged_parquet(name: str, error: Exception) -> BadData:
    """The error for a file that begins as Parquet does and cannot be opened."""
    first_line = (str(error).splitlines() or [""])[0]
    return BadData(
        CANNOT_OPEN,
        Message("Write it again, or bring a .csv or .jsonl file."),
        name=name,
        why=first_line.rstrip(".")[:200],
    )


READER = Reader(
    name="parquet",
    label="Parquet",
    extensions=(".parquet",),
    read=read_parquet,
    magic=(b"PAR1",),
    sandboxed=True,
    names_columns=True,
)
