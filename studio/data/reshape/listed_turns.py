"""Conversations as lists of texts, or of pairs of a speaker and a text, become conversations of messages."""

from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.data.text.chat_format import ChatMessage
from studio.i18n import Message

TURNS_TAKEN = Message("The turns listed in “{column}” were taken as question and answer in turn.")
SPEAKERS_TAKEN = Message("The turns listed in “{column}” were divided by who speaks.")


def take_listed_turns(parsed: ParsedRows) -> ParsedRows:
    """Turn lists of turns into conversations: those of pairs, and those of texts where the name says so."""
    for column in parsed.columns:
        if not columns.has_literals(parsed, column):
            continue
        is_named = column.strip().lower() in column_names.NAMES_BY_ROLE["messages"]
        if columns.holds(parsed, column, lambda cell: bool(_spoken_turns(columns.load(cell)))):
            read, note = _spoken_turns, SPEAKERS_TAKEN
        elif is_named and columns.holds(
            parsed, column, lambda cell: bool(_alternate_turns(columns.load(cell)))
        ):
            read, note = _alternate_turns, TURNS_TAKEN
        else:
            continue

        def make(row: Row, column: str = column, read: Any = read) -> Row:
            messages = read(columns.load(row[column]))
            return {"messages": chat_format.dump_messages(messages) if messages else ""}

        return columns.replace_columns(parsed, (column,), ("messages",), make, note.format(column=column))
    return parsed


def _spoken_turns(value: Any) -> list[ChatMessage]:
    """The messages of a list of pairs, a known speaker and a text; empty for any other value."""
    if not isinstance(value, list):
        return []
    messages = []
    for turn in value:
        if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(part, str) for part in turn):
            return []
        speaker, content = turn
        role = chat_format.ROLE_ALIASES.get(speaker.strip().lower())
        if not role:
            return []
        messages.append({"role": role, "content": content})
    return messages if chat_format.trim_to_answer(messages) else []


def _alternate_turns(value: Any) -> list[ChatMessage]:
    """The messages of a list of several texts, the first of which asks; empty for any other value."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(text, str) for text in value):
        return []
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(value)]
