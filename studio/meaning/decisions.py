"""What a person decides about labels becomes a change of the data: given, corrected, kept or dropped."""

from studio.data.quality.fixes import Change
from studio.data.readers.read import Table
from studio.data.schema import infer_roles

# What is decided of a row; any other choice is LABEL_PREFIX with the label behind it.
SKIP, KEEP, DROP, LABEL_PREFIX = "skip", "keep", "drop", "label:"
MAX_LABEL_CHARS = 200


def build_change(kind: str, table: Table, column: str, decisions: list[tuple[int, str]]) -> Change:
    """The change that decisions make: labels given, kept or corrected, and rows dropped.

    A label that is kept is written once more, so that nobody is asked about it again.

    Args:
        kind: "label_next" or "relabel".
        table: The rows.
        column: The column of the labels.
        decisions: Row and choice (SKIP, KEEP, DROP, or LABEL_PREFIX with the label).
    """
    if column not in table.columns:
        return Change(kind)
    choices = {row: choice for row, choice in decisions if 0 <= row < len(table.rows)}
    cells = [(row, column, table.rows[row][column]) for row, choice in choices.items() if choice == KEEP]
    labels = {
        row: choice.removeprefix(LABEL_PREFIX).strip()[:MAX_LABEL_CHARS]
        for row, choice in choices.items()
        if choice.startswith(LABEL_PREFIX)
    }
    cells += [(row, column, label) for row, label in labels.items() if label]
    drop = tuple(sorted(row for row, choice in choices.items() if choice == DROP))
    return Change(kind, drop, tuple(sorted(cells)))


def build_addition(table: Table, others: Table, text_column: str) -> Change:
    """The change that adds the texts of another table that are new, without labels.

    They are in the column of the same name, else in the one that reads like texts to classify.

    Args:
        table: The rows.
        others: The other table.
        text_column: The column of the texts.
    """
    column = text_column
    if column not in others.columns:
        guess = infer_roles.guess_roles(others).columns
        column = guess.get("text") or next(iter(guess.values()))
    present_texts = {row[text_column].strip() for row in table.rows}
    new_texts = dict.fromkeys(
        text for row in others.rows if (text := row[column].strip()) not in present_texts
    )
    return Change("add_texts", added=tuple(((text_column, text),) for text in new_texts if text))
