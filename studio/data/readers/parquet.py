"""Parquet as lines of fields, read by pyarrow in batches; only the process that `apart` starts opens one here."""

import datetime
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from studio.data.readers import rows
from studio.errors import BadData
from studio.i18n import Message

BATCH_ROWS = 200
# What pyarrow raises at a damaged file, besides its own errors.
READ_ERRORS = (OSError, ValueError, KeyError, OverflowError, NotImplementedError)
BINARY_COLUMN_SKIPPED = Message("“{column}” holds pictures or other binary data and is left out")
ParquetLine = tuple[int, list[str] | None]


def open_parquet(path: Path, name: str) -> tuple[dict[str, Any], Iterator[ParquetLine]]:
    """The names of the columns and what is left out, and the lines: each row's number and its fields, nested values as JSON.

    Columns of binary data are left out. A file that is damaged further on ends with the number of the first row that is lost, and
    None. Raises BadData where it cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (pyarrow.ArrowException, *READ_ERRORS) as error:
        raise damaged_parquet(name, error) from None
    column_indices = [index for index, field in enumerate(schema) if not _is_binary(field.type)]
    skipped = [
        BINARY_COLUMN_SKIPPED.format(column=field.name)
        for index, field in enumerate(schema)
        if index not in column_indices
    ]
    skip_notes = [note.to_json() for note in skipped]
    info = {
        "columns": [schema[index].name for index in column_indices],
        "left_out": skip_notes,
        "rows": file.metadata.num_rows,
    }
    return info, _iter_lines(file, column_indices)


def _iter_lines(file: Any, column_indices: list[int]) -> Iterator[ParquetLine]:
    import pyarrow  # noqa: PLC0415

    row_number = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            cells = [_column_texts(batch.column(index)) for index in column_indices]
            for values in zip(*cells, strict=True):
                row_number += 1
                yield row_number, list(values)
    except (pyarrow.ArrowException, *READ_ERRORS):
        yield row_number + 1, None


def merge_files(paths: Sequence[Path], target: Path, name: str) -> tuple[int, int]:
    """Write one Parquet file with as many rows of several as a data set may hold: how many that are, and how many there were.

    Columns of binary data are left out. Raises BadData where a file cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        files = [parquet.ParquetFile(path) for path in paths]
        schema = pyarrow.schema([field for field in files[0].schema_arrow if not _is_binary(field.type)])
        max_rows = min(rows.MAX_ROWS, rows.MAX_FIELDS // max(len(schema), 1))
        row_count = size_bytes = 0
        with parquet.ParquetWriter(target, schema) as writer:
            for batch in itertools.chain.from_iterable(
                file.iter_batches(BATCH_ROWS, columns=schema.names, use_threads=False) for file in files
            ):
                size_bytes += batch.nbytes
                if row_count == max_rows or size_bytes > rows.MAX_CHARACTERS:
                    break
                writer.write_batch(batch.select(schema.names).cast(schema).slice(0, max_rows - row_count))
                row_count += min(batch.num_rows, max_rows - row_count)
    except (pyarrow.ArrowException, *READ_ERRORS) as error:
        raise damaged_parquet(name, error) from None
    return row_count, sum(file.metadata.num_rows for file in files)


def damaged_parquet(name: str, error: Exception) -> BadData:
    """The error for a file that says it is Parquet and cannot be opened."""
    return BadData(
        Message("“{name}” cannot be opened as Parquet: {why}."),
        Message("Write it again, or bring a .csv or .jsonl file."),
        name=name,
        why=(str(error).splitlines() or [""])[0].rstrip(".")[:200],
    )


def _is_binary(arrow_type: Any) -> bool:
    """Whether a type is binary, or holds something binary, as pictures and sounds do."""
    from pyarrow import types  # noqa: PLC0415

    if (
        types.is_binary(arrow_type)
        or types.is_large_binary(arrow_type)
        or types.is_fixed_size_binary(arrow_type)
        or types.is_binary_view(arrow_type)
    ):
        return True
    return (
        any(_is_binary(arrow_type.field(index).type) for index in range(arrow_type.num_fields))
        if types.is_nested(arrow_type)
        else False
    )


def _column_texts(column: Any) -> list[str]:
    """The values of a column as text; times finer than a microsecond are cut to it."""
    import pyarrow  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    if types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    elif types.is_duration(column.type):
        column = column.cast(pyarrow.duration("us"), safe=False)
    elif types.is_time64(column.type):
        column = column.cast(pyarrow.time64("us"), safe=False)
    return [value_to_text(value)[: rows.MAX_CELL_LENGTH + 1] for value in column.to_pylist()]


def value_to_text(value: object) -> str:
    """A value as text: nothing for null, whole numbers without a point, dates in ISO's order, nested values as JSON."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return (
            value.date().isoformat()
            if value.time() == datetime.time() and not value.tzinfo
            else value.isoformat(" ")
        )
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return (
        json.dumps(value, ensure_ascii=False, default=str)
        if isinstance(value, dict | list | tuple)
        else str(value)
    )
