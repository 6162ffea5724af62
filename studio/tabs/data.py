"""The Data tab: bring examples in whatever form, see what was understood, and say which column is what."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import presets
from studio.data import columns, intake, keep, prepare
from studio.data.columns import Guess
from studio.data.keep import Kept
from studio.data.prepare import Example
from studio.data.read import KINDS, Table
from studio.errors import StudioError
from studio.plan import GROUP, ROLES, Task
from studio.plan import roles as used
from studio.tabs import data_words as words
from studio.tabs import forms, sets, visitor
from studio.tabs.forms import t
from studio.words import label

# Fields for the columns a task needs, and for those that may stay empty.
NEEDED, OPTIONAL = 3, 3
FIELDS = NEEDED + OPTIONAL
MOST_CLASSES = 8


class DataTab(NamedTuple):
    """The components other tabs need; `touched` counts changes to the rows."""

    task: gr.Radio
    columns: gr.Textbox
    touched: gr.Number
    told: gr.HTML
    shown: list[Any]


class Shown(NamedTuple):
    """What the tab shows of a data set, in the order of its components."""

    told: Any
    fields: tuple[Any, ...]
    columns: Any
    task: Any
    sheet: Any
    source: Any

    def flat(self) -> tuple[Any, ...]:
        """One value for each component."""
        return self.told, *self.fields, self.columns, self.task, self.sheet, self.source


def told_only(told: dict[str, Any]) -> tuple[Any, ...]:
    """A sentence; everything else stays as it is."""
    return Shown(told, (gr.skip(),) * FIELDS, gr.skip(), gr.skip(), gr.skip(), gr.skip()).flat()


def upload(path: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Take an uploaded file in, saying how far it is, and show what it holds."""
    if path:
        yield from _taking({"path": str(path), "name": Path(path).name}, Path(path).name, request)


def paste(text: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Take pasted text in and show what it holds."""
    yield from _taking({"text": text or ""}, "…", request)


def fetch(hub: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Take a data set of the hub in and show what it holds."""
    yield from _taking({"hub": (hub or "").strip()}, (hub or "").strip(), request)


def _taking(asked: dict[str, str], name: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Outputs while something is taken in: what the tab shows, and whether it can be called off."""
    lang = forms.language(request)
    busy, idle = gr.update(visible=True), gr.update(visible=False)
    yield *told_only(forms.notice(words.STARTING.say(lang, name=name))), busy
    try:
        for found in intake.take(asked):
            if "source" in found:
                yield *_show(keep.find(found["source"]), lang), idle
                return
            said = words.WORKING.say(lang, what=intake.STAGES[found["stage"]], share=found["done"] / max(1, found["of"]))
            yield *told_only(forms.notice(said)), busy
    except StudioError as error:
        yield *told_only(forms.problem(error, lang)), idle


def called_off(request: gr.Request) -> tuple[Any, ...]:
    """What is said when an intake was called off."""
    return forms.notice(words.CALLED_OFF.say(forms.language(request))), gr.update(visible=False)


def sample(name: str, request: gr.Request) -> tuple[Any, ...]:
    """Take a sample data set."""
    return _show(keep.find(f"sample:{name}"), forms.language(request))


def restore(source: str, request: gr.Request) -> tuple[Any, ...]:
    """Show the data set this browser used last; an empty state says what to do."""
    lang = forms.language(request)
    try:
        known = isinstance(source, str) and source.partition(":")[0] in ("sample", "dataset")
        return _show(visitor.dataset(source), lang) if known else _empty(lang)
    except StudioError:
        return _empty(lang)


def hold(source: str, task: Task, given: dict[str, str], lang: str) -> tuple[Any, ...]:
    """Show a data set for a task with these columns. Raises BadData where there is none."""
    return _show(visitor.dataset(source), lang, Guess(task, given, sure=True))


def choose_sheet(source: str, sheet: str, request: gr.Request) -> tuple[Any, ...]:
    """Read another sheet of the workbook."""
    lang = forms.language(request)
    try:
        return _show(keep.choose_sheet(visitor.dataset(source), sheet), lang)
    except StudioError as error:
        return told_only(forms.problem(error, lang))


def change_task(source: str, task: Task, request: gr.Request) -> tuple[Any, ...]:
    """Another task: guess the columns for it anew."""
    lang = forms.language(request)
    try:
        kept = visitor.dataset(source)
        table = kept.table()
        found = columns.guess(table, task)
        return verdict(kept, table, task, found.columns, found.sure, lang), *_dropdowns(table, task, found.columns, lang)
    except StudioError as error:
        return forms.problem(error, lang), *(gr.skip(),) * (FIELDS + 1)


def change_columns(
    source: str,
    task: Task,
    given: str,
    first: str | None,
    second: str | None,
    third: str | None,
    fourth: str | None,
    fifth: str | None,
    sixth: str | None,
    request: gr.Request,
) -> tuple[Any, ...]:
    """Other columns: say what follows. A column of whole conversations stands alone."""
    lang, chosen = forms.language(request), (first, second, third, fourth, fifth, sixth)
    try:
        kept = visitor.dataset(source)
        table = kept.table()
        before = forms.unpack(given)
        fields = zip(_slots(task, before), chosen, strict=True)
        found = {role: column for role, column in fields if role and column}
        read = next(iter(found.values()), "")
        if task == "chat" and "messages" not in before and columns.holds_conversations(table, read):
            found = {"messages": read, **{role: column for role, column in found.items() if role == GROUP}}
        elif "messages" in found and not columns.holds_conversations(table, read):  # another column now: its answers are wanted
            found = {**columns.guess(table, task).columns, "prompt": read}
            found.pop("messages", None)
        return verdict(kept, table, task, found, True, lang), *_dropdowns(table, task, found, lang)
    except StudioError as error:
        return forms.problem(error, lang), *(gr.skip(),) * (FIELDS + 1)


def _show(kept: Kept, lang: str, given: Guess | None = None) -> tuple[Any, ...]:
    table = kept.table()
    found = given or columns.guess(table)
    tasks = gr.update(choices=[(said.say(lang), name) for name, said in words.TASKS.items()], value=found.task, visible=True)
    told = verdict(kept, table, found.task, found.columns, found.sure, lang)
    *fields, packed = _dropdowns(table, found.task, found.columns, lang)
    sheet = gr.update(choices=list(table.sheets), value=table.sheet or None, visible=len(table.sheets) > 1)
    return Shown(told, tuple(fields), packed, tasks, sheet, kept.source).flat()


def _empty(lang: str) -> tuple[Any, ...]:
    hidden = gr.update(visible=False)
    return Shown(forms.notice(words.EMPTY.say(lang)), (hidden,) * FIELDS, gr.skip(), hidden, hidden, gr.skip()).flat()


def _slots(task: Task, given: dict[str, str]) -> tuple[str, ...]:
    """The role of each field, "" for one that is not wanted."""
    needed, optional = forms.needed(task, given), forms.optional(task, given)
    return *needed, *("",) * (NEEDED - len(needed)), *optional, *("",) * (OPTIONAL - len(optional))


def _dropdowns(table: Table, task: Task, found: dict[str, str], lang: str) -> tuple[Any, ...]:
    """A field for each role of a task, the others hidden; and all of the roles as one text."""
    shown = []
    for number, role in enumerate(_slots(task, found)):
        none = [(words.NO_COLUMN.say(lang), "")] if number >= NEEDED else []
        choices = [*none, *((name, name) for name in table.columns)]
        said = columns.role_name(task, role).say(lang) if role else ""
        shown.append(gr.update(choices=choices, value=found.get(role) or ("" if none else None), label=said, visible=bool(role)))
    return *shown, forms.pack(found)


def verdict(kept: Kept, table: Table, task: Task, roles: dict[str, str], sure: bool, lang: str) -> dict[str, Any]:
    """What was read and how it was taken, or what is wrong with it."""
    try:
        found, incomplete = prepare.examples(table, task, roles)
    except StudioError as error:
        return forms.problem(error, lang)
    parts = [_taken(found, task, roles, lang), (words.SURE if sure else words.UNSURE).say(lang)]
    if table.bad:
        line, why = table.bad[0]  # 0 stands for the file, or a file within it
        parts.append((words.DAMAGED if line else words.DAMAGED_FILE).say(lang, count=len(table.bad), line=line, why=why))
    parts += [words.INCOMPLETE.say(lang, count=incomplete)] if incomplete else []
    name = presets.samples()[kept.source.partition(":")[2]].name.say(lang) if kept.source.startswith("sample:") else kept.name
    said = words.READ.say(lang, name=name, rows=len(table.rows), columns=len(table.columns))
    return forms.notice(said, " ".join(parts), "good" if sure else "check")


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
    return " ".join(parts)


def build(source: gr.BrowserState, mine: gr.BrowserState) -> DataTab:
    """Lay the tab out and wire it; `source` remembers the data set, `mine` those that this browser has brought."""
    gr.Markdown(t(words.HEAD))
    file = gr.File(label=t(words.DROP), file_types=list(KINDS), elem_id="upload", height=150)
    gr.Markdown(t(words.OR_SAMPLE))
    with gr.Row(elem_id="samples"):
        samples = {
            name: gr.Button(t(label(card.name.en, card.name.zh)), elem_id=f"sample-{name}", size="sm")
            for name, card in presets.samples().items()
        }
    with gr.Accordion(t(words.OTHER_WAYS), open=False, elem_id="other-ways"):
        text = gr.Textbox(label=t(words.PASTE), info=t(words.PASTE_HELP), lines=4, max_lines=12, elem_id="paste")
        take_text = gr.Button(t(words.TAKE_PASTED), elem_id="take-pasted", size="sm")
        hub = gr.Textbox(label=t(words.HUB), info=t(words.HUB_HELP), max_length=200, elem_id="hub-id")
        take_hub = gr.Button(t(words.TAKE_HUB), elem_id="take-hub", size="sm")
        sets.templates()
    listed = sets.lay_out()
    told = forms.notice_box("data-notice")
    halt = gr.Button(t(words.CANCEL), visible=False, elem_id="intake-stop", size="sm")
    sheet = gr.Dropdown([], label=t(words.SHEET), visible=False, elem_id="sheet")
    task = gr.Radio(
        [(said.en, name) for name, said in words.TASKS.items()], value="chat", label=t(words.TASK), elem_id="task", visible=False
    )
    some: dict[str, Any] = {"label": t(words.FIELD), "visible": False, "min_width": 220}
    with gr.Row():
        fields = [gr.Dropdown([], elem_id=f"column-{number}", **some) for number in range(1, NEEDED + 1)]
    with gr.Accordion(t(words.MORE_COLUMNS), open=False, visible=False, elem_id="more-columns") as more, gr.Row():
        fields += [gr.Dropdown([], elem_id=f"column-{number}", **some) for number in range(NEEDED + 1, FIELDS + 1)]
    chosen = gr.Textbox("{}", visible=False)
    touched = gr.Number(0, visible=False)
    shown = [told, *fields, chosen, task, sheet, source]
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    taking = [
        file.upload(upload, file, [*shown, halt], show_progress="hidden", trigger_mode="once"),
        gr.on([take_text.click], paste, text, [*shown, halt], show_progress="hidden", trigger_mode="once"),
        gr.on([take_hub.click, hub.submit], fetch, hub, [*shown, halt], show_progress="hidden", trigger_mode="once"),
    ]
    taking[0].then(None, None, file, js="() => null")  # ready for the next file; this one is kept elsewhere
    halt.click(called_off, None, [told, halt], cancels=taking, **quiet)
    for name, button in samples.items():
        button.click(_sampling(name), None, shown, **quiet)
    sheet.input(choose_sheet, [source, sheet], shown, **quiet)
    task.input(change_task, [source, task], [told, *fields, chosen], **quiet)
    gr.on([one.input for one in fields], change_columns, [source, task, chosen, *fields], [told, *fields, chosen], **quiet)
    gr.on([gr.context.Context.root_block.load], restore, source, shown, **quiet)
    # Gradio takes a list that a script returns for a list of outputs: this one is in a list of its own.
    remembered = "(source, mine) => [[...new Set([...(Array.isArray(mine) ? mine : []), ...(source?.startsWith('dataset:') ? [source] : [])])].slice(-200)]"
    changed = forms.follow(source.change)
    changed.then(None, [source, mine], mine, js=remembered, **quiet)
    sets.wire(listed, source, mine, restore, shown)
    changed.then(lambda source: gr.update(visible=bool(source)), source, more, **quiet)
    return DataTab(task, chosen, touched, told, shown)


def _sampling(name: str) -> Any:
    """A handler that takes one sample."""

    def take(request: gr.Request) -> tuple[Any, ...]:
        return sample(name, request)

    return take
