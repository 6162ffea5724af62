"""A data set in sentences: which column was taken for which role, how sure that is, and what was left out."""

import statistics
from collections import Counter
from typing import Any

from studio import presets
from studio.data import examples, targets
from studio.data.examples import Example
from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.data.store import Dataset
from studio.errors import StudioError
from studio.i18n import Message, join_sentences
from studio.plan import GROUP_ROLE, REQUIRED_ROLES, Task, target_role
from studio.plan import active_roles as used
from studio.ui.components import notices
from studio.ui.data import messages

MAX_CLASSES_LISTED = 8
MAX_DAMAGE_LISTED = 20
UNCERTAIN = (messages.ROLES_UNCERTAIN, messages.ROLES_DOUBTED)


def resolve_roles(dataset: Dataset, table: Table) -> tuple[Task, dict[str, str], Message]:
    """The task, the column of each role, and the basis.

    The person's choice where one was saved, else a guess.

    Raises BadData where no column can be used.
    """
    task, chosen = dataset.chosen
    if task and chosen and set(chosen.values()) <= set(table.columns):
        return task, chosen, messages.ROLES_CHOSEN
    return guess_roles(table, task)


def guess_roles(table: Table, task: Task | None) -> tuple[Task, dict[str, str], Message]:
    """The most plausible roles for a task (or for the most plausible task), and how sure that is.

    Raises BadData where no column can be used.
    """
    guess = infer_roles.guess_roles(table, task)
    if guess.is_confident:
        basis = messages.ROLES_CERTAIN
    else:
        basis = messages.ROLES_DOUBTED if guess.has_doubts else messages.ROLES_UNCERTAIN
    return guess.task, guess.columns, basis


def summary_notice(
    dataset: Dataset, table: Table, task: Task, role_columns: dict[str, str], basis: Message, lang: str
) -> dict[str, Any]:
    """A notice on what was read, how it was understood and on what basis, or what is wrong.

    And what is damaged.
    """
    try:
        prepared_examples, incomplete_count = examples.build_examples(table, task, role_columns)
    except StudioError as error:
        what, to_do = error.sentences(lang)
        return _with_damage(table, what, [to_do], "bad", lang)
    parts = [_summarise_task(prepared_examples, task, role_columns, lang), basis.render(lang)]
    parts += [messages.INCOMPLETE_ROWS.render(lang, count=incomplete_count)] if incomplete_count else []
    name = display_name(dataset, lang)
    headline = messages.ROWS_READ.render(lang, name=name, rows=len(table.rows), columns=len(table.columns))
    delimiter_text = (
        messages.DELIMITER_USED.render(lang, sign=repr(table.delimiter)[1:-1]) if table.delimiter else ""
    )
    sheet_text = (
        messages.SHEET_TAKEN.render(lang, count=len(table.sheets), sheet=table.sheet)
        if len(table.sheets) > 1
        else ""
    )
    notes = [note.render(lang) for note in table.notes]
    headline = join_sentences((headline, sheet_text, delimiter_text, *notes), lang)
    return _with_damage(table, headline, parts, "check" if basis in UNCERTAIN else "good", lang)


def display_name(dataset: Dataset, lang: str) -> str:
    """What a data set is called on the page: a sample by its card, any other as the person named it."""
    kind, _, name = dataset.source.partition(":")
    return presets.samples()[name].name.render(lang) if kind == "sample" else dataset.name


def _with_damage(table: Table, message: str, parts: list[str], kind: str, lang: str) -> dict[str, Any]:
    """The notice with what could not be read, counted and the first listed.

    Line 0 is a file, or one in an archive.
    """
    damaged_row_count = sum(line > 0 for line, _ in table.bad_lines)
    damage_counts = (
        (messages.DAMAGED_ROW_COUNT, damaged_row_count),
        (messages.DAMAGED_PART_COUNT, len(table.bad_lines) - damaged_row_count),
    )
    damage_lines = [
        (messages.DAMAGED_ROW if line else messages.DAMAGED_PART).render(lang, line=line, why=why)
        for line, why in table.bad_lines[:MAX_DAMAGE_LISTED]
    ]
    details = [
        *parts,
        *(message.render(lang, count=count) for message, count in damage_counts if count),
        *(damage_lines if len(damage_lines) == 1 else []),
    ]
    notice = notices.notice(message, join_sentences(details, lang), kind)
    if len(damage_lines) < 2:
        return notice
    remaining = len(table.bad_lines) - len(damage_lines)
    return {
        **notice,
        "which": messages.DAMAGED_DETAILS.render(lang),
        "list": damage_lines + ([messages.DAMAGED_MORE.render(lang, count=remaining)] if remaining else []),
    }


def _summarise_task(
    prepared_examples: list[Example], task: Task, role_columns: dict[str, str], lang: str
) -> str:
    """What the model will make of the columns."""
    used_roles = used(task, role_columns)
    role_names = dict(
        zip(("first", "second", "third"), [role_columns[role] for role in used_roles], strict=False)
    )
    if task == "classify":
        parts = [_summarise_targets(prepared_examples).render(lang, **role_names)]
    elif task == "chat" and "messages" not in used_roles:
        parts = [messages.CHAT_SUMMARY.render(lang, **role_names)]
    else:
        summary_key = next(
            (name for name in ("messages", "verdict") if name in used_roles),
            "whole" if task == "prefer" and "prompt" not in used_roles else task,
        )
        parts = [messages.TASK_SUMMARIES[summary_key].render(lang, **role_names)]
    extra_messages = {
        "answer": messages.ANSWER_COLUMN,
        "context": messages.CONTEXT_COLUMN,
        "system": messages.SYSTEM_COLUMN,
        GROUP_ROLE: messages.GROUP_COLUMN,
    }
    parts += [
        message.render(lang, column=role_columns[role])
        for role, message in extra_messages.items()
        if role in used_roles and role not in REQUIRED_ROLES[task]
    ]
    return join_sentences(parts, lang)


def _summarise_targets(prepared_examples: list[Example]) -> Message:
    """What the model will learn of texts to classify: a class, several labels or a number."""
    role = target_role(prepared_examples[0])
    if role == "rating":
        ratings = [float(example["rating"]) for example in prepared_examples]
        return messages.RATINGS_SUMMARY.format(
            low=min(ratings), high=max(ratings), median=statistics.median(ratings)
        )
    label_lists = [targets.labels_of(example) for example in prepared_examples]
    counts = Counter(name for names in label_lists for name in names)
    largest = counts.most_common(MAX_CLASSES_LISTED)
    more = ["…"] if len(counts) > MAX_CLASSES_LISTED else []
    classes = [*(f"{name} ({count})" for name, count in largest), *more]
    if role == "label":
        return messages.CLASSES_SUMMARY.format(count=len(counts), classes=classes)
    return messages.LABELS_SUMMARY.format(
        count=len(counts),
        classes=classes,
        several=sum(len(names) > 1 for names in label_lists),
        none=sum(not names for names in label_lists),
    )
