"""Label texts on the Data tab: the next ones that teach most, and labels that are likely wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import presets
from studio.data import import_job, store
from studio.errors import BadData, StudioError
from studio.i18n import Message
from studio.meaning import client
from studio.meaning.client import BATCH_SIZE, Suggested, label_client
from studio.meaning.decisions import DROP, KEEP, LABEL_PREFIX, SKIP, build_addition, build_change
from studio.ui import access, visitors
from studio.ui.components import events, notices
from studio.ui.components.events import read_event
from studio.ui.components.labels import t
from studio.ui.data import health as health_panel
from studio.ui.data import meaning_report, messages
from studio.ui.data.tab import DataTab
from studio.ui.form import packing
from studio.ui.language import request_language

# Likely wrong labels that are shown at once, the likeliest first; and how much of a text (characters).
MAX_REVIEWED, MAX_TEXT_CHARS = 50, 600
LIST_TEMPLATE = """{{#if value.rows}}
<section class="labelling">
  <h3 tabindex="-1" data-head>{{value.title}}</h3>
  <p class="hint">{{value.hint}}</p>
  <ol>{{#each value.rows}}<li>
    <label for="label-row-{{this.row}}">{{this.text}}</label>
    <div class="choice">{{#if this.given}}<span class="given">{{this.given}}</span>{{/if}}
    <select id="label-row-{{this.row}}" data-row="{{this.row}}" data-choice="{{this.choice}}"></select>
    <span class="sure">{{this.sure}}</span></div></li>{{/each}}</ol>
  <div class="new-label"><label for="new-label">{{value.new_label}}</label>
  <input id="new-label" maxlength="200" autocomplete="off"> <button type="button" class="quiet" data-do="add">{{value.add}}</button></div>
  <button type="button" data-do="save">{{value.save}}</button>
</section>{{/if}}"""  # noqa: E501 - HTML


class LabelPanel(NamedTuple):
    """The components."""

    container: gr.Accordion
    suggest_button: gr.Button
    stop_button: gr.Button
    notice: gr.HTML
    texts: gr.HTML
    file: gr.File


def build() -> LabelPanel:
    """Build the components; hidden unless each text gets one class.

    The browser sends the event `save` with the decisions, which `save` checks.
    """
    script = (presets.ASSETS / "labelling.js").read_text(encoding="utf-8")
    with gr.Accordion(t(messages.LABEL_TEXTS), open=False, visible=False, elem_id="labelling") as container:
        gr.Markdown(t(messages.LABEL_TEXTS_HELP))
        with gr.Row(elem_id="labelling-buttons"):
            suggest_button = gr.Button(
                t(messages.LABEL_NEXT), elem_id="label-next", size="sm", scale=0, min_width=230
            )
            stop_button = gr.Button(
                t(messages.CANCEL), visible=False, elem_id="label-stop", size="sm", scale=0, min_width=120
            )
        notice = notices.notice_box("labelling-notice")
        texts = gr.HTML(
            {},
            html_template=LIST_TEMPLATE,
            js_on_load=script,
            elem_id="label-list",
            apply_default_css=False,
        )
        file = gr.File(label=t(messages.ADD_UNLABELLED), elem_id="label-upload", height=110)
    return LabelPanel(container, suggest_button, stop_button, notice, texts, file)


def suggest(source: str, task: str, packed_columns: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """The next texts to label; texts that were never read are embedded first.

    Args:
        source: The open data set.
        task: What the model is to learn.
        packed_columns: Role -> column.
        request: The browser's request.

    Yields:
        The notice, the list and the stop button.
    """
    lang, columns = request_language(request), packing.unpack_mapping(packed_columns)
    busy, idle = gr.update(visible=True), gr.update(visible=False)
    try:
        dataset = access.find_dataset(source)
        version = dataset.version
        yield notices.notice(messages.CHOOSING_TEXTS.render(lang)), gr.skip(), busy
        suggested = label_client.suggest(source, task, columns, BATCH_SIZE)
        if suggested is None:
            for step in client.embed_labels(source, task, columns):
                text = messages.STAGE_PROGRESS.render(
                    lang, what=client.STAGE_LABELS[step.stage], share=step.share
                )
                yield notices.notice(text), gr.skip(), busy
            suggested = label_client.suggest(source, task, columns, BATCH_SIZE)
        if not suggested or not suggested.suggestions:
            yield notices.notice(messages.ALL_LABELLED.render(lang)), {}, idle
            return
        listed = _list_suggestions(suggested, source, version, lang)
        yield notices.notice(_describe_pool(suggested, lang)), listed, busy
        curve = label_client.measure_curve(source, task, columns)
        first, *others = [message.render(lang) for message in curve]
        more = " ".join([first, *others])
        yield notices.notice(_describe_pool(suggested, lang), more), gr.skip(), idle
    except StudioError as error:
        yield notices.error_notice(error, lang), {}, idle


def _describe_pool(suggested: Suggested, lang: str) -> str:
    values = {"labelled": suggested.labelled, "unlabelled": suggested.unlabelled}
    if suggested.candidates < suggested.unlabelled:
        return messages.POOL_CAPPED.render(lang, candidates=suggested.candidates, **values)
    return messages.POOL.render(lang, **values)


def _list_suggestions(suggested: Suggested, source: str, version: int, lang: str) -> dict[str, Any]:
    rows = []
    for suggestion in suggested.suggestions:
        guess = suggestion["label"]
        sure = messages.SURE.render(lang, share=suggestion["certainty"]) if guess else ""
        rows.append(
            {
                "row": suggestion["row"],
                "text": suggestion["text"][:MAX_TEXT_CHARS],
                "choice": LABEL_PREFIX + guess if guess else SKIP,
                "sure": sure,
                "given": "",
            }
        )
    # A version has more digits than a number of a browser holds.
    return {
        "mode": "next",
        "source": source,
        "version": str(version),
        "title": messages.NEXT_TITLE.render(lang, count=len(rows)),
        "hint": messages.NEXT_HINT.render(lang),
        "fixed": [[SKIP, messages.SKIP_TEXT.render(lang)]],
        "labels": suggested.labels,
        "rows": rows,
        **_list_words(messages.SAVE_LABELS, lang),
    }


def _list_words(save: Message, lang: str) -> dict[str, str]:
    return {
        "save": save.render(lang),
        "new_label": messages.NEW_LABEL.render(lang),
        "add": messages.ADD_LABEL.render(lang),
    }


def review(
    source: str, task: str, packed_columns: str, test: str, event: gr.EventData, request: gr.Request
) -> tuple[Any, ...]:
    """The likely wrong labels one by one, where that is the fix that was pressed.

    Args:
        source: The open data set.
        task: What the model is to learn.
        packed_columns: Role -> column.
        test: The separate test set, "" for none.
        event: The event `fix` of the report by meaning.
        request: The browser's request.

    Returns:
        The panel, the notice and the list.
    """
    if read_event(event, "id") != "wrong_labels":
        return (gr.skip(),) * 3
    lang, columns = request_language(request), packing.unpack_mapping(packed_columns)
    opened = gr.update(open=True)
    try:
        dataset = access.find_dataset(source)
        report = meaning_report.find_report(dataset, task, columns, str(test or ""))
        if not report:
            raise BadData(messages.ROWS_CHANGED, health_panel.RECHECK_ADVICE)
        table = dataset.table()
        labels = sorted({name for row in table.rows if (name := row[columns["label"]].strip())})
    except StudioError as error:
        return opened, notices.error_notice(error, lang), {}
    rows = [
        {
            "row": doubt.row,
            "text": doubt.text[:MAX_TEXT_CHARS],
            "given": messages.GIVEN_LABEL.render(lang, label=doubt.given),
            "choice": LABEL_PREFIX + doubt.suggested,
            "sure": messages.SURE.render(lang, share=doubt.certainty),
        }
        for doubt in report.doubts[:MAX_REVIEWED]
    ]
    listed = {
        "mode": "wrong",
        "source": source,
        "version": str(dataset.version),
        "title": messages.WRONG_TITLE.render(lang, count=len(rows), total=len(report.doubts)),
        "hint": messages.WRONG_HINT.render(lang),
        "fixed": [
            [KEEP, messages.KEEP_LABEL.render(lang)],
            [DROP, messages.DROP_ROW.render(lang)],
            [SKIP, messages.DECIDE_LATER.render(lang)],
        ],
        "labels": labels,
        "rows": rows,
        **_list_words(messages.SAVE_DECISIONS, lang),
    }
    return opened, notices.notice(""), listed


def save(
    browser_datasets: object, revision: float, event: gr.EventData, request: gr.Request, **fields: Any
) -> tuple[Any, ...]:
    """Save what was decided for the texts of the list, as one change that can be undone.

    Args:
        browser_datasets: The data sets that this browser has brought.
        revision: The counter of changes to the rows.
        event: The event `save`, whose decisions are a list of rows with choices, as JSON.
        request: The browser's request.
        **fields: source, columns (packed) and content (the list).

    Returns:
        Source, revision, notice and list.
    """
    lang, source = request_language(request), fields["source"]
    content = fields["content"] if isinstance(fields["content"], dict) else {}
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        if content.get("source") != source or content.get("version") != str(dataset.version):
            raise BadData(messages.ROWS_CHANGED, messages.CHOOSE_AGAIN)
        column = packing.unpack_mapping(fields["columns"]).get("label", "")
        kind = "label_next" if content.get("mode") == "next" else "relabel"
        change = build_change(kind, dataset.table(), column, _read_decisions(event))
        if not change.cells and not change.drop:
            return gr.skip(), gr.skip(), notices.notice(messages.NOTHING_CHOSEN.render(lang)), {**content}
        dataset, was_copied = health_panel.get_editable_dataset(source, browser_datasets)
        notice = health_panel.apply_change(dataset, change, was_copied, lang)
    except StudioError as error:
        return gr.skip(), gr.skip(), notices.error_notice(error, lang), {}
    return dataset.source, revision + 1, notice, {"continue": kind == "label_next"}


def _read_decisions(event: gr.EventData) -> list[tuple[int, str]]:
    """Row and choice of each decision; whatever else a browser sends is left out."""
    try:
        raw = json.loads(str(read_event(event, "decisions") or "[]"))
    except (ValueError, RecursionError):
        return []
    items = raw if isinstance(raw, list) else []
    pairs = [item for item in items if isinstance(item, list) and len(item) == 2]
    return [(row, choice) for row, choice in pairs if type(row) is int and isinstance(choice, str)]


def go_on(
    content: object, source: str, task: str, packed_columns: str, request: gr.Request
) -> Iterator[tuple[Any, ...]]:
    """The next texts after some were labelled; arguments and outputs as in `suggest`."""
    if isinstance(content, dict) and content.get("continue"):
        yield from suggest(source, task, packed_columns, request)
    else:
        yield (gr.skip(),) * 3


def add_unlabelled(
    path: str | None, browser_datasets: object, revision: float, request: gr.Request, **fields: Any
) -> Iterator[tuple[Any, ...]]:
    """Add the texts of another file, without labels, behind the rows of the open data set.

    Args:
        path: The uploaded file.
        browser_datasets: The data sets that this browser has brought.
        revision: The counter of changes to the rows.
        request: The browser's request.
        **fields: source and columns (packed).

    Yields:
        Source, revision and notice.
    """
    lang, source = request_language(request), fields["source"]
    if not path:
        return
    opening = messages.OPENING_FILE.render(lang, name=Path(path).name)
    yield gr.skip(), gr.skip(), notices.notice(opening)
    added: store.Dataset | None = None
    try:
        visitors.check_disk(request)
        own_dataset = access.find_own_dataset(source, browser_datasets)
        for event in import_job.import_dataset({"path": str(path), "name": Path(path).name}):
            added = store.find(event["source"]) if "source" in event else added
        if added:
            text_column = packing.unpack_mapping(fields["columns"])["text"]
            change = build_addition(own_dataset.table(), added.table(), text_column)
            if not change.added:
                yield gr.skip(), gr.skip(), notices.notice(messages.NO_NEW_TEXTS.render(lang))
                return
            dataset, was_copied = health_panel.get_editable_dataset(source, browser_datasets)
            health_panel.apply_change(dataset, change, was_copied, lang)
            notice = messages.TEXTS_ADDED.render(lang, count=len(change.added))
            yield dataset.source, revision + 1, notices.notice(notice, kind="good")
    except StudioError as error:
        yield gr.skip(), gr.skip(), notices.error_notice(error, lang)
    finally:
        if added:
            store.delete(added)


def wire(
    panel: LabelPanel,
    report: gr.HTML,
    test: gr.Textbox,
    data_tab: DataTab,
    source: gr.BrowserState,
    browser_datasets: gr.BrowserState,
) -> None:
    """Suggest, review and save; `report` is the one by meaning, and `test` the separate test set."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    task, columns = data_tab.task, data_tab.columns
    outputs = [panel.notice, panel.texts, panel.stop_button]
    suggest_inputs = [source, task, columns]
    columns_changed = events.after_any(source.change, columns.change, task.change)
    columns_changed.then(
        None,
        [task, columns],
        panel.container,
        js="(task, columns) => ({ visible: task === 'classify' && (columns ?? '').includes('\"label\"'), "
        "__type__: 'update' })",
        **quiet,
    )
    # Texts of other data are not shown any longer.
    source.change(
        None,
        [source, panel.texts],
        panel.texts,
        js="(source, listed) => (listed?.source && listed.source !== source ? {} : listed)",
        **quiet,
    )
    suggested = panel.suggest_button.click(
        suggest, suggest_inputs, outputs, show_progress="hidden", trigger_mode="once", concurrency_limit=2
    )
    saved = panel.texts.save(
        save,
        inputs_kwargs={
            "source": source,
            "columns": columns,
            "browser_datasets": browser_datasets,
            "revision": data_tab.revision,
            "content": panel.texts,
        },
        outputs=[source, data_tab.revision, panel.notice, panel.texts],
        **quiet,
    )
    went_on = saved.then(go_on, [panel.texts, *suggest_inputs], outputs, show_progress="hidden")
    panel.stop_button.click(
        lambda: (notices.notice(""), gr.update(visible=False)),
        None,
        [panel.notice, panel.stop_button],
        cancels=[suggested, went_on],
        **quiet,
    )
    report.fix(review, [*suggest_inputs, test], [panel.container, panel.notice, panel.texts], **quiet)
    added = panel.file.upload(
        add_unlabelled,
        inputs_kwargs={
            "path": panel.file,
            "source": source,
            "columns": columns,
            "browser_datasets": browser_datasets,
            "revision": data_tab.revision,
        },
        outputs=[source, data_tab.revision, panel.notice],
        show_progress="hidden",
    )
    added.then(None, None, panel.file, js="() => null")
