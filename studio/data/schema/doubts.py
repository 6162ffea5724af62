"""Signs that what would be learned is not what somebody meant; each lowers how certain a reading is."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from studio.data import examples
from studio.data.readers.read import Table
from studio.data.readers.text_encoding import ENCODING_GUESSED
from studio.data.schema import column_names, column_stats
from studio.data.text import chat_format
from studio.errors import BadData
from studio.plan import Task

DoubtKind = Literal[
    "machine_text", "links", "rated_answers", "unused_text", "same_question", "encoding", "unread_rows"
]
TEXT_ROLES = ("prompt", "response", "completion", "chosen", "rejected", "text", "context", "system")
# Keys of an object that hold what somebody says, or who says it.
SPEECH_KEYS = frozenset(
    (
        *("role", "from", "speaker", "author", "content", "text", "value", "parts", "message", "messages"),
        *("says", "said", "speaks", "utterance", "turns", "generated_text"),
    )
)
RATING_NAME = re.compile(
    r"(^|[\W_])(ratings?|stars|scores?|csat|nps|helpfulness|quality|correctness|thumbs(_up)?|feedback|verdict"
    r"|liked|upvotes?|satisfaction|reward|approved|accepted|correct|valid|verified|pass(ed)?|helpful|useful"
    r"|usable|good)$|评分|星级|打分|满意度|评价"
)
RATED_TASKS = ("chat",)
# Words that say of something whether it is good, and hardly anything else.
VERDICT_WORDS = frozenset(
    (
        *("accepted", "rejected", "approved", "declined", "pass", "fail", "passed", "failed", "good", "bad"),
        *("correct", "incorrect", "wrong", "helpful", "unhelpful", "thumbs_up", "thumbs_down", "👍", "👎"),
        *("好评", "差评", "通过", "不通过", "满意", "不满意", "正确", "错误"),
    )
)
# Of numbers, the upper quarter of the scale counts as good: of one to five, four and five (0–1).
GOOD_SHARE = 0.75
MAX_RATINGS = 101  # different numbers of a scale
MIN_UNUSED_LENGTH = 25  # characters of a text (in English) that is more than a name or a remark
MIN_ANSWERS = 0.02  # the share of rows with an answer from which on answers are meant (0–1)
SAMPLE_ROWS = 200  # rows that are made examples of
MAX_UNREAD_SHARE = 0.2  # of them may make none (0–1)
MIN_ROWS = 2


class Doubt(NamedTuple):
    """A sign that a reading may be wrong: its kind, and the column that shows it."""

    kind: DoubtKind
    column: str


class Ratings(NamedTuple):
    """What a column says of the answers beside it.

    Attributes:
        good: The cells that stand for a good answer, the best last.
        bad: The cells that do not.
    """

    good: tuple[str, ...]
    bad: tuple[str, ...]


def find_doubts(table: Table, task: Task, columns: Mapping[str, str]) -> list[Doubt]:
    """The signs that these columns are not what is to be learned, the gravest first.

    Args:
        table: The rows.
        task: What a model is to learn from them.
        columns: Role -> column.
    """
    text_columns = [column for role, column in columns.items() if role in TEXT_ROLES]
    doubts = [Doubt("machine_text", column) for column in text_columns if _is_machine_text(table, column)]
    doubts += [Doubt("rated_answers", column) for column in rating_columns(table, task, columns)]
    response = columns.get("response") or columns.get("chosen", "")
    if response and column_stats.has_links(table, response):
        doubts.append(Doubt("links", response))
    doubts += _constant_questions(table, task, columns)
    doubts += [Doubt("unused_text", column) for column in _unused_texts(table, task, columns)]
    if any(note.text == ENCODING_GUESSED.text for note in table.notes):
        doubts += [Doubt("encoding", column) for column in text_columns if _is_beyond_ascii(table, column)]
    if not doubts and _has_unread_rows(table, task, columns):
        doubts.append(Doubt("unread_rows", next(iter(columns.values()))))
    return doubts


def _is_beyond_ascii(table: Table, column: str) -> bool:
    return any(not cell.isascii() for cell in column_stats.sample_cells(table, column))


def _is_machine_text(table: Table, column: str) -> bool:
    """Whether most cells of a column are lists or objects in which somebody speaks."""
    cells = column_stats.sample_cells(table, column)
    literals = [cell for cell in cells if cell[0] in "[{"]
    if 2 * len(literals) <= len(cells):
        return False
    if column_stats.holds_conversations(literals):
        return False
    return 2 * sum(map(_holds_speech, literals)) > len(literals)


def _holds_speech(cell: str) -> bool:
    """Whether a cell is a list of texts or of objects, or an object with a key of speech."""
    try:
        value = chat_format.load_literal(cell)
    except (ValueError, RecursionError):
        return False
    if isinstance(value, Mapping):
        return bool(SPEECH_KEYS & set(value))
    return isinstance(value, list) and any(
        isinstance(item, str) or (isinstance(item, Mapping) and SPEECH_KEYS & set(item)) for item in value
    )


def rating_columns(table: Table, task: Task, columns: Mapping[str, str]) -> list[str]:
    """The columns without a role that rate the answers to be learned."""
    if task not in RATED_TASKS:
        return []
    unused = [column for column in table.columns if column not in columns.values()]
    return [column for column in unused if _may_rate(table, column) and read_ratings(table, column).bad]


def _may_rate(table: Table, column: str) -> bool:
    """Whether a column is named as ratings are, or holds verdicts and nothing else."""
    if RATING_NAME.search(column_names.normalize(column)):
        return True
    cells = column_stats.sample_cells(table, column)
    return bool(cells) and all(cell.lower() in VERDICT_WORDS for cell in cells)


def read_ratings(table: Table, column: str) -> Ratings:
    """The cells of a column that stand for good answers and for others; none where it rates nothing."""
    cells = {row[column].strip() for row in table.rows} - {""}
    if len(cells) < MIN_ROWS or len(cells) > MAX_RATINGS:
        return Ratings((), ())
    verdicts = {cell: chat_format.parse_label(cell) for cell in cells}
    if None not in verdicts.values() and len(set(verdicts.values())) > 1:
        good = tuple(sorted(cell for cell in cells if verdicts[cell]))
        return Ratings(good, tuple(sorted(cells - set(good))))
    parsed = {cell: _to_number(cell) for cell in cells}
    if any(number is None for number in parsed.values()):
        return Ratings((), ())
    values = {cell: number for cell, number in parsed.items() if number is not None}
    ordered = sorted(values, key=lambda cell: values[cell])
    lowest, highest = _scale(list(values.values()))
    limit = lowest + GOOD_SHARE * (highest - lowest)
    split = next(
        index for index, cell in enumerate(ordered) if values[cell] >= min(limit, values[ordered[-1]])
    )
    return Ratings(tuple(ordered[split:]), tuple(ordered[:split]))


def _scale(ratings: Sequence[float]) -> tuple[float, float]:
    """The ends of a scale: one to five for numbers of stars, else the ends that occur."""
    are_stars = all(number in (1, 2, 3, 4, 5) for number in ratings)
    return (1, 5) if are_stars else (min(ratings), max(ratings))


def _to_number(cell: str) -> float | None:
    try:
        number = float(cell.removesuffix("/5"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _constant_questions(table: Table, task: Task, columns: Mapping[str, str]) -> Iterator[Doubt]:
    """The question, where most rows ask the same and nothing else belongs to it."""
    prompt = columns.get("prompt", "")
    is_question_alone = bool(prompt) and not {"context", "verdict"} & set(columns)
    if is_question_alone and task in ("chat", "prefer") and column_stats.is_mostly_one_value(table, prompt):
        yield Doubt("same_question", prompt)


def _unused_texts(table: Table, task: Task, columns: Mapping[str, str]) -> list[str]:
    """The columns of texts that nobody uses and that the texts in use do not hold, too."""
    used = set(columns.values())
    if "messages" in columns or task == "complete":
        return []
    return [
        column
        for column in table.columns
        if column not in used
        and not column_names.is_metadata(column, "text")
        and column_stats.share_filled(table, column) > _min_share(column)
        and _holds_texts(table, column)
        and not _repeats_used_texts(table, column, used)
    ]


def _min_share(column: str) -> float:
    """The share of filled cells from which on a column matters: answers do even where most are missing."""
    return MIN_ANSWERS if column_names.matches_role(column, "response") else column_stats.MOST_CELLS


def _holds_texts(table: Table, column: str) -> bool:
    """Whether a column holds texts, or lists of texts such as answers to choose from."""
    if _is_machine_text(table, column):
        return True
    length = column_stats.mean_length(table, column) / column_stats.share_filled(table, column)
    return length >= MIN_UNUSED_LENGTH and column_stats.has_natural_text(table, column)


def _repeats_used_texts(table: Table, column: str, used: set[str]) -> bool:
    """Whether the cells of a column mostly hold texts that are in use, as Alpaca's “text” does."""
    samples = table.rows[: column_stats.SAMPLE_ROWS]
    n_repeated = sum(
        any(_holds_other(row[column].strip(), row[name].strip()) for name in used) for row in samples
    )
    return 2 * n_repeated > len(samples)


def _holds_other(first: str, second: str) -> bool:
    """Whether one of two texts is a part of the other."""
    shorter, longer = sorted((first, second), key=len)
    return len(shorter) >= MIN_UNUSED_LENGTH and shorter in longer


def _has_unread_rows(table: Table, task: Task, columns: Mapping[str, str]) -> bool:
    """Whether many rows make no example, without texts that wait for a label."""
    step = max(1, len(table.rows) // SAMPLE_ROWS)
    sample = Table(table.name, table.columns, table.rows[::step])
    try:
        row_examples = examples.build_row_examples(sample, task, columns)
    except BadData:
        return False
    if "verdict" in columns:
        return False
    n_unread = sum(
        not example and not _waits_for_label(row, columns)
        for example, row in zip(row_examples, sample.rows, strict=True)
    )
    return n_unread > MAX_UNREAD_SHARE * len(row_examples)


def _waits_for_label(row: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    has_label = bool(row[columns["label"]].strip()) if "label" in columns else True
    return not has_label and bool(row[columns["text"]].strip())
