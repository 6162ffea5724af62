"""What the cells of a column hold: numbers, labels, questions, ratings, conversations or written text."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from studio.data import targets
from studio.data.readers import header
from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.data.text.text_length import WIDE_CHARS, is_prose, weighted_length

# A column looks like labels if it holds at most so many different values, each so often on average, with at
# most so many characters on average.
MAX_LABELS, MIN_REPEATS, MAX_LABEL_LENGTH = 200, 3, 60
# Where labelling was only begun, each label occurs at least so often on average.
MIN_BEGUN_REPEATS = 2
# A known answer has at most so many characters (in English), or ends in a number; a question without a
# question mark has at most so many.
MAX_ANSWER_LENGTH, MAX_QUESTION_LENGTH = 20, 300
# The share of the cells of which something must hold to hold of the column, and the stricter one of numbers
# (0–1).
MOST_CELLS, NEARLY_ALL_CELLS = 0.5, 0.8
WORKED_SOLUTION = re.compile(r"[=#]|answer|答|结果", re.IGNORECASE)
# The last digit of the number is enough: searching for its first one is slow in long texts.
ENDS_IN_NUMBER = re.compile(r"\d[.,]*\s*[%.。]?$")
QUESTION_START = re.compile(
    r"(how|what|why|who|whose|where|when|which|is|are|can|could|do|does|did|should|would|write|explain|describe|list|give|tell|name|find|"
    r"solve|calculate|compute|prove|show|determine|evaluate|simplify|summari[sz]e|translate|compare|suggest)\b"
    r"|请|如何|怎|为什么|为何|什么|哪|谁|是否|解释|计算|写|求|证明|列出|翻译|比较",
    re.IGNORECASE,
)
SAMPLE_ROWS = 500  # rows that are looked at
MAX_NUMBER_LENGTH = 40  # characters of an id, a number or a date
URL = re.compile(r"https?://\S+")
DIGIT = re.compile(r"\d")


def has_conversations(table: Table, column: str) -> bool:
    """Whether most cells of a column are conversations, in any of the forms they come in."""
    if column not in table.columns:
        return False
    return _holds_for(_is_conversation, sample_cells(table, column), MOST_CELLS)


def holds_conversations(cells: Sequence[str]) -> bool:
    """Whether most cells are messages that can be read, be it a single one."""
    return _holds_for(lambda cell: bool(chat_format.parse_messages(cell)), cells, MOST_CELLS)


def _is_conversation(cell: str) -> bool:
    messages = chat_format.parse_messages(cell)
    return bool(chat_format.trim_to_answer(messages)) or chat_format.has_tool_calls(cell)


def _holds_for(predicate: Callable[[str], bool], cells: Sequence[str], min_share: float) -> bool:
    """Whether a predicate holds of more than a share of the cells."""
    return sum(predicate(cell) for cell in cells) > min_share * len(cells)


def sample_cells(table: Table, column: str) -> list[str]:
    """The cells of a column in the first SAMPLE_ROWS rows, stripped, without empty ones."""
    cells = [row[column].strip() for row in table.rows[:SAMPLE_ROWS]]
    return [cell for cell in cells if cell]


def has_known_answers(table: Table, column: str) -> bool:
    """Whether nearly all cells are known answers: short, or worked out up to a number at the end."""
    return _holds_for(_is_known_answer, sample_cells(table, column), NEARLY_ALL_CELLS)


def _is_known_answer(cell: str) -> bool:
    if weighted_length(cell) <= MAX_ANSWER_LENGTH:
        return True
    return bool(ENDS_IN_NUMBER.search(cell) and WORKED_SOLUTION.search(cell))


def has_questions(table: Table, column: str) -> bool:
    """Whether most cells ask for something."""
    return _holds_for(_is_question, sample_cells(table, column), MOST_CELLS)


def _is_question(cell: str) -> bool:
    if cell.endswith(("?", "？")):
        return True
    return len(cell) <= MAX_QUESTION_LENGTH and bool(QUESTION_START.match(cell))


def has_natural_text(table: Table, column: str) -> bool:
    """Whether most cells read as if somebody wrote them, which names, ids and codes do not."""
    return _holds_for(is_prose, sample_cells(table, column), MOST_CELLS)


def share_filled(table: Table, column: str) -> float:
    """The share of the rows with a value in a column (0–1)."""
    return sum(1 for row in table.rows if row[column].strip()) / len(table.rows)


def mean_length(table: Table, column: str) -> float:
    """The mean length of a column's cells, in English characters."""
    return sum(weighted_length(row[column]) for row in table.rows) / len(table.rows)


def has_labels(table: Table, column: str) -> bool:
    """Whether a column holds few different short texts, each of them often; also several in a cell."""
    if targets.has_several_labels(sample_cells(table, column)):
        return True
    values = {row[column].strip() for row in table.rows}
    if len(values) < 2 or len(values) > MAX_LABELS or len(values) * MIN_REPEATS > len(table.rows):
        return False
    return mean_length(table, column) <= MAX_LABEL_LENGTH


def has_begun_labels(table: Table, column: str) -> bool:
    """Whether the filled cells of a column are short texts that repeat, as where labelling was begun."""
    cells = [cell for row in table.rows if (cell := row[column].strip())]
    values = set(cells)
    is_short = all(weighted_length(value) <= MAX_LABEL_LENGTH for value in values)
    return 2 <= len(values) <= MAX_LABELS and len(values) * MIN_BEGUN_REPEATS <= len(cells) and is_short


def is_mostly_one_value(table: Table, column: str) -> bool:
    """Whether more than half of several rows hold the same text."""
    samples = sample_cells(table, column)
    if len(samples) < 2:
        return False
    _, count = Counter(samples).most_common(1)[0]
    return count > MOST_CELLS * len(samples)


def is_constant(table: Table, column: str) -> bool:
    """Whether all of several rows hold the same text, from which nothing can be told."""
    first = table.rows[0][column]
    return len(table.rows) > 1 and all(row[column] == first for row in table.rows)


def has_links(table: Table, column: str) -> bool:
    """Whether most cells are a web address and nothing else."""
    return _holds_for(lambda cell: bool(URL.fullmatch(cell)), sample_cells(table, column), MOST_CELLS)


def has_feedback_labels(table: Table, column: str) -> bool:
    """Whether all cells say yes or no in some way, or count stars, and some are good and others bad."""
    samples = sample_cells(table, column)
    uses_stars = chat_format.is_star_rating(samples)
    verdicts = {chat_format.parse_label(cell, uses_stars) for cell in samples}
    return {True, False} <= verdicts and (uses_stars or None not in verdicts)


def has_numbers_or_ids(table: Table, column: str) -> bool:
    """Whether nearly all cells are a number, an order id, a date with its time or a web address."""
    cells = [row[column].strip() for row in table.rows]
    return _holds_for(_is_number_or_id, [cell for cell in cells if cell], NEARLY_ALL_CELLS)


def has_numbers_alone(table: Table, column: str) -> bool:
    """Whether all cells in the first rows are numbers."""
    return all(header.ROW_NUMBER.fullmatch(cell) for cell in sample_cells(table, column))


def _is_number_or_id(cell: str) -> bool:
    if URL.fullmatch(cell):
        return True
    if len(cell) > MAX_NUMBER_LENGTH or WIDE_CHARS.search(cell):  # Chinese has no spaces, but is no code
        return False
    is_code = " " not in cell and bool(DIGIT.search(cell))
    return is_code or any(pattern.fullmatch(cell) for pattern in header.VALUE_PATTERNS)
