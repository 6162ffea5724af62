"""Two answers and which of them won become a better and a worse one, row by row; where no winner can be told, that is said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from studio.data.readers.rows import ParsedRows, Row
from studio.data.schema import column_names
from studio.data.text.text_length import is_prose
from studio.errors import BadData
from studio.i18n import Message

# What tells the columns of two answers apart, as in response_a and response_b.
MARK_PAIRS = (
    ("a", "b"),
    ("0", "1"),
    ("1", "2"),
    ("left", "right"),
    ("first", "second"),
    ("one", "two"),
    ("一", "二"),
    ("甲", "乙"),
)
NAME_PART = re.compile(r"[a-z]+|\d+|[^\W\da-z_]")
ANSWER_NAME = re.compile(r"response|answer|completion|output|reply|回答|答案|回复|答复|输出")
WINNER_NAME = re.compile(
    r"(?<![a-z])(win(s|ner|ning)?|prefer\w*|better|best|choice|chosen|select\w*|votes?)(?![a-z])"
    r"|更好|更优|较好|胜|偏好|优选|首选|选择|选中|哪个|哪一个"
)
# A name that says of one answer whether it won, or of both that neither did, names no winner by number: “a_is_better” 1, “winner_tie” 1.
SINGLE_ANSWER_WORDS = {"a", "b", "first", "second", "left", "right", "tie", "平"}
# Such a column may name the winner in words; what a number in it means, nobody knows: 1 is the first answer here, the second there.
LABEL_NAME = re.compile(r"label|verdict|judg|annotation|标注|标签|判断|评判")
SCORE_NAME = re.compile(r"score|rating|得分|评分|分数|win|prefer|better|胜")
GENERIC_WORDS = {
    *(
        "response",
        "answer",
        "completion",
        "output",
        "reply",
        "model",
        "assistant",
        "option",
        "candidate",
        "is",
        "the",
        "better",
        "wins",
    ),
    *("win", *"回答案复模型选项更好是"),
}
TIE_VALUE = re.compile(
    r"\b(tied?|both|neither|equal|same|draw|none)|平|都|一样|相同|相当|均|=", re.IGNORECASE
)
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
SAMPLE_ROWS, MIN_DECIDED_SHARE = (
    500,
    0.8,
)  # rows; the share of them that must say which answer won, or that none did
MAX_LABEL_LENGTH = 40  # characters
PAIRS_BUILT = Message(
    "“{winner}” says which of “{first}” and “{second}” is better: they became “{chosen}” and “{rejected}”."
)
TIES_DROPPED = Message("{count:,} {count:row|rows} where no answer is better (such as “{value}”) left out.")


@dataclass(frozen=True)
class ColumnPair:
    """Two columns whose names differ in nothing but their marks, the first one's mark first."""

    first: str
    second: str
    marks: tuple[str, str]


def to_chosen_rejected(parsed: ParsedRows) -> ParsedRows:
    """A table whose two answers and their winner are a better and a worse answer now; as it was where it is none, or no winner can be told."""
    column_pairs = find_column_pairs(parsed.columns, 2)
    pair = _answer_pair(column_pairs, parsed.rows)
    if not pair or {"chosen", "rejected"} <= set(parsed.columns):
        return parsed
    decision = _find_winners(parsed, column_pairs, pair)
    if not decision:
        return parsed
    column, winners, winner_name = decision
    new_names = ("chosen", "rejected") if all(name.isascii() for name in parsed.columns) else ("较好", "较差")
    extra_columns = {
        name
        for other_pair in column_pairs
        if other_pair.marks == pair.marks
        for name in (other_pair.first, other_pair.second)
    }
    dropped_columns = extra_columns - {pair.first, pair.second} | {column}
    renamed = {pair.first: new_names[0], pair.second: new_names[1]}
    columns = tuple(renamed.get(name, name) for name in parsed.columns if name not in dropped_columns)
    if len(set(columns)) < len(columns):
        return parsed
    pair_rows: list[Row] = []
    ties: list[str] = []
    for row, winner in zip(parsed.rows, winners, strict=True):
        if winner is None:
            ties.append(row[column].strip())
            continue
        answers = (row[pair.first], row[pair.second])[:: -1 if winner else 1]
        cells = {**row, **dict(zip(new_names, answers, strict=True))}
        pair_rows.append({name: cells[name] for name in columns})
    notes = [
        PAIRS_BUILT.format(
            winner=winner_name,
            first=pair.first,
            second=pair.second,
            chosen=new_names[0],
            rejected=new_names[1],
        )
    ]
    notes += (
        [TIES_DROPPED.format(count=len(ties), value=next(filter(None, ties), "–")[:MAX_LABEL_LENGTH])]
        if ties
        else []
    )
    return replace(parsed, columns=columns, rows=pair_rows, notes=(*parsed.notes, *notes))


def check_winner(name: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Raise BadData where a table holds two answers and a verdict that does not say which of them is better."""
    pair = _answer_pair(find_column_pairs(columns, 2), rows)
    winner_column = next((column for column in columns if pair and _may_name_winner(column, pair, rows)), "")
    if not pair or not winner_column or {"chosen", "rejected"} <= set(columns):
        return
    raise BadData(
        Message(
            "“{name}” holds two answers to compare, “{first}” and “{second}”, but “{column}” does not say which is better: {values}."
        ),
        Message(
            "Write “{first}” or “{second}” there in every row, or bring the better answers in a column “chosen” and the worse in “rejected”."
        ),
        name=name,
        first=pair.first,
        second=pair.second,
        column=winner_column,
        values=[
            *dict.fromkeys(row[winner_column].strip()[:MAX_LABEL_LENGTH] or "–" for row in rows[:SAMPLE_ROWS])
        ][:6],
    )


def find_column_pairs(columns: Sequence[str], max_similar: int = 100) -> list[ColumnPair]:
    """Neighbours among columns whose names differ in a mark alone; not those of which there are more than `most`."""
    name_parts = {column: NAME_PART.findall(column_names.normalize(column)) for column in columns}
    pairs = []
    for first, first_parts in name_parts.items():
        for second, second_parts in name_parts.items():
            positions = [
                position
                for position, part_pair in enumerate(zip(first_parts, second_parts, strict=False))
                if part_pair[0] != part_pair[1]
            ]
            if (
                len(first_parts) != len(second_parts)
                or len(positions) != 1
                or (first_parts[positions[0]], second_parts[positions[0]]) not in MARK_PAIRS
            ):
                continue
            position = positions[0]
            remainder = (first_parts[:position], first_parts[position + 1 :])
            similar = [
                candidate
                for candidate in name_parts.values()
                if len(candidate) == len(first_parts)
                and (candidate[:position], candidate[position + 1 :]) == remainder
            ]
            if (
                len(
                    [
                        candidate
                        for candidate in similar
                        if len(candidate[position]) == 1
                        or candidate[position] in (first_parts[position], second_parts[position])
                    ]
                )
                <= max_similar
            ):
                pairs.append(ColumnPair(first, second, (first_parts[position], second_parts[position])))
    return pairs


def _answer_pair(column_pairs: Sequence[ColumnPair], rows: Sequence[Mapping[str, str]]) -> ColumnPair | None:
    """The pair of columns that holds two answers: texts, of several the longest."""
    samples = rows[:SAMPLE_ROWS]

    def total_length(pair: ColumnPair) -> int:
        return sum(len(row[pair.first]) + len(row[pair.second]) for row in samples)

    def holds_texts(pair: ColumnPair) -> bool:
        cells = [row[name] for row in samples for name in (pair.first, pair.second)]
        number_count = sum(bool(NUMBER.fullmatch(cell.strip())) for cell in cells)
        return sum(map(is_prose, cells)) > 0.5 * len(cells) or (
            bool(ANSWER_NAME.search(column_names.normalize(pair.first))) and number_count < 0.5 * len(cells)
        )

    return max(filter(holds_texts, column_pairs), key=total_length, default=None)


def _find_winners(
    parsed: ParsedRows, column_pairs: Sequence[ColumnPair], pair: ColumnPair
) -> tuple[str, list[int | None], str] | None:
    """The column that says which answer won, for each row which one (0, 1, None for neither), and what it is called; None where none says it."""
    other_pairs, is_answer = (
        [other_pair for other_pair in column_pairs if other_pair is not pair],
        ANSWER_NAME.search(column_names.normalize(pair.first)),
    )
    extra_columns = {name for other_pair in other_pairs for name in (other_pair.first, other_pair.second)}
    for column in parsed.columns:
        normalized = column_names.normalize(column)
        if column in (pair.first, pair.second, *extra_columns) or not (
            WINNER_NAME.search(normalized) or (LABEL_NAME.search(normalized) and is_answer)
        ):
            continue
        single_words = {*SINGLE_ANSWER_WORDS, *pair.marks} & set(NAME_PART.findall(normalized))
        number_meanings = (
            {}
            if single_words or not WINNER_NAME.search(normalized)
            else _number_meanings(pair, {row[column].strip().removesuffix(".0") for row in parsed.rows})
        )
        winners = [_winner(row, column, pair, other_pairs, number_meanings) for row in parsed.rows]
        if sum(winner != "" for winner in winners) >= MIN_DECIDED_SHARE * len(winners) and (
            0 in winners or 1 in winners
        ):
            return column, [winner if isinstance(winner, int) else None for winner in winners], column
    for other_pair in other_pairs:
        cells = [(row[other_pair.first].strip(), row[other_pair.second].strip()) for row in parsed.rows]
        if SCORE_NAME.search(column_names.normalize(other_pair.first)) and all(
            NUMBER.fullmatch(cell) for cell_pair in cells for cell in cell_pair
        ):
            scores = [(float(first), float(second)) for first, second in cells]
            return (
                other_pair.first,
                [None if first == second else int(second > first) for first, second in scores],
                f"{other_pair.first}, {other_pair.second}",
            )
    return None


def _number_meanings(pair: ColumnPair, values: set[str]) -> dict[str, int]:
    """Which answer a number means: counted from 0 or from 1, as the numbers that occur and the answers' own tell; empty where they do not."""
    seen_numbers = {value for value in values if value in ("0", "1", "2")}
    if pair.marks in (("0", "1"), ("1", "2")) and seen_numbers <= set(pair.marks):
        return {pair.marks[0]: 0, pair.marks[1]: 1}
    if "0" in seen_numbers and "2" not in seen_numbers:
        return {"0": 0, "1": 1}
    if "2" in seen_numbers and ("0" not in seen_numbers or pair.marks == ("1", "2")):
        return {"1": 0, "2": 1}
    return {}


def _winner(
    row: Mapping[str, str],
    column: str,
    pair: ColumnPair,
    other_pairs: Sequence[ColumnPair],
    number_meanings: Mapping[str, int],
) -> int | str | None:
    """Which answer a row says won: 0, 1, None for neither; "" where it cannot be told."""
    value = row[column].strip()
    for candidate in (pair, *other_pairs):  # the answer itself, or the name of the model that wrote it
        cell_pair = [row[candidate.first].strip(), row[candidate.second].strip()]
        if value in cell_pair and cell_pair[0] != cell_pair[1]:
            return cell_pair.index(value)
    words = NAME_PART.findall(column_names.normalize(value.partition(">")[0]))
    names = [NAME_PART.findall(column_names.normalize(name)) for name in (pair.first, pair.second)]
    if words in names:
        return names.index(words)
    remaining = [word for word in words if word not in GENERIC_WORDS]
    if value.removesuffix(".0") in number_meanings:
        return number_meanings[value.removesuffix(".0")]
    if len(remaining) == 1 and remaining[0] in pair.marks and not NUMBER.fullmatch(value):
        return pair.marks.index(remaining[0])
    return None if not value or (len(value) <= MAX_LABEL_LENGTH and TIE_VALUE.search(value)) else ""


def _may_name_winner(column: str, pair: ColumnPair, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column seems to say which answer is better, by its name and by how little stands in it."""
    normalized, cells = column_names.normalize(column), [row[column].strip() for row in rows[:SAMPLE_ROWS]]
    if (
        column in (pair.first, pair.second)
        or not any(cells)
        or any(len(cell) > MAX_LABEL_LENGTH for cell in cells)
    ):
        return False
    is_labelled = LABEL_NAME.search(normalized) and ANSWER_NAME.search(column_names.normalize(pair.first))
    return bool(
        WINNER_NAME.search(normalized)
        or (is_labelled and all(cell in ("0", "1", "2", "-1", "") for cell in cells))
    )
