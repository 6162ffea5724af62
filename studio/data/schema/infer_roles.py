"""Guess what each column is for, by its name and by what stands in it."""

from dataclasses import dataclass

from studio.data.readers.read import Table
from studio.data.reshape import preference_pairs
from studio.data.schema import column_names, column_stats
from studio.data.text import chat_format
from studio.errors import BadData
from studio.i18n import Message, label
from studio.plan import ALTERNATIVE_ROLES, GROUP_ROLE, REQUIRED_ROLES, Task

_ROLE_LABELS: dict[str, Message] = {
    "prompt": label("What is asked (prompt)"),
    "response": label("The answer to learn (response)"),
    "text": label("The text to sort (text)"),
    "label": label("The class it belongs to (label)"),
    "chosen": label("The better answer (chosen)"),
    "rejected": label("The worse answer (rejected)"),
    "messages": label("The whole conversation (messages)"),
    "context": label("What belongs to the question (input, may stay empty)"),
    "system": label("What the model is told first (system, may stay empty)"),
    "completion": label("One answer (completion)"),
    "verdict": label("Whether that answer is good (label)"),
    GROUP_ROLE: label("What belongs together, such as a conversation’s number (may stay empty)"),
    "answer": label("The known answer, to check on (may stay empty)"),
}
_COMPLETION_TEXT_LABEL = label("The text to learn (text)")
# Two columns whose cells are at least this long on average (English characters) read like a question and its answer.
MIN_PROSE_LENGTH = 25


@dataclass(frozen=True)
class RoleGuess:
    """What the columns were taken for; `sure` is False where names and contents do not both speak for it."""

    task: Task
    columns: dict[str, str]
    is_confident: bool


def role_label(task: Task, role: str) -> Message:
    """What a role is called on the page."""
    return _COMPLETION_TEXT_LABEL if task == "complete" else _ROLE_LABELS[role]


def guess_roles(table: Table, task: Task | None = None) -> RoleGuess:
    """The most plausible roles of a table's columns, for `task` or for the most plausible one; roles that no column suits are left out.

    Raises BadData where no column can be used, or where two answers are compared and it cannot be told which is better.
    """
    usable_columns = _usable_columns(table)
    if task is not None:
        return _build_guess(
            table,
            task,
            _roles_by_name(table, usable_columns, task) or _roles_by_content(table, usable_columns, task),
        )
    is_paired = {"chosen", "rejected"} <= set(_match_roles(table, usable_columns, ("chosen", "rejected")))
    if not is_paired:
        preference_pairs.check_winner(table.name, table.columns, table.rows)
    tasks: tuple[Task, ...] = ("prefer", "prompts", "chat", "classify")
    has_conversations = _conversation_column(table) and not is_paired
    for candidate in ("chat", *tasks) if has_conversations else tasks:
        named_roles = _roles_by_name(table, usable_columns, candidate)
        if named_roles and not (
            candidate == "prompts"
            and _match_roles(
                table,
                [column for column in usable_columns if column not in named_roles.values()],
                ("response",),
            )
        ):
            return _build_guess(table, candidate, named_roles)
    best_task = _guess_task(table, usable_columns)
    return _build_guess(table, best_task, _roles_by_content(table, usable_columns, best_task))


def _build_guess(table: Table, task: Task, roles: dict[str, str]) -> RoleGuess:
    """A guess, with the column beside that says what belongs together, where there is one."""
    unused = [
        column
        for column in table.columns
        if column not in roles.values() and column_stats.share_filled(table, column) > 0
    ]
    group_columns = [
        column for column in unused if column.strip().lower() in column_names.NAMES_BY_ROLE[GROUP_ROLE]
    ]
    repeated_groups = [
        column for column in group_columns if len({row[column] for row in table.rows}) < len(table.rows)
    ]
    return RoleGuess(
        task,
        {**roles, **({GROUP_ROLE: repeated_groups[0]} if repeated_groups else {})},
        _is_confident(table, roles),
    )


def _roles_by_name(table: Table, usable_columns: list[str], task: Task) -> dict[str, str]:
    """The roles of a task as the columns' names say them; empty where they do not say all of them."""
    if task == "chat" and (conversation_column := _conversation_column(table)):
        return {"messages": conversation_column}
    filled = _filled_columns(table)  # a label or a known answer may be a number
    named_roles = _match_roles(table, usable_columns, REQUIRED_ROLES[task], filled)
    if task == "prefer":
        return _preference_roles_by_name(table, usable_columns, named_roles, filled)
    if len(named_roles) < len(REQUIRED_ROLES[task]):
        return {}
    if task == "chat":
        return {**named_roles, **_optional_roles(table, named_roles)}
    if task == "prompts":
        other_columns = [column for column in filled if column != named_roles["prompt"]]
        answer_column = _match_roles(table, other_columns, ("answer",)).get("answer")
        if answer_column and column_stats.has_known_answers(table, answer_column):
            return {**named_roles, "answer": answer_column}
        return named_roles if len(usable_columns) == 1 else {}
    return named_roles


def _preference_roles_by_name(
    table: Table, usable_columns: list[str], named_roles: dict[str, str], filled: list[str]
) -> dict[str, str]:
    """The roles of a pair of answers, or of single answers with a verdict on each."""
    if {"chosen", "rejected"} <= set(named_roles):
        unused = [column for column in usable_columns if column not in named_roles.values()]
        samples = column_stats.sample_cells(table, named_roles["chosen"])
        if sum(bool(chat_format.split_answer(cell)[0]) for cell in samples) > 0.5 * len(samples):
            return {
                role: named_roles[role] for role in ("chosen", "rejected")
            }  # they begin with the question
        if "prompt" not in named_roles and not unused:
            return named_roles
        prompt_column = named_roles.get("prompt") or next(
            (column for column in unused if column.strip().lower() in column_names.NAMES_BY_ROLE["messages"]),
            unused[0],
        )
        return {
            "prompt": prompt_column,
            **named_roles,
            **_optional_roles(table, {**named_roles, "prompt": prompt_column}, ("context",)),
        }
    text_roles = _match_roles(table, usable_columns, ("prompt", "completion"))
    label_columns = [
        column
        for column in filled
        if column not in text_roles.values() and column_stats.has_feedback_labels(table, column)
    ]
    rated_roles = {**text_roles, **_match_roles(table, label_columns, ("verdict",))}
    return rated_roles if len(rated_roles) == len(ALTERNATIVE_ROLES["prefer"][0]) else {}


def _optional_roles(
    table: Table, named_roles: dict[str, str], roles: tuple[str, ...] = ("context", "system")
) -> dict[str, str]:
    """Columns that may stay empty in most rows, where one is called exactly so."""
    unused = [
        column
        for column in table.columns
        if column not in named_roles.values() and column_stats.share_filled(table, column) > 0
    ]
    return {
        role: column
        for role in roles
        for column in unused
        if column.strip().lower() in column_names.NAMES_BY_ROLE[role]
    }


def _roles_by_content(table: Table, usable_columns: list[str], task: Task) -> dict[str, str]:
    """The roles of a task as far as what stands in the columns suits them."""
    label_columns = [column for column in usable_columns if column_stats.has_labels(table, column)]
    text_columns = (
        sorted(
            (column for column in usable_columns if column not in label_columns),
            key=lambda column: -column_stats.mean_length(table, column),
        )
        or usable_columns
    )
    named_roles = _match_roles(table, usable_columns, REQUIRED_ROLES[task], _filled_columns(table))
    if task == "classify":
        label_column = named_roles.get("label") or next(iter(reversed(label_columns)), usable_columns[-1])
        text_column = named_roles.get("text") or next(
            (column for column in [*text_columns, *usable_columns] if column != label_column),
            usable_columns[0],
        )
        return {"text": text_column, "label": label_column}
    if task in ("complete", "prompts"):
        return named_roles or {REQUIRED_ROLES[task][0]: text_columns[0]}
    candidates = text_columns if len(text_columns) >= len(REQUIRED_ROLES[task]) else usable_columns
    unused = sorted(
        (column for column in candidates if column not in named_roles.values()),
        key=lambda column: -column_stats.mean_length(table, column),
    )
    missing_roles = [role for role in REQUIRED_ROLES[task] if role not in named_roles]
    assigned = sorted(unused[: len(missing_roles)], key=table.columns.index)
    return {**named_roles, **dict(zip(missing_roles, assigned, strict=False))}


def _guess_task(table: Table, usable_columns: list[str]) -> Task:
    """The task that columns without telling names suit best."""
    label_columns = [column for column in usable_columns if column_stats.has_labels(table, column)]
    text_columns = [column for column in usable_columns if column not in label_columns]
    if len(usable_columns) == 1:
        return "prompts" if column_stats.has_questions(table, usable_columns[0]) else "complete"
    prose_columns = [
        column for column in text_columns if column_stats.mean_length(table, column) >= MIN_PROSE_LENGTH
    ]
    return "classify" if label_columns and text_columns and len(prose_columns) < 2 else "chat"


def _usable_columns(table: Table) -> list[str]:
    """The columns with something to read: mostly filled, and, where others are, neither ids nor times nor numbers."""
    filled = _filled_columns(table)
    if not filled:
        raise BadData(
            Message("“{name}” has no column with something in at least half of its rows: {columns}."),
            Message(
                "Bring a file whose first line names the columns and whose further lines hold one example each."
            ),
            name=table.name,
            columns=table.columns,
        )
    text_columns = [
        column
        for column in filled
        if not column_names.METADATA_SUFFIX.search(column_names.normalize(column))
        and not column_stats.has_numbers_or_ids(table, column)
    ]
    if len(text_columns) == 1:  # a class may be a number
        class_columns = [
            column
            for column in filled
            if column_stats.has_labels(table, column)
            and not column_names.METADATA_SUFFIX.search(column_names.normalize(column))
        ]
        return [column for column in filled if column in (*text_columns, *class_columns)]
    return text_columns or filled


def _filled_columns(table: Table) -> list[str]:
    return [column for column in table.columns if column_stats.share_filled(table, column) > 0.5]


def _match_roles(
    table: Table, columns: list[str], roles: tuple[str, ...], label_candidates: list[str] | None = None
) -> dict[str, str]:
    """Role -> the column whose name says it: an equal name first, then one that holds the word. A label may be one of `also`.

    A text whose name is not the role's own must also read like one, where any other column does.
    """
    matches: dict[str, str] = {}
    for role in roles:
        unused = [
            column
            for column in (label_candidates if label_candidates and role == "label" else columns)
            if column not in matches.values()
        ]
        candidates = [
            column
            for word in column_names.NAMES_BY_ROLE[role]
            for column in unused
            if column.strip().lower() == word
        ]
        candidates += [
            column
            for word in column_names.NAMES_BY_ROLE[role]
            for column in unused
            if column_names.contains_word(column, word) and not column_names.is_metadata(column, role)
        ]
        if role in column_names.TEXT_ROLES:
            other_columns = [
                column
                for column in unused
                if column not in candidates
                and not any(column_names.matches_role(column, other_role) for other_role in roles)
            ]
            confirmed = [
                column
                for column in candidates
                if column_names.is_exact_match(column, role) or column_stats.has_natural_text(table, column)
            ]
            candidates = confirmed or (
                []
                if any(column_stats.has_natural_text(table, column) for column in other_columns)
                else candidates
            )
        if candidates:
            matches[role] = candidates[0]
    return matches


def _is_confident(table: Table, roles: dict[str, str]) -> bool:
    """Whether every role's column is called what the role is called, and holds what the role wants; one answer of several may be the wrong one."""
    paired_columns = {
        name
        for pair in preference_pairs.find_column_pairs(table.columns)
        for name in (pair.first, pair.second)
    }
    if roles.get("response") in paired_columns:
        return False
    return all(
        column_names.matches_role(column, role) and _suits_role(table, column, role)
        for role, column in roles.items()
    )


def _suits_role(table: Table, column: str, role: str) -> bool:
    """Whether nothing in a column speaks against its role: texts are written and differ, classes are short."""
    if role == "label":
        return column_stats.mean_length(table, column) <= column_stats.MAX_LABEL_LENGTH
    if role not in column_names.TEXT_ROLES:
        return True
    if role in column_names.RESPONSE_ROLES and column_stats.is_mostly_one_value(table, column):
        return False
    is_short = column_stats.has_labels(table, column) or column_stats.has_numbers_or_ids(table, column)
    return column_stats.has_natural_text(table, column) or (
        column_names.is_exact_match(column, role) and not is_short
    )


def _conversation_column(table: Table) -> str:
    """The column that holds whole conversations; empty where none does."""
    return next(
        (column for column in _filled_columns(table) if column_stats.has_conversations(table, column)), ""
    )
