"""The lower half of the Data tab: the split, the health report, a preview, all rows, and their lengths."""

from typing import Any, NamedTuple

import gradio as gr

from studio.data.split import Splits
from studio.errors import StudioError
from studio.plan import Data, MethodChoice, Plan, Task, Training, Value
from studio.ui import access
from studio.ui.components import events, notices
from studio.ui.components.labels import t
from studio.ui.data import health as health_panel
from studio.ui.data import label_panel, meaning_report, messages, row_browser
from studio.ui.data import test_set as test_set_panel
from studio.ui.data.label_panel import LabelPanel
from studio.ui.data.tab import DataTab
from studio.ui.data.test_set import CustomTestSet
from studio.ui.form import packing, plan_form
from studio.ui.language import request_language
from studio.ui.method.tab import MethodTab

# Twenty rows of two lines are in sight at once (pixels).
ROW_TABLE_HEIGHT = 980
# A cell shows so much of its text until it is pressed: two lines.
MAX_CELL_CHARS = 100


class DetailsPanel(NamedTuple):
    """The components of the lower half."""

    container: gr.Column
    split: gr.HTML
    test_fields: CustomTestSet
    report: gr.HTML
    meaning: gr.HTML
    labelling: LabelPanel
    preview: gr.HTML
    search: gr.Textbox
    previous_button: gr.Button
    next_button: gr.Button
    page_number: gr.Number
    page_label: gr.HTML
    rows: gr.Dataframe
    row_numbers: gr.Textbox
    delete_button: gr.Button
    lengths: gr.Plot
    classes: gr.Plot


def build_details() -> DetailsPanel:
    """Build the components; hidden until a data set is open."""
    with gr.Column(visible=False, elem_id="inspection") as container:
        return _build_components(container)


def _build_components(container: gr.Column) -> DetailsPanel:
    split = notices.notice_box("split-notice")
    report = health_panel.build_report()
    meaning = health_panel.build_report("meaning")
    labelling = label_panel.build()
    with gr.Accordion(t(messages.PREVIEW), open=True, elem_id="seen"):
        preview = gr.HTML(
            {}, html_template=row_browser.PREVIEW_TEMPLATE, elem_id="seen-examples", apply_default_css=False
        )
    with gr.Accordion(t(messages.BROWSE_ROWS), open=False, elem_id="rows"):
        gr.Markdown(t(messages.BROWSE_ROWS_HELP))
        search = gr.Textbox(label=t(messages.SEARCH), elem_id="row-search", max_lines=1)
        with gr.Row(elem_id="row-pages"):
            previous_button = gr.Button(t(messages.PREVIOUS_PAGE), elem_id="row-previous", size="sm", scale=0)
            next_button = gr.Button(t(messages.NEXT_PAGE), elem_id="row-next", size="sm", scale=0)
            page_label = gr.HTML(
                "", html_template="<p>{{value}}</p>", elem_id="row-where", apply_default_css=False
            )
            page_number = gr.Number(
                1, label=t(messages.PAGE), minimum=1, precision=0, elem_id="row-page", scale=0, min_width=110
            )
        rows = gr.Dataframe(
            interactive=True,
            wrap=True,
            max_height=ROW_TABLE_HEIGHT,
            visible=False,
            elem_id="row-table",
            max_chars=MAX_CELL_CHARS,
            datatype="str",
            static_columns=[0],
            show_label=False,
            label=t(messages.BROWSE_ROWS),
        )
        with gr.Row():
            row_numbers = gr.Textbox(
                label=t(messages.ROWS_TO_DELETE), max_length=200, elem_id="row-numbers", scale=3
            )
            delete_button = gr.Button(t(messages.DELETE_BUTTON), elem_id="row-delete", size="sm", scale=1)
    with gr.Accordion(t(messages.LENGTHS_AND_CLASSES), open=False, elem_id="charts"), gr.Row():
        lengths = gr.Plot(show_label=False, visible=False, elem_id="chart-lengths")
        classes = gr.Plot(show_label=False, visible=False, elem_id="chart-classes")
    test_fields = test_set_panel.build_test_fields()
    return DetailsPanel(
        container,
        split,
        test_fields,
        report,
        meaning,
        labelling,
        preview,
        search,
        previous_button,
        next_button,
        page_number,
        page_label,
        rows,
        row_numbers,
        delete_button,
        lengths,
        classes,
    )


def describe_split(
    source: str, task: Task, columns: str, test: str, request: gr.Request, **split_fields: Value
) -> dict[str, Any]:
    """How the examples are divided, in one sentence.

    Args:
        source: The open data set.
        task: What the model is to learn.
        columns: Role -> column, packed.
        test: A separate data set for the final test, "" for a part of `source`.
        request: The browser's request.
        **split_fields: validation_share, test_share and seed, as the fields hold them.
    """
    lang = request_language(request)
    seed = split_fields["seed"]
    try:
        access.find_dataset(source)
        data = Data(
            source=source,
            columns=packing.unpack_mapping(columns),
            test=test or "",
            validation_share=split_fields["validation_share"],
            test_share=split_fields["test_share"],
        )
        plan = Plan(
            task=task,
            model="-",
            data=data,
            method=MethodChoice(name="lora"),
            training=Training(seed=int(seed or 0)),
        )
        splits = plan_form.split_examples(plan)
    except (StudioError, ValueError, TypeError):
        return notices.notice("")
    n_train, n_validation = len(splits.train), len(splits.validation)
    n_own_test = 0 if test else len(splits.test)
    summary = messages.SPLIT_SUMMARY.render(
        lang,
        count=n_train + n_validation + n_own_test,
        train=n_train,
        check=n_validation,
        test=_describe_test_part(splits, test, lang),
        seed=int(seed or 0),
    )
    return notices.notice(summary)


def _describe_test_part(splits: Splits, test: str, lang: str) -> str:
    n_test = len(splits.test)
    if test:
        return messages.SPLIT_CUSTOM_TEST.render(lang, test=n_test, name=access.find_dataset(test).name)
    if n_test:
        return messages.SPLIT_TEST.render(lang, test=n_test)
    return messages.SPLIT_NO_TEST.render(lang, check=len(splits.validation))


def wire(
    components: DetailsPanel,
    data_tab: DataTab,
    method_tab: MethodTab,
    source: gr.BrowserState,
    browser_datasets: gr.BrowserState,
    test_sets: gr.BrowserState,
) -> None:
    """Update everything when the data changes, and write back the changes made here."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    latest_only: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    latest_unqueued = {**latest_only, "queue": False}
    task, columns, revision, notice = data_tab.task, data_tab.columns, data_tab.revision, data_tab.notice
    training, model, method = method_tab.training_fields, method_tab.model, method_tab.method
    inputs = {
        "source": source,
        "task": task,
        "columns": columns,
        "model": model,
        "method": method,
        **method_tab.packed_fields,
    }
    inputs["max_length"] = training["max_length"]
    # Virtual tokens take positions of the context away from the text.
    virtual_token_changes = [
        field.change
        for name, field in method_tab.setting_fields.items()
        if name == "peft_type" or name.endswith("virtual_tokens")
    ]
    length_changes = [training["max_length"].change, model.change, method.change, *virtual_token_changes]
    length_changes.append(training["mask_history"].change)
    # In the browser alone: with each event of the server Gradio walks through everything inside a component
    # that the server shows or hides.
    source.change(
        None,
        source,
        components.container,
        js="(source) => ({ visible: Boolean(source), __type__: 'update' })",
        **quiet,
    )
    rows_changed = events.after_any(source.change, columns.change, revision.change, *length_changes)
    rows_changed.then(
        row_browser.preview_examples, inputs_kwargs=inputs, outputs=components.preview, **latest_only
    )
    rows_changed.then(
        row_browser.draw_charts,
        inputs_kwargs=inputs,
        outputs=[components.lengths, components.classes],
        **latest_only,
    )
    recheck_count = gr.Number(0, visible=False)  # how often "check again" was pressed
    components.report.again(None, recheck_count, recheck_count, js="(count) => count + 1", **quiet)
    check_needed = events.after_any(
        source.change,
        columns.change,
        revision.change,
        components.test_fields.test.change,
        *length_changes,
        recheck_count.change,
    )
    check_event = check_needed.then(
        health_panel.run_checks,
        inputs_kwargs={**inputs, "test": components.test_fields.test},
        outputs=components.report,
        **latest_only,
    )
    meaning_event = check_event.then(
        meaning_report.run_check,
        inputs_kwargs={**inputs, "test": components.test_fields.test},
        outputs=components.meaning,
        **latest_only,
    )
    fix_outputs = [source, revision, notice, components.report]
    page_outputs = [components.rows, components.page_label, components.page_number]
    components.search.input(None, None, components.page_number, js="() => 1", **quiet)
    page_inputs = [source, components.search, components.page_number]
    page_changed = events.after_any(
        source.change, revision.change, components.page_number.input, components.search.input
    )
    page_changed.then(row_browser.show_page, page_inputs, page_outputs, **latest_unqueued)
    for button, step in ((components.previous_button, -1), (components.next_button, 1)):
        turned = button.click(
            None, components.page_number, components.page_number, js=f"(page) => page + {step}", **quiet
        )
        turned.then(row_browser.show_page, page_inputs, page_outputs, **quiet)
    components.rows.input(
        row_browser.save_edits,
        [source, browser_datasets, components.rows, revision],
        [source, revision, notice],
        **quiet,
    )
    components.delete_button.click(
        row_browser.delete_rows,
        [source, browser_datasets, components.row_numbers, revision],
        [source, revision, notice, components.row_numbers],
        **quiet,
    )
    fix_inputs = {
        "source": source,
        "task": task,
        "columns": columns,
        "test": components.test_fields.test,
        "browser_datasets": browser_datasets,
        "revision": revision,
    }
    fix_event = components.report.fix(
        health_panel.fix_finding,
        inputs_kwargs={**fix_inputs, "content": components.report},
        outputs=fix_outputs,
        show_progress="hidden",
    )
    components.report.halt(None, None, None, cancels=[check_event, fix_event], **quiet)
    # Not on `halt` itself: Gradio drops events that come while it still cancels others; these follow them.
    for event in (check_event, fix_event):
        event.then(health_panel.finish_report, components.report, components.report, **quiet)
    meaning_fix = components.meaning.fix(
        meaning_report.fix_finding,
        inputs_kwargs={**fix_inputs, "content": components.meaning},
        outputs=[source, revision, notice, components.meaning],
        show_progress="hidden",
    )
    components.meaning.halt(None, None, None, cancels=[meaning_event, meaning_fix], **quiet)
    for event in (meaning_event, meaning_fix):
        event.then(meaning_report.finish_report, components.meaning, components.meaning, **quiet)
    components.meaning.again(None, recheck_count, recheck_count, js="(count) => count + 1", **quiet)
    label_panel.wire(
        components.labelling,
        components.meaning,
        components.test_fields.test,
        data_tab,
        source,
        browser_datasets,
    )
    components.report.undo(
        health_panel.undo_change,
        [source, browser_datasets, revision],
        [revision, notice],
        show_progress="hidden",
    )
    test_set_panel.wire(
        components.test_fields, data_tab, source, browser_datasets, test_sets, components.split
    )
    split_inputs = {"source": source, "task": task, "columns": columns, "test": components.test_fields.test}
    split_inputs |= {name: training[name] for name in ("validation_share", "test_share", "seed")}
    share_changes = [training[name].change for name in ("validation_share", "test_share", "seed")]
    split_changed = events.after_any(
        source.change, columns.change, revision.change, components.test_fields.test.change, *share_changes
    )
    split_changed.then(
        describe_split, inputs_kwargs=split_inputs, outputs=components.split, **latest_unqueued
    )
