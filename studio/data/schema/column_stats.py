"""What stands in a column: numbers, labels, questions, verdicts, conversations, or what somebody has said."""

import re
from collections import Counter

from studio.data.readers import header
from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.data.text.text_length import WIDE_CHARS, is_prose, weighted_length

# A column with at most this many different values, each seen this often on average, reads like a label.
MAX_LABELS, MIN_REPEATS, MAX_LABEL_LENGTH = 200, 3, 60
# A known answer is at most this long (English characters), or ends in a number; a question without a mark is at most this long.
MAX_ANSWER_LENGTH, MAX_QUESTION_LENGTH = 20, 300
WORKED_SOLUTION = re.compile(r"[=#]|answer|答|结果", re.IGNORECASE)
ENDS_IN_NUMBER = re.compile(
    r"\d[.,]*\s*[%.。]?$"
)  # its last digit will do: to look for the first is slow in long ones
QUESTION_START = re.compile(
    r"(how|what|why|who|whose|where|when|which|is|are|can|could|do|does|did|should|would|write|explain|describe|list|give|tell|name|find|"
    r"solve|calculate|compute|prove|show|determine|evaluate|simplify|summari[sz]e|translate|compare|suggest)\b"
    r"|请|如何|怎|为什么|为何|什么|哪|谁|是否|解释|计算|写|求|证明|列出|翻译|比较",
    re.IGNORECASE,
)
SAMPLE_ROWS = 500
MAX_NUMBER_LENGTH = 40  # characters of an id, a number or a date
URL = re.compile(r"https?://\S+")
DIGIT = re.compile(r"\d")


def has_conversations(table: Table, column: str) -> bool:
    """Whether most cells of a column are whole conversations, in one of the forms they come in."""
    samples = sample_cells(table, column) if column in table.columns else []
    return bool(samples) and sum(
        bool(chat_format.trim_to_answer(chat_format.parse_messages(cell))) or chat_format.has_tool_calls(cell)
        for cell in samples
    ) > 0.5 * len(samples)


def sample_cells(table: Table, column: str) -> list[str]:
    """What stands in the first rows of a column, without the empty cells."""
    return [cell for row in table.rows[:SAMPLE_ROWS] if (cell := row[column].strip())]


def has_known_answers(table: Table, column: str) -> bool:
    """Whether most cells are known answers to check on: short, or worked out up to a number at the end."""
    samples = sample_cells(table, column)
    worked_solutions = [
        cell for cell in samples if ENDS_IN_NUMBER.search(cell) and WORKED_SOLUTION.search(cell)
    ]
    return sum(weighted_length(cell) <= MAX_ANSWER_LENGTH for cell in samples) + sum(
        weighted_length(cell) > MAX_ANSWER_LENGTH for cell in worked_solutions
    ) > 0.8 * len(samples)


def has_questions(table: Table, column: str) -> bool:
    """Whether most cells ask for something."""
    samples = sample_cells(table, column)
    questions = [
        cell
        for cell in samples
        if cell.endswith(("?", "？")) or (len(cell) <= MAX_QUESTION_LENGTH and QUESTION_START.match(cell))
    ]
    return len(questions) > 0.5 * len(samples)


def has_natural_text(table: Table, column: str) -> bool:
    """Whether most cells read as somebody wrote them: several words, or a sentence; names, ids and codes do not."""
    samples = sample_cells(table, column)
    return sum(is_prose(cell) for cell in samples) > 0.5 * len(samples)


def share_filled(table: Table, column: str) -> float:
    """The share of the rows that have something in a column."""
    return sum(1 for row in table.rows if row[column].strip()) / len(table.rows)


def mean_length(table: Table, column: str) -> float:
    """How long the cells of a column are on average, in English characters."""
    return sum(weighted_length(row[column]) for row in table.rows) / len(table.rows)


def has_labels(table: Table, column: str) -> bool:
    """Whether a column holds few different short texts, each seen often."""
    values = {row[column].strip() for row in table.rows}
    return (
        len(values) <= MAX_LABELS
        and len(values) * MIN_REPEATS <= len(table.rows)
        and mean_length(table, column) <= MAX_LABEL_LENGTH
    )


def is_mostly_one_value(table: Table, column: str) -> bool:
    """Whether the same text stands in more than half of several rows."""
    samples = sample_cells(table, column)
    return len(samples) > 1 and Counter(samples).most_common(1)[0][1] > 0.5 * len(samples)


def has_feedback_labels(table: Table, column: str) -> bool:
    """Whether every cell says yes or no in some way, or counts stars."""
    samples = sample_cells(table, column)
    return all(chat_format.parse_label(cell) is not None for cell in samples) or chat_format.is_star_rating(
        samples
    )


def has_numbers_or_ids(table: Table, column: str) -> bool:
    """Whether most cells are a number, an order id, a date with its time or an address. Chinese has no spaces, and is no number."""
    filled = [row[column].strip() for row in table.rows if row[column].strip()]
    return sum(_is_number_or_id(cell) for cell in filled) > 0.8 * len(filled)


def _is_number_or_id(cell: str) -> bool:
    if URL.fullmatch(cell):
        return True
    is_code = " " not in cell and bool(DIGIT.search(cell))
    return (
        len(cell) <= MAX_NUMBER_LENGTH
        and not WIDE_CHARS.search(cell)
        and (is_code or any(pattern.fullmatch(cell) for pattern in header.VALUE_PATTERNS))
    )
