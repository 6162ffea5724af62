"""Parquet as lines of fields, read by pyarrow in batches; only the process that `apart` starts opens one here."""

import datetime
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from studio.data import rows
from studio.errors import BadData
from studio.words import Words

BATCH = 200
# What pyarrow raises at a damaged file, besides its own errors.
BROKEN = (OSError, ValueError, KeyError, OverflowError, NotImplementedError)
BINARY = Words("“{column}” holds pictures or other binary data and is left out", "“{column}”列含图片等二进制数据，已忽略")
Line = tuple[int, list[str] | None]


def read(path: Path, name: str) -> tuple[dict[str, Any], Iterator[Line]]:
    """The names of the columns and what is left out, and the lines: each row's number and its fields, nested values as JSON.

    Columns of binary data are left out. A file that is damaged further on ends with the number of the first row that is lost, and
    None. Raises BadData where it cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (pyarrow.ArrowException, *BROKEN) as error:
        raise damaged(name, error) from None
    kept = [place for place, field in enumerate(schema) if not _holds_bytes(field.type)]
    left_out = [BINARY.filled(column=field.name) for place, field in enumerate(schema) if place not in kept]
    said = [{"en": why.en, "zh": why.zh} for why in left_out]
    about = {"columns": [schema[place].name for place in kept], "left_out": said, "rows": file.metadata.num_rows}
    return about, _lines(file, kept)


def _lines(file: Any, kept: list[int]) -> Iterator[Line]:
    import pyarrow  # noqa: PLC0415

    number = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            cells = [_cells(batch.column(place)) for place in kept]
            for values in zip(*cells, strict=True):
                number += 1
                yield number, list(values)
    except (pyarrow.ArrowException, *BROKEN):
        yield number + 1, None


def cut(paths: Sequence[Path], target: Path, name: str) -> tuple[int, int]:
    """Write one Parquet file with as many rows of several as a data set may hold: how many that are, and how many there were.

    Columns of binary data are left out. Raises BadData where a file cannot be opened.
    """
    import pyarrow  # noqa: PLC0415 - only the process that reads Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        files = [parquet.ParquetFile(path) for path in paths]
        schema = pyarrow.schema([field for field in files[0].schema_arrow if not _holds_bytes(field.type)])
        most = min(rows.MAX_ROWS, rows.MAX_FIELDS // max(len(schema), 1))
        kept = size = 0
        with parquet.ParquetWriter(target, schema) as writer:
            for batch in itertools.chain.from_iterable(file.iter_batches(BATCH, columns=schema.names, use_threads=False) for file in files):
                size += batch.nbytes
                if kept == most or size > rows.MAX_TEXT:
                    break
                writer.write_batch(batch.select(schema.names).cast(schema).slice(0, most - kept))
                kept += min(batch.num_rows, most - kept)
    except (pyarrow.ArrowException, *BROKEN) as error:
        raise damaged(name, error) from None
    return kept, sum(file.metadata.num_rows for file in files)


def damaged(name: str, error: Exception) -> BadData:
    """The error for a file that says it is Parquet and cannot be opened."""
    return BadData(
        Words("“{name}” cannot be opened as Parquet: {why}.", "“{name}”无法作为 Parquet 打开：{why}。"),
        Words("Write it again, or bring a .csv or .jsonl file.", "请重新生成，或改用 .csv、.jsonl 文件。"),
        name=name,
        why=(str(error).splitlines() or [""])[0].rstrip(".")[:200],
    )


def _holds_bytes(kind: Any) -> bool:
    """Whether a type is binary, or holds something binary, as pictures and sounds do."""
    from pyarrow import types  # noqa: PLC0415

    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind) or types.is_binary_view(kind):
        return True
    return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields)) if types.is_nested(kind) else False


def _cells(column: Any) -> list[str]:
    """The values of a column as text; times finer than a microsecond are cut to it."""
    import pyarrow  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    if types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    elif types.is_duration(column.type):
        column = column.cast(pyarrow.duration("us"), safe=False)
    elif types.is_time64(column.type):
        column = column.cast(pyarrow.time64("us"), safe=False)
    return [said(value)[: rows.MAX_CELL + 1] for value in column.to_pylist()]


def said(value: object) -> str:
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
        return value.date().isoformat() if value.time() == datetime.time() and not value.tzinfo else value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else str(value)
