"""Reshape two answers and a winner into a better and a worse answer, or say that no winner is clear."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from studio.data.readers.rows import ParsedRows, Row
from studio.data.schema import column_names
from studio.data.text.text_length import is_prose
from studio.errors import BadData
from studio.i18n import Message

# What distinguishes the columns of two answers, as in response_a and response_b.
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
# A column about one answer, or about a tie, names no winner by a number: “a_is_better” 1, “winner_tie” 1.
SINGLE_ANSWER_WORDS = {"a", "b", "first", "second", "left", "right", "tie", "平"}
# Such a column may name the winner in words. A number in it is ambiguous: 1 is the first answer here, the
# second there.
LABEL_NAME = re.compile(r"label|verdict|judg|annotation|标注|标签|判断|评判")
SCORE_NAME = re.compile(r"score|rating|得分|评分|分数|win|prefer|better|胜")
# Words of a winner's name that say nothing about which answer it is: "model_a", "the first answer is better".
GENERIC_WORDS = frozenset(
    (
        *("response", "answer", "completion", "output", "reply", "model", "assistant", "option", "candidate"),
        *("is", "the", "better", "win", "wins"),
        *"回答案复模型选项更好是",
    )
)
TIE_VALUE = re.compile(
    r"\b(tied?|both|neither|equal|same|draw|none)|平|都|一样|相同|相当|均|=", re.IGNORECASE
)
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
SAMPLE_ROWS = 500  # rows that are looked at
MIN_DECIDED_SHARE = 0.8  # the share of the rows that must name the winner, or a tie
MAX_LABEL_LENGTH = 40  # characters
MAX_VALUES_NAMED = 6
PAIRS_BUILT = Message(
    "“{winner}” says which of “{first}” and “{second}” is better: they became “{chosen}” and “{rejected}”."
)
TIES_DROPPED = Message("{count:,} {count:row|rows} where no answer is better (such as “{value}”) left out.")
NO_CLEAR_WINNER = Message(
    "“{name}” holds two answers to compare, “{first}” and “{second}”, but “{column}” does not say "
    "which is better: {values}."
)


@dataclass(frozen=True)
class ColumnPair:
    """Two columns whose names differ only in their marks, and these marks in the same order."""

    first: str
    second: str
    marks: tuple[str, str]

    @property
    def columns(self) -> tuple[str, str]:
        """The names of both columns."""
        return self.first, self.second


class Unclear:
    """The winner of a row that does not say which answer is better, nor that none is."""


# The index of the better answer of a row, None for a tie.
Winner = int | None
UNCLEAR = Unclear()


class Decision(NamedTuple):
    """Which answers won: the column that says so, its name on the page, and the winner of each row."""

    column: str
    label: str
    winners: list[Winner]


def to_chosen_rejected(parsed: ParsedRows) -> ParsedRows:
    """Turn a table of two answers and a winner into one of a better and a worse answer.

    Any other table, and one whose winners cannot be determined, is returned as it is.
    """
    column_pairs = find_column_pairs(parsed.columns, 2)
    pair = _answer_pair(column_pairs, parsed.rows)
    if not pair or {"chosen", "rejected"} <= set(parsed.columns):
        return parsed
    decision = _find_winners(parsed, column_pairs, pair)
    if not decision:
        return parsed
    is_ascii = all(name.isascii() for name in parsed.columns)
    chosen, rejected = ("chosen", "rejected") if is_ascii else ("较好", "较差")
    renamed = {pair.first: chosen, pair.second: rejected}
    dropped_columns = _columns_about_answers(column_pairs, pair) | {decision.column}
    columns = tuple(renamed.get(name, name) for name in parsed.columns if name not in dropped_columns)
    if len(set(columns)) < len(columns):
        return parsed
    pair_rows: list[Row] = []
    ties: list[str] = []
    for row, winner in zip(parsed.rows, decision.winners, strict=True):
        if winner is None:
            ties.append(row[decision.column].strip())
            continue
        answers = [row[name] for name in pair.columns]
        cells = {**row, chosen: answers[winner], rejected: answers[1 - winner]}
        pair_rows.append({name: cells[name] for name in columns})
    notes = [
        PAIRS_BUILT.format(
            winner=decision.label, first=pair.first, second=pair.second, chosen=chosen, rejected=rejected
        )
    ]
    if ties:
        tie_value = next((value for value in ties if value), "–")
        notes.append(TIES_DROPPED.format(count=len(ties), value=tie_value[:MAX_LABEL_LENGTH]))
    return replace(parsed, columns=columns, rows=pair_rows, notes=(*parsed.notes, *notes))


def _columns_about_answers(column_pairs: Sequence[ColumnPair], pair: ColumnPair) -> set[str]:
    """The other columns with the answers' marks, such as scores: without the marks they mean nothing."""
    return {
        name
        for other_pair in column_pairs
        if other_pair.marks == pair.marks
        for name in other_pair.columns
        if name not in pair.columns
    }


def check_winner(name: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Check that a table of two answers to compare says which of them is better.

    Args:
        name: The name of the file or data set, for the message.
        columns: The names of the columns.
        rows: Column -> cell, for each row.

    Raises:
        BadData: A column seems to name the winner, but not in a way that can be read.
    """
    pair = _answer_pair(find_column_pairs(columns, 2), rows)
    if not pair or {"chosen", "rejected"} <= set(columns):
        return
    winner_columns = [column for column in columns if _may_name_winner(column, pair, rows)]
    if not winner_columns:
        return
    column = winner_columns[0]
    values = dict.fromkeys(row[column].strip()[:MAX_LABEL_LENGTH] or "–" for row in rows[:SAMPLE_ROWS])
    raise BadData(
        NO_CLEAR_WINNER,
        Message(
            "Write “{first}” or “{second}” there in every row, or bring the better answers in a column "
            "“chosen” and the worse in “rejected”."
        ),
        name=name,
        first=pair.first,
        second=pair.second,
        column=column,
        values=list(values)[:MAX_VALUES_NAMED],
    )


def find_column_pairs(columns: Sequence[str], max_similar: int = 100) -> list[ColumnPair]:
    """Find pairs among columns whose names differ only in a mark.

    Args:
        columns: The names of the columns.
        max_similar: Pairs are left out if more columns than this differ from them only in such a mark.
    """
    name_parts = {column: NAME_PART.findall(column_names.normalize(column)) for column in columns}
    pairs = []
    for first, first_parts in name_parts.items():
        for second, second_parts in name_parts.items():
            position = _only_difference(first_parts, second_parts)
            if position is None:
                continue
            marks = (first_parts[position], second_parts[position])
            if marks not in MARK_PAIRS:
                continue
            n_similar = sum(
                _is_similar_name(other_parts, first_parts, position, marks)
                for other_parts in name_parts.values()
            )
            if n_similar <= max_similar:
                pairs.append(ColumnPair(first, second, marks))
    return pairs


def _only_difference(first: Sequence[str], second: Sequence[str]) -> int | None:
    """The only position at which two names differ; None where they differ in another way."""
    if len(first) != len(second):
        return None
    positions = [position for position, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    return positions[0] if len(positions) == 1 else None


def _is_similar_name(
    parts: Sequence[str], pair_parts: Sequence[str], position: int, marks: tuple[str, str]
) -> bool:
    """Whether a name differs from those of a pair only in its mark, which may be another single character."""
    if len(parts) != len(pair_parts):
        return False
    has_same_remainder = (
        parts[:position] == pair_parts[:position] and parts[position + 1 :] == pair_parts[position + 1 :]
    )
    return has_same_remainder and (len(parts[position]) == 1 or parts[position] in marks)


def _answer_pair(column_pairs: Sequence[ColumnPair], rows: Sequence[Mapping[str, str]]) -> ColumnPair | None:
    """The pair of columns that holds two answers: texts, of several pairs the longest."""
    samples = rows[:SAMPLE_ROWS]

    def total_length(pair: ColumnPair) -> int:
        return sum(len(row[name]) for row in samples for name in pair.columns)

    def holds_texts(pair: ColumnPair) -> bool:
        cells = [row[name] for row in samples for name in pair.columns]
        if sum(map(is_prose, cells)) > 0.5 * len(cells):
            return True
        n_numbers = sum(bool(NUMBER.fullmatch(cell.strip())) for cell in cells)
        return _is_named_answer(pair) and n_numbers < 0.5 * len(cells)

    return max(filter(holds_texts, column_pairs), key=total_length, default=None)


def _is_named_answer(pair: ColumnPair) -> bool:
    return bool(ANSWER_NAME.search(column_names.normalize(pair.first)))


def _find_winners(
    parsed: ParsedRows, column_pairs: Sequence[ColumnPair], pair: ColumnPair
) -> Decision | None:
    """The winners by a column that names them, or by two columns of scores; None where there are neither."""
    other_pairs = [other_pair for other_pair in column_pairs if other_pair is not pair]
    paired_columns = {name for candidate in (pair, *other_pairs) for name in candidate.columns}
    for column in parsed.columns:
        if column in paired_columns:
            continue
        winners = _read_winners(parsed.rows, column, pair, other_pairs)
        if winners:
            return Decision(column, column, winners)
    for score_pair in other_pairs:
        winners = _compare_scores(parsed.rows, score_pair)
        if winners:
            return Decision(score_pair.first, f"{score_pair.first}, {score_pair.second}", winners)
    return None


def _read_winners(
    rows: Sequence[Row], column: str, pair: ColumnPair, other_pairs: Sequence[ColumnPair]
) -> list[Winner]:
    """The winner of each row by a column that names it; empty if it does so too rarely, or not at all."""
    normalized = column_names.normalize(column)
    is_named_winner = bool(WINNER_NAME.search(normalized))
    is_named_label = bool(LABEL_NAME.search(normalized)) and _is_named_answer(pair)
    if not is_named_winner and not is_named_label:
        return []
    number_meanings: dict[str, int] = {}
    is_about_one_answer = {*SINGLE_ANSWER_WORDS, *pair.marks} & set(NAME_PART.findall(normalized))
    if is_named_winner and not is_about_one_answer:
        values = {row[column].strip().removesuffix(".0") for row in rows}
        number_meanings = _number_meanings(pair, values)
    winners = [_winner(row, column, pair, other_pairs, number_meanings) for row in rows]
    n_decided = sum(not isinstance(winner, Unclear) for winner in winners)
    has_winner = 0 in winners or 1 in winners
    if not has_winner or n_decided < MIN_DECIDED_SHARE * len(winners):
        return []
    return [None if isinstance(winner, Unclear) else winner for winner in winners]


def _compare_scores(rows: Sequence[Row], score_pair: ColumnPair) -> list[Winner]:
    """The winner of each row by the higher of two scores; empty where the columns hold no scores."""
    if not SCORE_NAME.search(column_names.normalize(score_pair.first)):
        return []
    cells = [[row[name].strip() for name in score_pair.columns] for row in rows]
    if not all(NUMBER.fullmatch(cell) for cell_pair in cells for cell in cell_pair):
        return []
    winners: list[Winner] = []
    for first, second in cells:
        is_tie = float(first) == float(second)
        winners.append(None if is_tie else int(float(second) > float(first)))
    return winners


def _number_meanings(pair: ColumnPair, values: set[str]) -> dict[str, int]:
    """Value -> index of the answer it means, for numbers that count the answers.

    They count from 0 or from 1, which the values that occur and the marks of the answers tell; empty where
    they do not.
    """
    seen_numbers = values & {"0", "1", "2"}
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
) -> Winner | Unclear:
    """The winner of a row by one of its columns."""
    value = row[column].strip()
    for candidate in (pair, *other_pairs):  # the answer itself, or the name of the model that wrote it
        cells = [row[name].strip() for name in candidate.columns]
        if value in cells and cells[0] != cells[1]:
            return cells.index(value)
    words = NAME_PART.findall(column_names.normalize(value.partition(">")[0]))
    answer_names = [NAME_PART.findall(column_names.normalize(name)) for name in pair.columns]
    if words in answer_names:
        return answer_names.index(words)
    number = value.removesuffix(".0")
    if number in number_meanings:
        return number_meanings[number]
    specific_words = [word for word in words if word not in GENERIC_WORDS]
    if len(specific_words) == 1 and specific_words[0] in pair.marks and not NUMBER.fullmatch(value):
        return pair.marks.index(specific_words[0])
    is_tie = not value or (len(value) <= MAX_LABEL_LENGTH and TIE_VALUE.search(value))
    return None if is_tie else UNCLEAR


def _may_name_winner(column: str, pair: ColumnPair, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column seems to say which answer is better, by its name and its short cells."""
    if column in pair.columns:
        return False
    cells = [row[column].strip() for row in rows[:SAMPLE_ROWS]]
    if not any(cells) or any(len(cell) > MAX_LABEL_LENGTH for cell in cells):
        return False
    normalized = column_names.normalize(column)
    if WINNER_NAME.search(normalized):
        return True
    is_named_label = bool(LABEL_NAME.search(normalized)) and _is_named_answer(pair)
    return is_named_label and all(cell in ("0", "1", "2", "-1", "") for cell in cells)
