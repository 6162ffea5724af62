"""What a run's held-out rows teach about the data: a wrong label is corrected, a new example is added.

Each function returns a change, which `store.apply_change` makes and `store.undo` takes back.
"""

from collections.abc import Mapping

from studio.data import examples, targets
from studio.data.examples import Example
from studio.data.quality.fixes import Change
from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import Task

ROW_IS_GONE = Message("This row is no longer in “{name}” as the run saw it.")
UNKNOWN_LABEL = Message("“{label}” is not a label of “{name}”.")
CANNOT_ADD = Message("Rows of this data hold more than a question and an answer.")
NOTHING_TO_ADD = Message("The question or the answer is empty.")
# The roles of a question and its answer, by task.
QUESTION_ROLES: dict[Task, tuple[str, str]] = {
    "chat": ("prompt", "response"),
    "classify": ("text", "label"),
    "prompts": ("prompt", "answer"),
}


def find_rows(table: Table, task: Task, columns: Mapping[str, str], example: Example) -> list[int]:
    """The rows, from 0, that make the same example as a row of a run's `data` folder; several if it repeats.

    Raises:
        BadData: There is none: it was changed or removed since.
    """
    row_examples = examples.build_row_examples(table, task, columns)
    rows = [row for row, candidate in enumerate(row_examples) if candidate == example]
    if not rows:
        raise BadData(
            ROW_IS_GONE,
            Message("It was changed or removed since. Look for it among the rows on the Data tab."),
            name=table.name,
        )
    return rows


def correct_label(table: Table, columns: Mapping[str, str], example: Example, label: str) -> Change:
    """The change that gives a text to classify another label of the data.

    Args:
        table: The rows as they are now.
        columns: Role -> column, as the run's plan names them.
        example: The row as the run had it.
        label: The right label.

    Raises:
        BadData: The row is gone, or no row has this label.
    """
    rows = find_rows(table, "classify", columns, example)
    row_examples = examples.build_row_examples(table, "classify", columns)
    labels = sorted(
        {name for candidate in row_examples if candidate for name in targets.labels_of(candidate)}
    )
    if label not in labels:
        raise BadData(
            UNKNOWN_LABEL,
            Message("Choose one of its labels: {labels}."),
            label=label,
            name=table.name,
            labels=labels,
        )
    return Change("edit", cells=tuple((row, columns["label"], label) for row in rows))


def add_example(task: Task, columns: Mapping[str, str], question: str, answer: str) -> Change:
    """The change that adds a question with the wanted answer, or a text with its label, as a new row.

    Args:
        task: What a model is to learn from the data.
        columns: Role -> column.
        question: What is asked, or the text to classify.
        answer: What is wanted.

    Raises:
        BadData: One of them is empty, or rows of this task hold something else.
    """
    if not question.strip() or not answer.strip():
        raise BadData(NOTHING_TO_ADD, Message("Write both."))
    if "messages" in columns:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return Change("add", added=(((columns["messages"], chat_format.dump_messages(turns)),),))
    question_role, answer_role = QUESTION_ROLES.get(task, ("", ""))
    if question_role not in columns or answer_role not in columns:
        raise BadData(CANNOT_ADD, Message("Add the row to your file and upload it again."))
    return Change("add", added=(((columns[question_role], question), (columns[answer_role], answer)),))
