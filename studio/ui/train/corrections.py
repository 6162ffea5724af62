"""From a held-out row to the data: a wrong label is corrected, or an example like it is added."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio import runs
from studio.data import corrections, store
from studio.errors import BadData, StudioError, explain
from studio.evaluate import predictions
from studio.evaluate.predictions import Answered, Prediction
from studio.i18n import Message
from studio.runs import Run
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED, read_event
from studio.ui.data import health as health_panel
from studio.ui.data import messages as data_messages
from studio.ui.language import request_language
from studio.ui.train.remedies import RELOAD

WRONG_LABEL, RIGHT_LABEL = Message("The label is wrong"), Message("Right label")
FIX_IT = Message("Fix it in my data")
ADD_EXAMPLE, SEND_EXAMPLE = Message("Add an example like this"), Message("Add to my training data")
QUESTION, ANSWER = Message("Question", context="new example"), Message("Right answer")
# Said beside the fields of a new example.
CHANGE_IT = Message("Change the question too: a copy of a held-out row stays held out.")
CORRECTED = Message("The label of {rows} {rows:row|rows} of “{name}” is now “{label}”.")
ADDED = Message("The example is now a row of “{name}”.")
TRAIN_AGAIN = Message("Start the next training to learn from it. Undo it on the Data tab.")
ROW_IS_UNKNOWN = Message("This row is none of the run's held-out rows.")
# The longest question or answer that a browser may add (characters).
MAX_TEXT_CHARS = 20_000


@dataclass(frozen=True)
class DataTargets:
    """The components that a change of the data concerns.

    Attributes:
        source: The open data set.
        sources: The data sets that this browser has brought.
        revision: The counter of changes to the rows.
    """

    source: gr.BrowserState
    sources: gr.BrowserState
    revision: gr.Number


def describe_correction(row: Prediction, labels: list[str], lang: str) -> dict[str, Any]:
    """What the browser needs to correct the label of a row."""
    return {
        "row": row.row,
        "open": WRONG_LABEL.render(lang),
        "choose": RIGHT_LABEL.render(lang),
        "labels": labels,
        "given": row.tuned["label"],
        "send": FIX_IT.render(lang),
    }


def describe_addition(row: Prediction, lang: str) -> dict[str, Any]:
    """What the browser needs to add an example like a row."""
    return {
        "row": row.row,
        "open": ADD_EXAMPLE.render(lang),
        "note": CHANGE_IT.render(lang),
        "question": {"label": QUESTION.render(lang), "text": predictions.input_text(row.example)},
        "answer": {"label": ANSWER.render(lang), "text": predictions.expected_text(row.example)},
        "send": SEND_EXAMPLE.render(lang),
    }


def correct_label(
    browser_datasets: object, source: str, revision: float, event: gr.EventData, request: gr.Request
) -> tuple[Any, ...]:
    """Give a held-out row of a run the label that a person chose, in the data set it came from.

    Args:
        browser_datasets: The data sets that this browser has brought.
        source: The open data set.
        revision: The counter of changes to the rows.
        event: The event `correct`: the run's id, the row's number and the label.
        request: The visitor's request.

    Returns:
        The notice, the open data set and the counter.
    """
    lang = request_language(request)
    try:
        run, answered, row = _read_row(event)
        label = _read_text(event, "label")
        changed_source = _find_copy(_held_out_source(run, answered), source)
        table = access.find_own_dataset(changed_source, browser_datasets).table()
        change = corrections.correct_label(table, _columns(run), row.example, label)
        dataset, was_copied = health_panel.get_editable_dataset(changed_source, browser_datasets)
        health_panel.apply_change(dataset, change, was_copied, lang)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), gr.skip(), gr.skip()
    message = CORRECTED.format(rows=len(change.cells), name=dataset.name, label=label)
    return _tell(message, was_copied, lang), _opened(dataset, changed_source, source), revision + 1


def add_example(
    browser_datasets: object, source: str, revision: float, event: gr.EventData, request: gr.Request
) -> tuple[Any, ...]:
    """Add an example that a person wrote to the data set that a run learned from.

    Args:
        browser_datasets: The data sets that this browser has brought.
        source: The open data set.
        revision: The counter of changes to the rows.
        event: The event `include`: the run's id, the row's number, a question and its answer.
        request: The visitor's request.

    Returns:
        The notice, the open data set and the counter.
    """
    lang = request_language(request)
    try:
        run, _, _ = _read_row(event)
        question, answer = _read_text(event, "question"), _read_text(event, "answer")
        change = corrections.add_example(run.plan.task, _columns(run), question, answer)
        changed_source = _find_copy(run.plan.data.source, source)
        dataset, was_copied = health_panel.get_editable_dataset(changed_source, browser_datasets)
        health_panel.apply_change(dataset, change, was_copied, lang)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), gr.skip(), gr.skip()
    message = ADDED.format(name=dataset.name)
    return _tell(message, was_copied, lang), _opened(dataset, changed_source, source), revision + 1


def _opened(dataset: store.Dataset, changed_source: str, source: str) -> Any:
    """What is open after a change: the changed data set where it was open, else what is open stays."""
    return dataset.source if source == changed_source else gr.skip()


def _tell(message: Message, was_copied: bool, lang: str) -> dict[str, Any]:
    parts = [data_messages.SAMPLE_COPIED] if was_copied else []
    more = " ".join(part.render(lang) for part in (*parts, TRAIN_AGAIN))
    return notices.notice(message.render(lang), more, kind="good")


def _read_row(event: gr.EventData) -> tuple[Run, Answered, Prediction]:
    """The run and the held-out row that a button names; raises a StudioError where it names none."""
    run_id, number = read_event(event, "id"), read_event(event, "row")
    run = runs.get(run_id if isinstance(run_id, str) else "")
    answered = predictions.read(run.folder)
    rows = {row.row: row for row in answered.predictions} if answered else {}
    if not answered or not isinstance(number, int) or number not in rows:
        raise BadData(ROW_IS_UNKNOWN, RELOAD)
    return run, answered, rows[number]


def _read_text(event: gr.EventData, name: str) -> str:
    text = read_event(event, name)
    return text[:MAX_TEXT_CHARS] if isinstance(text, str) else ""


def _held_out_source(run: Run, answered: Answered) -> str:
    """The data set that a run's held-out rows came from: the test set of its own, where there is one."""
    data = run.plan.data
    return data.test if answered.split == "test" and data.test else data.source


def _find_copy(own_source: str, open_source: str) -> str:
    """The open data set where it is a copy of the run's sample, so that all changes go into one copy."""
    try:
        origin = access.find_dataset(open_source).card.get("source")
    except BadData:
        return own_source
    return open_source if origin == own_source else own_source


def _columns(run: Run) -> dict[str, str]:
    """The columns that the run read: its plan's, else those it guessed."""
    return run.plan.data.columns or dict(runs.report(run)["data"]["columns"])


def wire(run_view: gr.HTML, notice: gr.HTML, data: DataTargets) -> None:
    """Connect the buttons of the verdict's tables."""
    inputs, outputs = [data.sources, data.source, data.revision], [notice, data.source, data.revision]
    run_view.correct(correct_label, inputs, outputs, trigger_mode="once", **UNQUEUED)
    run_view.include(add_example, inputs, outputs, trigger_mode="once", **UNQUEUED)
