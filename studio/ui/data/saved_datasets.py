"""The data sets that are kept: opened again, renamed, deleted after a second look; and tables to fill in."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import gradio as gr

from studio import export, runs
from studio.data import store
from studio.data import templates as forms_to_fill
from studio.data.store import Dataset
from studio.errors import NotPossible, StudioError
from studio.plan import REQUIRED_ROLES, Task
from studio.ui import access
from studio.ui.components import events, notices
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.data import messages
from studio.ui.language import request_language


def format_dataset(dataset: Dataset, lang: str) -> str:
    """A data set in one line."""
    card = dataset.card
    created = (
        datetime.fromtimestamp(float(card.get("created", 0)), tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    )
    return messages.DATASET_LINE.render(lang, name=dataset.name, rows=int(card.get("rows", 0)), when=created)


def refresh_list(source: str, browser_datasets: object, request: gr.Request) -> tuple[Any, ...]:
    """The list, and name, licence and origin of the one that is open."""
    lang = request_language(request)
    datasets = access.visible_datasets(browser_datasets)
    current = next((dataset for dataset in datasets if dataset.source == source), None)
    dropdown_update = gr.update(
        choices=[(format_dataset(dataset, lang), dataset.source) for dataset in datasets],
        value=current.source if current else None,
    )
    notice = notices.notice("" if datasets else messages.NO_DATASETS.render(lang))
    if current:
        card = current.card
        origin = messages.ORIGINS.get(str(card.get("source")), str(card.get("source", "")))
        created = (
            datetime.fromtimestamp(float(card.get("created", 0)), tz=UTC)
            .astimezone()
            .strftime("%Y-%m-%d %H:%M")
        )
        origin_text = messages.DATASET_ORIGIN.render(
            lang, origin=origin, when=created, changes=len(current.changes()), sha=current.sha256[:12]
        )
        notice = notices.notice(origin_text)
    is_open = bool(current)
    name, licence = (current.name, str(current.card.get("licence", ""))) if current else ("", "")
    fields = gr.update(value=name, visible=is_open), gr.update(value=licence, visible=is_open)
    return dropdown_update, *fields, *(gr.update(visible=is_open),) * 2, notice, gr.update(visible=False)


def save_description(
    source: str, browser_datasets: object, name: str, licence: str, request: gr.Request
) -> tuple[Any, ...]:
    """Give the open data set another name or licence."""
    lang = request_language(request)
    try:
        dataset = store.update_card(
            access.find_own_dataset(source, browser_datasets), name=name, licence=licence
        )
    except StudioError as error:
        return gr.skip(), notices.error_notice(error, lang)
    dropdown_update = gr.update(
        choices=[
            (format_dataset(entry, lang), entry.source) for entry in access.visible_datasets(browser_datasets)
        ],
        value=dataset.source,
    )
    return dropdown_update, notices.notice(
        messages.DATASET_SAVED.render(lang, name=dataset.name), kind="good"
    )


def delete_dataset(source: str, browser_datasets: object, request: gr.Request) -> tuple[Any, ...]:
    """Delete the open data set, unless a run still has to read it."""
    lang = request_language(request)
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        pending_runs = [
            run
            for run in runs.all_runs()
            if runs.status(run).state not in runs.ENDED_STATES
            and not (run.folder / "data" / "about.json").is_file()
        ]
        if any(dataset.source in (run.plan.data.source, run.plan.data.test) for run in pending_runs):
            raise NotPossible(messages.DATASET_IN_USE, messages.DATASET_IN_USE_ADVICE, name=dataset.name)
        store.delete(dataset)
    except StudioError as error:
        return gr.skip(), notices.error_notice(error, lang)
    return "", notices.notice(
        messages.DATASET_DELETED.render(lang, name=dataset.name),
        messages.NO_EXAMPLES.render(lang),
        kind="good",
    )


def write_template(task: Task, file_format: str, lang: str = "en") -> str:
    """A table to fill in, as a file that the page may hand out."""
    folder = export.downloads_folder() / "templates"
    folder.mkdir(parents=True, exist_ok=True)
    return str(
        forms_to_fill.write_template(
            task if task in REQUIRED_ROLES else "chat",
            "xlsx" if file_format == "xlsx" else "csv",
            folder,
            lang,
        )
    )


def build_templates() -> None:
    """Lay out the tables to fill in: one for each task, as CSV and as Excel."""
    gr.Markdown(t(messages.TEMPLATE))
    with gr.Row():
        task = gr.Dropdown(
            [(message.render(), name) for name, message in messages.TASKS.items()],
            value="chat",
            label=t(messages.TEMPLATE_FOR),
            elem_id="template-for",
            scale=3,
        )
        for file_format, message in (("csv", messages.TEMPLATE_CSV), ("xlsx", messages.TEMPLATE_EXCEL)):
            button = gr.DownloadButton(
                t(message), elem_id=f"template-{file_format}", size="sm", scale=1, min_width=140
            )
            _wire_template_button(button, task, file_format)

    def translate_choices(request: gr.Request) -> Any:
        lang = request_language(request)
        return gr.update(choices=[(message.render(lang), name) for name, message in messages.TASKS.items()])

    current_page().load(translate_choices, None, task, show_progress="hidden", queue=False)


def _wire_template_button(button: gr.DownloadButton, task: gr.Dropdown, file_format: str) -> None:
    def prepare_file(selected_task: Task, request: gr.Request) -> str:
        return write_template(selected_task, file_format, request_language(request))

    gr.on(
        [task.change, current_page().load],
        prepare_file,
        task,
        button,
        show_progress="hidden",
        queue=False,
    )


class DatasetList(NamedTuple):
    """The components of the list of data sets."""

    dropdown: gr.Dropdown
    notice: gr.HTML
    name: gr.Textbox
    licence: gr.Textbox
    save_button: gr.Button
    delete_button: gr.Button
    confirm_row: gr.Row
    confirm_button: gr.Button
    cancel_button: gr.Button


def build_list() -> DatasetList:
    """Make the list of data sets, and what can be done with the open one."""
    with gr.Accordion(t(messages.DATASETS), open=False, elem_id="sets"):
        dropdown = gr.Dropdown([], label=t(messages.DATASETS_OPEN), elem_id="sets-choose")
        notice = notices.notice_box("sets-notice")
        with gr.Row():
            name = gr.Textbox(
                label=t(messages.DATASET_NAME),
                max_length=store.MAX_NAME_LENGTH,
                elem_id="set-name",
                visible=False,
            )
            licence = gr.Textbox(
                label=t(messages.DATASET_LICENCE), max_length=200, elem_id="set-licence", visible=False
            )
        with gr.Row():
            save_button = gr.Button(t(messages.DATASET_SAVE), elem_id="set-save", size="sm", visible=False)
            delete_button = gr.Button(
                t(messages.DATASET_DELETE), elem_id="set-delete", size="sm", visible=False
            )
        with gr.Row(visible=False, elem_id="set-sure") as confirm_row:
            confirm_button = gr.Button(
                t(messages.DATASET_DELETE_CONFIRM), variant="stop", elem_id="set-delete-yes", size="sm"
            )
            cancel_button = gr.Button(t(messages.DATASET_DELETE_CANCEL), elem_id="set-delete-no", size="sm")
    return DatasetList(
        dropdown,
        notice,
        name,
        licence,
        save_button,
        delete_button,
        confirm_row,
        confirm_button,
        cancel_button,
    )


def wire(
    components: DatasetList,
    source: gr.BrowserState,
    browser_datasets: gr.BrowserState,
    revision: gr.Number,
    restore: Any,
    outputs: list[Any],
) -> None:
    """Let the list follow the open data set and its changes; `restore` shows another one in `outputs`."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    list_outputs = [
        components.dropdown,
        components.name,
        components.licence,
        components.save_button,
        components.delete_button,
        components.notice,
        components.confirm_row,
    ]
    list_changed = events.after_any(
        source.change, browser_datasets.change, revision.change, current_page().load
    )
    list_changed.then(
        refresh_list, [source, browser_datasets], list_outputs, trigger_mode="always_last", **quiet
    )
    components.dropdown.input(restore, components.dropdown, outputs, **quiet)
    components.save_button.click(
        save_description,
        [source, browser_datasets, components.name, components.licence],
        [components.dropdown, components.notice],
        **quiet,
    )
    components.delete_button.click(lambda: gr.update(visible=True), None, components.confirm_row, **quiet)
    components.cancel_button.click(lambda: gr.update(visible=False), None, components.confirm_row, **quiet)
    last_notice = gr.State()  # what is said last, when everything else shows what is left
    deleted = components.confirm_button.click(
        delete_dataset, [source, browser_datasets], [source, last_notice], **quiet
    ).then(restore, source, outputs, **quiet)
    deleted.then(
        lambda notice: (notice, gr.update(visible=False)),
        last_notice,
        [outputs[0], components.confirm_row],
        **quiet,
    )
