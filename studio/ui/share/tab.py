"""The Share tab: take the result home, with its model card."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from time import monotonic
from typing import Any, NamedTuple

import gradio as gr

from studio import export, runs
from studio.errors import StudioError
from studio.export import card
from studio.i18n import Message, label
from studio.ui.components import notices
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.playground import tab as playground_tab

SHARE_HEADING = label(
    "### Take it home\nA zip with what was learned, a model card and the plan that made it."
)
FORM_LABEL = label("In which form")
PREPARE = label("Prepare the download")
DOWNLOAD = label("Download")
MODEL_CARD = label("The model card that goes with it")
PREPARING = Message("Preparing… {seconds:.0f} s")
READY = Message("Ready: {name}, {megabytes:,.1f} MB.")


class ShareTab(NamedTuple):
    """The components other tabs need."""

    run_dropdown: gr.Dropdown
    prepared: Any


def show_forms(run_id: str | None, request: gr.Request) -> tuple[Any, ...]:
    """The export formats of a run, and its model card."""
    lang = request_language(request)
    hidden = gr.update(visible=False)
    if not run_id:
        return notices.notice(playground_tab.NO_FINISHED_RUN.render(lang)), hidden, hidden, hidden
    try:
        run = runs.get(run_id)
        available_forms = export.available_formats(run)
        card_text = card.render_card(run, available_forms[0], lang)
    except StudioError as error:
        return notices.error_notice(error, lang), hidden, hidden, hidden
    choices = [(export.registry.get(form).label.render(lang), form) for form in available_forms]
    return (
        notices.notice(""),
        gr.update(choices=choices, value=available_forms[0], visible=True),
        gr.update(value=card_text, visible=True),
        hidden,
    )


def prepare_download(run_id: str | None, form: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Build the zip, counting the seconds, and offer it for download."""
    lang = request_language(request)
    if not run_id:
        yield notices.notice(playground_tab.NO_FINISHED_RUN.render(lang), kind="bad"), gr.skip()
        return
    started_at = monotonic()
    with ThreadPoolExecutor(1) as pool:
        try:
            future = pool.submit(export.build_zip, runs.get(run_id), form, lang)
            while not future.done():
                yield notices.notice(PREPARING.render(lang, seconds=monotonic() - started_at)), gr.skip()
                try:
                    future.result(timeout=1)
                except FutureTimeout:
                    continue
            path = future.result()
        except Exception as error:  # any error is shown here instead of in Gradio's overlay
            yield notices.error_notice(error, lang), gr.update(visible=False)
            return
    megabytes = path.stat().st_size / 1e6
    yield (
        notices.notice(READY.render(lang, name=path.name, megabytes=megabytes), kind="good"),
        gr.update(value=str(path), visible=True),
    )


def hide_download() -> Any:
    """Another format was chosen: the file prepared before is not it."""
    return gr.update(visible=False)


def build() -> ShareTab:
    """Lay the tab out and wire it."""
    gr.Markdown(t(SHARE_HEADING))
    run_dropdown = gr.Dropdown([], label=t(playground_tab.RUN_LABEL), elem_id="share-run")
    form = gr.Radio([], label=t(FORM_LABEL), elem_id="form", visible=False)
    prepare_button = gr.Button(t(PREPARE), variant="primary", elem_id="prepare")
    notice = notices.notice_box("share-notice")
    download_button = gr.DownloadButton(t(DOWNLOAD), visible=False, elem_id="download")
    card_box = gr.Textbox(
        label=t(MODEL_CARD),
        interactive=False,
        visible=False,
        elem_id="card",
        lines=12,
        max_lines=24,
        buttons=["copy"],
    )
    run_dropdown.change(
        show_forms,
        run_dropdown,
        [notice, form, card_box, download_button],
        show_progress="hidden",
        queue=False,
    )
    form.change(hide_download, None, download_button, show_progress="hidden", queue=False)
    prepared = prepare_button.click(
        prepare_download, [run_dropdown, form], [notice, download_button], show_progress="hidden"
    )
    return ShareTab(run_dropdown, prepared)
