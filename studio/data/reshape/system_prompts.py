"""System prompts in a column beside conversations go into them, and earlier turns before their question."""

from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.data.text.chat_format import ChatMessage
from studio.i18n import Message

SYSTEM_NAMES = (
    *("system", "system_prompt", "system_message", "system_instruction", "systemprompt"),
    *("系统", "系统提示", "系统提示词"),
)
HISTORY_NAMES = ("history", "历史")
SYSTEM_MOVED = Message("The system prompts in “{system}” were put before the conversations in “{column}”.")
HISTORY_MOVED = Message("The earlier turns in “{history}” were put before the questions in “{column}”.")


def add_system_prompts(parsed: ParsedRows) -> ParsedRows:
    """Put each system prompt before the conversation of its row."""
    system = columns.first_named(parsed.columns, SYSTEM_NAMES)
    messages_column = columns.conversation_column(parsed)
    if not system or not messages_column:
        return parsed

    def make(row: Row) -> Row:
        messages = chat_format.parse_messages(row[messages_column])
        return {messages_column: _dump_with_system(row[system], messages) or row[messages_column]}

    note = SYSTEM_MOVED.format(system=system, column=messages_column)
    return columns.replace_columns(parsed, (system, messages_column), (messages_column,), make, note)


def add_history(parsed: ParsedRows) -> ParsedRows:
    """Join earlier turns, a question and its answer into a conversation, with a system prompt if any."""
    history = columns.first_named(parsed.columns, HISTORY_NAMES)
    question = columns.first_named(parsed.columns, columns.QUESTION_NAMES)
    answer = columns.first_named(parsed.columns, columns.ANSWER_NAMES)
    if not (history and question and answer) or not columns.holds(parsed, history, _is_history):
        return parsed
    system = columns.first_named(parsed.columns, SYSTEM_NAMES)

    def make(row: Row) -> Row:
        if not row[question].strip() or not row[answer].strip():
            return {"messages": ""}
        messages = [
            *(_history_messages(columns.load(row[history])) or []),
            {"role": "user", "content": row[question].strip()},
            {"role": "assistant", "content": row[answer].strip()},
        ]
        return {"messages": _dump_with_system(row[system] if system else "", messages)}

    dropped = [name for name in (history, question, answer, system) if name]
    note = HISTORY_MOVED.format(history=history, column=question)
    return columns.replace_columns(parsed, dropped, ("messages",), make, note)


def _dump_with_system(system: str, messages: list[ChatMessage]) -> str:
    """A conversation after its system prompt; "" for no conversation."""
    text = system.strip()
    if not messages or not text:
        return chat_format.dump_messages(messages) if messages else ""
    if messages[0]["role"] == "system":
        text = "\n\n".join(dict.fromkeys((text, messages[0]["content"])))
        messages = messages[1:]
    return chat_format.dump_messages([{"role": "system", "content": text}, *messages])


def _is_history(cell: str) -> bool:
    return _history_messages(columns.load(cell)) is not None


def _history_messages(value: Any) -> list[ChatMessage] | None:
    """The messages of earlier turns, which are pairs of texts or messages; None where they are neither."""
    if not isinstance(value, list):
        return None
    messages: list[ChatMessage] = []
    for turn in value:
        if not isinstance(turn, list) or not all(isinstance(text, str) for text in turn) or len(turn) != 2:
            return chat_format.parse_messages(columns.dump_value(value)) or None
        question, answer = turn
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages
