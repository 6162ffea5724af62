"""A separate test set on the Data tab: uploaded or chosen, and remembered with the data set it belongs to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio.data import examples, import_job, store
from studio.errors import StudioError
from studio.ui import access, visitors
from studio.ui.components import events, notices
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.data import messages, saved_datasets
from studio.ui.data.tab import DataTab
from studio.ui.form import packing
from studio.ui.language import request_language

MAX_REMEMBERED = 200


class CustomTestSet(NamedTuple):
    """The components; `test` holds the source of the test set of the open data set, "" for none."""

    test: gr.Textbox
    dropdown: gr.Dropdown
    file: gr.File


def build_test_fields() -> CustomTestSet:
    """Build the components."""
    with gr.Accordion(t(messages.CUSTOM_TEST_TITLE), open=False, elem_id="own-test"):
        gr.Markdown(t(messages.CUSTOM_TEST_HELP))
        dropdown = gr.Dropdown([("", "")], value="", label=t(messages.TEST_SET_LABEL), elem_id="test-choose")
        file = gr.File(label=t(messages.UPLOAD_TEST_SET), elem_id="test-upload", height=110)
    return CustomTestSet(gr.Textbox("", visible=False), dropdown, file)


def get_test_source(source: str, test_sets: object, browser_datasets: object) -> str:
    """The test set remembered for a data set, "" for none.

    A copied sample keeps the sample's until it gets another.

    Args:
        source: The open data set.
        test_sets: Data set -> test set, as a browser remembers it; may be anything.
        browser_datasets: The data sets that this browser has brought; only one of these is returned.
    """
    remembered = test_sets if isinstance(test_sets, dict) else {}
    try:
        origin = str(access.find_dataset(source).card.get("source", ""))
        return access.find_own_dataset(
            str(remembered.get(source, remembered.get(origin, ""))), browser_datasets
        ).source
    except StudioError:
        return ""


def refresh_test_set(
    source: str, test_sets: object, browser_datasets: object, request: gr.Request
) -> tuple[Any, ...]:
    """The test set of the open data set, and the choices for one."""
    lang, test = request_language(request), get_test_source(source, test_sets, browser_datasets)
    others = [
        (saved_datasets.format_dataset(dataset, lang), dataset.source)
        for dataset in access.visible_datasets(browser_datasets)
        if dataset.source != source
    ]
    return test, gr.update(choices=[(messages.TEST_FROM_EXAMPLES.render(lang), ""), *others], value=test)


def choose_test_set(
    test: str, test_sets: object, browser_datasets: object, request: gr.Request, **fields: Any
) -> tuple[Any, ...]:
    """Choose another test set among the saved data sets, or none.

    Args:
        test: The chosen data set, "" for a part of the open one.
        test_sets: Data set -> test set, as the browser remembers it.
        browser_datasets: The data sets that this browser has brought.
        request: The browser's request.
        **fields: source, task and columns (packed) of the open data set.

    Returns:
        What the browser remembers, a notice, and the selected choice.
    """
    source = fields["source"]
    try:
        if test:
            table = access.find_own_dataset(test, browser_datasets).table()
            examples.build_examples(table, fields["task"], packing.unpack_mapping(fields["columns"]))
    except StudioError as error:
        return (
            gr.skip(),
            notices.error_notice(error, request_language(request)),
            get_test_source(source, test_sets, browser_datasets),
        )
    return remember(test_sets, source, test or ""), gr.skip(), gr.skip()


def import_test_set(
    path: str | None, test_sets: object, browser_datasets: object, request: gr.Request, **fields: Any
) -> Iterator[tuple[Any, ...]]:
    """Import an uploaded test set, if it has the columns of the open data set.

    Args:
        path: The uploaded file.
        test_sets: Data set -> test set, as the browser remembers it.
        browser_datasets: The data sets that this browser has brought.
        request: The browser's request.
        **fields: source, task and columns (packed) of the open data set.

    Yields:
        What the browser remembers, its data sets, and a notice.
    """
    lang = request_language(request)
    if not path:
        return
    yield gr.skip(), gr.skip(), notices.notice(messages.OPENING_FILE.render(lang, name=Path(path).name))
    dataset = None
    try:
        visitors.check_disk(request)
        for event in import_job.import_dataset({"path": str(path), "name": Path(path).name}):
            dataset = store.find(event["source"]) if "source" in event else dataset
        if dataset:
            visitors.accept(dataset, request)
            role_columns = packing.unpack_mapping(fields["columns"])
            examples.build_examples(dataset.table(), fields["task"], role_columns)
            dataset_sources = browser_datasets if isinstance(browser_datasets, list) else []
            yield (
                remember(test_sets, fields["source"], dataset.source),
                [*dataset_sources, dataset.source][-MAX_REMEMBERED:],
                gr.skip(),
            )
    except StudioError as error:
        if dataset:
            store.delete(dataset)
        yield gr.skip(), gr.skip(), notices.error_notice(error, lang)


def remember(test_sets: object, source: str, test: str) -> dict[str, str]:
    """What a browser remembers once a data set has this test set, "" for none.

    Args:
        test_sets: Data set -> test set, as it remembers them; may be anything.
        source: The data set.
        test: Its test set.
    """
    remembered: dict[str, str] = {}
    if isinstance(test_sets, dict):
        remembered = {str(data): str(test_set) for data, test_set in test_sets.items() if data != source}
    return dict([*remembered.items(), (source, test)][-MAX_REMEMBERED:])


def wire(
    components: CustomTestSet,
    data_tab: DataTab,
    source: gr.BrowserState,
    browser_datasets: gr.BrowserState,
    test_sets: gr.BrowserState,
    notice: gr.HTML,
) -> None:
    """Update the test set when the data changes, and remember the choice; `notice` shows what went wrong."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    shared_inputs = {
        "source": source,
        "task": data_tab.task,
        "columns": data_tab.columns,
        "test_sets": test_sets,
        "browser_datasets": browser_datasets,
    }
    inputs_changed = events.after_any(
        source.change, test_sets.change, browser_datasets.change, current_page().load
    )
    inputs_changed.then(
        refresh_test_set,
        [source, test_sets, browser_datasets],
        [components.test, components.dropdown],
        trigger_mode="always_last",
        **quiet,
    )
    imported = components.file.upload(
        import_test_set,
        inputs_kwargs={"path": components.file, **shared_inputs},
        outputs=[test_sets, browser_datasets, notice],
        show_progress="hidden",
    )
    imported.then(None, None, components.file, js="() => null")
    components.dropdown.input(
        choose_test_set,
        inputs_kwargs={"test": components.dropdown, **shared_inputs},
        outputs=[test_sets, notice, components.dropdown],
        **quiet,
    )
