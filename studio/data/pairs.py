"""Two answers and which of them won become a better and a worse one, row by row; where no winner can be told, that is said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from studio.data import called
from studio.data.rows import Found, Row
from studio.data.speech import spoken
from studio.errors import BadData
from studio.words import Words

# What tells the columns of two answers apart, as in response_a and response_b.
MARKS = (("a", "b"), ("0", "1"), ("1", "2"), ("left", "right"), ("first", "second"), ("one", "two"), ("一", "二"), ("甲", "乙"))
PART = re.compile(r"[a-z]+|\d+|[^\W\da-z_]")
ANSWER = re.compile(r"response|answer|completion|output|reply|回答|答案|回复|答复|输出")
WINNER = re.compile(
    r"(?<![a-z])(win(s|ner|ning)?|prefer\w*|better|best|choice|chosen|select\w*|votes?)(?![a-z])"
    r"|更好|更优|较好|胜|偏好|优选|首选|选择|选中|哪个|哪一个"
)
# A name that says of one answer whether it won, or of both that neither did, names no winner by number: “a_is_better” 1, “winner_tie” 1.
OF_ONE = {"a", "b", "first", "second", "left", "right", "tie", "平"}
# Such a column may name the winner in words; what a number in it means, nobody knows: 1 is the first answer here, the second there.
LABEL = re.compile(r"label|verdict|judg|annotation|标注|标签|判断|评判")
POINTS = re.compile(r"score|rating|得分|评分|分数|win|prefer|better|胜")
GENERIC = {
    *("response", "answer", "completion", "output", "reply", "model", "assistant", "option", "candidate", "is", "the", "better", "wins"),
    *("win", *"回答案复模型选项更好是"),
}
TIE = re.compile(r"\b(tied?|both|neither|equal|same|draw|none)|平|都|一样|相同|相当|均|=", re.IGNORECASE)
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
LOOKED_AT, CLEAR = 500, 0.8  # rows; the share of them that must say which answer won, or that none did
LONGEST_VERDICT = 40  # characters
TURNED = Words(
    "“{winner}” says which of “{first}” and “{second}” is better: they became “{chosen}” and “{rejected}”.",
    "“{winner}”说明了“{first}”和“{second}”哪个更好，据此整理成“{chosen}”和“{rejected}”两列。",
)
TIES = Words(
    "{count:,} {count:row|rows} where no answer is better (such as “{value}”) left out.",
    "{count:,} 行没有更好的回答（例如“{value}”），已忽略。",
)


@dataclass(frozen=True)
class Pair:
    """Two columns whose names differ in nothing but their marks, the first one's mark first."""

    first: str
    second: str
    marks: tuple[str, str]


def turned(found: Found) -> Found:
    """A table whose two answers and their winner are a better and a worse answer now; as it was where it is none, or no winner can be told."""
    marked = several(found.columns, 2)
    pair = _answers(marked, found.rows)
    if not pair or {"chosen", "rejected"} <= set(found.columns):
        return found
    told = _verdicts(found, marked, pair)
    if not told:
        return found
    column, wins, dropped = told
    names = ("chosen", "rejected") if all(name.isascii() for name in found.columns) else ("较好", "较差")
    beside = {name for one in marked if one.marks == pair.marks for name in (one.first, one.second)}
    gone = beside - {pair.first, pair.second} | {column}
    renamed = {pair.first: names[0], pair.second: names[1]}
    columns = tuple(renamed.get(name, name) for name in found.columns if name not in gone)
    if len(set(columns)) < len(columns):
        return found
    kept: list[Row] = []
    ties: list[str] = []
    for row, won in zip(found.rows, wins, strict=True):
        if won is None:
            ties.append(row[column].strip())
            continue
        answers = (row[pair.first], row[pair.second])[:: -1 if won else 1]
        cells = {**row, **dict(zip(names, answers, strict=True))}
        kept.append({name: cells[name] for name in columns})
    said = [TURNED.filled(winner=dropped, first=pair.first, second=pair.second, chosen=names[0], rejected=names[1])]
    said += [TIES.filled(count=len(ties), value=next(filter(None, ties), "–")[:LONGEST_VERDICT])] if ties else []
    return replace(found, columns=columns, rows=kept, notes=(*found.notes, *said))


def check(name: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Raise BadData where a table holds two answers and a verdict that does not say which of them is better."""
    pair = _answers(several(columns, 2), rows)
    judged = next((column for column in columns if pair and _may_judge(column, pair, rows)), "")
    if not pair or not judged or {"chosen", "rejected"} <= set(columns):
        return
    raise BadData(
        Words(
            "“{name}” holds two answers to compare, “{first}” and “{second}”, but “{column}” does not say which is better: {values}.",
            "“{name}”里有两个可比较的回答“{first}”和“{second}”，但从“{column}”看不出哪个更好：{values}。",
        ),
        Words(
            "Write “{first}” or “{second}” there in every row, or bring the better answers in a column “chosen” and the worse in “rejected”.",
            "请在这一列逐行写明“{first}”或“{second}”，或者把较好的回答放在 chosen 列、较差的放在 rejected 列。",
        ),
        name=name,
        first=pair.first,
        second=pair.second,
        column=judged,
        values=[*dict.fromkeys(row[judged].strip()[:LONGEST_VERDICT] or "–" for row in rows[:LOOKED_AT])][:6],
    )


def several(columns: Sequence[str], most: int = 100) -> list[Pair]:
    """Neighbours among columns whose names differ in a mark alone; not those of which there are more than `most`."""
    parts = {column: PART.findall(called.low(column)) for column in columns}
    pairs = []
    for first, mine in parts.items():
        for second, other in parts.items():
            places = [place for place, both in enumerate(zip(mine, other, strict=False)) if both[0] != both[1]]
            if len(mine) != len(other) or len(places) != 1 or (mine[places[0]], other[places[0]]) not in MARKS:
                continue
            place = places[0]
            rest = (mine[:place], mine[place + 1 :])
            alike = [one for one in parts.values() if len(one) == len(mine) and (one[:place], one[place + 1 :]) == rest]
            if len([one for one in alike if len(one[place]) == 1 or one[place] in (mine[place], other[place])]) <= most:
                pairs.append(Pair(first, second, (mine[place], other[place])))
    return pairs


def _answers(marked: Sequence[Pair], rows: Sequence[Mapping[str, str]]) -> Pair | None:
    """The pair of columns that holds two answers: texts, of several the longest."""
    some = rows[:LOOKED_AT]

    def length(pair: Pair) -> int:
        return sum(len(row[pair.first]) + len(row[pair.second]) for row in some)

    def texts(pair: Pair) -> bool:
        cells = [row[name] for row in some for name in (pair.first, pair.second)]
        numbers = sum(bool(NUMBER.fullmatch(cell.strip())) for cell in cells)
        return sum(map(spoken, cells)) > 0.5 * len(cells) or (bool(ANSWER.search(called.low(pair.first))) and numbers < 0.5 * len(cells))

    return max(filter(texts, marked), key=length, default=None)


def _verdicts(found: Found, marked: Sequence[Pair], pair: Pair) -> tuple[str, list[int | None], str] | None:
    """The column that says which answer won, for each row which one (0, 1, None for neither), and what it is called; None where none says it."""
    others, answers = [one for one in marked if one is not pair], ANSWER.search(called.low(pair.first))
    beside = {name for one in others for name in (one.first, one.second)}
    for column in found.columns:
        low = called.low(column)
        if column in (pair.first, pair.second, *beside) or not (WINNER.search(low) or (LABEL.search(low) and answers)):
            continue
        of_one = {*OF_ONE, *pair.marks} & set(PART.findall(low))
        bases = {} if of_one or not WINNER.search(low) else _numbers(pair, {row[column].strip().removesuffix(".0") for row in found.rows})
        wins = [_won(row, column, pair, others, bases) for row in found.rows]
        if sum(won != "" for won in wins) >= CLEAR * len(wins) and (0 in wins or 1 in wins):
            return column, [won if isinstance(won, int) else None for won in wins], column
    for one in others:
        cells = [(row[one.first].strip(), row[one.second].strip()) for row in found.rows]
        if POINTS.search(called.low(one.first)) and all(NUMBER.fullmatch(cell) for both in cells for cell in both):
            points = [(float(first), float(second)) for first, second in cells]
            return one.first, [None if first == second else int(second > first) for first, second in points], f"{one.first}, {one.second}"
    return None


def _numbers(pair: Pair, values: set[str]) -> dict[str, int]:
    """Which answer a number means: counted from 0 or from 1, as the numbers that occur and the answers' own tell; empty where they do not."""
    seen = {value for value in values if value in ("0", "1", "2")}
    if pair.marks in (("0", "1"), ("1", "2")) and seen <= set(pair.marks):
        return {pair.marks[0]: 0, pair.marks[1]: 1}
    if "0" in seen and "2" not in seen:
        return {"0": 0, "1": 1}
    if "2" in seen and ("0" not in seen or pair.marks == ("1", "2")):
        return {"1": 0, "2": 1}
    return {}


def _won(row: Mapping[str, str], column: str, pair: Pair, others: Sequence[Pair], numbers: Mapping[str, int]) -> int | str | None:
    """Which answer a row says won: 0, 1, None for neither; "" where it cannot be told."""
    said = row[column].strip()
    for one in (pair, *others):  # the answer itself, or the name of the model that wrote it
        both = [row[one.first].strip(), row[one.second].strip()]
        if said in both and both[0] != both[1]:
            return both.index(said)
    words = PART.findall(called.low(said.partition(">")[0]))
    names = [PART.findall(called.low(name)) for name in (pair.first, pair.second)]
    if words in names:
        return names.index(words)
    left = [word for word in words if word not in GENERIC]
    if said.removesuffix(".0") in numbers:
        return numbers[said.removesuffix(".0")]
    if len(left) == 1 and left[0] in pair.marks and not NUMBER.fullmatch(said):
        return pair.marks.index(left[0])
    return None if not said or (len(said) <= LONGEST_VERDICT and TIE.search(said)) else ""


def _may_judge(column: str, pair: Pair, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column seems to say which answer is better, by its name and by how little stands in it."""
    low, cells = called.low(column), [row[column].strip() for row in rows[:LOOKED_AT]]
    if column in (pair.first, pair.second) or not any(cells) or any(len(cell) > LONGEST_VERDICT for cell in cells):
        return False
    labelled = LABEL.search(low) and ANSWER.search(called.low(pair.first))
    return bool(WINNER.search(low) or (labelled and all(cell in ("0", "1", "2", "-1", "") for cell in cells)))
