"""Texts in lists of one and in objects, as ["text"], {"text": "…"} or SQuAD's answers, become plain texts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from studio.data.readers.rows import ParsedRows
from studio.data.reshape import columns
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.i18n import Message

TEXT_KEYS = ("text", "content", "value", "parts")
# Keys that may stand beside the text without making the object one of several fields.
COMPANION_KEYS = frozenset(("role", "type", "answer_start", "id", "index", "lang", "language"))
UNWRAPPED = Message("The texts in “{column}” stood in lists or objects: they were taken out.")


def unwrap_texts(parsed: ParsedRows) -> ParsedRows:
    """The rows with the texts of such columns as plain texts; other columns stay as they are."""
    for column in parsed.columns:
        is_label = any(column_names.matches_role(column, role) for role in ("label", "labels"))
        if is_label or not columns.has_literals(parsed, column):
            continue
        if not columns.holds(parsed, column, lambda cell: single_text(columns.load(cell)) is not None):
            continue
        texts = [single_text(columns.load(row[column])) if row[column] else "" for row in parsed.rows]
        if None in texts:
            continue
        rows = [{**row, column: text or ""} for row, text in zip(parsed.rows, texts, strict=True)]
        note = UNWRAPPED.format(column=column)
        parsed = replace(parsed, rows=rows, notes=(*parsed.notes, note))
    return parsed


def single_text(value: Any) -> str | None:
    """The only text in a value; None where it holds several, none, or somebody's message."""
    if isinstance(value, list) and len(value) == 1:
        (item,) = value
        return item if isinstance(item, str) else single_text(item)
    if not isinstance(value, Mapping) or value.get("role", "system") not in ("system", "developer"):
        return None
    keys = set(value) - COMPANION_KEYS
    if len(keys) != 1 or not keys <= set(TEXT_KEYS):
        return None
    content = value[keys.pop()]
    if isinstance(content, list) and all(isinstance(item, str) for item in content):
        return content[0] if content else ""  # SQuAD has several answers to choose from, the first is usual
    return chat_format.parse_content(content) if content is not None else ""
