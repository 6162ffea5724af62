"""ChatGPT's own export: each conversation is a tree of messages, of which the current branch is learned."""

from collections.abc import Mapping
from typing import Any

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.data.text.chat_format import ChatMessage
from studio.i18n import Message

TREE_NAMES, LEAF_NAMES = ("mapping",), ("current_node",)
BRANCHES_TAKEN = Message(
    "Of each conversation of the ChatGPT export, the branch that was looked at last was taken."
)


def follow_branches(parsed: ParsedRows) -> ParsedRows:
    """Turn each tree of messages into the conversation on its current branch."""
    tree = columns.first_named(parsed.columns, TREE_NAMES)
    if not tree or not columns.holds(parsed, tree, lambda cell: _is_tree(columns.load(cell))):
        return parsed
    leaf = columns.first_named(parsed.columns, LEAF_NAMES)

    def make(row: Row) -> Row:
        messages = _branch(columns.load(row[tree]), row[leaf] if leaf else "")
        return {"messages": chat_format.dump_messages(messages) if messages else ""}

    title_column = columns.first_named(parsed.columns, ("title",))
    dropped = [column for column in parsed.columns if column != title_column]
    return columns.replace_columns(parsed, dropped, ("messages",), make, BRANCHES_TAKEN)


def _is_tree(value: Any) -> bool:
    """Whether a value is an object of nodes, each with the id of its parent."""
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(node, Mapping) and "parent" in node for node in value.values())


def _branch(nodes: Any, leaf: str) -> list[ChatMessage]:
    """The messages from the root to a leaf; to the last node where the leaf is unknown."""
    if not _is_tree(nodes):
        return []
    node_id = leaf if leaf in nodes else next(reversed(nodes))
    branch: list[ChatMessage] = []
    visited: set[str] = set()
    while node_id in nodes and node_id not in visited:
        visited.add(node_id)
        node = nodes[node_id]
        branch += _messages(node.get("message"))
        node_id = str(node.get("parent"))
    return _merged(branch[::-1])


def _messages(message: Any) -> list[ChatMessage]:
    """The message of a node, if somebody says something in it that the other one sees."""
    if not isinstance(message, Mapping) or message.get("recipient", "all") != "all":
        return []
    items = chat_format.parse_messages(columns.dump_value([message]))
    return [item for item in items if item["content"].strip()]


def _merged(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Messages, those of one speaker in a row as one."""
    merged: list[ChatMessage] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1] = {**message, "content": f"{merged[-1]['content']}\n\n{message['content']}"}
        else:
            merged.append(message)
    return merged
