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


@dataclass(frozen=True)
class Guess:
    """What the columns were taken for; `sure` is False where only the content spoke for it."""

    task: Task
    columns: dict[str, str]
    sure: bool


def guess(table: Table) -> Guess:
    """The most plausible task and roles of a table's columns; raises BadData where no column can be used."""
    filled = [column for column in table.columns if _share_filled(table, column) > 0.5]
    spoken = [column for column in filled if not ASIDE.search(column.strip().lower())]
    filled = spoken if len(spoken) >= 2 else filled
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
    by_name: dict[str, dict[str, str]] = {task: _named(filled, roles) for task, roles in ROLES.items()}
    for task in ("chat", "classify"):
        if len(by_name[task]) == 2:
            sure = all(set(re.split(r"[_\-\s]+", column.strip().lower())) & set(NAMES[role]) for role, column in by_name[task].items())
            return Guess("chat" if task == "chat" else "classify", by_name[task], sure)
    labels = [column for column in filled if _like_a_label(table, column)]
    texts = sorted((column for column in filled if column not in labels), key=lambda column: -_length(table, column))
    if labels and texts:
        label_column = by_name["classify"].get("label", labels[-1])
        return Guess("classify", {"text": by_name["classify"].get("text", texts[0]), "label": label_column}, False)
    if len(texts) < 2:
        texts = filled
    first, second = sorted(texts[:2], key=table.columns.index)
    return Guess("chat", {"prompt": first, "response": second}, False)


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
