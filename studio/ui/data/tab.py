"""The Data tab: bring examples in any form, see how they were read, and say which column plays which role."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio.data import import_job, readers, store, targets
from studio.data.readers import header
from studio.data.readers.read import Table
from studio.data.schema import column_stats, infer_roles
from studio.data.store import Dataset
from studio.errors import StudioError
from studio.i18n import join_sentences
from studio.plan import (
    GROUP_ROLE,
    PROBLEM_TYPES,
    Task,
    optional_column_roles,
    required_column_roles,
    target_role,
)
from studio.ui import access, units, visitors
from studio.ui.components import events, notices
from studio.ui.components.events import read_event
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.data import messages, samples, saved_datasets, schema_summary
from studio.ui.form import packing
from studio.ui.language import request_language

# Fields for the columns a task needs, and for those that may stay empty.
REQUIRED_FIELDS, OPTIONAL_FIELDS = 3, 3
FIELD_COUNT = REQUIRED_FIELDS + OPTIONAL_FIELDS
# The fields, and what a text to classify gets.
CONTROL_COUNT = FIELD_COUNT + 1
# A time left is shown after so many seconds and such a share, and only if it is at least so long (seconds).
MIN_ELAPSED_SECONDS, MIN_SHARE_DONE, MIN_SECONDS_LEFT = 2, 0.05, 3


class DataTab(NamedTuple):
    """The components other tabs need; `revision` counts changes to the rows."""

    task: gr.Radio
    columns: gr.Textbox
    revision: gr.Number
    notice: gr.HTML
    outputs: list[Any]


class DataTabUpdate(NamedTuple):
    """The values of the tab's components for a data set, in their order."""

    notice: Any
    fields: tuple[Any, ...]
    columns: Any
    task: Any
    sheet: Any
    source: Any
    sources: Any

    def as_outputs(self) -> tuple[Any, ...]:
        """One value for each component."""
        return self.notice, *self.fields, self.columns, self.task, self.sheet, self.source, self.sources


def notice_only(notice: dict[str, Any]) -> tuple[Any, ...]:
    """A notice; everything else is unchanged."""
    return DataTabUpdate(
        notice, (gr.skip(),) * CONTROL_COUNT, gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()
    ).as_outputs()


def upload(path: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Import an uploaded file with its progress, and show it."""
    if path:
        yield from _run_import({"path": str(path), "name": Path(path).name}, Path(path).name, request)


def paste(text: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Import pasted text and show it."""
    yield from _run_import({"text": text or ""}, "…", request)


def fetch(hub: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Import a data set of the hub and show it."""
    yield from _run_import({"hub": (hub or "").strip()}, (hub or "").strip(), request)


def _run_import(payload: dict[str, str], name: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """The outputs during an import, and whether the cancel button is visible."""
    lang = request_language(request)
    show_cancel, hide_cancel = gr.update(visible=True), gr.update(visible=False)
    stage, done_mb, stage_started = "", 0.0, 0.0
    yield *notice_only(notices.notice(messages.OPENING_FILE.render(lang, name=name))), show_cancel
    try:
        visitors.check_disk(request)
        for event in import_job.import_dataset(payload):
            if "source" in event:
                dataset = store.find(event["source"])
                visitors.accept(dataset, request)
                yield *_show_dataset(dataset, lang), hide_cancel
                return
            # Opening a workbook takes long before its first row comes: until then the clock starts again.
            if event["stage"] != stage or not done_mb:
                stage_started = time.monotonic()
            stage, done_mb = event["stage"], event["done"]
            elapsed_seconds = time.monotonic() - stage_started
            notice = progress_notice(stage, done_mb, event["of"], elapsed_seconds, lang)
            yield *notice_only(notice), show_cancel
    except StudioError as error:
        yield *notice_only(notices.error_notice(error, lang)), hide_cancel


def progress_notice(
    stage: str, done_mb: float, total_mb: float, elapsed_seconds: float, lang: str
) -> dict[str, Any]:
    """A notice with a progress bar: megabytes of a stage that are done, and the time left if it is long."""
    share = done_mb / total_mb if total_mb else 0.0
    text = messages.IMPORT_PROGRESS.render(
        lang, what=import_job.STAGE_LABELS[stage], share=share, of=total_mb
    )
    if stage == "read" and share >= 1:
        text = messages.SAVING_COPY.render(lang)
    seconds_left = elapsed_seconds * (1 - share) / share if share >= MIN_SHARE_DONE else 0.0
    if elapsed_seconds >= MIN_ELAPSED_SECONDS and seconds_left >= MIN_SECONDS_LEFT:
        text += " · " + messages.TIME_LEFT.render(lang, time=units.format_seconds(seconds_left, lang))
    return notices.notice(text) | {"bar": {"share": round(100 * share)}}


def cancel_import(request: gr.Request) -> tuple[Any, ...]:
    """The notice after an import was cancelled."""
    return notices.notice(messages.IMPORT_CANCELLED.render(request_language(request))), gr.update(
        visible=False
    )


def open_sample(name: str, request: gr.Request) -> tuple[Any, ...]:
    """Open a sample data set."""
    return _show_dataset(store.find(f"sample:{name}"), request_language(request))


def pick_sample(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Open the sample whose button was pressed; a browser may name anything."""
    try:
        return open_sample(str(read_event(event, "id") or ""), request)
    except StudioError as error:
        return notice_only(notices.error_notice(error, request_language(request)))


def name_open_data(source: str, request: gr.Request) -> Any:
    """The title of the folded part: the open data set with its rows, as they are after a change."""
    try:
        return gr.update(label=_open_data_title(access.find_dataset(source), request_language(request)))
    except StudioError:
        return gr.skip()


def _open_data_title(dataset: Dataset, lang: str) -> str:
    name = schema_summary.display_name(dataset, lang)
    return messages.OPEN_DATA.render(lang, name=name, rows=len(dataset.table().rows))


def restore(source: str, request: gr.Request) -> tuple[Any, ...]:
    """Show the data set that this browser used last; without one, an empty state says what to do."""
    lang = request_language(request)
    try:
        is_known = isinstance(source, str) and source.partition(":")[0] in ("sample", "dataset")
        return _show_dataset(access.find_dataset(source), lang) if is_known else _empty_state(lang)
    except StudioError:
        return _empty_state(lang)


def open_with(source: str, task: Task, role_columns: dict[str, str], lang: str) -> tuple[Any, ...]:
    """Show a data set for a task with these columns. Raises BadData if there is none."""
    return _show_dataset(access.find_dataset(source), lang, (task, role_columns))


def choose_sheet(
    source: str, sheet: str, browser_datasets: object, revision: float, request: gr.Request
) -> tuple[Any, ...]:
    """Read another sheet of the workbook."""
    lang = request_language(request)
    try:
        return *_show_dataset(
            store.choose_sheet(access.find_own_dataset(source, browser_datasets), sheet), lang
        ), revision + 1
    except StudioError as error:
        return *notice_only(notices.error_notice(error, lang)), revision


def change_task(source: str, task: Task, browser_datasets: object, request: gr.Request) -> tuple[Any, ...]:
    """Choose another task: its columns are guessed again."""
    lang = request_language(request)
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        table = dataset.table()
        _, role_columns, basis = schema_summary.guess_roles(table, task)
        store.save_choice(dataset, task)
        return schema_summary.summary_notice(
            dataset, table, task, role_columns, basis, lang
        ), *_role_dropdowns(table, task, role_columns, lang)
    except StudioError as error:
        return notices.error_notice(error, lang), *(gr.skip(),) * (CONTROL_COUNT + 1)


def change_columns(
    source: str,
    task: Task,
    browser_datasets: object,
    packed_columns: str,
    request: gr.Request,
    *selected: str | None,
) -> tuple[Any, ...]:
    """Choose other columns.

    Args:
        source: The open data set.
        task: What the model is to learn.
        browser_datasets: The data sets that this browser has brought.
        packed_columns: Role -> column before the change.
        request: The browser's request.
        *selected: The column in each of the FIELD_COUNT fields.
    """
    lang = request_language(request)
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        table = dataset.table()
        previous = packing.unpack_mapping(packed_columns)
        role_choices = zip(_field_roles(task, previous), selected, strict=True)
        role_columns = {role: column for role, column in role_choices if role and column}
        role_columns = _adjust_to_conversations(table, task, previous, role_columns)
        return _save_roles(dataset, task, role_columns, lang)
    except StudioError as error:
        return notices.error_notice(error, lang), *(gr.skip(),) * (CONTROL_COUNT + 1)


def _save_roles(
    dataset: store.Dataset, task: Task, role_columns: dict[str, str], lang: str
) -> tuple[Any, ...]:
    """Save the chosen columns of a data set; the summary and the dropdowns that show them."""
    store.save_choice(dataset, task, role_columns)
    table = dataset.table()
    summary = schema_summary.summary_notice(dataset, table, task, role_columns, messages.ROLES_CHOSEN, lang)
    return summary, *_role_dropdowns(table, task, role_columns, lang)


def change_problem_type(
    source: str,
    task: Task,
    browser_datasets: object,
    packed_columns: str,
    role: str,
    request: gr.Request,
) -> tuple[Any, ...]:
    """Choose what a text to classify gets: the same column has another role."""
    lang = request_language(request)
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        previous = packing.unpack_mapping(packed_columns)
        column = previous[target_role(previous)]
        others = {name: other for name, other in previous.items() if name not in PROBLEM_TYPES}
        role_columns = {**others, role: column}
        return _save_roles(dataset, task, role_columns, lang)
    except StudioError as error:
        return notices.error_notice(error, lang), *(gr.skip(),) * (CONTROL_COUNT + 1)


def _adjust_to_conversations(
    table: Table, task: Task, previous: dict[str, str], role_columns: dict[str, str]
) -> dict[str, str]:
    """A column of complete conversations is used alone; without it, a column of answers is needed again."""
    input_column = next(iter(role_columns.values()), "")
    has_conversations = column_stats.has_conversations(table, input_column)
    if task == "chat" and "messages" not in previous and has_conversations:
        group = {role: column for role, column in role_columns.items() if role == GROUP_ROLE}
        return {"messages": input_column, **group}
    if "messages" in role_columns and not has_conversations:
        guessed = {**infer_roles.guess_roles(table, task).columns, "prompt": input_column}
        guessed.pop("messages", None)
        return guessed
    return role_columns


def _show_dataset(
    dataset: Dataset, lang: str, task_and_columns: tuple[Task, dict[str, str]] | None = None
) -> tuple[Any, ...]:
    table = dataset.table()
    task, role_columns, basis = (
        (*task_and_columns, messages.ROLES_CHOSEN)
        if task_and_columns
        else schema_summary.resolve_roles(dataset, table)
    )
    task_update = gr.update(
        choices=[(message.render(lang), name) for name, message in messages.TASKS.items()],
        value=task,
        visible=True,
    )
    notice = _with_header_warning(
        schema_summary.summary_notice(dataset, table, task, role_columns, basis, lang), dataset, table, lang
    )
    *fields, packed = _role_dropdowns(table, task, role_columns, lang)
    sheet_update = gr.update(
        choices=list(table.sheets), value=table.sheet or None, visible=len(table.sheets) > 1
    )
    folded = gr.update(label=_open_data_title(dataset, lang), open=False)
    return DataTabUpdate(
        notice, tuple(fields), packed, task_update, sheet_update, dataset.source, folded
    ).as_outputs()


def _with_header_warning(notice: dict[str, Any], dataset: Dataset, table: Table, lang: str) -> dict[str, Any]:
    """The notice, with a warning where the first row was taken for column names and may be an example."""
    has_guessed_header = readers.may_lack_header(dataset.path.suffix.lower()) and not dataset.changes()
    if not has_guessed_header or not header.is_doubtful_header(
        table.columns, [[*row.values()] for row in table.rows[: header.SAMPLE_LINES]]
    ):
        return notice
    warning = header.FIRST_ROW_TAKEN_AS_HEADER.render(lang, first=" | ".join(table.columns)[:160])
    return {
        **notice,
        "more": join_sentences((notice["more"], warning), lang),
        "kind": "check" if notice["kind"] == "good" else notice["kind"],
    }


def _empty_state(lang: str) -> tuple[Any, ...]:
    hidden = gr.update(visible=False)
    return DataTabUpdate(
        notices.notice(messages.NO_EXAMPLES.render(lang)),
        (hidden,) * CONTROL_COUNT,
        gr.skip(),
        hidden,
        hidden,
        gr.skip(),
        gr.update(label=messages.UPLOAD_OR_SAMPLE.render(lang), open=True),
    ).as_outputs()


def _field_roles(task: Task, role_columns: dict[str, str]) -> tuple[str, ...]:
    """The role of each field, "" for one that is not wanted."""
    required, optional = (
        required_column_roles(task, role_columns),
        optional_column_roles(task, role_columns),
    )
    return (
        *required,
        *("",) * (REQUIRED_FIELDS - len(required)),
        *optional,
        *("",) * (OPTIONAL_FIELDS - len(optional)),
    )


def _role_dropdowns(table: Table, task: Task, role_columns: dict[str, str], lang: str) -> tuple[Any, ...]:
    """A field for each role of a task, the others hidden; what a text gets; and all roles as one text."""
    updates = []
    for index, role in enumerate(_field_roles(task, role_columns)):
        empty_choice = [(messages.NO_COLUMN.render(lang), "")] if index >= REQUIRED_FIELDS else []
        choices = [*empty_choice, *((name, name) for name in table.columns)]
        role_label = infer_roles.role_label(task, role).render(lang) if role else ""
        updates.append(
            gr.update(
                choices=choices,
                value=role_columns.get(role) or ("" if empty_choice else None),
                label=role_label,
                visible=bool(role),
            )
        )
    problem_type = _problem_type_radio(table, task, role_columns, lang)
    return *updates, problem_type, packing.pack_mapping(role_columns)


def _problem_type_radio(table: Table, task: Task, role_columns: dict[str, str], lang: str) -> Any:
    """The choice of what a text to classify gets, hidden where the cells leave none."""
    chosen_role = target_role(role_columns)
    column = role_columns.get(chosen_role, "")
    if task != "classify" or column not in table.columns:
        return gr.update(visible=False)
    cells = column_stats.sample_cells(table, column)
    is_possible = {
        "label": True,
        "labels": targets.has_several_labels(cells),
        "rating": targets.has_ratings(cells),
    }
    choices = [
        (message.render(lang), role)
        for role, message in messages.PROBLEM_TYPES.items()
        if is_possible[role] or role == chosen_role
    ]
    return gr.update(choices=choices, value=chosen_role, visible=len(choices) > 1)


def build(source: gr.BrowserState, browser_datasets: gr.BrowserState) -> DataTab:
    """Build and wire the tab; `source` remembers the open data set, `browser_datasets` those this browser
    brought.
    """
    gr.Markdown(t(messages.DATA_HEADING), elem_id="data-heading")
    with gr.Accordion(t(messages.UPLOAD_OR_SAMPLE), open=True, elem_id="sources") as sources:
        file = gr.File(
            label=t(messages.UPLOAD_EXAMPLES),
            file_types=list(readers.accepted_extensions()),
            elem_id="upload",
            height=150,
        )
        sample_list = samples.build()
        with gr.Accordion(t(messages.OTHER_SOURCES), open=False, elem_id="other-ways"):
            pasted_text = gr.Textbox(
                label=t(messages.PASTE), info=t(messages.PASTE_HELP), lines=4, max_lines=12, elem_id="paste"
            )
            paste_button = gr.Button(t(messages.USE_PASTED), elem_id="take-pasted", size="sm")
            hub_id = gr.Textbox(
                label=t(messages.HUB_DATASET),
                info=t(messages.HUB_DATASET_HELP),
                max_length=200,
                elem_id="hub-id",
            )
            hub_button = gr.Button(t(messages.FETCH_FROM_HUB), elem_id="take-hub", size="sm")
            saved_datasets.build_templates()
        dataset_list = saved_datasets.build_list()
    with gr.Row(elem_id="intake"):
        notice = notices.notice_box("data-notice")
        cancel_button = gr.Button(
            t(messages.CANCEL), visible=False, elem_id="intake-stop", size="sm", scale=0, min_width=120
        )
    sheet = gr.Dropdown([], label=t(messages.SHEET), visible=False, elem_id="sheet")
    task = gr.Radio(
        [(message.render(), name) for name, message in messages.TASKS.items()],
        value="chat",
        label=t(messages.TASK),
        elem_id="task",
        visible=False,
    )
    dropdown_options: dict[str, Any] = {"label": t(messages.COLUMN_LABEL), "visible": False, "min_width": 220}
    with gr.Row():
        fields = [
            gr.Dropdown([], elem_id=f"column-{index}", **dropdown_options)
            for index in range(1, REQUIRED_FIELDS + 1)
        ]
    problem_type = gr.Radio(
        [(message.render(), role) for role, message in messages.PROBLEM_TYPES.items()],
        value="label",
        label=t(messages.PROBLEM_TYPE),
        elem_id="problem-type",
        visible=False,
    )
    with (
        gr.Accordion(
            t(messages.MORE_COLUMNS), open=False, visible=False, elem_id="more-columns"
        ) as more_columns,
        gr.Row(),
    ):
        fields += [
            gr.Dropdown([], elem_id=f"column-{index}", **dropdown_options)
            for index in range(REQUIRED_FIELDS + 1, FIELD_COUNT + 1)
        ]
    packed_columns = gr.Textbox("{}", visible=False)
    revision = gr.Number(0, visible=False)
    controls = [*fields, problem_type]
    outputs = [notice, *controls, packed_columns, task, sheet, source, sources]
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    import_events = [
        file.upload(upload, file, [*outputs, cancel_button], show_progress="hidden", trigger_mode="once"),
        gr.on(
            [paste_button.click],
            paste,
            pasted_text,
            [*outputs, cancel_button],
            show_progress="hidden",
            trigger_mode="once",
        ),
        gr.on(
            [hub_button.click, hub_id.submit],
            fetch,
            hub_id,
            [*outputs, cancel_button],
            show_progress="hidden",
            trigger_mode="once",
        ),
    ]
    import_events[0].then(
        None, None, file, js="() => null"
    )  # ready for the next file; this one is kept elsewhere
    cancel_button.click(cancel_import, None, [notice, cancel_button], cancels=import_events, **quiet)
    sample_list.pick(pick_sample, None, outputs, **quiet)
    current_page().load(samples.describe_samples, None, sample_list, **quiet)
    revision.change(name_open_data, source, sources, **quiet)
    sheet.input(choose_sheet, [source, sheet, browser_datasets, revision], [*outputs, revision], **quiet)
    task.input(change_task, [source, task, browser_datasets], [notice, *controls, packed_columns], **quiet)
    gr.on(
        [field.input for field in fields],
        change_columns,
        [source, task, browser_datasets, packed_columns, *fields],
        [notice, *controls, packed_columns],
        **quiet,
    )
    problem_type.input(
        change_problem_type,
        [source, task, browser_datasets, packed_columns, problem_type],
        [notice, *controls, packed_columns],
        **quiet,
    )
    gr.on([current_page().load], restore, source, outputs, **quiet)
    # Gradio takes a list that a script returns for a list of outputs: this one is in a list of its own.
    remember_js = (
        "(source, mine) => [[...new Set([...(Array.isArray(mine) ? mine : []), "
        "...(source?.startsWith('dataset:') ? [source] : [])])].slice(-200)]"
    )
    source_changed = events.after_any(source.change)
    source_changed.then(None, [source, browser_datasets], browser_datasets, js=remember_js, **quiet)
    saved_datasets.wire(dataset_list, source, browser_datasets, revision, restore, outputs)
    source_changed.then(lambda source: gr.update(visible=bool(source)), source, more_columns, **quiet)
    return DataTab(task, packed_columns, revision, notice, outputs)
