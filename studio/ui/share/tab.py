"""The Share tab: download the result, with its model card and the code that opens it."""

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import export, runs
from studio.errors import StudioError
from studio.export import card
from studio.export.snippets import list_snippets, render_snippets
from studio.export.spec import REPLAY_ROWS, ExportOptions
from studio.i18n import Message, label
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.playground import tab as playground_tab
from studio.ui.share import hub_panel

HEADING = label("## Share\nDownload what the model learned as a zip, with its model card and its plan.")
FORMAT = label("Format")
PREPARE, DOWNLOAD = label("Prepare download"), label("Download")
ENGINEER_HEADING = label("### For your engineer\nUnzip the download and run this in its folder.")
CARD_HEADING = label("### Model card")
RAW_CARD = label("Raw text (Markdown)")
PREPARING = Message("Preparing…")
STOP, STOPPED = label("Stop", context="export"), Message("Stopped. Nothing was kept.")
PRECISION = label("Precision")
READY = Message("Ready: {name}, {megabytes:,.1f} MB.")
# On the page the card stands under a heading of the third level.
CARD_HEADING_MARKS = "###"


class ShareTab(NamedTuple):
    """The components other tabs need."""

    run_dropdown: gr.Dropdown
    prepared: Any


def show_run(run_id: str | None, request: gr.Request) -> tuple[Any, ...]:
    """The formats of a run, what there is to know of it, and what belongs to its first format."""
    lang = request_language(request)
    hidden = gr.update(visible=False)
    if not run_id:
        return notices.notice(playground_tab.NO_FINISHED_RUN.render(lang)), hidden, hidden, *_no_details()
    try:
        run = runs.get(run_id)
        formats = export.available_formats(run)
        details = _show_details(run, formats[0], "", lang)
        ending = card.describe_ending(run)
    except StudioError as error:
        return notices.error_notice(error, lang), hidden, hidden, *_no_details()
    choices = [(export.registry.get(name).label.render(lang), name) for name in formats]
    return (
        notices.notice(ending.render(lang) if ending else ""),
        gr.update(choices=choices, value=formats[0], visible=True),
        hidden,
        *details,
    )


def show_format(run_id: str | None, form: str, precision: str, request: gr.Request) -> tuple[Any, ...]:
    """Another format or precision was chosen: its code and card; the download was of the one before."""
    try:
        details = _show_details(runs.get(run_id or ""), form, precision, request_language(request))
    except StudioError:
        details = _no_details()
    return gr.update(visible=False), *details


def _show_details(run: runs.Run, form: str, precision: str, lang: str) -> tuple[Any, ...]:
    """The part with code and card, the code, the card as it reads, and its text."""
    if form not in export.available_formats(run):
        return _no_details()
    chosen = _choose_options(form, precision, lang).precision
    text = card.render_card(run, form, lang, precision=chosen)
    preview_text = strip_front_matter(card.render_card(run, form, lang, with_code=False, precision=chosen))
    return (
        gr.update(visible=True),
        render_snippets(list_snippets(run, form, lang, chosen)),
        demote_headings(preview_text),
        text,
    )


def _no_details() -> tuple[Any, ...]:
    return gr.update(visible=False), "", "", ""


def strip_front_matter(text: str) -> str:
    """A model card without the lines that only the hub reads."""
    _, _, body = text.removeprefix("---\n").partition("\n---\n")
    return body.strip()


def demote_headings(text: str) -> str:
    """Markdown without code whose headings stand three levels deeper."""
    return re.sub(r"(?m)^#", f"{CARD_HEADING_MARKS}#", text)


def prepare_download(
    run_id: str | None, form: str, precision: str, request: gr.Request
) -> Iterator[tuple[Any, ...]]:
    """Build the zip, saying what is being done, and offer it for download.

    Yields:
        The notice, the button that downloads, and the one that stops.
    """
    lang, hidden = request_language(request), gr.update(visible=False)
    if not run_id:
        yield notices.notice(playground_tab.NO_FINISHED_RUN.render(lang), kind="bad"), gr.skip(), hidden
        return
    try:
        steps = export.prepare_zip(runs.get(run_id), form, _choose_options(form, precision, lang))
        with closing(steps):
            path = yield from _show_steps(steps, lang)
    except Exception as error:  # any error is shown here instead of in Gradio's overlay
        yield notices.error_notice(error, lang), hidden, hidden
        return
    yield (
        _describe_download(path, form, lang),
        gr.update(value=str(path), visible=True),
        hidden,
    )


def _describe_download(path: Path, form: str, lang: str) -> dict[str, Any]:
    """The notice of a finished download: its size, and whether it scores as it did in the studio."""
    ready = READY.render(lang, name=path.name, megabytes=path.stat().st_size / 1e6)
    checked = export.read_check(path)
    if not checked:
        return notices.notice(ready, kind="good")
    headline, warnings, details = checked.sentences(bool(export.registry.get(form).precisions))
    return notices.notice(
        f"{ready} {headline.render(lang)}",
        more=" ".join(sentence.render(lang) for sentence in details),
        kind="check" if warnings else "good",
        warning=" ".join(sentence.render(lang) for sentence in warnings),
    )


def _choose_options(form: str, precision: str, lang: str) -> ExportOptions:
    """What was chosen for a format; the precision is that of a format chosen before where it has none."""
    names = [name for name, _ in export.registry.get(form).precisions]
    return ExportOptions(precision=precision if precision in names else "", language=lang, rows=REPLAY_ROWS)


def _show_steps(steps: Generator[Message, None, Path], lang: str) -> Generator[tuple[Any, ...], None, Path]:
    """Show each step, and return what they come to."""
    stop_visible = gr.update(visible=True)
    yield notices.notice(PREPARING.render(lang)), gr.update(visible=False), stop_visible
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            return Path(stop.value)
        yield notices.notice(step.render(lang)), gr.skip(), stop_visible


def say_stopped(request: gr.Request) -> tuple[Any, ...]:
    """The notice after a stop, and the button that stops."""
    return notices.notice(STOPPED.render(request_language(request))), gr.update(visible=False)


def show_precisions(form: str, request: gr.Request) -> Any:
    """The precisions of a format, where it has several."""
    lang = request_language(request)
    precisions = export.registry.get(form).precisions if form in export.registry.NAMES else ()
    if not precisions:
        return gr.update(visible=False)
    choices = [(text.render(lang), name) for name, text in precisions]
    return gr.update(choices=choices, value=precisions[0][0], visible=True)


def build() -> ShareTab:
    """Lay the tab out and wire it."""
    gr.Markdown(t(HEADING))
    run_dropdown = gr.Dropdown([], label=t(playground_tab.RUN_LABEL), elem_id="share-run")
    form = gr.Radio([], label=t(FORMAT), elem_id="form", visible=False)
    precision = gr.Dropdown([], label=t(PRECISION), elem_id="precision", visible=False)
    with gr.Row(elem_id="share-buttons"):
        prepare_button = gr.Button(t(PREPARE), variant="primary", elem_id="prepare")
        stop_button = gr.Button(t(STOP), visible=False, elem_id="stop-export")
        download_button = gr.DownloadButton(t(DOWNLOAD), visible=False, elem_id="download")
    notice = notices.notice_box("share-notice")
    with gr.Column(visible=False) as details:
        hub_panel.build(run_dropdown)
        gr.Markdown(t(ENGINEER_HEADING))
        code = gr.Markdown("", sanitize_html=True, elem_id="usage-code")
        gr.Markdown(t(CARD_HEADING))
        rendered_card = gr.Markdown("", sanitize_html=True, elem_id="card")
        with gr.Accordion(t(RAW_CARD), open=False, elem_id="card-source"):
            raw_card = gr.Textbox(
                label=t(RAW_CARD),
                show_label=False,
                interactive=False,
                lines=12,
                max_lines=24,
                buttons=["copy"],
                elem_id="raw-card",
            )
    details_outputs = [details, code, rendered_card, raw_card]
    run_dropdown.change(show_run, run_dropdown, [notice, form, download_button, *details_outputs], **UNQUEUED)
    chosen_outputs = [download_button, *details_outputs]
    # Another form starts with its own first precision.
    form.input(show_format, [run_dropdown, form, gr.State("")], chosen_outputs, **UNQUEUED)
    precision.input(show_format, [run_dropdown, form, precision], chosen_outputs, **UNQUEUED)
    form.change(show_precisions, form, precision, **UNQUEUED)
    prepared = prepare_button.click(
        prepare_download,
        [run_dropdown, form, precision],
        [notice, download_button, stop_button],
        show_progress="hidden",
    )
    stop_button.click(say_stopped, None, [notice, stop_button], cancels=prepared, **UNQUEUED)
    return ShareTab(run_dropdown, prepared)
