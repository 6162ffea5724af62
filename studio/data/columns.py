"""Guess what each column is for, by its name and by what stands in it."""

import re
from dataclasses import dataclass

from studio.data.read import Table
from studio.errors import BadData
from studio.plan import ROLES, Task
from studio.words import Words, label

NAMES: dict[str, tuple[str, ...]] = {
    "prompt": (
        "prompt",
        "question",
        "instruction",
        "customer",
        "input",
        "query",
        "user",
        "request",
        "message",
        "问题",
        "提问",
        "指令",
        "客户",
        "输入",
    ),
    "response": ("response", "answer", "reply", "output", "completion", "assistant", "target", "回答", "答案", "回复", "输出"),
    "text": ("text", "sentence", "message", "content", "ticket", "review", "comment", "body", "question", "文本", "内容", "正文", "评论"),
    "label": ("label", "category", "class", "intent", "tag", "topic", "sentiment", "标签", "类别", "分类", "意图"),
}
ROLE_NAMES: dict[str, Words] = {
    "prompt": label("What is asked (prompt)", "提问内容（prompt）"),
    "response": label("The answer to learn (response)", "要学的回答（response）"),
    "text": label("The text to sort (text)", "要分类的文本（text）"),
    "label": label("The class it belongs to (label)", "所属类别（label）"),
}
# Columns such as customer_id or response_time speak of the words, but do not hold them.
ASIDE = re.compile(r"(^|[_\- ])(id|time|date|at|no|nr|number|count)$")
# A column with at most this many different values, each seen this often on average, reads like a label.
MOST_LABELS, LEAST_REPEATS = 200, 3
# Two columns whose cells are at least this long on average (characters) read like a question and its answer.
LONG = 25


@dataclass(frozen=True)
class Guess:
    """What the columns were taken for; `sure` is False where only the content spoke for it."""

    task: Task
    columns: dict[str, str]
    sure: bool


def guess(table: Table, task: Task | None = None) -> Guess:
    """The most plausible roles of a table's columns, for `task` or for the most plausible one.

    Raises BadData where fewer than two columns can be used.
    """
    filled = _usable(table)
    for name in ("chat", "classify") if task is None else (task,):
        named = _named(filled, ROLES[name])
        if len(named) == 2:
            sure = all(set(re.split(r"[_\-\s]+", column.strip().lower())) & set(NAMES[role]) for role, column in named.items())
            return Guess("chat" if name == "chat" else "classify", named, sure)
    labels = [column for column in filled if _like_a_label(table, column)]
    texts = sorted((column for column in filled if column not in labels), key=lambda column: -_length(table, column))
    long = [column for column in texts if _length(table, column) >= LONG]
    if task == "classify" or (task is None and labels and texts and len(long) < 2):
        named = _named(filled, ROLES["classify"])
        label_column = named.get("label") or next(iter(reversed(labels)), filled[-1])
        text = named.get("text") or next((column for column in [*texts, *filled] if column != label_column), filled[0])
        return Guess("classify", {"text": text, "label": label_column}, False)
    first, second = sorted((texts if len(texts) > 1 else filled)[:2], key=table.columns.index)
    return Guess("chat", {"prompt": first, "response": second}, False)


def _usable(table: Table) -> list[str]:
    """The columns with something to read: mostly filled, and, where enough others are, neither ids nor times nor numbers."""
    filled = [column for column in table.columns if _share_filled(table, column) > 0.5]
    if len(filled) < 2:
        raise BadData(
            Words("“{name}” has {count} usable column(s): {columns}.", "“{name}”只有 {count} 个可用的列：{columns}。"),
            Words(
                "Two are needed: a question and its answer, or a text and its label. Check that the first line names the columns.",
                "至少需要两列：问题和回答，或文本和标签。请检查第一行是否为列名。",
            ),
            name=table.name,
            count=len(filled),
            columns=", ".join(filled) or "–",
        )
    spoken = [column for column in filled if not ASIDE.search(column.strip().lower()) and not _like_numbers(table, column)]
    return spoken if len(spoken) >= 2 else filled


def _named(columns: list[str], roles: tuple[str, ...]) -> dict[str, str]:
    """Role -> the column whose name says it: an equal name first, then one that holds the word."""
    found: dict[str, str] = {}
    for role in roles:
        free = [column for column in columns if column not in found.values()]
        low = {column: column.strip().lower() for column in free}
        equal = [column for word in NAMES[role] for column in free if low[column] == word]
        within = [column for word in NAMES[role] for column in free if word in low[column] and not ASIDE.search(low[column])]
        if equal or within:
            found[role] = (equal or within)[0]
    return found


def _share_filled(table: Table, column: str) -> float:
    return sum(1 for row in table.rows if row[column].strip()) / len(table.rows)


def _length(table: Table, column: str) -> float:
    return sum(len(row[column]) for row in table.rows) / len(table.rows)


def _like_a_label(table: Table, column: str) -> bool:
    values = {row[column].strip() for row in table.rows}
    return len(values) <= MOST_LABELS and len(values) * LEAST_REPEATS <= len(table.rows) and _length(table, column) <= 60


def _like_numbers(table: Table, column: str) -> bool:
    """Whether most cells are one word with a digit in it: a number, an order id, a date."""
    cells = [row[column].strip() for row in table.rows if row[column].strip()]
    return sum(" " not in cell and any(sign.isdigit() for sign in cell) for cell in cells) > 0.8 * len(cells)
