"""What reshaping asks of columns: a sample of their cells, those that hold messages, and those by name."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.data.text.chat_format import ChatMessage
from studio.data.text.text_length import is_prose
from studio.i18n import Message

SAMPLE_CELLS = 50  # filled cells that are looked at
MIN_SHARE = 0.8  # of them must be what a column is taken for (0–1)
QUESTION_NAMES = (
    "prompt",
    "question",
    "instruction",
    "query",
    "input",
    "user",
    "问题",
    "提问",
    "指令",
    "输入",
)
ANSWER_NAMES = (
    "completion",
    "response",
    "answer",
    "output",
    "reply",
    "assistant",
    "回答",
    "答案",
    "回复",
    "输出",
)


def sample(parsed: ParsedRows, column: str) -> list[str]:
    """The first filled cells of a column, stripped."""
    cells: list[str] = []
    for row in parsed.rows:
        if cell := row[column].strip():
            cells.append(cell)
        if len(cells) == SAMPLE_CELLS:
            break
    return cells


def holds(parsed: ParsedRows, column: str, test: Callable[[str], bool]) -> bool:
    """Whether a test holds of most cells in the sample of a column."""
    cells = sample(parsed, column)
    return bool(cells) and sum(map(test, cells)) >= MIN_SHARE * len(cells)


def has_literals(parsed: ParsedRows, column: str) -> bool:
    """Whether most cells of a column begin as a list or an object does."""
    return holds(parsed, column, lambda cell: cell[0] in "[{")


def has_messages(parsed: ParsedRows, column: str) -> bool:
    """Whether most cells of a column are messages, be it a single one."""
    return has_literals(parsed, column) and holds(
        parsed, column, lambda cell: bool(chat_format.parse_messages(cell))
    )


def has_prose(parsed: ParsedRows, column: str) -> bool:
    """Whether most cells of a column are written text."""
    return not has_literals(parsed, column) and holds(parsed, column, is_prose)


def conversation_column(parsed: ParsedRows) -> str:
    """The first column whose cells mostly are conversations with an answer; "" where there is none."""
    for column in parsed.columns:
        if has_literals(parsed, column) and holds(parsed, column, is_conversation):
            return column
    return ""


def is_conversation(cell: str) -> bool:
    """Whether a cell is a conversation in which somebody asks and somebody answers."""
    messages = chat_format.trim_to_answer(chat_format.parse_messages(cell))
    return bool(messages) and bool(messages[-1]["content"].strip())


def first_named(columns: Iterable[str], names: Sequence[str]) -> str:
    """The first column with one of these names, the first name before the next; "" where there is none."""
    by_name = {column_names.normalize(column).replace(" ", "_"): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), "")


def load(cell: str) -> Any:
    """The value that a cell of JSON holds; None where it holds none."""
    if cell.strip()[:1] not in ("[", "{"):
        return None
    try:
        return chat_format.load_literal(cell.strip())
    except (ValueError, RecursionError):
        return None


def dump_prompt(messages: list[ChatMessage]) -> str:
    """Messages before an answer as one cell: a single question as it is, others as a conversation."""
    is_single = len(messages) == 1 and messages[0]["role"] == "user"
    return messages[0]["content"] if is_single else chat_format.dump_messages(messages)


def dump_value(value: Any) -> str:
    """A list or an object as one cell."""
    return json.dumps(value, ensure_ascii=False)


def replace_columns(
    parsed: ParsedRows,
    dropped: Iterable[str],
    added: Sequence[str],
    make: Callable[[Row], Row],
    note: Message,
) -> ParsedRows:
    """The rows with some columns replaced by others, which come first.

    Args:
        parsed: The rows.
        dropped: The columns that go.
        added: The columns that come.
        make: Makes the cells of the new columns of a row.
        note: The sentence that says so.
    """
    kept_columns = [column for column in parsed.columns if column not in {*dropped, *added}]
    rows = [{**make(row), **{column: row[column] for column in kept_columns}} for row in parsed.rows]
    return replace(parsed, columns=(*added, *kept_columns), rows=rows, notes=(*parsed.notes, note))
