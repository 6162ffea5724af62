"""Conversations written out in the cells of a column become conversations of messages."""

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.data.text.transcripts import parse_transcript
from studio.i18n import Message

WRITTEN_OUT = Message("The conversations written out in “{column}” were divided into their turns.")
# Beside such columns a written-out conversation is a text to classify, or one of two answers.
TARGET_ROLES = ("label", "labels", "chosen", "rejected", "response")


def divide_transcripts(parsed: ParsedRows) -> ParsedRows:
    """Divide the conversations in the only column of texts; a table with another text or a class stays."""
    candidates = [name for name in parsed.columns if columns.holds(parsed, name, _is_transcript)]
    if len(candidates) != 1:
        return parsed
    (column,) = candidates
    for name in parsed.columns:
        is_target = any(column_names.matches_role(name, role) for role in TARGET_ROLES)
        if name != column and (is_target or columns.has_prose(parsed, name)):
            return parsed

    def make(row: Row) -> Row:
        messages = parse_transcript(row[column])
        return {"messages": chat_format.dump_messages(messages) if messages else ""}

    return columns.replace_columns(parsed, (column,), ("messages",), make, WRITTEN_OUT.format(column=column))


def _is_transcript(cell: str) -> bool:
    return cell[0] not in "[{" and bool(parse_transcript(cell))
