"""Answers that a conversation marks with a weight of 0 are read and not learned; a note says so."""

import re
from dataclasses import replace

from studio.data.readers.rows import ParsedRows
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.i18n import Message

WEIGHT_KEY = re.compile(r'"weight"')
ANSWERS_READ_ONLY = Message(
    "{count:,} {count:answer has|answers have} a weight of 0: the model reads {count:it|them} and does not "
    "learn {count:it|them}."
)


def note_unlearned_answers(parsed: ParsedRows) -> ParsedRows:
    """The rows as they are, with a note where some of their answers are not to be learned."""
    column = columns.conversation_column(parsed)
    if not column or not any(WEIGHT_KEY.search(cell) for cell in columns.sample(parsed, column)):
        return parsed
    count = sum(
        "weight" in message
        for row in parsed.rows
        if WEIGHT_KEY.search(row[column])
        for message in chat_format.parse_messages(row[column])
    )
    if not count:
        return parsed
    return replace(parsed, notes=(*parsed.notes, ANSWERS_READ_ONLY.format(count=count)))
