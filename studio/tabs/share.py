"""The Share tab: take the result home, with its model card."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from time import monotonic
from typing import Any, NamedTuple

import gradio as gr

from studio import export, runs
from studio.errors import StudioError
from studio.export import card
from studio.tabs import forms, playground
from studio.tabs.forms import t
from studio.words import Words, label

HEAD = label(
    "### Take it home\nA zip with what was learned, a model card and the plan that made it.",
    "### 下载成果\n一个压缩包，里面有训练结果、模型卡和这次训练的计划。",
)
FORM = label("In which form", "以哪种形式")
PREPARE = label("Prepare the download", "准备下载")
DOWNLOAD = label("Download", "下载")
CARD = label("The model card that goes with it", "随附的模型卡")
WORKING = Words("Preparing… {seconds:.0f} s", "准备中… {seconds:.0f} 秒")
READY = Words("Ready: {name}, {megabytes:,.1f} MB.", "已就绪：{name}，{megabytes:,.1f} MB。")


class ShareTab(NamedTuple):
    """The components other tabs need."""

    choose: gr.Dropdown
    prepared: Any


def offer(run_id: str | None, request: gr.Request) -> tuple[Any, ...]:
    """The forms a run's result can take, and its card."""
    lang = forms.language(request)
    hidden = gr.update(visible=False)
    if not run_id:
        return forms.notice(playground.NO_RUN.say(lang)), hidden, hidden, hidden
    try:
        run = runs.get(run_id)
        offered = export.forms(run)
        text = card.write(run, offered[0], lang)
    except StudioError as error:
        return forms.problem(error, lang), hidden, hidden, hidden
    choices = [(export.FORMS[form].say(lang), form) for form in offered]
    return forms.notice(""), gr.update(choices=choices, value=offered[0], visible=True), gr.update(value=text, visible=True), hidden


def prepare(run_id: str | None, form: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Make the zip, counting the seconds, and offer it."""
    lang = forms.language(request)
    if not run_id:
        yield forms.notice(playground.NO_RUN.say(lang), kind="bad"), gr.skip()
        return
    began = monotonic()
    with ThreadPoolExecutor(1) as pool:
        try:
            work = pool.submit(export.bundle, runs.get(run_id), form, lang)
            while not work.done():
                yield forms.notice(WORKING.say(lang, seconds=monotonic() - began)), gr.skip()
                try:
                    work.result(timeout=1)
                except NotYet:
                    continue
            path = work.result()
        except Exception as error:  # whatever it is, it is said here and not in an overlay
            yield forms.problem(error, lang), gr.update(visible=False)
            return
    size = path.stat().st_size / 1e6
    yield forms.notice(READY.say(lang, name=path.name, megabytes=size), kind="good"), gr.update(value=str(path), visible=True)


def hide() -> Any:
    """Another form was chosen: what was prepared before is not it."""
    return gr.update(visible=False)


def build() -> ShareTab:
    """Lay the tab out and wire it."""
    gr.Markdown(t(HEAD))
    choose = gr.Dropdown([], label=t(playground.RUN), elem_id="share-run")
    form = gr.Radio([], label=t(FORM), elem_id="form", visible=False)
    go = gr.Button(t(PREPARE), variant="primary", elem_id="prepare")
    told = forms.notice_box("share-notice")
    file = gr.DownloadButton(t(DOWNLOAD), visible=False, elem_id="download")
    text = gr.Textbox(label=t(CARD), interactive=False, visible=False, elem_id="card", lines=12, max_lines=24, buttons=["copy"])
    choose.change(offer, choose, [told, form, text, file], show_progress="hidden", queue=False)
    form.change(hide, None, file, show_progress="hidden", queue=False)
    prepared = go.click(prepare, [choose, form], [told, file], show_progress="hidden")
    return ShareTab(choose, prepared)
