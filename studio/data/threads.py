"""One message a row, as help desks and chat logs export them, becomes one conversation a row."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from studio.data import called, rows, talk
from studio.data.rows import Found, Row
from studio.data.speech import spoken, weight
from studio.plan import GROUP
from studio.words import Words

SPEAKS = 0.9  # the share of the filled cells of a column that must be known speakers
BOTH = 0.5  # the share of the conversations in which both sides must speak
LOOKED_AT = 2000  # rows
NUMBER = re.compile(
    r"(^|[\W_])(id|uuid|guid|no|nr|number|conversation|thread|dialog|dialogue|session|chat|ticket|case)$|编号|会话|对话|工单|单号|(?<![a-z])id$|号$"
)
PLACE = re.compile(r"(^|[\W_])(turn|turn_id|turn_index|turn_number|seq|sequence|order|index|position|step)$|轮次|序号|顺序|次序")
WHOLE = re.compile(r"\d+")
JOINED = Words(
    "{rows:,} rows with one message each were joined into {count:,} {count:conversation|conversations} by “{column}”.",
    "{rows:,} 行（每行一条消息）已按“{column}”合并成 {count:,} 段对话。",
)
LOOSE = Words(
    "{count:,} {count:row|rows} without a “{column}”, a speaker or a message left out.",
    "{count:,} 行缺少“{column}”、说话人或消息内容，已忽略。",
)


def joined(found: Found) -> Found:
    """A table of messages as a table of conversations, in the order of their rows or of their turns' numbers; as it was where it is none."""
    told = _columns(found)
    if not told:
        return found
    number, who, said = told
    groups: dict[str, list[Row]] = {}
    for row in found.rows:
        if all(row[name].strip() for name in told):
            groups.setdefault(row[number].strip(), []).append(row)
    place = next((name for name in found.columns if name not in told and PLACE.search(called.low(name)) and _counts(found.rows, name)), "")
    kept = [name for name in found.columns if name not in told and name != place and _same(groups.values(), name)]
    name = "messages" if number.isascii() else "对话"
    columns = (number, *kept, name) if name not in (number, *kept) else ()
    if not columns:
        return found

    def whole(group: list[Row]) -> Row:
        turns = sorted(group, key=lambda row: int(row[place])) if place else group
        return {number: group[0][number], **{one: group[0][one] for one in kept}, name: talk.packed(_turns(turns, who, said))}

    made, bad = rows.collect(enumerate(groups.values(), 1), whole)
    loose = len(found.rows) - sum(map(len, groups.values()))
    notes = [JOINED.filled(rows=len(found.rows) - loose, count=len(groups), column=number)]
    notes += [LOOSE.filled(count=loose, column=number)] if loose else []
    return replace(found, columns=columns, rows=made, bad=[*found.bad, *bad], notes=(*found.notes, *notes))


def _columns(found: Found) -> tuple[str, str, str] | None:
    """The columns that number the conversations, say who speaks and what is said; None where there are not all three."""
    some = found.rows[:LOOKED_AT]
    who = next((name for name in found.columns if _speakers([row[name] for row in some])), "")
    if not who:
        return None
    others = [name for name in found.columns if name != who]
    numbers = [name for name in others if NUMBER.search(called.low(name)) and _both_speak(some, name, who)]
    if not numbers:
        return None
    number = min(numbers, key=lambda name: name.strip().lower() not in called.NAMES[GROUP])
    lengths = {name: sum(weight(row[name]) for row in some) for name in others if name != number and _written(some, name)}
    return (number, who, max(lengths, key=lambda name: lengths[name])) if lengths else None


def _speakers(cells: Sequence[str]) -> bool:
    """Whether a column says who speaks, and both sides do."""
    roles = Counter(talk.ROLES.get(cell.strip().lower(), "") for cell in cells if cell.strip())
    return roles["user"] > 0 and roles["assistant"] > 0 and roles.total() - roles[""] >= SPEAKS * roles.total()


def _both_speak(some: Sequence[Row], number: str, who: str) -> bool:
    """Whether rows with the same number are conversations: in most of them both sides speak."""
    spoke: dict[str, set[str]] = {}
    for row in some:
        if row[number].strip():
            spoke.setdefault(row[number].strip(), set()).add(talk.ROLES.get(row[who].strip().lower(), ""))
    return sum({"user", "assistant"} <= sides for sides in spoke.values()) > BOTH * len(spoke)


def _written(some: Sequence[Row], name: str) -> bool:
    """Whether a column holds what somebody wrote, which may be as short as “yes” here and there."""
    cells = [row[name] for row in some if row[name].strip()]
    return not called.ASIDE.search(called.low(name)) and (
        any(map(spoken, cells)) or any(called.by(name, role) for role in ("text", "prompt"))
    )


def _counts(some: Sequence[Row], name: str) -> bool:
    return all(WHOLE.fullmatch(row[name].strip()) for row in some)


def _same(groups: Iterable[list[Row]], name: str) -> bool:
    """Whether a column says the same in all rows of a conversation."""
    return all(len({row[name] for row in group}) == 1 for group in groups)


def _turns(group: Sequence[Row], who: str, said: str) -> list[talk.Turn]:
    """The messages of a conversation; what one says in several rows is one message."""
    found: list[talk.Turn] = []
    for row in group:
        role, text = row[who].strip().lower(), row[said].strip()
        role = talk.ROLES.get(role, role)
        if found and found[-1]["role"] == role:
            found[-1]["content"] += f"\n{text}"
        else:
            found.append({"role": role, "content": text})
    return found
