"""What was understood of a data set, in sentences: which column was taken for what, on whose word, and what was left out."""

from collections import Counter
from typing import Any

from studio import presets
from studio.data import columns, prepare
from studio.data.keep import Kept
from studio.data.prepare import Example
from studio.data.read import Table
from studio.errors import StudioError
from studio.plan import GROUP, ROLES, Task
from studio.plan import roles as used
from studio.tabs import data_words as words
from studio.tabs import forms
from studio.words import Words, joined

MOST_CLASSES = 8
MOST_DAMAGED = 20


def roles(kept: Kept, table: Table) -> tuple[Task, dict[str, str], Words]:
    """The task, the column of each role, and on whose word: the person's, as far as it was written down, else a guess.

    Raises BadData where no column can be used.
    """
    task, chosen = kept.chosen
    if task and chosen and set(chosen.values()) <= set(table.columns):
        return task, chosen, words.CHOSEN
    return guessed(table, task)


def guessed(table: Table, task: Task | None) -> tuple[Task, dict[str, str], Words]:
    """The most plausible roles for a task, or for the most plausible one, and how sure that is. Raises BadData where no column can be used."""
    found = columns.guess(table, task)
    return found.task, found.columns, words.SURE if found.sure else words.UNSURE


def verdict(kept: Kept, table: Table, task: Task, roles: dict[str, str], word: Words, lang: str) -> dict[str, Any]:
    """What was read, how it was taken and on whose `word`, or what is wrong with it; and what of the file could not be read."""
    try:
        found, incomplete = prepare.examples(table, task, roles)
    except StudioError as error:
        what, to_do = error.sentences(lang)
        return _with_damage(table, what, [to_do], "bad", lang)
    parts = [_taken(found, task, roles, lang), word.say(lang)]
    parts += [words.INCOMPLETE.say(lang, count=incomplete)] if incomplete else []
    name = presets.samples()[kept.source.partition(":")[2]].name.say(lang) if kept.source.startswith("sample:") else kept.name
    said = words.READ.say(lang, name=name, rows=len(table.rows), columns=len(table.columns))
    divided = words.DIVIDED.say(lang, sign=repr(table.delimiter)[1:-1]) if table.delimiter else ""
    said = joined((said, divided, *(note.say(lang) for note in table.notes)), lang)
    return _with_damage(table, said, parts, "check" if word is words.UNSURE else "good", lang)


def _with_damage(table: Table, said: str, parts: list[str], kind: str, lang: str) -> dict[str, Any]:
    """A notice that also counts what could not be read, and lists the first of it; line 0 stands for the file, or one within it."""
    lines = sum(line > 0 for line, _ in table.bad)
    counts = ((words.DAMAGED, lines), (words.DAMAGED_FILE, len(table.bad) - lines))
    which = [(words.DAMAGED_ROW if line else words.DAMAGED_PART).say(lang, line=line, why=why) for line, why in table.bad[:MOST_DAMAGED]]
    told = [*parts, *(said.say(lang, count=count) for said, count in counts if count), *(which if len(which) == 1 else [])]
    notice = forms.notice(said, joined(told, lang), kind)
    if len(which) < 2:
        return notice
    rest = len(table.bad) - len(which)
    return {**notice, "which": words.DAMAGED_WHICH.say(lang), "list": which + ([words.DAMAGED_MORE.say(lang, count=rest)] if rest else [])}


def _taken(found: list[Example], task: Task, roles: dict[str, str], lang: str) -> str:
    """What the model will make of the columns."""
    kinds = used(task, roles)
    names = dict(zip(("first", "second", "third"), [roles[role] for role in kinds], strict=False))
    if task == "classify":
        counts = Counter(example["label"] for example in found)
        some = counts.most_common(MOST_CLASSES)
        classes = [f"{name} ({count})" for name, count in some] + (["…"] if len(counts) > MOST_CLASSES else [])
        parts = [words.TAKEN_CLASSES.say(lang, count=len(counts), classes=classes, **names)]
    elif task == "chat" and "messages" not in kinds:
        parts = [words.TAKEN_CHAT.say(lang, **names)]
    else:
        kind = next(
            (name for name in ("messages", "verdict") if name in kinds), "whole" if task == "prefer" and "prompt" not in kinds else task
        )
        parts = [words.TAKEN[kind].say(lang, **names)]
    beside = {"answer": words.CHECKED_ON, "context": words.WITH_CONTEXT, "system": words.WITH_SYSTEM, GROUP: words.WITH_GROUP}
    parts += [said.say(lang, column=roles[role]) for role, said in beside.items() if role in kinds and role not in ROLES[task]]
    return joined(parts, lang)
