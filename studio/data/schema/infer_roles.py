"""Guess the role of each column, by its name and its contents."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from studio.data import targets
from studio.data.readers.read import Table
from studio.data.reshape import preference_pairs
from studio.data.schema import column_names, column_stats, doubts
from studio.data.text import chat_format
from studio.errors import BadData
from studio.i18n import Message, label
from studio.plan import ALTERNATIVE_ROLES, GROUP_ROLE, REQUIRED_ROLES, Task

_ROLE_LABELS: dict[str, Message] = {
    "prompt": label("Question (prompt)"),
    "response": label("Answer to learn (response)"),
    "text": label("Text to classify (text)"),
    "label": label("Class (label)"),
    "labels": label("All labels that apply (labels)"),
    "rating": label("Number (rating)"),
    "chosen": label("Better answer (chosen)"),
    "rejected": label("Worse answer (rejected)"),
    "messages": label("Whole conversation (messages)"),
    "context": label("Context for the question (input, optional)"),
    "system": label("System prompt (system, optional)"),
    "completion": label("Answer (completion)"),
    "verdict": label("Whether the answer is good (label)"),
    GROUP_ROLE: label("Group, such as a conversation number (optional)"),
    "answer": label("Known answer, for checking (optional)"),
}
_COMPLETION_TEXT_LABEL = label("Text to learn (text)")
# Two columns whose cells have at least so many characters on average (in English) read like a question and
# its answer.
MIN_PROSE_LENGTH = 25
# The roles that some rows may leave empty, beside those of a chat or a pair.
CHAT_EXTRA_ROLES, PAIR_EXTRA_ROLES = ("context", "system"), ("context",)
NUMBERS_ALONE = Message("“{name}” holds numbers alone, and no text that a language model could learn from.")
NO_USABLE_COLUMN = Message("“{name}” has no column with something in at least half of its rows: {columns}.")


@dataclass(frozen=True)
class RoleGuess:
    """The guessed role of each column.

    Attributes:
        task: The task that the columns suit.
        columns: Role -> column.
        is_confident: False where names and contents do not both support the guess, or something is doubted.
        has_doubts: Whether the columns fit, and what stands in them or beside them is doubted.
    """

    task: Task
    columns: dict[str, str]
    is_confident: bool
    has_doubts: bool = field(default=False, compare=False)


def role_label(task: Task, role: str) -> Message:
    """The name of a role on the page."""
    return _COMPLETION_TEXT_LABEL if task == "complete" else _ROLE_LABELS[role]


def guess_roles(table: Table, task: Task | None = None) -> RoleGuess:
    """Guess the roles of a table's columns; roles that no column suits are missing.

    Args:
        table: The rows.
        task: The task to guess the roles for; None for the most plausible one.

    Raises:
        BadData: No column can be used, or two answers are compared and nothing says which is better.
    """
    usable_columns = _usable_columns(table)
    if task is not None:
        roles = _roles_by_name(table, usable_columns, task) or _roles_by_content(table, usable_columns, task)
        return _build_guess(table, task, roles)
    is_paired = {"chosen", "rejected"} <= set(_match_roles(table, usable_columns, ("chosen", "rejected")))
    if not is_paired:
        preference_pairs.check_winner(table.name, table.columns, table.rows)
    tasks: list[Task] = ["prefer", "prompts", "chat", "classify"]
    if _conversation_column(table) and not is_paired:
        tasks.insert(0, "chat")
    if _begun_labels(table):
        tasks.remove("prompts")
    for candidate in tasks:
        roles = _roles_by_name(table, usable_columns, candidate)
        if roles and not (candidate == "prompts" and _has_response(table, usable_columns, roles)):
            return _build_guess(table, candidate, roles)
    best_task = _guess_task(table, usable_columns)
    return _build_guess(table, best_task, _roles_by_content(table, usable_columns, best_task))


def _has_response(table: Table, usable_columns: list[str], roles: dict[str, str]) -> bool:
    """Whether a column without a role holds answers to learn, so that the prompts are part of a chat."""
    return "response" in _match_roles(table, _without(usable_columns, roles.values()), ("response",))


def _without(columns: Iterable[str], used: Iterable[str]) -> list[str]:
    """The columns that are not in use."""
    used = set(used)
    return [column for column in columns if column not in used]


def _build_guess(table: Table, task: Task, roles: dict[str, str]) -> RoleGuess:
    """A guess, with the column that groups rows, such as a conversation's number, where there is one."""
    if task == "classify" and "label" in roles:
        roles = {"text": roles["text"], guess_target_role(table, roles["label"]): roles["label"]}
    fits = _is_confident(table, roles)
    has_doubts = fits and bool(doubts.find_doubts(table, task, roles))
    is_confident = fits and not has_doubts
    n_rows = len(table.rows)
    for column in _unused_columns(table, roles):
        is_named_group = column.strip().lower() in column_names.NAMES_BY_ROLE[GROUP_ROLE]
        if is_named_group and len({row[column] for row in table.rows}) < n_rows:
            return RoleGuess(task, {**roles, GROUP_ROLE: column}, is_confident, has_doubts)
    return RoleGuess(task, dict(roles), is_confident, has_doubts)


def guess_target_role(table: Table, column: str) -> str:
    """What a column of labels holds: one label a cell, several, or ratings, which also its name must say."""
    cells = column_stats.sample_cells(table, column)
    if targets.has_several_labels(cells):
        return "labels"
    is_rating = column_names.matches_role(column, "rating") and targets.has_ratings(cells)
    return "rating" if is_rating else "label"


def _unused_columns(table: Table, roles: dict[str, str]) -> list[str]:
    """The columns without a role that hold something in at least one row."""
    unused = _without(table.columns, roles.values())
    return [column for column in unused if column_stats.share_filled(table, column) > 0]


def _roles_by_name(table: Table, usable_columns: list[str], task: Task) -> dict[str, str]:
    """The roles of a task by the columns' names; empty where the names do not cover all of them."""
    if task == "chat":
        conversation_column = _conversation_column(table)
        if conversation_column:
            return {"messages": conversation_column}
    filled = _filled_columns(table)  # a label or a known answer may be a number
    if task == "prefer":
        # “chosen_messages” is no message that asks: the answers are looked for first.
        matches = _match_roles(table, usable_columns, ("chosen", "rejected", "prompt"), filled)
        roles = {role: matches[role] for role in REQUIRED_ROLES[task] if role in matches}
        return _preference_roles_by_name(table, usable_columns, roles, filled)
    roles = _match_roles(table, usable_columns, REQUIRED_ROLES[task], filled)
    if task == "chat" and _repeats_answers(table, roles):  # such as an example as it was once written out
        roles = _match_roles(table, _without(usable_columns, [roles["prompt"]]), REQUIRED_ROLES[task], filled)
    if task == "chat" and "response" in roles and "prompt" not in roles:
        roles = {**_match_body(table, _without(usable_columns, roles.values())), **roles}
    if task == "classify" and "text" in roles and "label" not in roles:
        roles |= _match_rating(table, _without(filled, roles.values()))
    if len(roles) < len(REQUIRED_ROLES[task]):
        return {}
    if task == "chat":
        return {**roles, **_optional_roles(table, roles, CHAT_EXTRA_ROLES)}
    if task == "prompts":
        if _optional_roles(table, roles, ("context",)):
            return {}  # a question about a text cannot be asked without it
        answer_column = _match_roles(table, _without(filled, roles.values()), ("answer",)).get("answer")
        if answer_column and column_stats.has_known_answers(table, answer_column):
            if column_stats.is_mostly_one_value(table, answer_column):
                return {}
            return {**roles, "answer": answer_column}
        return roles if len(usable_columns) == 1 else {}
    return roles


def _repeats_answers(table: Table, roles: dict[str, str]) -> bool:
    """Whether the column of the questions mostly holds the answers, too."""
    if not {"prompt", "response"} <= set(roles):
        return False
    samples = table.rows[: column_stats.SAMPLE_ROWS]
    answered = [row for row in samples if row[roles["response"]].strip()]
    n_repeated = sum(row[roles["response"]].strip() in row[roles["prompt"]] for row in answered)
    return 2 * n_repeated > len(answered) and any(
        len(row[roles["response"]]) >= MIN_PROSE_LENGTH for row in answered
    )


def _match_body(table: Table, columns: list[str]) -> dict[str, str]:
    """The longest text with a name of texts as the question that is answered, such as the body of a mail."""
    bodies = [
        column
        for column in columns
        if column_names.matches_role(column, "text") and column_stats.has_natural_text(table, column)
    ]
    return {"prompt": _longest_first(table, bodies)[0]} if bodies else {}


def _match_rating(table: Table, columns: list[str]) -> dict[str, str]:
    """The first column of ratings as what is to be told of a text."""
    for column in columns:
        if column_names.matches_role(column, "rating") and column_stats.has_labels(table, column):
            return {"label": column}
    return {}


def _preference_roles_by_name(
    table: Table, usable_columns: list[str], roles: dict[str, str], filled: list[str]
) -> dict[str, str]:
    """The roles of pairs of answers, or of single answers with a rating each."""
    if {"chosen", "rejected"} <= set(roles):
        return _pair_roles(table, usable_columns, roles)
    text_roles = _match_roles(table, usable_columns, ("prompt", "completion"))
    rating_columns = [
        column
        for column in _without(filled, text_roles.values())
        if column_stats.has_feedback_labels(table, column)
    ]
    rated_roles = {**text_roles, **_match_roles(table, rating_columns, ("verdict",))}
    required_roles, *_ = ALTERNATIVE_ROLES["prefer"]
    return rated_roles if len(rated_roles) == len(required_roles) else {}


def _pair_roles(table: Table, usable_columns: list[str], roles: dict[str, str]) -> dict[str, str]:
    """The roles of pairs, whose question is in a column of its own or at the beginning of both answers."""
    samples = column_stats.sample_cells(table, roles["chosen"])
    n_with_question = sum(bool(chat_format.split_answer(cell)[0]) for cell in samples)
    if n_with_question > 0.5 * len(samples):
        return {role: roles[role] for role in ("chosen", "rejected")}
    prompt_column = roles.get("prompt")
    if not prompt_column:
        unused = _without(usable_columns, roles.values())
        if not unused:
            return roles
        conversation_names = column_names.NAMES_BY_ROLE["messages"]
        named_conversation = [column for column in unused if column.strip().lower() in conversation_names]
        prompt_column = (named_conversation or _longest_first(table, unused))[0]
    all_roles = {"prompt": prompt_column, **roles}
    return {**all_roles, **_optional_roles(table, all_roles, PAIR_EXTRA_ROLES)}


def _optional_roles(table: Table, roles: dict[str, str], extra_roles: tuple[str, ...]) -> dict[str, str]:
    """Columns that may be empty in most rows, where their name is exactly a word for one of these roles."""
    unused = _unused_columns(table, roles)
    return {
        role: column
        for role in extra_roles
        for column in unused
        if column.strip().lower() in column_names.NAMES_BY_ROLE[role]
        or (role == "system" and column_names.is_system_prompt(column))
    }


def _roles_by_content(table: Table, usable_columns: list[str], task: Task) -> dict[str, str]:
    """The roles of a task, as far as the contents of the columns suit them."""
    roles = _match_roles(table, usable_columns, REQUIRED_ROLES[task], _filled_columns(table))
    label_columns = [column for column in usable_columns if column_stats.has_labels(table, column)]
    text_columns = _longest_first(table, _without(usable_columns, label_columns)) or usable_columns
    if task == "classify":
        label_candidates = _without([*usable_columns, *label_columns], [roles.get("text", "")])
        ranked = sorted(label_columns, key=column_names.label_rank)
        best_labels = _without(ranked, [roles.get("text", "")])
        label_column = (
            roles.get("label") or (best_labels or label_candidates[::-1] or usable_columns[::-1])[0]
        )
        text_candidates = _without([*text_columns, *usable_columns], [label_column])
        text_column = roles.get("text") or (text_candidates or usable_columns)[0]
        return {"text": text_column, "label": label_column}
    if task in ("complete", "prompts"):
        return roles or {REQUIRED_ROLES[task][0]: text_columns[0]}
    has_enough_texts = len(text_columns) >= len(REQUIRED_ROLES[task])
    candidates = text_columns if has_enough_texts else usable_columns
    unused = _longest_first(table, _without(candidates, roles.values()))
    missing_roles = [role for role in REQUIRED_ROLES[task] if role not in roles]
    assigned = sorted(unused[: len(missing_roles)], key=table.columns.index)
    return {**roles, **dict(zip(missing_roles, assigned, strict=False))}


def _longest_first(table: Table, columns: list[str]) -> list[str]:
    """The columns, those with the longest texts first."""
    return sorted(columns, key=lambda column: -column_stats.mean_length(table, column))


def _guess_task(table: Table, usable_columns: list[str]) -> Task:
    """The task that columns whose names say nothing suit best."""
    if len(usable_columns) == 1:
        return "prompts" if column_stats.has_questions(table, usable_columns[0]) else "complete"
    label_columns = [column for column in usable_columns if column_stats.has_labels(table, column)]
    text_columns = _without(usable_columns, label_columns)
    prose_columns = [
        column for column in text_columns if column_stats.mean_length(table, column) >= MIN_PROSE_LENGTH
    ]
    has_texts_and_labels = bool(label_columns and text_columns)
    return "classify" if has_texts_and_labels and len(prose_columns) < 2 else "chat"


def _usable_columns(table: Table) -> list[str]:
    """The columns that are mostly filled, without ids, times and numbers unless there are no others."""
    filled = _filled_columns(table)
    if not filled:
        raise BadData(
            NO_USABLE_COLUMN,
            Message(
                "Bring a file whose first line names the columns and whose further lines hold one example "
                "each."
            ),
            name=table.name,
            columns=table.columns,
        )
    if all(column_stats.has_numbers_alone(table, column) for column in filled):
        raise BadData(NUMBERS_ALONE, Message("Bring a table with the texts to learn from."), name=table.name)
    candidates = [
        column for column in filled if not column_names.METADATA_SUFFIX.search(column_names.normalize(column))
    ]
    text_columns = [
        column
        for column in candidates
        if not column_stats.has_numbers_or_ids(table, column) or _is_linked_answer(table, column)
    ]
    varied_columns = [
        column
        for column in text_columns
        if column_names.is_exact_match(column, "response") or not column_stats.is_constant(table, column)
    ]
    if len(varied_columns) == 1:  # a class may be a number
        text_columns = varied_columns
        class_columns = [column for column in candidates if column_stats.has_labels(table, column)]
        return [column for column in filled if column in (*text_columns, *class_columns)]
    return text_columns or filled


def _is_linked_answer(table: Table, column: str) -> bool:
    """Whether a column is named as answers are and holds links, which are doubtful and no ids."""
    return column_names.is_exact_match(column, "response") and column_stats.has_links(table, column)


def _filled_columns(table: Table) -> list[str]:
    begun_labels = _begun_labels(table)
    return [
        column
        for column in table.columns
        if column_stats.share_filled(table, column) > 0.5 or column in begun_labels
    ]


def _begun_labels(table: Table) -> list[str]:
    """The columns that are named like labels and were begun to be filled in: at most half of their cells."""
    return [
        column
        for column in table.columns
        if column_names.matches_role(column, "label")
        and column_stats.share_filled(table, column) <= 0.5
        and column_stats.has_begun_labels(table, column)
    ]


def _match_roles(
    table: Table, columns: list[str], roles: tuple[str, ...], label_candidates: list[str] | None = None
) -> dict[str, str]:
    """Match roles with columns by name: an equal name first, then one that contains the word.

    A text whose name is not exactly the role's must also read like a text, where any other column does.

    Args:
        table: The rows.
        columns: The columns to choose from.
        roles: The roles to fill, in this order.
        label_candidates: The columns to choose a label from; None for `columns`.

    Returns:
        Role -> column, for the roles that a column matches.
    """
    matches: dict[str, str] = {}
    for role in roles:
        pool = label_candidates if label_candidates and role == "label" else columns
        unused = _without(pool, matches.values())
        candidates = _columns_by_name(unused, role)
        if role in column_names.TEXT_ROLES:
            candidates = _confirm_texts(table, unused, candidates, role, roles)
        if role in column_names.RESPONSE_ROLES:
            candidates = sorted(candidates, key=column_names.holds_best_answers, reverse=True)
        if candidates:
            matches[role] = candidates[0]
    return matches


def _columns_by_name(columns: list[str], role: str) -> list[str]:
    """The columns whose names are or contain a word for a role, the best match first."""
    words = column_names.NAMES_BY_ROLE[role]
    equal = [column for word in words for column in columns if column.strip().lower() == word]
    data_columns = [column for column in columns if not column_names.is_metadata(column, role)]
    similar = [
        column for word in words for column in data_columns if column_names.contains_word(column, word)
    ]
    return [*equal, *similar]


def _confirm_texts(
    table: Table, columns: list[str], candidates: list[str], role: str, roles: tuple[str, ...]
) -> list[str]:
    """The candidates for the role of a text that are named exactly so or read like texts.

    Where there are none: all candidates, unless another column that no role's name suits reads like a text.
    """
    confirmed = [
        column
        for column in candidates
        if column_names.is_exact_match(column, role) or column_stats.has_natural_text(table, column)
    ]
    if confirmed:
        return confirmed
    for column in _without(columns, candidates):
        matches_any_role = any(column_names.matches_role(column, other_role) for other_role in roles)
        if not matches_any_role and column_stats.has_natural_text(table, column):
            return []
    return candidates


def _is_confident(table: Table, roles: dict[str, str]) -> bool:
    """Whether the columns of all roles have the roles' names and suitable contents.

    With several columns of answers, the guessed one may be the wrong one.
    """
    paired_columns = {
        name
        for pair in preference_pairs.find_column_pairs(table.columns)
        for name in (pair.first, pair.second)
    }
    response = roles.get("response", "")
    if response in paired_columns and not column_names.holds_best_answers(response):
        return False
    if column_names.holds_discarded_answers(response):
        return False
    return all(
        (role == "messages" or column_names.matches_role(column, role)) and _suits_role(table, column, role)
        for role, column in roles.items()
    )


def _suits_role(table: Table, column: str, role: str) -> bool:
    """Whether nothing in a column contradicts its role: texts are written and differ, classes are short."""
    if role in ("label", "labels"):
        return column_stats.mean_length(table, column) <= column_stats.MAX_LABEL_LENGTH
    if role not in column_names.TEXT_ROLES:
        return True
    if role in column_names.RESPONSE_ROLES and column_stats.is_mostly_one_value(table, column):
        return False
    if column_stats.has_natural_text(table, column):
        return True
    is_short = column_stats.has_labels(table, column) or column_stats.has_numbers_or_ids(table, column)
    return column_names.is_exact_match(column, role) and not is_short


def _conversation_column(table: Table) -> str:
    """The first column of conversations; "" where there is none."""
    for column in _filled_columns(table):
        if column_stats.has_conversations(table, column):
            return column
    return ""
