"""What of a conversation is not learned is said: answers with a weight of 0, and thoughts beside answers."""

import re
from dataclasses import replace

from studio.data.readers.rows import ParsedRows
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.i18n import Message

WEIGHT_KEY = re.compile(r'"weight"')
THOUGHTS_KEY = re.compile(r'"(reasoning_content|reasoning|thinking)"\s*:')
THOUGHTS_LEFT_OUT = Message(
    "The thoughts beside the answers in “{column}” (such as reasoning_content) are left out: the answers "
    "alone are learned."
)
ANSWERS_READ_ONLY = Message(
    "{count:,} {count:answer has|answers have} a weight of 0: the model reads {count:it|them} and does not "
    "learn {count:it|them}."
)


def note_unlearned_answers(parsed: ParsedRows) -> ParsedRows:
    """The rows as they are, with a note where some of their answers or thoughts are not learned."""
    column = columns.conversation_column(parsed)
    if not column:
        return parsed
    cells = columns.sample(parsed, column)
    if any(THOUGHTS_KEY.search(cell) for cell in cells):
        parsed = replace(parsed, notes=(*parsed.notes, THOUGHTS_LEFT_OUT.format(column=column)))
    if not any(WEIGHT_KEY.search(cell) for cell in cells):
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
