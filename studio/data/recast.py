"""Exports that hold examples in another shape: answers side by side with the better one named, and conversations with a turn on each row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from studio.data import talk
from studio.data.rows import MAX_CELL, Found, Row
from studio.words import Words

# What the column is called that names the better answer, and what stands there where neither is.
WINNER = re.compile(
    r"^(winner|won|preferred|preference|better|best|choice|chosen|vote|verdict|label|胜者|胜出|更好|较好|偏好|选择|优选)", re.IGNORECASE
)
NEITHER = re.compile(r"tie|both|neither|equal|same|none|平|一样|相同|都", re.IGNORECASE)
# Two columns that differ only in this end hold the answers; the ends that belong together.
ENDS = re.compile(r"(.*?[a-z\u3400-\u9fff])[\s_\-.]*\(?([ab]|[012]|[甲乙])\)?$", re.IGNORECASE)
PLACES = (("first", "second"), ("left", "right"), ("前者", "后者"), ("第一个", "第二个"))
COUPLES = (("a", "b"), ("0", "1"), ("1", "2"), ("甲", "乙"))
TIED = Words(
    "{count:,} rows prefer neither answer (such as “{first}”) and are left out",
    "有 {count:,} 行没有分出好坏（如“{first}”），已略过",
)
# What a conversation's number is called, where it is not the only column that repeats.
TALK = re.compile(r"(conversation|thread|dialog|dialogue|session|chat|ticket|case|会话|对话|工单|线程)", re.IGNORECASE)
LEAST_TOLD = 0.9  # the share of rows that must fit a shape for all to be taken so


def recast(found: Found) -> Found:
    """The same examples in the shape that is learned from: pairs of a chosen and a rejected answer, or whole conversations."""
    return _side_by_side(found) or _turn_by_turn(found) or found


def _side_by_side(found: Found) -> Found | None:
    """Pairs, where a column says which of two answers is the better one; None where none does."""
    for answers, ends in _couples(found.columns):
        for winner in (column for column in found.columns if column not in answers and WINNER.match(column.strip())):
            told = [_won(row[winner], answers, ends) for row in found.rows]
            if sum(one is not None for one in told) >= LEAST_TOLD * len(told) and {0, 1} & set(told):
                return _paired(found, answers, winner, told)
    return None


def undecided(columns: Sequence[str]) -> bool:
    """Whether two answers stand side by side with a column for the better one: in what was recast none do, so nobody knows which it is."""
    return any(WINNER.match(column.strip()) and column not in answers for answers, _ in _couples(columns) for column in columns)


def _couples(columns: Sequence[str]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Two columns each whose names differ in their ends alone, and these ends."""
    parts = {column: (match[1].lower(), match[2].lower()) for column in columns if (match := ENDS.fullmatch(column.strip()))}
    return [
        ((one, other), ends)
        for ends in COUPLES
        for one in parts
        for other in parts
        if (parts[one][1], parts[other][1]) == ends and parts[one][0] == parts[other][0]
    ]


def _won(cell: str, answers: tuple[str, str], ends: tuple[str, str]) -> int | None:
    """0 or 1 for the first or second answer, -1 for neither; None where the cell does not say."""
    said = cell.strip().lower()
    names = [answer.strip().lower() for answer in answers]
    match = ENDS.fullmatch(said)  # model_a of the columns response_a and response_b
    for known in (names, ends, *PLACES, ("1", "2") if ends[0] in ("a", "甲") else ()):
        for one in (said, match[2].lower() if match else ""):
            if one in known:
                return list(known).index(one)
    return -1 if not said or NEITHER.search(said) else None


def _paired(found: Found, answers: tuple[str, str], winner: str, told: Sequence[int | None]) -> Found:
    kept = [column for column in found.columns if column not in (*answers, winner)]
    made: list[Row] = []
    for row, won in zip(found.rows, told, strict=True):
        if won in (0, 1):
            made.append({**{name: row[name] for name in kept}, "chosen": row[answers[won]], "rejected": row[answers[1 - won]]})
    tied = [row[winner] for row, won in zip(found.rows, told, strict=True) if won not in (0, 1)]
    bad = [(0, TIED.filled(count=len(tied), first=tied[0][:40]))] if tied else []
    return replace(found, columns=(*kept, "chosen", "rejected"), rows=made, bad=[*bad, *found.bad])


def _turn_by_turn(found: Found) -> Found | None:
    """Whole conversations, where each row is a turn: who speaks, what is said, and a number that several rows share; else None."""
    who = next((column for column in found.columns if _speakers(found.rows, column)), None)
    if who is None:
        return None
    numbers = [column for column in found.columns if column != who and _shared(found.rows, column)]
    number = next((column for column in numbers if TALK.search(column)), None)
    texts = [column for column in found.columns if column not in (who, number)]
    if number is None or not texts:
        return None
    said = max(texts, key=lambda column: sum(len(row[column]) for row in found.rows))
    talks: dict[str, list[talk.Turn]] = {}
    for row in found.rows:
        _add(talks.setdefault(row[number], []), talk.ROLES[row[who].strip().lower()], row[said])
    made = [{number: name, "messages": talk.packed(turns)} for name, turns in talks.items()]
    if any(len(row["messages"]) > MAX_CELL for row in made):
        return None
    return replace(found, columns=(number, "messages"), rows=made)


def _add(turns: list[talk.Turn], role: str, text: str) -> None:
    """One turn more; who speaks twice running goes on, since templates want turns to alternate."""
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += "\n" + text
    else:
        turns.append({"role": role, "content": text})


def _speakers(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    """Whether every row of a column says who speaks, and both sides do."""
    roles = [talk.ROLES.get(row[column].strip().lower()) for row in rows]
    return None not in roles and {"user", "assistant"} <= set(roles)


def _shared(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    """Whether a column's values are short, and each stands on two rows and more on average."""
    values = {row[column] for row in rows}
    return "" not in values and 2 * len(values) <= len(rows) and max(map(len, values)) <= 100
