"""Guess what each column is for, by its name and by what stands in it."""

from dataclasses import dataclass

from studio.data import called, contents, pairs, talk
from studio.data.read import Table
from studio.errors import BadData
from studio.plan import GROUP, INSTEAD, ROLES, Task
from studio.words import Words, label

_ROLE_NAMES: dict[str, Words] = {
    "prompt": label("What is asked (prompt)", "问题（prompt）"),
    "response": label("The answer to learn (response)", "要学的回答（response）"),
    "text": label("The text to sort (text)", "要分类的文本（text）"),
    "label": label("The class it belongs to (label)", "所属类别（label）"),
    "chosen": label("The better answer (chosen)", "较好的回答（chosen）"),
    "rejected": label("The worse answer (rejected)", "较差的回答（rejected）"),
    "messages": label("The whole conversation (messages)", "整段对话（messages）"),
    "context": label("What belongs to the question (input, may stay empty)", "附在问题后面的内容（input，可留空）"),
    "system": label("What the model is told first (system, may stay empty)", "先告诉模型的话（system，可留空）"),
    "completion": label("One answer (completion)", "单个回答（completion）"),
    "verdict": label("Whether that answer is good (label)", "这个回答好不好（label）"),
    GROUP: label("What belongs together, such as a conversation’s number (may stay empty)", "同组标记，例如会话编号（可留空）"),
    "answer": label("The known answer, to check on (may stay empty)", "已知答案，用于核对（可留空）"),
}
_TEXT_TO_LEARN = label("The text to learn (text)", "要学的文本（text）")
# Two columns whose cells are at least this long on average (English characters) read like a question and its answer.
LONG = 25


@dataclass(frozen=True)
class Guess:
    """What the columns were taken for; `sure` is False where names and contents do not both speak for it."""

    task: Task
    columns: dict[str, str]
    sure: bool


def role_name(task: Task, role: str) -> Words:
    """What a role is called on the page."""
    return _TEXT_TO_LEARN if task == "complete" else _ROLE_NAMES[role]


def guess(table: Table, task: Task | None = None) -> Guess:
    """The most plausible roles of a table's columns, for `task` or for the most plausible one; roles that no column suits are left out.

    Raises BadData where no column can be used, or where two answers are compared and it cannot be told which is better.
    """
    usable = _usable(table)
    if task is not None:
        return _guessed(table, task, _by_name(table, usable, task) or _by_content(table, usable, task))
    paired = {"chosen", "rejected"} <= set(_named(table, usable, ("chosen", "rejected")))
    if not paired:
        pairs.check(table.name, table.columns, table.rows)
    tasks: tuple[Task, ...] = ("prefer", "prompts", "chat", "classify")
    talks = _conversations(table) and not paired
    for name in ("chat", *tasks) if talks else tasks:
        named = _by_name(table, usable, name)
        if named and not (
            name == "prompts" and _named(table, [column for column in usable if column not in named.values()], ("response",))
        ):
            return _guessed(table, name, named)
    kind = _kind(table, usable)
    return _guessed(table, kind, _by_content(table, usable, kind))


def _guessed(table: Table, task: Task, found: dict[str, str]) -> Guess:
    """A guess, with the column beside that says what belongs together, where there is one."""
    free = [column for column in table.columns if column not in found.values() and contents.share_filled(table, column) > 0]
    groups = [column for column in free if column.strip().lower() in called.NAMES[GROUP]]
    repeated = [column for column in groups if len({row[column] for row in table.rows}) < len(table.rows)]
    return Guess(task, {**found, **({GROUP: repeated[0]} if repeated else {})}, _sure(table, found))


def _by_name(table: Table, usable: list[str], task: Task) -> dict[str, str]:
    """The roles of a task as the columns' names say them; empty where they do not say all of them."""
    if task == "chat" and (talks := _conversations(table)):
        return {"messages": talks}
    every = _filled(table)  # a label or a known answer may be a number
    named = _named(table, usable, ROLES[task], every)
    if task == "prefer":
        return _pairs_by_name(table, usable, named, every)
    if len(named) < len(ROLES[task]):
        return {}
    if task == "chat":
        return {**named, **_beside(table, named)}
    if task == "prompts":
        others = [column for column in every if column != named["prompt"]]
        answer = _named(table, others, ("answer",)).get("answer")
        if answer and contents.like_answers(table, answer):
            return {**named, "answer": answer}
        return named if len(usable) == 1 else {}
    return named


def _pairs_by_name(table: Table, usable: list[str], named: dict[str, str], every: list[str]) -> dict[str, str]:
    """The roles of a pair of answers, or of single answers with a verdict on each."""
    if {"chosen", "rejected"} <= set(named):
        left = [column for column in usable if column not in named.values()]
        some = contents.cells(table, named["chosen"])
        if sum(bool(talk.answer(cell)[0]) for cell in some) > 0.5 * len(some):
            return {role: named[role] for role in ("chosen", "rejected")}  # they begin with the question
        if "prompt" not in named and not left:
            return named
        question = named.get("prompt") or next((column for column in left if column.strip().lower() in called.NAMES["messages"]), left[0])
        return {"prompt": question, **named, **_beside(table, {**named, "prompt": question}, ("context",))}
    judged = _named(table, usable, ("prompt", "completion"))
    verdicts = [column for column in every if column not in judged.values() and contents.like_verdicts(table, column)]
    found = {**judged, **_named(table, verdicts, ("verdict",))}
    return found if len(found) == len(INSTEAD["prefer"][0]) else {}


def _beside(table: Table, named: dict[str, str], roles: tuple[str, ...] = ("context", "system")) -> dict[str, str]:
    """Columns that may stay empty in most rows, where one is called exactly so."""
    free = [column for column in table.columns if column not in named.values() and contents.share_filled(table, column) > 0]
    return {role: column for role in roles for column in free if column.strip().lower() in called.NAMES[role]}


def _by_content(table: Table, usable: list[str], task: Task) -> dict[str, str]:
    """The roles of a task as far as what stands in the columns suits them."""
    labels = [column for column in usable if contents.like_a_label(table, column)]
    texts = sorted((column for column in usable if column not in labels), key=lambda column: -contents.length(table, column)) or usable
    named = _named(table, usable, ROLES[task], _filled(table))
    if task == "classify":
        label_column = named.get("label") or next(iter(reversed(labels)), usable[-1])
        text = named.get("text") or next((column for column in [*texts, *usable] if column != label_column), usable[0])
        return {"text": text, "label": label_column}
    if task in ("complete", "prompts"):
        return named or {ROLES[task][0]: texts[0]}
    candidates = texts if len(texts) >= len(ROLES[task]) else usable
    free = sorted((column for column in candidates if column not in named.values()), key=lambda column: -contents.length(table, column))
    wanted = [role for role in ROLES[task] if role not in named]
    taken = sorted(free[: len(wanted)], key=table.columns.index)
    return {**named, **dict(zip(wanted, taken, strict=False))}


def _kind(table: Table, usable: list[str]) -> Task:
    """The task that columns without telling names suit best."""
    labels = [column for column in usable if contents.like_a_label(table, column)]
    texts = [column for column in usable if column not in labels]
    if len(usable) == 1:
        return "prompts" if contents.like_questions(table, usable[0]) else "complete"
    long = [column for column in texts if contents.length(table, column) >= LONG]
    return "classify" if labels and texts and len(long) < 2 else "chat"


def _usable(table: Table) -> list[str]:
    """The columns with something to read: mostly filled, and, where others are, neither ids nor times nor numbers."""
    filled = _filled(table)
    if not filled:
        raise BadData(
            Words(
                "“{name}” has no column with something in at least half of its rows: {columns}.",
                "“{name}”里没有哪一列填了一半以上：{columns}。",
            ),
            Words(
                "Bring a file whose first line names the columns and whose further lines hold one example each.",
                "请换一个文件：第一行是列名，之后每行一个样本。",
            ),
            name=table.name,
            columns=table.columns,
        )
    spoken = [column for column in filled if not called.ASIDE.search(called.low(column)) and not contents.like_numbers(table, column)]
    if len(spoken) == 1:  # a class may be a number
        classes = [column for column in filled if contents.like_a_label(table, column) and not called.ASIDE.search(called.low(column))]
        return [column for column in filled if column in (*spoken, *classes)]
    return spoken or filled


def _filled(table: Table) -> list[str]:
    return [column for column in table.columns if contents.share_filled(table, column) > 0.5]


def _named(table: Table, columns: list[str], roles: tuple[str, ...], also: list[str] | None = None) -> dict[str, str]:
    """Role -> the column whose name says it: an equal name first, then one that holds the word. A label may be one of `also`.

    A text whose name is not the role's own must also read like one, where any other column does.
    """
    found: dict[str, str] = {}
    for role in roles:
        free = [column for column in (also if also and role == "label" else columns) if column not in found.values()]
        said = [column for word in called.NAMES[role] for column in free if column.strip().lower() == word]
        said += [column for word in called.NAMES[role] for column in free if called.says(column, word) and not called.aside(column, role)]
        if role in called.TEXTS:
            others = [column for column in free if column not in said and not any(called.by(column, other) for other in roles)]
            proven = [column for column in said if called.exactly(column, role) or contents.like_speech(table, column)]
            said = proven or ([] if any(contents.like_speech(table, column) for column in others) else said)
        if said:
            found[role] = said[0]
    return found


def _sure(table: Table, found: dict[str, str]) -> bool:
    """Whether every role's column is called what the role is called, and holds what the role wants; one answer of several may be the wrong one."""
    one_of = {name for pair in pairs.several(table.columns) for name in (pair.first, pair.second)}
    if found.get("response") in one_of:
        return False
    return all(called.by(column, role) and _suits(table, column, role) for role, column in found.items())


def _suits(table: Table, column: str, role: str) -> bool:
    """Whether nothing in a column speaks against its role: texts are written and differ, classes are short."""
    if role == "label":
        return contents.length(table, column) <= contents.LONGEST_LABEL
    if role not in called.TEXTS:
        return True
    if role in called.ANSWERS and contents.mostly_one(table, column):
        return False
    short = contents.like_a_label(table, column) or contents.like_numbers(table, column)
    return contents.like_speech(table, column) or (called.exactly(column, role) and not short)


def _conversations(table: Table) -> str:
    """The column that holds whole conversations; empty where none does."""
    return next((column for column in _filled(table) if contents.holds_conversations(table, column)), "")
