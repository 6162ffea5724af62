"""Reshape one message per row, as help desks and chat logs export them, into one conversation per row."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from studio.data.readers import rows
from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import message_times
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.data.text.text_length import is_prose, weighted_length
from studio.i18n import Message
from studio.plan import GROUP_ROLE

# The share of a column's filled cells that must be names of speakers, and the share of the conversations in
# which both sides must speak (0–1).
MIN_SPEAKER_SHARE, MIN_TWO_SIDED_SHARE = 0.9, 0.5
SAMPLE_ROWS = 2000  # rows that are looked at
ID_COLUMN_NAME = re.compile(
    r"(^|[\W_])(id|uuid|guid|no|nr|number|conversation|thread|dialog|dialogue|session|chat|ticket|case)$"
    r"|编号|会话|对话|工单|单号|(?<![a-z])id$|号$"
)
ORDER_COLUMN_NAME = re.compile(
    r"(^|[\W_])(turn|turn_id|turn_index|turn_number|seq|sequence|order|index|position|step)$|轮次|序号|顺序|次序"
)
DIGITS = re.compile(r"\d+")
MESSAGES_JOINED = Message(
    "{rows:,} rows with one message each were joined into {count:,} {count:conversation|conversations} "
    "by “{column}”."
)
SORTED_BY_TIME = Message("Their messages were put in the order of “{column}”.")
ROWS_DROPPED = Message(
    "{count:,} {count:row|rows} without a “{column}”, a message or a speaker of either side left out."
)


class MessageColumns(NamedTuple):
    """The columns of a table of messages: the conversation's id, who speaks, and the text."""

    id: str
    speaker: str
    text: str


def to_conversations(parsed: ParsedRows) -> ParsedRows:
    """Turn a table of messages into a table of conversations; any other table is returned as it is.

    Messages are in the order of the numbers of their turns or of their times where a column holds either,
    else in that of their rows.
    """
    message_columns = _message_columns(parsed)
    if not message_columns:
        return parsed
    groups = _group_rows(parsed.rows, message_columns)
    order_column = _order_column(parsed, message_columns, groups)
    time_column = "" if order_column else _time_column(parsed, message_columns)
    file_order = groups
    if time_column:
        groups = _sort_by_time(groups, time_column)
    constant_columns = [
        name
        for name in parsed.columns
        if name not in (*message_columns, order_column) and _is_constant(groups.values(), name)
    ]
    messages_column = "messages" if message_columns.id.isascii() else "对话"
    copied_columns = (message_columns.id, *constant_columns)
    if messages_column in copied_columns:
        return parsed

    def merge_group(group: list[Row]) -> Row:
        turns = sorted(group, key=lambda row: int(row[order_column])) if order_column else group
        messages = _merge_turns(turns, message_columns)
        conversation = {name: group[0][name] for name in copied_columns}
        conversation[messages_column] = chat_format.dump_messages(messages)
        return conversation

    conversations, bad_lines = rows.collect(enumerate(groups.values(), 1), merge_group)
    n_joined = sum(map(len, groups.values()))
    n_dropped = len(parsed.rows) - n_joined
    notes = [MESSAGES_JOINED.format(rows=n_joined, count=len(groups), column=message_columns.id)]
    if time_column and any(groups[name] != rows_before for name, rows_before in file_order.items()):
        notes.append(SORTED_BY_TIME.format(column=time_column))
    if n_dropped:
        notes.append(ROWS_DROPPED.format(count=n_dropped, column=message_columns.id))
    return replace(
        parsed,
        columns=(*copied_columns, messages_column),
        rows=conversations,
        bad_lines=[*parsed.bad_lines, *bad_lines],
        notes=(*parsed.notes, *notes),
    )


def _group_rows(all_rows: Sequence[Row], message_columns: MessageColumns) -> dict[str, list[Row]]:
    """Id -> the rows of a conversation, without those that lack an id, a known speaker or a text."""
    groups: dict[str, list[Row]] = {}
    for row in all_rows:
        if all(row[name].strip() for name in message_columns) and _to_role(row[message_columns.speaker]):
            groups.setdefault(row[message_columns.id].strip(), []).append(row)
    return groups


def _order_column(
    parsed: ParsedRows, message_columns: MessageColumns, groups: Mapping[str, Sequence[Row]]
) -> str:
    """The column that numbers the turns; "" where there is none. The number of an order is alike in all."""
    for name in parsed.columns:
        is_named_order = ORDER_COLUMN_NAME.search(column_names.normalize(name))
        if name in message_columns or not is_named_order or not _is_integer_column(parsed.rows, name):
            continue
        if all(_are_different(row[name] for row in group) for group in groups.values()):
            return name
    return ""


def _are_different(cells: Iterable[str]) -> bool:
    numbers = [cell.strip() for cell in cells]
    return len(set(numbers)) == len(numbers)


def _time_column(parsed: ParsedRows, message_columns: MessageColumns) -> str:
    """The column that says when each message was sent; "" where there is none."""
    for name in parsed.columns:
        if name in message_columns or not message_times.is_time_column(name):
            continue
        cells = [row[name] for row in parsed.rows[:SAMPLE_ROWS]]
        if all(cell.strip() for cell in cells) and message_times.parse_times([cells]):
            return name
    return ""


def _sort_by_time(groups: dict[str, list[Row]], time_column: str) -> dict[str, list[Row]]:
    """The conversations with their messages by time; what was sent at once stays in the file's direction."""
    times = message_times.parse_times([[row[time_column] for row in group] for group in groups.values()])
    if not times:
        return groups
    n_falling = sum(group_times[0] > group_times[-1] for group_times in times)
    n_rising = sum(group_times[0] < group_times[-1] for group_times in times)
    direction = -1 if n_falling > n_rising else 1
    return {
        name: [
            row
            for _, _, row in sorted(
                zip(group_times, range(0, direction * len(group), direction), group, strict=True),
                key=lambda item: item[:2],
            )
        ]
        for (name, group), group_times in zip(groups.items(), times, strict=True)
    }


def _message_columns(parsed: ParsedRows) -> MessageColumns | None:
    """The columns of a table of messages; None where one of them is missing."""
    samples = parsed.rows[:SAMPLE_ROWS]
    speaker_column = next(
        (name for name in parsed.columns if _is_speaker_column([row[name] for row in samples])), None
    )
    if speaker_column is None:
        return None
    other_columns = [name for name in parsed.columns if name != speaker_column]
    id_columns = [
        name
        for name in other_columns
        if ID_COLUMN_NAME.search(column_names.normalize(name))
        and _are_conversations(samples, name, speaker_column)
    ]
    if not id_columns:
        return None
    usual_names = column_names.NAMES_BY_ROLE[GROUP_ROLE]
    usual_id_columns = [name for name in id_columns if name.strip().lower() in usual_names]
    id_column = (usual_id_columns or id_columns)[0]
    text_columns = [name for name in other_columns if name != id_column and _is_written_text(samples, name)]
    if not text_columns:
        return None
    text_column = max(text_columns, key=lambda name: sum(weighted_length(row[name]) for row in samples))
    return MessageColumns(id_column, speaker_column, text_column)


def _to_role(speaker: str) -> str:
    """The role of a speaker; "" for a name that is not known."""
    return chat_format.ROLE_ALIASES.get(speaker.strip().lower(), "")


def _is_speaker_column(cells: Sequence[str]) -> bool:
    """Whether a column says who speaks, and both sides do."""
    role_counts = Counter(_to_role(cell) for cell in cells if cell.strip())
    n_speakers = role_counts.total() - role_counts[""]
    has_both_sides = role_counts["user"] > 0 and role_counts["assistant"] > 0
    return has_both_sides and n_speakers >= MIN_SPEAKER_SHARE * role_counts.total()


def _are_conversations(samples: Sequence[Row], id_column: str, speaker_column: str) -> bool:
    """Whether rows with the same id are conversations: in most of them both sides speak."""
    roles_by_id: dict[str, set[str]] = {}
    for row in samples:
        conversation_id = row[id_column].strip()
        if conversation_id:
            roles_by_id.setdefault(conversation_id, set()).add(_to_role(row[speaker_column]))
    n_two_sided = sum({"user", "assistant"} <= roles for roles in roles_by_id.values())
    return n_two_sided > MIN_TWO_SIDED_SHARE * len(roles_by_id)


def _is_written_text(samples: Sequence[Row], name: str) -> bool:
    """Whether a column holds what somebody wrote, which may be as short as “yes” here and there."""
    if column_names.METADATA_SUFFIX.search(column_names.normalize(name)):
        return False
    if any(is_prose(row[name]) for row in samples if row[name].strip()):
        return True
    return any(column_names.matches_role(name, role) for role in ("text", "prompt"))


def _is_integer_column(samples: Sequence[Row], name: str) -> bool:
    return all(DIGITS.fullmatch(row[name].strip()) for row in samples)


def _is_constant(groups: Iterable[list[Row]], name: str) -> bool:
    """Whether a column holds the same value in all rows of a conversation."""
    return all(len({row[name] for row in group}) == 1 for group in groups)


def _merge_turns(group: Sequence[Row], message_columns: MessageColumns) -> list[chat_format.ChatMessage]:
    """The messages of a conversation; consecutive rows of one speaker become one message."""
    turns: list[chat_format.ChatMessage] = []
    for row in group:
        speaker = row[message_columns.speaker].strip().lower()
        role = chat_format.ROLE_ALIASES.get(speaker, speaker)
        text = row[message_columns.text].strip()
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n{text}"
        else:
            turns.append({"role": role, "content": text})
    return turns
