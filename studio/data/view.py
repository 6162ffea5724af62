"""A table as the checks see it: what each row asks and answers, and how all its texts are rewritten."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data import prepare, talk
from studio.data.prepare import Example
from studio.data.read import Table
from studio.plan import GROUP, Task, roles

Rewrite = Callable[[str], str]
Tell = Callable[[int, int], None]
# Columns that are no text of a person's: they are neither searched for personal data nor rewritten with the texts.
NO_TEXT = ("label", "verdict", GROUP)
STEP = 5000


@dataclass(frozen=True)
class View:
    """The examples of a table's rows, row by row.

    `texts` are the parts of an example, `before` what the model is told first, `asked` what it reads, `answered` what it is to write
    (the label, the better answer, the known answer); all empty where a row makes no example. `full` are the rows that make one, `empty`
    those that lack something.
    """

    table: Table
    task: Task
    columns: Mapping[str, str]
    texts: tuple[tuple[str, ...], ...]
    before: tuple[str, ...]
    asked: tuple[str, ...]
    answered: tuple[str, ...]
    full: tuple[int, ...]
    empty: tuple[int, ...]

    def whole(self, row: int) -> str:
        """All texts of a row in one; a label is none."""
        return together(self.asked[row], self.texts[row], self.task)


def together(asked: str, texts: Sequence[str], task: Task) -> str:
    """The texts of an example in one; a label is none."""
    return asked if task == "classify" else "\n".join((asked, *texts[1:]))


def view(table: Table, task: Task, columns: Mapping[str, str]) -> View:
    """A table as the checks see it. Raises BadData where a column is missing or chosen twice."""
    examples = prepare.rows(table, task, columns)
    needed = tuple(role for role in roles(task, columns) if role != GROUP)
    parts = [of(example, task) if example else ("", "", ()) for example in examples]
    full = tuple(row for row, example in enumerate(examples) if example)
    if "verdict" in needed:  # several rows make one pair: only a blank cell is missing something
        empty = tuple(row for row, cells in enumerate(table.rows) if not all(cells[columns[role]].strip() for role in needed))
    else:
        empty = tuple(row for row, example in enumerate(examples) if not example)
    before, asked, texts = zip(*parts, strict=True) if parts else ((), (), ())
    answered = tuple(text[1] if len(text) > 1 else "" for text in texts)
    return View(table, task, columns, texts, before, asked, answered, full, empty)


def of(example: Example | Mapping[str, str], task: Task) -> tuple[str, str, tuple[str, ...]]:
    """What the model is told first, what it is asked, and all texts of an example with the question first and the answer second."""
    given = dict(example)
    if task in ("complete", "classify"):
        return "", given["text"], (given["text"], given["label"]) if "label" in given else (given["text"],)
    if "messages" not in given:
        rest = [given.get(role, "") for role in (("chosen", "rejected") if task == "prefer" else ("response", "answer"))]
        return "", given["prompt"], (given["prompt"], *filter(None, rest))
    turns = prepare.conversation(given)
    before = "\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    asked = "\n".join(turn["content"] for turn in turns[:-1] if turn["role"] != "system")
    rest = [turns[-1]["content"] if turns else "", given.get("rejected", "")]
    return before, asked, (asked, *filter(None, rest))


def rewritten(
    table: Table, task: Task, columns: Mapping[str, str], change: Rewrite, labels: bool, tell: Tell
) -> dict[tuple[int, str], str]:
    """(row, column) -> new text of each cell that `change` alters, among the columns in use; `labels` are changed as well, if asked for.

    In a conversation only what is said is changed. `tell` hears how many of how many rows are done.
    """
    used = [columns[role] for role in roles(task, columns) if role not in NO_TEXT or (labels and role == "label")]
    found = {}
    for number, row in enumerate(table.rows):
        if number % STEP == 0:
            tell(number, len(table.rows))
        for column in used:
            if (text := _changed(row[column], change)) != row[column]:
                found[number, column] = text
    return found


def _changed(cell: str, change: Rewrite) -> str:
    if cell.lstrip()[:1] not in ("[", "{") or not talk.turns(cell):
        return change(cell)
    raw = json.loads(cell)
    found = _said(raw, change)
    return json.dumps(found, ensure_ascii=False) if found != raw else cell


def _said(value: Any, change: Rewrite, name: str = "") -> Any:
    """A conversation in any of its forms with its texts changed, and nothing else."""
    if isinstance(value, dict):
        return {key: _said(item, change, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_said(item, change, name) for item in value]
    return change(value) if isinstance(value, str) and name in talk.TEXT else value


def plain(text: str) -> str:
    """A text in lower case with single spaces: what is the same then differs in nothing that matters."""
    return " ".join(text.casefold().split())
