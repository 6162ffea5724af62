"""Conversations that call tools are kept up to the first call: what follows depends on what a tool says.

One without an answer before it stays as it is: it is no example, and counted among those left out.
"""

from dataclasses import replace
from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.errors import BadData
from studio.i18n import Message

TOOL_ROLES = frozenset(
    ("tool", "function", "function_call", "observation", "ipython", "tool_call", "tool_response")
)
CALL_KEYS = ("tool_calls", "function_call")
TOOL_COLUMN_NAMES = ("tools", "functions")
CUT_AT_CALLS = Message(
    "{count:,} {count:conversation calls tools|conversations call tools}, which cannot be learned: "
    "{kept:,} {kept:is|are} kept up to the first call, the others hold no answer before it."
)
CALLS_ALONE = Message(
    "All conversations in “{column}” call tools before they answer, and tool calls cannot be learned."
)


def cut_at_tool_calls(parsed: ParsedRows) -> ParsedRows:
    """Cut each conversation with an answer before its first tool call there.

    Raises:
        BadData: No conversation has an answer before its first call.
    """
    column = next((name for name in parsed.columns if _may_call_tools(parsed, name)), "")
    if not column:
        return parsed
    n_calls = n_kept = n_answered = 0
    rows: list[Row] = []
    for row in parsed.rows:
        cell = row[column]
        if chat_format.TOOL_KEYS.search(cell):
            items = chat_format.load_items(cell)
            before = columns.dump_value(items[: _first_call(items)])
            n_calls += 1
            if columns.is_conversation(before):
                cell = before
                n_kept += 1
        n_answered += columns.is_conversation(cell)
        rows.append({**row, column: cell})
    if not n_calls:
        return parsed
    if not n_answered:
        raise BadData(
            CALLS_ALONE,
            Message("Bring conversations in which the answers are texts."),
            column=column,
        )
    tools = columns.first_named(parsed.columns, TOOL_COLUMN_NAMES)
    kept_columns = tuple(name for name in parsed.columns if name != tools)
    kept_rows = [{name: row[name] for name in kept_columns} for row in rows]
    note = CUT_AT_CALLS.format(count=n_calls, kept=n_kept)
    return replace(parsed, columns=kept_columns, rows=kept_rows, notes=(*parsed.notes, note))


def _may_call_tools(parsed: ParsedRows, column: str) -> bool:
    """Whether a column holds conversations, of which some in the sample may call tools."""
    cells = columns.sample(parsed, column)
    return any(map(chat_format.has_tool_calls, cells)) and columns.holds(
        parsed, column, lambda cell: bool(chat_format.load_items(cell))
    )


def _first_call(items: list[Any]) -> int:
    """The index of the first item that calls a tool or holds its answer."""
    for index, item in enumerate(items):
        speaker = str(next(item[name] for name in chat_format.ROLE_KEYS if name in item)).lower()
        if speaker in TOOL_ROLES or any(item.get(key) for key in CALL_KEYS):
            return index
    return len(items)
