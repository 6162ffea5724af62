"""A table as the checks see it: what each row asks and answers, and how all its texts are rewritten."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data import examples
from studio.data.examples import Example
from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.plan import GROUP_ROLE, Task, active_roles

Rewrite = Callable[[str], str]
StepCallback = Callable[[int, int], None]
# Columns that are no text of a person's: they are neither searched for personal data nor rewritten with the texts.
NON_TEXT_ROLES = ("label", "verdict", GROUP_ROLE)
PROGRESS_ROWS = 5000


@dataclass(frozen=True)
class TableView:
    """The examples of a table's rows, row by row.

    `texts` are the parts of an example, `before` what the model is told first, `asked` what it reads, `answered` what it is to write
    (the label, the better answer, the known answer); all empty where a row makes no example. `full` are the rows that make one, `empty`
    those that lack something.
    """

    table: Table
    task: Task
    columns: Mapping[str, str]
    texts: tuple[tuple[str, ...], ...]
    system_texts: tuple[str, ...]
    input_texts: tuple[str, ...]
    target_texts: tuple[str, ...]
    complete_rows: tuple[int, ...]
    incomplete_rows: tuple[int, ...]

    def full_text(self, row: int) -> str:
        """All texts of a row in one; a label is none."""
        return join_texts(self.input_texts[row], self.texts[row], self.task)


def join_texts(input_text: str, texts: Sequence[str], task: Task) -> str:
    """The texts of an example in one; a label is none."""
    return input_text if task == "classify" else "\n".join((input_text, *texts[1:]))


def build_view(table: Table, task: Task, columns: Mapping[str, str]) -> TableView:
    """A table as the checks see it. Raises BadData where a column is missing or chosen twice."""
    row_examples = examples.build_row_examples(table, task, columns)
    required_roles = tuple(role for role in active_roles(task, columns) if role != GROUP_ROLE)
    parts = [extract_texts(example, task) if example else ("", "", ()) for example in row_examples]
    complete_rows = tuple(row for row, example in enumerate(row_examples) if example)
    if "verdict" in required_roles:  # several rows make one pair: only a blank cell is missing something
        incomplete_rows = tuple(
            row
            for row, cells in enumerate(table.rows)
            if not all(cells[columns[role]].strip() for role in required_roles)
        )
    else:
        incomplete_rows = tuple(row for row, example in enumerate(row_examples) if not example)
    system_texts, input_texts, texts = zip(*parts, strict=True) if parts else ((), (), ())
    target_texts = tuple(text[1] if len(text) > 1 else "" for text in texts)
    return TableView(
        table, task, columns, texts, system_texts, input_texts, target_texts, complete_rows, incomplete_rows
    )


def extract_texts(example: Example | Mapping[str, str], task: Task) -> tuple[str, str, tuple[str, ...]]:
    """What the model is told first, what it is asked, and all texts of an example with the question first and the answer second."""
    fields = dict(example)
    if task in ("complete", "classify"):
        return (
            "",
            fields["text"],
            (fields["text"], fields["label"]) if "label" in fields else (fields["text"],),
        )
    if "messages" not in fields:
        outputs = [
            fields.get(role, "")
            for role in (("chosen", "rejected") if task == "prefer" else ("response", "answer"))
        ]
        return "", fields["prompt"], (fields["prompt"], *filter(None, outputs))
    messages = examples.to_messages(fields)
    system_text = "\n".join(message["content"] for message in messages if message["role"] == "system")
    input_text = "\n".join(message["content"] for message in messages[:-1] if message["role"] != "system")
    outputs = [messages[-1]["content"] if messages else "", fields.get("rejected", "")]
    return system_text, input_text, (input_text, *filter(None, outputs))


def rewrite_cells(
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    rewrite: Rewrite,
    include_labels: bool,
    on_progress: StepCallback,
) -> dict[tuple[int, str], str]:
    """(row, column) -> new text of each cell that `change` alters, among the columns in use; `labels` are changed as well, if asked for.

    In a conversation only what is said is changed. `tell` hears how many of how many rows are done.
    """
    used = [
        columns[role]
        for role in active_roles(task, columns)
        if role not in NON_TEXT_ROLES or (include_labels and role == "label")
    ]
    new_texts = {}
    for index, row in enumerate(table.rows):
        if index % PROGRESS_ROWS == 0:
            on_progress(index, len(table.rows))
        for column in used:
            if (text := _rewrite_cell(row[column], rewrite)) != row[column]:
                new_texts[index, column] = text
    return new_texts


def _rewrite_cell(cell: str, rewrite: Rewrite) -> str:
    if cell.lstrip()[:1] not in ("[", "{") or not chat_format.parse_messages(cell):
        return rewrite(cell)
    raw = json.loads(cell)
    rewritten_value = _rewrite_messages(raw, rewrite)
    return json.dumps(rewritten_value, ensure_ascii=False) if rewritten_value != raw else cell


def _rewrite_messages(value: Any, rewrite: Rewrite, name: str = "") -> Any:
    """A conversation in any of its forms with its texts changed, and nothing else."""
    if isinstance(value, dict):
        return {key: _rewrite_messages(item, rewrite, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_rewrite_messages(item, rewrite, name) for item in value]
    return rewrite(value) if isinstance(value, str) and name in chat_format.TEXT_KEYS else value


def normalize_text(text: str) -> str:
    """A text in lower case with single spaces: what is the same then differs in nothing that matters."""
    return " ".join(text.casefold().split())
