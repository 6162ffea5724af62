"""What stands in a column: numbers, labels, questions, verdicts, conversations, or what somebody has said."""

import re
from collections import Counter

from studio.data import grid, talk
from studio.data.read import Table
from studio.data.speech import WIDE, spoken, weight

# A column with at most this many different values, each seen this often on average, reads like a label.
MOST_LABELS, LEAST_REPEATS, LONGEST_LABEL = 200, 3, 60
# A known answer is at most this long (English characters), or ends in a number; a question without a mark is at most this long.
SHORT, ASKED = 20, 300
WORKED_OUT = re.compile(r"[=#]|answer|答|结果", re.IGNORECASE)
ENDS_IN_NUMBER = re.compile(r"\d[.,]*\s*[%.。]?$")  # its last digit will do: to look for the first is slow in long ones
ASKS = re.compile(
    r"(how|what|why|who|whose|where|when|which|is|are|can|could|do|does|did|should|would|write|explain|describe|list|give|tell|name|find|"
    r"solve|calculate|compute|prove|show|determine|evaluate|simplify|summari[sz]e|translate|compare|suggest)\b"
    r"|请|如何|怎|为什么|为何|什么|哪|谁|是否|解释|计算|写|求|证明|列出|翻译|比较",
    re.IGNORECASE,
)
LOOKED_AT = 500
LONGEST_NUMBER = 40  # characters of an id, a number or a date
LINK = re.compile(r"https?://\S+")
DIGIT = re.compile(r"\d")


def holds_conversations(table: Table, column: str) -> bool:
    """Whether most cells of a column are whole conversations, in one of the forms they come in."""
    some = cells(table, column) if column in table.columns else []
    return bool(some) and sum(bool(talk.up_to_answer(talk.turns(cell))) or talk.calls_tools(cell) for cell in some) > 0.5 * len(some)


def cells(table: Table, column: str) -> list[str]:
    """What stands in the first rows of a column, without the empty cells."""
    return [cell for row in table.rows[:LOOKED_AT] if (cell := row[column].strip())]


def like_answers(table: Table, column: str) -> bool:
    """Whether most cells are known answers to check on: short, or worked out up to a number at the end."""
    some = cells(table, column)
    worked_out = [cell for cell in some if ENDS_IN_NUMBER.search(cell) and WORKED_OUT.search(cell)]
    return sum(weight(cell) <= SHORT for cell in some) + sum(weight(cell) > SHORT for cell in worked_out) > 0.8 * len(some)


def like_questions(table: Table, column: str) -> bool:
    """Whether most cells ask for something."""
    some = cells(table, column)
    asking = [cell for cell in some if cell.endswith(("?", "？")) or (len(cell) <= ASKED and ASKS.match(cell))]
    return len(asking) > 0.5 * len(some)


def like_speech(table: Table, column: str) -> bool:
    """Whether most cells read as somebody wrote them: several words, or a sentence; names, ids and codes do not."""
    some = cells(table, column)
    return sum(spoken(cell) for cell in some) > 0.5 * len(some)


def share_filled(table: Table, column: str) -> float:
    """The share of the rows that have something in a column."""
    return sum(1 for row in table.rows if row[column].strip()) / len(table.rows)


def length(table: Table, column: str) -> float:
    """How long the cells of a column are on average, in English characters."""
    return sum(weight(row[column]) for row in table.rows) / len(table.rows)


def like_a_label(table: Table, column: str) -> bool:
    """Whether a column holds few different short texts, each seen often."""
    values = {row[column].strip() for row in table.rows}
    return len(values) <= MOST_LABELS and len(values) * LEAST_REPEATS <= len(table.rows) and length(table, column) <= LONGEST_LABEL


def mostly_one(table: Table, column: str) -> bool:
    """Whether the same text stands in more than half of several rows."""
    some = cells(table, column)
    return len(some) > 1 and Counter(some).most_common(1)[0][1] > 0.5 * len(some)


def like_verdicts(table: Table, column: str) -> bool:
    """Whether every cell says yes or no in some way, or counts stars."""
    some = cells(table, column)
    return all(talk.verdict(cell) is not None for cell in some) or talk.counts_stars(some)


def like_numbers(table: Table, column: str) -> bool:
    """Whether most cells are a number, an order id, a date with its time or an address. Chinese has no spaces, and is no number."""
    every = [row[column].strip() for row in table.rows if row[column].strip()]
    return sum(_number(cell) for cell in every) > 0.8 * len(every)


def _number(cell: str) -> bool:
    if LINK.fullmatch(cell):
        return True
    coded = " " not in cell and bool(DIGIT.search(cell))
    return len(cell) <= LONGEST_NUMBER and not WIDE.search(cell) and (coded or any(kind.fullmatch(cell) for kind in grid.VALUES))
