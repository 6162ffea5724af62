"""Conversations beside a worse answer, as ms-swift and LlamaFactory have them, become preference pairs."""

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.i18n import Message

REJECTED_NAMES = (
    *("rejected_response", "rejected_messages", "rejected_answer", "rejected_completion"),
    *("rejected_output", "rejected"),
)
PAIRED = Message("The last answer in “{column}” is the better one, that in “{rejected}” the worse one.")


def pair_rejected_answers(parsed: ParsedRows) -> ParsedRows:
    """Divide conversations beside a worse answer into the question and the better answer."""
    rejected = columns.first_named(parsed.columns, REJECTED_NAMES)
    if not rejected or columns.first_named(parsed.columns, ("chosen", "chosen_messages", "chosen_response")):
        return parsed
    messages_column = columns.conversation_column(parsed)
    if not messages_column or messages_column == rejected:
        return parsed

    def make(row: Row) -> Row:
        messages = chat_format.trim_to_answer(chat_format.parse_messages(row[messages_column]))
        if not messages:
            return {"prompt": "", "chosen": "", "rejected": ""}
        _, worse = chat_format.split_answer(row[rejected])
        prompt = columns.dump_prompt(messages[:-1])
        return {"prompt": prompt, "chosen": messages[-1]["content"], "rejected": worse}

    note = PAIRED.format(column=messages_column, rejected=rejected)
    return columns.replace_columns(
        parsed, (messages_column, rejected), ("prompt", "chosen", "rejected"), make, note
    )
