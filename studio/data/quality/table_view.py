"""A table as the checks see it: the input and the target of each row, and how all its texts are rewritten."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from studio.data import examples, targets
from studio.data.examples import Example
from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.plan import GROUP_ROLE, PROBLEM_TYPES, Task, active_roles
from studio.storage import ProgressCallback

Rewrite = Callable[[str], str]
# Columns that hold no text a person wrote: they are neither searched for personal data nor rewritten with the
# texts.
NON_TEXT_ROLES = (*PROBLEM_TYPES, "verdict", GROUP_ROLE)
LITERAL_STARTS = frozenset("[{ \t\n")  # what a cell with a conversation begins with
PROGRESS_ROWS = 5000  # rows between two reports of progress


class ExampleTexts(NamedTuple):
    """The system prompt and the input of an example, and all parts: the input first, the target second."""

    system: str
    input: str
    parts: tuple[str, ...]


NO_TEXTS = ExampleTexts("", "", ())


@dataclass(frozen=True)
class TableView:
    """The examples of a table, row by row; the texts of a row that makes no example are empty.

    Attributes:
        table: The rows.
        task: What a model is to learn from them.
        columns: Role -> column.
        texts: The parts of each example, the input first.
        system_texts: The system prompts.
        input_texts: What the model reads, without the system prompt.
        target_texts: What the model is to write: the label, the better answer, the known answer.
        labels: The labels of each text to classify: one, several or none; a number has none.
        complete_rows: The rows that make an example.
        incomplete_rows: The rows that lack a cell.
    """

    table: Table
    task: Task
    columns: Mapping[str, str]
    texts: tuple[tuple[str, ...], ...]
    system_texts: tuple[str, ...]
    input_texts: tuple[str, ...]
    target_texts: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    complete_rows: tuple[int, ...]
    incomplete_rows: tuple[int, ...]

    def full_text(self, row: int) -> str:
        """All texts of a row in one, without its label."""
        return join_texts(self.input_texts[row], self.texts[row], self.task)


def join_texts(input_text: str, texts: Sequence[str], task: Task) -> str:
    """The texts of an example in one, without its label."""
    return input_text if task == "classify" else "\n".join((input_text, *texts[1:]))


def build_view(table: Table, task: Task, columns: Mapping[str, str]) -> TableView:
    """A table as the checks see it.

    Raises:
        BadData: A column is missing or chosen twice.
    """
    row_examples = examples.build_row_examples(table, task, columns)
    row_texts = [extract_texts(example, task) if example else NO_TEXTS for example in row_examples]
    return TableView(
        table,
        task,
        columns,
        texts=tuple(texts.parts for texts in row_texts),
        system_texts=tuple(texts.system for texts in row_texts),
        input_texts=tuple(texts.input for texts in row_texts),
        target_texts=tuple(texts.parts[1] if len(texts.parts) > 1 else "" for texts in row_texts),
        labels=tuple(tuple(_labels_of(example)) for example in row_examples),
        complete_rows=tuple(row for row, example in enumerate(row_examples) if example),
        incomplete_rows=tuple(_incomplete_rows(table, row_examples, active_roles(task, columns), columns)),
    )


def _labels_of(example: Example) -> list[str]:
    has_labels = "label" in example or "labels" in example
    return targets.labels_of(example) if has_labels else []


def _incomplete_rows(
    table: Table, row_examples: Sequence[Example], roles: Sequence[str], columns: Mapping[str, str]
) -> list[int]:
    if "verdict" not in roles:
        return [row for row, example in enumerate(row_examples) if not example]
    # Several rows make one pair: only a row with a blank cell lacks something.
    required_columns = [columns[role] for role in roles if role != GROUP_ROLE]
    return [
        row
        for row, cells in enumerate(table.rows)
        if not all(cells[column].strip() for column in required_columns)
    ]


def extract_texts(example: Example | Mapping[str, str], task: Task) -> ExampleTexts:
    """The texts of an example."""
    fields = dict(example)
    if task in ("complete", "classify"):
        label = [targets.describe(fields)] if any(role in fields for role in PROBLEM_TYPES) else []
        return ExampleTexts("", fields["text"], (fields["text"], *label))
    if "messages" not in fields:
        target_roles = ("chosen", "rejected") if task == "prefer" else ("response", "answer")
        answers = [fields[role] for role in target_roles if fields.get(role)]
        return ExampleTexts("", fields["prompt"], (fields["prompt"], *answers))
    messages = examples.to_messages(fields)
    system_text = "\n".join(message["content"] for message in messages if message["role"] == "system")
    input_text = "\n".join(message["content"] for message in messages[:-1] if message["role"] != "system")
    answers = [messages[-1]["content"] if messages else "", fields.get("rejected", "")]
    return ExampleTexts(system_text, input_text, (input_text, *filter(None, answers)))


def rewrite_cells(
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    rewrite: Rewrite,
    include_labels: bool,
    on_progress: ProgressCallback,
) -> dict[tuple[int, str], str]:
    """Rewrite the texts of the columns in use; in a conversation, only the messages' texts.

    Args:
        table: The rows.
        task: What a model is to learn from them.
        columns: Role -> column.
        rewrite: Returns the new text.
        include_labels: Whether labels are rewritten as well.
        on_progress: Called with the rows done and their total.

    Returns:
        (row, column) -> new text, for the cells that change.
    """
    text_columns = [
        columns[role]
        for role in active_roles(task, columns)
        if role not in NON_TEXT_ROLES or (include_labels and role in ("label", "labels"))
    ]
    new_texts = {}
    for index, row in enumerate(table.rows):
        if index % PROGRESS_ROWS == 0:
            on_progress(index, len(table.rows))
        for column in text_columns:
            cell = row[column]
            text = _rewrite_messages_cell(cell, rewrite) if cell[:1] in LITERAL_STARTS else rewrite(cell)
            if text != cell:
                new_texts[index, column] = text
    return new_texts


def _rewrite_messages_cell(cell: str, rewrite: Rewrite) -> str:
    """A cell with its text rewritten, of a conversation those of its messages alone."""
    if cell.lstrip()[:1] not in ("[", "{") or not chat_format.parse_messages(cell):
        return rewrite(cell)
    raw = chat_format.load_literal(cell.strip())
    rewritten = _rewrite_messages(raw, rewrite)
    return json.dumps(rewritten, ensure_ascii=False) if rewritten != raw else cell


def _rewrite_messages(value: Any, rewrite: Rewrite, name: str = "") -> Any:
    """A conversation in any of its forms with its texts rewritten, and nothing else."""
    if isinstance(value, dict):
        return {key: _rewrite_messages(item, rewrite, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_rewrite_messages(item, rewrite, name) for item in value]
    if isinstance(value, str) and name in chat_format.TEXT_KEYS:
        return rewrite(value)
    return value


def normalize_text(text: str) -> str:
    """A text in lower case with single spaces: texts that are equal then differ in nothing that matters."""
    return " ".join(text.casefold().split())
