"""Texts in objects in the only column, such as {"en": "…", "de": "…"}, become columns of their own."""

from collections.abc import Mapping
from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.i18n import Message

MIN_KEYS, MAX_KEYS = 2, 20
KEYS_TAKEN = Message("The parts of the objects in “{column}” became columns.")


def take_nested_texts(parsed: ParsedRows) -> ParsedRows:
    """Turn the keys of objects of texts into columns, where the table has nothing else."""
    if len(parsed.columns) != 1:
        return parsed
    (column,) = parsed.columns
    keys = _shared_keys(parsed, column)
    if not keys:
        return parsed

    def make(row: Row) -> Row:
        value = columns.load(row[column])
        cells = value if isinstance(value, Mapping) else {}
        return {key: str(cells.get(key) or "") for key in keys}

    return columns.replace_columns(parsed, (column,), keys, make, KEYS_TAKEN.format(column=column))


def _shared_keys(parsed: ParsedRows, column: str) -> tuple[str, ...]:
    """The keys that the objects in a column share, with texts alone; () where they are anything else."""
    values = [columns.load(cell) for cell in columns.sample(parsed, column)]
    if not values or not all(_holds_texts(value) for value in values):
        return ()
    keys = tuple(values[0])
    is_message = any(key in chat_format.ROLE_KEYS for key in keys)
    is_table = MIN_KEYS <= len(keys) <= MAX_KEYS and all(set(value) == set(keys) for value in values)
    return keys if is_table and not is_message else ()


def _holds_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str | None) for text in value.values())
