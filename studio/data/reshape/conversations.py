"""One message a row, as help desks and chat logs export them, becomes one conversation a row."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from studio.data.readers import rows
from studio.data.readers.rows import ParsedRows, Row
from studio.data.schema import column_names
from studio.data.text import chat_format
from studio.data.text.text_length import is_prose, weighted_length
from studio.i18n import Message
from studio.plan import GROUP_ROLE

MIN_SPEAKER_SHARE = 0.9  # the share of the filled cells of a column that must be known speakers
MIN_TWO_SIDED_SHARE = 0.5  # the share of the conversations in which both sides must speak
SAMPLE_ROWS = 2000  # rows
ID_COLUMN_NAME = re.compile(
    r"(^|[\W_])(id|uuid|guid|no|nr|number|conversation|thread|dialog|dialogue|session|chat|ticket|case)$|编号|会话|对话|工单|单号|(?<![a-z])id$|号$"
)
ORDER_COLUMN_NAME = re.compile(
    r"(^|[\W_])(turn|turn_id|turn_index|turn_number|seq|sequence|order|index|position|step)$|轮次|序号|顺序|次序"
)
DIGITS = re.compile(r"\d+")
MESSAGES_JOINED = Message(
    "{rows:,} rows with one message each were joined into {count:,} {count:conversation|conversations} by “{column}”."
)
ROWS_DROPPED = Message("{count:,} {count:row|rows} without a “{column}”, a speaker or a message left out.")


def to_conversations(parsed: ParsedRows) -> ParsedRows:
    """A table of messages as a table of conversations, in the order of their rows or of their turns' numbers; as it was where it is none."""
    message_columns = _message_columns(parsed)
    if not message_columns:
        return parsed
    id_column, speaker_column, text_column = message_columns
    groups: dict[str, list[Row]] = {}
    for row in parsed.rows:
        if all(row[name].strip() for name in message_columns):
            groups.setdefault(row[id_column].strip(), []).append(row)
    order_column = next(
        (
            name
            for name in parsed.columns
            if name not in message_columns
            and ORDER_COLUMN_NAME.search(column_names.normalize(name))
            and _is_integer_column(parsed.rows, name)
        ),
        "",
    )
    constant_columns = [
        name
        for name in parsed.columns
        if name not in message_columns and name != order_column and _is_constant(groups.values(), name)
    ]
    name = "messages" if id_column.isascii() else "对话"
    columns = (id_column, *constant_columns, name) if name not in (id_column, *constant_columns) else ()
    if not columns:
        return parsed

    def merge_group(group: list[Row]) -> Row:
        turns = sorted(group, key=lambda row: int(row[order_column])) if order_column else group
        return {
            id_column: group[0][id_column],
            **{column: group[0][column] for column in constant_columns},
            name: chat_format.dump_messages(_merge_turns(turns, speaker_column, text_column)),
        }

    conversations, bad_lines = rows.collect(enumerate(groups.values(), 1), merge_group)
    dropped_count = len(parsed.rows) - sum(map(len, groups.values()))
    notes = [
        MESSAGES_JOINED.format(rows=len(parsed.rows) - dropped_count, count=len(groups), column=id_column)
    ]
    notes += [ROWS_DROPPED.format(count=dropped_count, column=id_column)] if dropped_count else []
    return replace(
        parsed,
        columns=columns,
        rows=conversations,
        bad_lines=[*parsed.bad_lines, *bad_lines],
        notes=(*parsed.notes, *notes),
    )


def _message_columns(parsed: ParsedRows) -> tuple[str, str, str] | None:
    """The columns that number the conversations, say who speaks and what is said; None where there are not all three."""
    samples = parsed.rows[:SAMPLE_ROWS]
    speaker_column = next(
        (name for name in parsed.columns if _is_speaker_column([row[name] for row in samples])), ""
    )
    if not speaker_column:
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
    id_column = min(
        id_columns, key=lambda name: name.strip().lower() not in column_names.NAMES_BY_ROLE[GROUP_ROLE]
    )
    lengths = {
        name: sum(weighted_length(row[name]) for row in samples)
        for name in other_columns
        if name != id_column and _is_written_text(samples, name)
    }
    return (id_column, speaker_column, max(lengths, key=lambda name: lengths[name])) if lengths else None


def _is_speaker_column(cells: Sequence[str]) -> bool:
    """Whether a column says who speaks, and both sides do."""
    roles = Counter(chat_format.ROLE_ALIASES.get(cell.strip().lower(), "") for cell in cells if cell.strip())
    return (
        roles["user"] > 0
        and roles["assistant"] > 0
        and roles.total() - roles[""] >= MIN_SPEAKER_SHARE * roles.total()
    )


def _are_conversations(samples: Sequence[Row], id_column: str, speaker_column: str) -> bool:
    """Whether rows with the same number are conversations: in most of them both sides speak."""
    speakers_by_id: dict[str, set[str]] = {}
    for row in samples:
        if row[id_column].strip():
            speakers_by_id.setdefault(row[id_column].strip(), set()).add(
                chat_format.ROLE_ALIASES.get(row[speaker_column].strip().lower(), "")
            )
    return sum(
        {"user", "assistant"} <= sides for sides in speakers_by_id.values()
    ) > MIN_TWO_SIDED_SHARE * len(speakers_by_id)


def _is_written_text(samples: Sequence[Row], name: str) -> bool:
    """Whether a column holds what somebody wrote, which may be as short as “yes” here and there."""
    cells = [row[name] for row in samples if row[name].strip()]
    return not column_names.METADATA_SUFFIX.search(column_names.normalize(name)) and (
        any(map(is_prose, cells)) or any(column_names.matches_role(name, role) for role in ("text", "prompt"))
    )


def _is_integer_column(samples: Sequence[Row], name: str) -> bool:
    return all(DIGITS.fullmatch(row[name].strip()) for row in samples)


def _is_constant(groups: Iterable[list[Row]], name: str) -> bool:
    """Whether a column says the same in all rows of a conversation."""
    return all(len({row[name] for row in group}) == 1 for group in groups)


def _merge_turns(
    group: Sequence[Row], speaker_column: str, text_column: str
) -> list[chat_format.ChatMessage]:
    """The messages of a conversation; what one says in several rows is one message."""
    turns: list[chat_format.ChatMessage] = []
    for row in group:
        role, text = row[speaker_column].strip().lower(), row[text_column].strip()
        role = chat_format.ROLE_ALIASES.get(role, role)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n{text}"
        else:
            turns.append({"role": role, "content": text})
    return turns
