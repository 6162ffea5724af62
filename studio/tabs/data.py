"""The Data tab: bring examples in whatever form, see what was understood, and say which column is what."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import presets
from studio.data import columns, contents, grid, intake, keep
from studio.data.keep import Kept
from studio.data.read import KINDS, Table
from studio.errors import StudioError
from studio.plan import GROUP, Task
from studio.tabs import data_words as words
from studio.tabs import forms, sets, understood, visitor
from studio.tabs.forms import t
from studio.words import joined, label

# Fields for the columns a task needs, and for those that may stay empty.
NEEDED, OPTIONAL = 3, 3
FIELDS = NEEDED + OPTIONAL
# Seconds and share after which a time left can be told, and seconds of it that are worth it.
SURE_AFTER, LEAST_DONE, WORTH_SAYING = 2, 0.05, 3


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
    stage, done, begun = "", 0.0, 0.0
    yield *told_only(forms.notice(words.STARTING.say(lang, name=name))), busy
    try:
        for found in intake.take(asked):
            if "source" in found:
                yield *_show(keep.find(found["source"]), lang), idle
                return
            if found["stage"] != stage or not done:  # a workbook is opened for long before its first row comes
                begun = time.monotonic()
            stage, done = found["stage"], found["done"]
            yield *told_only(progress(stage, done, found["of"], time.monotonic() - begun, lang)), busy
    except StudioError as error:
        yield *told_only(forms.problem(error, lang)), idle


def progress(stage: str, done: float, of: float, seconds: float, lang: str) -> dict[str, Any]:
    """A notice with a bar: how many megabytes of a stage are done after so many seconds, and how long the rest will take if it is long."""
    share = done / of if of else 0.0
    said = words.MEGABYTES.say(lang, what=intake.STAGES[stage], share=share, of=of)
    if stage == "read" and share >= 1:
        said = words.KEEPING.say(lang)
    left = seconds * (1 - share) / share if share >= LEAST_DONE else 0.0
    if seconds >= SURE_AFTER and left >= WORTH_SAYING:
        said += " · " + words.LEFT.say(lang, time=forms.duration(left, lang))
    return forms.notice(said) | {"bar": {"share": round(100 * share)}}


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
    return _show(visitor.dataset(source), lang, (task, given))


def choose_sheet(source: str, sheet: str, mine: object, touched: float, request: gr.Request) -> tuple[Any, ...]:
    """Read another sheet of the workbook; its rows are others."""
    lang = forms.language(request)
    try:
        return *_show(keep.choose_sheet(visitor.own_set(source, mine), sheet), lang), touched + 1
    except StudioError as error:
        return *told_only(forms.problem(error, lang)), touched


def change_task(source: str, task: Task, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """Another task: guess the columns for it anew."""
    lang = forms.language(request)
    try:
        kept = visitor.own_set(source, mine)
        table = kept.table()
        _, found, word = understood.guessed(table, task)
        keep.choose(kept, task)
        return understood.verdict(kept, table, task, found, word, lang), *_dropdowns(table, task, found, lang)
    except StudioError as error:
        return forms.problem(error, lang), *(gr.skip(),) * (FIELDS + 1)


def change_columns(
    source: str,
    task: Task,
    mine: object,
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
        kept = visitor.own_set(source, mine)
        table = kept.table()
        before = forms.unpack(given)
        fields = zip(_slots(task, before), chosen, strict=True)
        found = {role: column for role, column in fields if role and column}
        read = next(iter(found.values()), "")
        if task == "chat" and "messages" not in before and contents.holds_conversations(table, read):
            found = {"messages": read, **{role: column for role, column in found.items() if role == GROUP}}
        elif "messages" in found and not contents.holds_conversations(table, read):  # another column now: its answers are wanted
            found = {**columns.guess(table, task).columns, "prompt": read}
            found.pop("messages", None)
        keep.choose(kept, task, found)
        return understood.verdict(kept, table, task, found, words.CHOSEN, lang), *_dropdowns(table, task, found, lang)
    except StudioError as error:
        return forms.problem(error, lang), *(gr.skip(),) * (FIELDS + 1)


def _show(kept: Kept, lang: str, given: tuple[Task, dict[str, str]] | None = None) -> tuple[Any, ...]:
    table = kept.table()
    task, found, word = (*given, words.CHOSEN) if given else understood.roles(kept, table)
    tasks = gr.update(choices=[(said.say(lang), name) for name, said in words.TASKS.items()], value=task, visible=True)
    told = _with_names(understood.verdict(kept, table, task, found, word, lang), kept, table, lang)
    *fields, packed = _dropdowns(table, task, found, lang)
    sheet = gr.update(choices=list(table.sheets), value=table.sheet or None, visible=len(table.sheets) > 1)
    return Shown(told, tuple(fields), packed, tasks, sheet, kept.source).flat()


def _with_names(told: dict[str, Any], kept: Kept, table: Table, lang: str) -> dict[str, Any]:
    """What is said of a data set, and of its first row where that was taken for names and may be an example."""
    named = kept.path.suffix.lower() not in (".json", ".jsonl", ".ndjson", ".parquet", ".zip") and not kept.changes()
    if not named or not grid.doubtful(table.columns, [[*row.values()] for row in table.rows[: grid.LOOKED_AT]]):
        return told
    said = grid.TAKEN.say(lang, first=" | ".join(table.columns)[:160])
    return {**told, "more": joined((told["more"], said), lang), "kind": "check" if told["kind"] == "good" else told["kind"]}


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
    with gr.Row(elem_id="intake"):
        told = forms.notice_box("data-notice")
        halt = gr.Button(t(words.CANCEL), visible=False, elem_id="intake-stop", size="sm", scale=0, min_width=120)
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
    sheet.input(choose_sheet, [source, sheet, mine, touched], [*shown, touched], **quiet)
    task.input(change_task, [source, task, mine], [told, *fields, chosen], **quiet)
    gr.on([one.input for one in fields], change_columns, [source, task, mine, chosen, *fields], [told, *fields, chosen], **quiet)
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
