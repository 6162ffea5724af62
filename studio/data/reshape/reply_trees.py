"""Rows that answer other rows, by the id of what they reply to, become one conversation per first row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.data.text.text_length import is_prose, weighted_length
from studio.i18n import Message

PARENT_NAME = re.compile(
    r"(^|_)(parent(_\w+)?_id|parent|in_reply_to(_\w+)?|reply_to(_\w+)?|in_response_to(_\w+)?)$"
)
SPEAKER_NAMES = ("role", "author_type", "sender_type", "speaker", "from", "sender", "author")
# Columns that say of a message whether it came from a customer.
INBOUND_NAMES = ("inbound", "is_inbound", "is_customer", "incoming")
# Where lower is better, and where higher is.
RANK_NAMES, SCORE_NAMES = ("rank",), ("score", "votes", "likes", "upvotes", "rating")
MAX_BRANCH = 1000  # messages of a conversation
MIN_LINKED_SHARE = 0.5  # of the rows that reply, whose first message is in the table (0–1)
REPLIES_JOINED = Message(
    "{rows:,} rows that reply to each other by “{parent}” were joined into {count:,} "
    "{count:conversation|conversations}; {left:,} rival or lone {left:row|rows} left out."
)


class ReplyColumns(NamedTuple):
    """The columns of a table of replies; those that are not there are "".

    Attributes:
        id: The id of a row.
        parent: The id of the row that it replies to.
        text: What somebody wrote.
        speaker: Who wrote it.
        inbound: Whether a customer wrote it.
        author: The name of who wrote it, where neither of both is there.
        order: What says which of several replies is the best.
    """

    id: str
    parent: str
    text: str
    speaker: str
    inbound: str
    author: str
    order: str


def follow_replies(parsed: ParsedRows) -> ParsedRows:
    """Turn a table of replies into conversations: from each first row along the best replies."""
    reply_columns = _reply_columns(parsed)
    if not reply_columns:
        return parsed
    by_id = {row[reply_columns.id].strip(): row for row in parsed.rows}
    replies: dict[str, list[Row]] = {}
    for row in parsed.rows:
        replies.setdefault(row[reply_columns.parent].strip(), []).append(row)
    conversations: list[Row] = []
    n_joined = 0
    for row in parsed.rows:
        if row[reply_columns.parent].strip() in by_id:
            continue
        branch = _best_branch(row, replies, reply_columns)
        messages = _to_messages(branch, reply_columns)
        if not chat_format.trim_to_answer(messages):
            continue
        n_joined += len(branch)
        conversations.append(
            {reply_columns.id: row[reply_columns.id], "messages": chat_format.dump_messages(messages)}
        )
    if not conversations:
        return parsed
    note = REPLIES_JOINED.format(
        rows=n_joined,
        parent=reply_columns.parent,
        count=len(conversations),
        left=len(parsed.rows) - n_joined,
    )
    return replace(
        parsed, columns=(reply_columns.id, "messages"), rows=conversations, notes=(*parsed.notes, note)
    )


def _reply_columns(parsed: ParsedRows) -> ReplyColumns | None:
    """The columns of a table of replies; None where the table is another one."""
    parent = next(
        (name for name in parsed.columns if PARENT_NAME.search(_snake(name))),
        "",
    )
    if not parent:
        return None
    parents = {row[parent].strip() for row in parsed.rows} - {""}
    id_column = _id_column(parsed, parent, parents)
    speaker = columns.first_named(parsed.columns, SPEAKER_NAMES)
    if speaker and not columns.holds(parsed, speaker, _is_speaker):
        speaker = ""
    inbound = columns.first_named(parsed.columns, INBOUND_NAMES)
    author = columns.first_named(parsed.columns, ("author_id", "author", "user_id", "user", "username"))
    texts = [
        name
        for name in parsed.columns
        if name not in (parent, id_column, speaker, inbound, author)
        and any(map(is_prose, columns.sample(parsed, name)))
    ]
    if not id_column or not texts or not (speaker or inbound or author):
        return None
    rows = parsed.rows[: columns.SAMPLE_CELLS]
    text = max(texts, key=lambda name: sum(weighted_length(row[name]) for row in rows))
    order = columns.first_named(parsed.columns, (*RANK_NAMES, *SCORE_NAMES))
    return ReplyColumns(id_column, parent, text, speaker, inbound, author, order)


def _snake(name: str) -> str:
    return column_names.normalize(name).replace(" ", "_")


def _is_speaker(cell: str) -> bool:
    return cell.strip().lower() in chat_format.ROLE_ALIASES


def _id_column(parsed: ParsedRows, parent: str, parents: set[str]) -> str:
    """The column of ids that differ and that the replies name; "" where there is none."""
    for name in parsed.columns:
        if name == parent:
            continue
        values = {row[name].strip() for row in parsed.rows}
        if len(values) == len(parsed.rows) and len(parents & values) > MIN_LINKED_SHARE * len(parents):
            return name
    return ""


def _best_branch(row: Row, replies: Mapping[str, Sequence[Row]], reply_columns: ReplyColumns) -> list[Row]:
    """A first row and the best reply to each row after it."""
    branch = [row]
    visited = {row[reply_columns.id].strip()}
    while len(branch) < MAX_BRANCH:
        candidates = [
            reply
            for reply in replies.get(branch[-1][reply_columns.id].strip(), ())
            if reply[reply_columns.id].strip() not in visited
        ]
        if not candidates:
            break
        best = min(candidates, key=lambda reply: _order(reply, reply_columns.order))
        visited.add(best[reply_columns.id].strip())
        branch.append(best)
    return branch


def _order(row: Row, column: str) -> float:
    """How far behind others a reply stands: its rank, or its score turned round; the last without either."""
    cell = row[column].strip() if column else ""
    try:
        number = float(cell)
    except ValueError:
        return float("inf")
    return number if _snake(column) in RANK_NAMES else -number


def _to_messages(branch: Sequence[Row], reply_columns: ReplyColumns) -> list[chat_format.ChatMessage]:
    """The messages of a branch; those of one speaker in a row become one."""
    messages: list[chat_format.ChatMessage] = []
    for row in branch:
        text = row[reply_columns.text].strip()
        role = _role(row, branch[0], reply_columns)
        if not text:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n{text}"
        else:
            messages.append({"role": role, "content": text})
    return messages


def _role(row: Row, first_row: Row, reply_columns: ReplyColumns) -> str:
    """Who speaks in a row: as a column says, else the author of the first row asks and all others answer."""
    if reply_columns.speaker:
        return chat_format.ROLE_ALIASES.get(row[reply_columns.speaker].strip().lower(), "user")
    if reply_columns.inbound:
        is_inbound = chat_format.parse_label(row[reply_columns.inbound])
        return "user" if is_inbound else "assistant"
    is_first_author = row[reply_columns.author] == first_row[reply_columns.author]
    return "user" if is_first_author else "assistant"
