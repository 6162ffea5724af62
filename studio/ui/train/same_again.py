"""“Same again, but …”: the whole plan of a run in the form, so that a person changes one thing and starts."""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio import runs
from studio.data import store
from studio.data.schema import infer_roles
from studio.errors import NotPossible, StudioError, explain
from studio.i18n import Message, join_sentences
from studio.plan import Plan
from studio.runs import Run
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED, read_event
from studio.ui.data import tab as data_tab
from studio.ui.data import test_set
from studio.ui.form import plan_values
from studio.ui.form.saved_settings import SUGGESTED_FIELDS
from studio.ui.language import request_language
from studio.ui.train import comparison, runs_table

PLAN_OF = Message("This is the plan of “{name}”. Change what you like, then start it on Train.")
MODEL_GONE = Message("Its base model is gone: {model}. Choose another one.")
TEST_GONE = Message("Its own test set is gone, so the test rows come from the examples.")
NO_FIELD = Message("Left out, as the page has no field for it: {settings}.")
NOT_KEPT = Message("“{name}” learned from a file that the page does not keep: {file}.")
BRING_FILE = Message("Bring the file on the Data tab, or go on from the plan: studio runs --plan {id}")
COLUMNS_GONE = Message("The data of “{name}” no longer has {columns}.")
CHOOSE_COLUMNS = Message("Open the data on the Data tab and choose its columns there.")
UNCHANGED = {"__type__": "update"}
# Instead of values: the form stays as it is.
NO_VALUES = ""
FILL_JS = "(values) => values ? JSON.parse(values) : Array({count}).fill({{ __type__: 'update' }})"
OPEN_METHOD_JS = "(values) => { if (values) window.studioOpenTab('method'); }"


@dataclass(frozen=True)
class FormTargets:
    """The components of the form that a plan sets.

    Attributes:
        data: What the Data tab shows of a data set (data_tab.open_with).
        method: The chosen method.
        method_for: The data that the method was chosen for.
        model: The base model.
        edited: Which suggested values were changed by a person.
        test_sets: The separate test set of each data set.
        name: What the run is called.
        change_notice: The notice on top of the Method tab.
        fields: The training fields, and the settings of all methods as METHOD_SETTING.
    """

    data: list[Any]
    method: gr.BrowserState
    method_for: gr.BrowserState
    model: gr.Dropdown
    edited: gr.BrowserState
    test_sets: gr.BrowserState
    name: gr.Textbox
    change_notice: gr.HTML
    fields: dict[str, Any]

    def components(self) -> list[Any]:
        """Those that the server sets, in the order of `repeat_run`; those of `fields` are a text."""
        return [
            self.change_notice,
            *self.data,
            self.method,
            self.method_for,
            self.model,
            self.edited,
            self.test_sets,
            self.name,
        ]


def repeat_run(
    targets: FormTargets,
    browser_runs: object,
    browser_datasets: object,
    test_sets: object,
    event: gr.EventData,
    request: gr.Request,
) -> tuple[Any, ...]:
    """Put the plan of a row into the form.

    Args:
        targets: What is set.
        browser_runs: The runs this browser has started.
        browser_datasets: The data sets that it has brought.
        test_sets: The test set of each data set, as it remembers them.
        event: Names the run.
        request: The visitor's request.

    Returns:
        The notice beside the runs, a value for each of `targets.components()`, and the values of the fields
        as JSON; NO_VALUES where the plan cannot be repeated.
    """
    lang = request_language(request)
    try:
        run = runs_table.find_own_run(read_event(event, "id"), browser_runs)
        run_plan = _complete_plan(run, browser_datasets)
        values = plan_values.list_values(run_plan)
        data, task = run_plan.data, run_plan.task
        store.save_choice(access.find_own_dataset(data.source, browser_datasets), task, data.columns)
        data_updates = data_tab.open_with(data.source, task, data.columns, lang)
    except (StudioError, OSError) as error:
        skipped = (gr.skip(),) * len(targets.components())
        return notices.error_notice(explain(error), lang), *skipped, NO_VALUES
    sentences = _list_sentences(run, run_plan)
    return (
        notices.notice(""),
        {"text": join_sentences((sentence.render(lang) for sentence in sentences), lang)},
        *data_updates,
        run_plan.method.name,
        f"{data.source}|{task}",
        run_plan.model if _is_model_here(run_plan) else gr.skip(),
        {"source": data.source, "names": list(SUGGESTED_FIELDS)},
        test_set.remember(test_sets, data.source, data.test),
        run_plan.name,
        json.dumps([values.get(name, UNCHANGED) for name in targets.fields]),
    )


def _complete_plan(run: Run, browser_datasets: object) -> Plan:
    """The plan of a run with the columns that it read, and without a test set that is gone.

    Raises:
        StudioError: The run's data are gone, or without one of these columns.
    """
    data = run.plan.data
    if data.source.partition(":")[0] not in access.DATASET_SCHEMES:
        file = runs_table.data_name(data.source)
        raise NotPossible(NOT_KEPT, BRING_FILE, name=run.plan.name, file=file, id=run.id[:8])
    table = access.find_own_dataset(data.source, browser_datasets).table()
    columns = _find_columns(run) or infer_roles.guess_roles(table, run.plan.task).columns
    missing = [column for column in columns.values() if column not in table.columns]
    if missing:
        raise NotPossible(COLUMNS_GONE, CHOOSE_COLUMNS, name=run.plan.name, columns=missing)
    test = data.test if _is_kept(data.test, browser_datasets) else ""
    return run.plan.model_copy(update={"data": data.model_copy(update={"columns": columns, "test": test})})


def _find_columns(run: Run) -> dict[str, str]:
    """The columns that a run read: its plan's, else those it guessed; empty where it has not come so far."""
    report_data = runs.report(run).get("data")
    guessed = report_data.get("columns") if isinstance(report_data, dict) else None
    return run.plan.data.columns or (guessed if isinstance(guessed, dict) else {})


def _is_kept(source: str, browser_datasets: object) -> bool:
    try:
        access.find_own_dataset(source, browser_datasets)
    except StudioError:
        return False
    return True


def _is_model_here(run_plan: Plan) -> bool:
    try:
        access.check_model(run_plan.model)
    except StudioError:
        return False
    return True


def _list_sentences(run: Run, run_plan: Plan) -> list[Message]:
    """What is in the form now, and what of the run's plan is not."""
    sentences = [PLAN_OF.format(name=run_plan.name)]
    if not _is_model_here(run_plan):
        sentences.append(MODEL_GONE.format(model=run_plan.model))
    if run.plan.data.test and not run_plan.data.test:
        sentences.append(TEST_GONE)
    if keys := plan_values.find_keys_without_field(run_plan):
        sentences.append(NO_FIELD.format(settings=[comparison.OTHER_LABELS[key] for key in keys]))
    return sentences


def wire(
    table: gr.HTML,
    notice: gr.HTML,
    targets: FormTargets,
    browser_runs: gr.BrowserState,
    browser_datasets: gr.BrowserState,
) -> None:
    """Connect the button of the table's rows.

    Args:
        table: The table of runs.
        notice: What is said beside it.
        targets: What is set.
        browser_runs: The runs this browser has started.
        browser_datasets: The data sets that it has brought.
    """

    def repeat(
        runs_state: object, datasets: object, test_sets: object, event: gr.EventData, request: gr.Request
    ) -> tuple[Any, ...]:
        return repeat_run(targets, runs_state, datasets, test_sets, event, request)

    # The browser distributes the values, since Gradio reports every output of a server event by itself.
    values = gr.Textbox(NO_VALUES, visible=False)
    repeated = table.repeat(
        repeat,
        [browser_runs, browser_datasets, targets.test_sets],
        [notice, *targets.components(), values],
        trigger_mode="once",
        **UNQUEUED,
    )
    fields = list(targets.fields.values())
    filled = repeated.then(None, values, fields, js=FILL_JS.format(count=len(fields)), **UNQUEUED)
    filled.then(None, values, None, js=OPEN_METHOD_JS, **UNQUEUED)
