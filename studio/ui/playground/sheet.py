"""“Use it on my sheet”: a file comes in, and goes out with a label, a number or an answer in each row."""

import html
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import export, runs
from studio.apply import job as jobs
from studio.apply import output, sheet, summary
from studio.apply.job import Job
from studio.errors import StudioError
from studio.i18n import Message, join_sentences, label
from studio.ui import units, visitors
from studio.ui.components import notices, tables
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.language import request_language

HEADING = label(
    "### Use it on my sheet\nDrop a file with one text or question per row. You get it back with a label "
    "and its certainty, or an answer, in every row."
)
FILE = label("CSV, Excel or JSONL")
COLUMN, COLUMN_HELP = label("Column to read"), label("All other columns come back unchanged.")
UNCERTAIN_FIRST = label("Least certain rows first")
START_NAME, RESUME_NAME = Message("Run on all rows"), Message("Resume")
STOP = label("Stop", context="sheet")
EXCEL, CSV = label("Download Excel"), label("Download CSV")
NO_RUN = Message("Choose a finished run first.")
NO_SHEET = Message("Drop a file first.")
READING = Message("Reading “{name}”…")
READY = Message("{name}: {rows:,} {rows:row|rows}, {columns:,} {columns:column|columns}.")
KEPT = Message("The sheet stays on this machine until {days} days after the last row is done.")
LOADING = Message("Loading the model…")
PROGRESS = Message("{done:,} of {total:,} rows")
TIME_LEFT = Message("about {time} left")
KEEP_OPEN = Message(
    "Keep this page open. If you stop or close it, the finished rows are kept and you can resume."
)
STOPPED = Message("Stopped: {done:,} of {total:,} rows are done.")
DONE = Message("Done: {total:,} {total:row|rows}.")
PREVIEW = Message("The first {count} rows")
NOT_AS_EXCEL = Message("Not available as Excel: {why}")
MAX_PREVIEW_ROWS, MAX_PREVIEW_CHARS, MAX_STEM_CHARS = 8, 160, 60
# At most so often the page hears how far it is (seconds).
PROGRESS_SECONDS = 1.0


class SheetView(NamedTuple):
    """What the part shows, in the order of its components."""

    notice: Any = gr.skip()
    column: Any = gr.skip()
    start: Any = gr.skip()
    stop: Any = gr.skip()
    uncertain_first: Any = gr.skip()
    preview: Any = gr.skip()
    excel: Any = gr.skip()
    csv: Any = gr.skip()


def open_file(
    path: str | None, run_id: str | None, previous_id: str, request: gr.Request
) -> Iterator[tuple[Any, ...]]:
    """Read an uploaded file; the sheet before it is deleted, and so are abandoned ones of anybody.

    Yields:
        The field of the file, which is empty at the end; the id of the sheet, and what the part shows.
    """
    lang = request_language(request)
    if not path:
        return
    file = Path(path)
    yield gr.skip(), gr.skip(), *SheetView(notices.notice(READING.render(lang, name=file.name)))
    try:
        visitors.check_disk(request)
        opened = jobs.read_file(file, file.name, sheet.new_id())
        visitors.mark(opened.folder, request)
    except StudioError as error:
        yield None, gr.skip(), *SheetView(notices.error_notice(error, lang))
        return
    finally:
        file.unlink(missing_ok=True)  # whoever knows its path could download it
    for sheet_id in (str(previous_id), *sheet.delete_abandoned()):
        _delete(sheet_id)
    yield None, opened.id, *_show(run_id, opened.id, "", lang)


def _downloads(sheet_id: str) -> Path:
    """Where the files of a sheet lie that the page hands out."""
    return export.downloads_folder() / "sheets" / sheet_id


def _delete(sheet_id: str) -> None:
    """Delete a sheet, if there is one, with the files that were handed out."""
    if sheet.SHEET_ID.fullmatch(sheet_id):
        sheet.delete(sheet_id)
        shutil.rmtree(_downloads(sheet_id), ignore_errors=True)


def refresh(
    run_id: str | None, sheet_id: str, column: str | None, uncertain_first: bool, request: gr.Request
) -> SheetView:
    """What there is of the sheet for another column, or in another order."""
    return _show(run_id, sheet_id, column or "", request_language(request), uncertain_first)


def change_run(run_id: str | None, sheet_id: str, request: gr.Request) -> SheetView:
    """What there is of the sheet for another run, whose column is guessed."""
    return _show(run_id, sheet_id, "", request_language(request))


def start(
    run_id: str | None, sheet_id: str, column: str, uncertain_first: bool, request: gr.Request
) -> Iterator[SheetView]:
    """Work through the rows that are not done yet, telling how far it is."""
    lang = request_language(request)
    try:
        job = _find_job(run_id, sheet_id, column)
        yield SheetView(
            notices.notice(LOADING.render(lang), KEEP_OPEN.render(lang)),
            start=gr.update(interactive=False),
            stop=gr.update(visible=True),
            column=gr.update(interactive=False),
            uncertain_first=gr.update(interactive=False),
        )
        updated_at = 0.0
        for step in jobs.apply(job):
            if step.seconds_left is not None and time.monotonic() - updated_at >= PROGRESS_SECONDS:
                updated_at = time.monotonic()
                yield SheetView(_progress_notice(step, lang))
        yield _show(run_id, sheet_id, column, lang, uncertain_first)
    except StudioError as error:
        view = _show(run_id, sheet_id, column, lang, uncertain_first)
        yield view._replace(notice=notices.error_notice(error, lang))


def _progress_notice(step: jobs.Progress, lang: str) -> dict[str, Any]:
    text = PROGRESS.render(lang, done=step.done, total=step.total)
    if step.seconds_left:
        text += f" · {TIME_LEFT.render(lang, time=units.format_seconds(step.seconds_left, lang))}"
    bar = {"share": round(100 * step.done / step.total)}
    return notices.notice(text, KEEP_OPEN.render(lang)) | {"bar": bar}


def _find_job(run_id: str | None, sheet_id: str, column: str) -> Job:
    """The job that a browser names; raises StudioError where there is none."""
    opened, run = sheet.find(str(sheet_id)), runs.get(run_id or "")
    runs.require_usable(run)
    column = column or sheet.guess_column(opened, run.plan.task, runs.report(run))
    sheet.require_column(opened, column)
    return Job(opened, run, column)


def _show(
    run_id: str | None, sheet_id: str, column: str, lang: str, uncertain_first: bool = False
) -> SheetView:
    """The sheet as it is: ready, stopped on the way, or done."""
    hidden = gr.update(visible=False)
    nothing = SheetView(
        notice=notices.notice(""),
        column=hidden,
        start=hidden,
        stop=hidden,
        uncertain_first=hidden,
        preview="",
        excel=hidden,
        csv=hidden,
    )
    if not sheet_id:
        return nothing
    if not run_id:
        return nothing._replace(notice=notices.notice(NO_RUN.render(lang)))
    try:
        job = _find_job(run_id, sheet_id, column)
        return _show_job(job, uncertain_first and output.gives_certainty(job), lang)
    except StudioError as error:
        return nothing._replace(notice=notices.error_notice(error, lang))


def _show_job(job: Job, uncertain_first: bool, lang: str) -> SheetView:
    results, total = job.results(), job.sheet.n_rows
    is_done = len(results) == total
    button = RESUME_NAME if results else START_NAME
    view = SheetView(
        notice=notices.notice(
            READY.render(lang, name=job.sheet.name, rows=total, columns=len(job.sheet.columns)),
            KEPT.render(lang, days=sheet.KEEP_DAYS),
        ),
        column=gr.update(choices=list(job.sheet.columns), value=job.column, visible=True, interactive=True),
        start=gr.update(value=button.render(lang), interactive=True, visible=not is_done),
        stop=gr.update(visible=False),
        uncertain_first=gr.update(visible=output.gives_certainty(job), interactive=True),
        preview="",
        excel=gr.update(visible=False),
        csv=gr.update(visible=False),
    )
    if not results:
        return view
    message = DONE if is_done else STOPPED
    sentences = [sentence.render(lang) for sentence in summary.describe(job)]
    folder, stem = _downloads(job.sheet.id), Path(job.sheet.name).stem[:MAX_STEM_CHARS]
    csv_path = output.write(job, folder / f"{stem}-labelled.csv", uncertain_first, lang)
    try:
        excel_path = output.write(job, folder / f"{stem}-labelled.xlsx", uncertain_first, lang)
        excel = gr.update(value=str(excel_path), visible=True)
    except StudioError as error:
        excel = gr.update(visible=False)
        sentences.append(NOT_AS_EXCEL.render(lang, why=error.message))
    return view._replace(
        notice=notices.notice(
            message.render(lang, done=len(results), total=total),
            join_sentences(sentences, lang),
            kind="good" if is_done else "info",
        ),
        preview=_render_preview(job, uncertain_first, lang),
        excel=excel,
        csv=gr.update(value=str(csv_path), visible=True),
    )


def _render_preview(job: Job, uncertain_first: bool, lang: str) -> str:
    """The first rows of the result: what was read, and what was said of it."""
    rows = output.build_rows(job, uncertain_first)[:MAX_PREVIEW_ROWS]
    column, n_given = job.sheet.columns.index(job.column), len(job.sheet.columns)
    headings = [job.column, *(name.render(lang) for name in output.new_columns(job))]
    number_format = ".0%" if output.gives_certainty(job) else ".2f"
    cells = [[_render_cell(cell, number_format) for cell in (row[column], *row[n_given:])] for row in rows]
    return tables.render_table(PREVIEW.render(lang, count=len(rows)), headings, cells)


def _render_cell(cell: output.Cell, number_format: str) -> str:
    text = cell if isinstance(cell, str) else format(cell, number_format)
    shortened = text if len(text) <= MAX_PREVIEW_CHARS else f"{text[:MAX_PREVIEW_CHARS]}…"
    return html.escape(shortened)


def build(run_dropdown: gr.Dropdown, sheet_id: gr.BrowserState) -> None:
    """Build and wire the part of the tab.

    Args:
        run_dropdown: The run that is used.
        sheet_id: The sheet that this browser has brought last.
    """
    with gr.Column(elem_id="sheet"):
        gr.Markdown(t(HEADING))
        file = gr.File(label=t(FILE), elem_id="sheet-file", height=140)
        notice = notices.notice_box("sheet-notice")
        with gr.Row(elem_id="sheet-controls"):
            column = gr.Dropdown(
                [], label=t(COLUMN), info=t(COLUMN_HELP), visible=False, elem_id="sheet-column"
            )
            uncertain_first = gr.Checkbox(
                False, label=t(UNCERTAIN_FIRST), visible=False, elem_id="sheet-uncertain"
            )
        with gr.Row(elem_id="sheet-buttons"):
            start_button = gr.Button(START_NAME.render(), visible=False, elem_id="sheet-start")
            stop_button = gr.Button(t(STOP), visible=False, elem_id="sheet-stop")
            excel = gr.DownloadButton(t(EXCEL), visible=False, elem_id="sheet-excel")
            csv = gr.DownloadButton(t(CSV), visible=False, elem_id="sheet-csv")
        preview = gr.HTML("", elem_id="sheet-preview", apply_default_css=False)
    view = [notice, column, start_button, stop_button, uncertain_first, preview, excel, csv]
    named = [run_dropdown, sheet_id, column, uncertain_first]
    for changed in (column.input, uncertain_first.input):
        changed(refresh, named, view, **UNQUEUED)
    started = start_button.click(start, named, view, show_progress="hidden", concurrency_limit=1)
    # What goes on would write its rows into another file's view, or below another run's name.
    file.upload(
        open_file,
        [file, run_dropdown, sheet_id],
        [file, sheet_id, *view],
        show_progress="hidden",
        trigger_mode="once",
        cancels=started,
    )
    run_dropdown.change(change_run, [run_dropdown, sheet_id], view, cancels=started, **UNQUEUED)
    stop_button.click(refresh, named, view, cancels=started, **UNQUEUED)
