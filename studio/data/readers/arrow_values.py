"""Columns of Arrow, in which Parquet and Arrow files hold their values, become texts."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from studio.data.readers import rows

# What pyarrow raises at a damaged file, besides its own errors.
READ_ERRORS = (OSError, ValueError, KeyError, OverflowError, NotImplementedError)
METADATA_KEY = b"huggingface"


def class_names(schema: Any) -> dict[str, list[str]]:
    """Column -> the names of its classes, which `datasets` writes beside numbers; empty without any."""
    try:
        features = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))["info"]["features"]
        return {
            name: [str(class_name) for class_name in names]
            for name, feature in features.items()
            if isinstance(names := _names(feature), list)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _names(feature: Any) -> Any:
    """The names of a feature that is a class, or a list of classes; None for any other."""
    while isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature["feature"]
    if isinstance(feature, list) and len(feature) == 1:
        (feature,) = feature
    return feature["names"] if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None


def is_binary(arrow_type: Any) -> bool:
    """Whether a type is binary or holds something binary, as pictures and sounds do."""
    from pyarrow import types  # noqa: PLC0415

    binary_tests = (
        types.is_binary,
        types.is_large_binary,
        types.is_fixed_size_binary,
        types.is_binary_view,
    )
    if any(is_type(arrow_type) for is_type in binary_tests):
        return True
    if not types.is_nested(arrow_type):
        return False
    return any(is_binary(arrow_type.field(index).type) for index in range(arrow_type.num_fields))


def column_texts(column: Any, names: list[str] | None = None) -> list[str]:
    """The values of a column as text; times are cut to microseconds, the finest that Python has.

    Args:
        column: The column.
        names: The names of its classes, where its values number them.
    """
    import pyarrow  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    if types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    elif types.is_duration(column.type):
        column = column.cast(pyarrow.duration("us"), safe=False)
    elif types.is_time64(column.type):
        column = column.cast(pyarrow.time64("us"), safe=False)
    values = column.to_pylist()
    if names:
        values = [_class_name(value, names) for value in values]
    return [rows.value_to_text(value)[: rows.MAX_CELL_LENGTH + 1] for value in values]


def _class_name(value: Any, names: list[str]) -> Any:
    """The name of a class by its number, of several their names; any other value as it is."""
    if isinstance(value, list):
        return [_class_name(item, names) for item in value]
    is_number = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if is_number else value


def iter_lines(
    batches: Iterator[Any], schema: Any, columns: Sequence[int]
) -> Iterator[tuple[int, list[str] | None]]:
    """The number and the fields of each row; a row that cannot be read ends them with None.

    Args:
        batches: Batches of rows of pyarrow; it may raise while it goes on.
        schema: Their schema.
        columns: The indices of the columns that are wanted.
    """
    import pyarrow  # noqa: PLC0415

    row_number = 0
    names = class_names(schema)
    try:
        for batch in batches:
            cells = [
                column_texts(batch.column(index), names.get(batch.schema.names[index])) for index in columns
            ]
            for values in zip(*cells, strict=True):
                row_number += 1
                yield row_number, list(values)
    except (pyarrow.ArrowException, *READ_ERRORS):
        yield row_number + 1, None
