"""The data sets that are kept: opened again, renamed, deleted after a second look; and tables to fill in."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import gradio as gr

from studio import export, runs
from studio.data import keep
from studio.data import templates as forms_to_fill
from studio.data.keep import Kept
from studio.errors import NotPossible, StudioError
from studio.plan import ROLES, Task
from studio.tabs import data_words as words
from studio.tabs import forms, visitor
from studio.tabs.forms import t


def line(kept: Kept, lang: str) -> str:
    """A data set in one line."""
    card = kept.card
    when = datetime.fromtimestamp(float(card.get("created", 0)), tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return words.SET_LINE.say(lang, name=kept.name, rows=int(card.get("rows", 0)), when=when)


def choices(source: str, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """The list, and name, licence and origin of the one that is open."""
    lang = forms.language(request)
    listed = visitor.sets(mine)
    own = next((kept for kept in listed if kept.source == source), None)
    listing = gr.update(choices=[(line(kept, lang), kept.source) for kept in listed], value=own.source if own else None)
    about = forms.notice("" if listed else words.SETS_EMPTY.say(lang))
    if own:
        card = own.card
        origin = words.ORIGINS.get(str(card.get("source")), str(card.get("source", "")))
        when = datetime.fromtimestamp(float(card.get("created", 0)), tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        told = words.SET_ABOUT.say(lang, origin=origin, when=when, changes=len(own.changes()), sha=own.sha256[:12])
        about = forms.notice(told)
    shown = bool(own)
    name, licence = (own.name, str(own.card.get("licence", ""))) if own else ("", "")
    fields = gr.update(value=name, visible=shown), gr.update(value=licence, visible=shown)
    return listing, *fields, *(gr.update(visible=shown),) * 2, about, gr.update(visible=False)


def describe(source: str, mine: object, name: str, licence: str, request: gr.Request) -> tuple[Any, ...]:
    """Give the open data set another name or licence."""
    lang = forms.language(request)
    try:
        kept = keep.describe(visitor.own_set(source, mine), name=name, licence=licence)
    except StudioError as error:
        return gr.skip(), forms.problem(error, lang)
    listing = gr.update(choices=[(line(one, lang), one.source) for one in visitor.sets(mine)], value=kept.source)
    return listing, forms.notice(words.SET_SAVED.say(lang, name=kept.name), kind="good")


def delete(source: str, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """Delete the open data set, unless a run still has to read it."""
    lang = forms.language(request)
    try:
        kept = visitor.own_set(source, mine)
        waiting = [
            run
            for run in runs.all_runs()
            if runs.status(run).state not in runs.ENDED and not (run.folder / "data" / "about.json").is_file()
        ]
        if any(kept.source in (run.plan.data.source, run.plan.data.test) for run in waiting):
            raise NotPossible(words.SET_BUSY, words.SET_BUSY_DO, name=kept.name)
        keep.drop(kept)
    except StudioError as error:
        return gr.skip(), forms.problem(error, lang)
    return "", forms.notice(words.SET_GONE.say(lang, name=kept.name), words.EMPTY.say(lang), kind="good")


def template(task: Task, kind: str, lang: str = "en") -> str:
    """A table to fill in, as a file that the page may hand out."""
    folder = export.downloads() / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    return str(forms_to_fill.write(task if task in ROLES else "chat", "xlsx" if kind == "xlsx" else "csv", folder, lang))


def templates() -> None:
    """Lay out the tables to fill in: one for each task, as CSV and as Excel."""
    gr.Markdown(t(words.TEMPLATE))
    with gr.Row():
        task = gr.Dropdown(
            [(said.en, name) for name, said in words.TASKS.items()],
            value="chat",
            label=t(words.TEMPLATE_FOR),
            elem_id="template-for",
            scale=3,
        )
        for kind, said in (("csv", words.AS_CSV), ("xlsx", words.AS_EXCEL)):
            button = gr.DownloadButton(t(said), elem_id=f"template-{kind}", size="sm", scale=1, min_width=140)
            _offer(button, task, kind)

    def speak(request: gr.Request) -> Any:
        lang = forms.language(request)
        return gr.update(choices=[(said.say(lang), name) for name, said in words.TASKS.items()])

    gr.context.Context.root_block.load(speak, None, task, show_progress="hidden", queue=False)


def _offer(button: gr.DownloadButton, task: gr.Dropdown, kind: str) -> None:
    def made(chosen: Task, request: gr.Request) -> str:
        return template(chosen, kind, forms.language(request))

    gr.on([task.change, gr.context.Context.root_block.load], made, task, button, show_progress="hidden", queue=False)


class Listed(NamedTuple):
    """The components of the list of data sets."""

    listing: gr.Dropdown
    about: gr.HTML
    name: gr.Textbox
    licence: gr.Textbox
    save: gr.Button
    ask: gr.Button
    sure: gr.Row
    yes: gr.Button
    no: gr.Button


def lay_out() -> Listed:
    """Make the list of data sets, and what can be done with the open one."""
    with gr.Accordion(t(words.SETS), open=False, elem_id="sets"):
        listing = gr.Dropdown([], label=t(words.SETS_CHOOSE), elem_id="sets-choose")
        about = forms.notice_box("sets-notice")
        with gr.Row():
            name = gr.Textbox(label=t(words.SET_NAME), max_length=keep.LONGEST_NAME, elem_id="set-name", visible=False)
            licence = gr.Textbox(label=t(words.SET_LICENCE), max_length=200, elem_id="set-licence", visible=False)
        with gr.Row():
            save = gr.Button(t(words.SET_SAVE), elem_id="set-save", size="sm", visible=False)
            ask = gr.Button(t(words.SET_DELETE), elem_id="set-delete", size="sm", visible=False)
        with gr.Row(visible=False, elem_id="set-sure") as sure:
            yes = gr.Button(t(words.SET_SURE), variant="stop", elem_id="set-delete-yes", size="sm")
            no = gr.Button(t(words.SET_KEEP), elem_id="set-delete-no", size="sm")
    return Listed(listing, about, name, licence, save, ask, sure, yes, no)


def wire(listed: Listed, source: gr.BrowserState, mine: gr.BrowserState, restore: Any, shown: list[Any]) -> None:
    """Let the list follow; `restore` shows the one that is chosen in the components `shown`."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    filled = [listed.listing, listed.name, listed.licence, listed.save, listed.ask, listed.about, listed.sure]
    opened = forms.follow(source.change, mine.change, gr.context.Context.root_block.load)
    opened.then(choices, [source, mine], filled, trigger_mode="always_last", **quiet)
    listed.listing.input(restore, listed.listing, shown, **quiet)
    listed.save.click(describe, [source, mine, listed.name, listed.licence], [listed.listing, listed.about], **quiet)
    listed.ask.click(lambda: gr.update(visible=True), None, listed.sure, **quiet)
    listed.no.click(lambda: gr.update(visible=False), None, listed.sure, **quiet)
    told = gr.State()  # what is said last, when everything else shows what is left
    gone = listed.yes.click(delete, [source, mine], [source, told], **quiet).then(restore, source, shown, **quiet)
    gone.then(lambda said: (said, gr.update(visible=False)), told, [shown[0], listed.sure], **quiet)
