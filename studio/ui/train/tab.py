"""The Train tab: one sentence, Start, the live view, Stop."""

import json
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, runs
from studio.errors import StudioError, explain
from studio.estimate import history
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate
from studio.i18n import Message, join_sentences, label, languages
from studio.methods import settings_check
from studio.runs import Run
from studio.storage import home, require_disk_space
from studio.training import launcher
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language
from studio.ui.method import estimates
from studio.ui.train import live_view, more_data, verdict_card

# Room a run needs beside what it learns: the split data, the log and the points.
MIN_FREE_BYTES = 200_000_000
TRAIN_HEADING = label("### Train")
RUN_NAME = label("Name of this run")
RUN_NAME_HELP = label("So that you find it again.")
START, STOP = label("Start training"), label("Stop and keep what was learned")
RUN_LIST = label("Runs")
RUN_LIST_HELP = label("Choose one to look at it again. Closing this page stops nothing.")
NEXT_COMPARE = label("Next: compare both models")
OPEN_REPORT = label("Page for the meeting (opens in a new tab)")
OPEN_REPORT_JS = "(run) => { if (run) window.open(`/report/${run}`, '_blank', 'noopener'); }"
NO_EXAMPLES = Message("Bring examples first: the Data tab takes a file or a sample.")
STARTED = Message("Started. You may close this page: the run goes on, and this page finds it again.")
QUEUED = Message("Queued: another run is training. It starts by itself; Stop takes it out of the queue.")
STOPPING = Message(
    "“{name}” was asked to stop: it finishes the step it is in, then checks what it has learned and keeps it."
)
STOPPING_BEFORE_TRAINING = Message(
    "“{name}” was asked to stop before it trains; nothing has been learned yet."
)
RESTARTS_STAGE = Message(
    "After a stop this method begins the unfinished stage again; stages that have ended are kept."
)
RESUMED = Message("“{name}” goes on from where it was.")
DOES_NOT_FIT_ADVICE = Message(
    "The Method tab offers changes that make it fit, in the row of this method. Or insist below, and it "
    "ends with a sentence where memory runs out."
)
START_ANYWAY = label("Start anyway")
START_ANYWAY_HELP = label(
    "It will probably run out of memory. Everything else on this machine stays as it is."
)
CHECKING = label("Checking…", context="train")
NOTHING_TRAINING = Message("Nothing is training.")
RUN_HAS_ENDED = Message("There is nothing to stop: the run has ended ({state}).")


class TrainTab(NamedTuple):
    """The components other tabs need."""

    next: gr.Button
    summary: gr.HTML
    state_changed: Any
    inputs: dict[str, Any]


def summarise(request: gr.Request, **fields: Any) -> dict[str, Any]:
    """The plan in one sentence, or what is still missing; `fields` are the form (form_state.read_form)."""
    lang = request_language(request)
    form = read_form(fields)
    if not form.source:
        return notices.notice(NO_EXAMPLES.render(lang))
    try:
        plan = plan_form.build_plan(form)
        restart_note = "" if methods.get(form.method).supports_resume else RESTARTS_STAGE.render(lang)
        estimate = estimates.estimate_plan(plan)
        why_not_fitting = _why_not_fitting(estimate, lang)
        cost = why_not_fitting or estimates.format_expected_cost(estimate, lang)
        details = join_sentences((cost, plan_form.describe_extra_stages(plan, lang), restart_note), lang)
        kind = "check" if why_not_fitting else "info"
        return notices.notice(plan_form.describe_plan(plan, lang), details, kind=kind)
    except StudioError as error:
        return plan_form.plan_error_notice(error, form.method, lang)


def _why_not_fitting(estimate: Estimate | None, lang: str) -> str:
    """Why a run does not fit this machine; "" where it does, or that is not known."""
    if not estimate or estimate.fits != "no" or not estimate.why_not:
        return ""
    return estimate.why_not.render(lang)


def start_run(
    request: gr.Request, browser_runs: object, insist: bool = False, **fields: Any
) -> tuple[Any, ...]:
    """Create the run and start its worker.

    Problems are reported before anything starts; a run that cannot fit is started only if the person insists.

    Args:
        request: The visitor's request.
        browser_runs: The runs this browser has started.
        insist: Whether to start a run that does not fit.
        fields: The form (form_state.read_form).

    Returns:
        The notice, the live view, the run, the list of runs, the runs of this browser, and the box to insist.
    """
    lang = request_language(request)
    form = read_form(fields)
    unchanged = (gr.skip(),) * 4
    if not form.source:
        return notices.notice(NO_EXAMPLES.render(lang), kind="bad"), *unchanged, gr.skip()
    try:
        plan = plan_form.build_plan(form)
        plan_form.describe_plan(plan, lang)  # the data is checked once more: a browser may send anything
        if refusal := settings_check.find_problem(plan, lang):
            return notices.notice(refusal, kind="bad"), *unchanged, gr.skip()
        estimate = estimates.estimate_plan(plan)
        why_not_fitting = _why_not_fitting(estimate, lang)
        if why_not_fitting and insist is not True:
            notice = notices.notice(why_not_fitting, DOES_NOT_FIT_ADVICE.render(lang), kind="bad")
            return notice, *unchanged, gr.update(visible=True)
        require_disk_space(home(), MIN_FREE_BYTES)
        access.check_queue()
        is_queued = any(runs.status(other).state not in runs.ENDED_STATES for other in runs.all_runs())
        run = runs.create(plan)
        if estimate:
            history.save_estimate(run, estimate, catalogue.local_machine())
        launcher.start(run)
    except (StudioError, OSError) as error:
        return plan_form.plan_error_notice(error, form.method, lang), *unchanged, gr.skip()
    run_ids = [*access.read_run_ids(browser_runs), run.id]
    message = QUEUED if is_queued else STARTED
    return (
        notices.notice(message.render(lang), kind="good"),
        live_view.view_value(run.id, lang),
        run.id,
        list_runs(run.id, run_ids, lang),
        run_ids,
        gr.update(value=False, visible=False),
    )


def resume_run(
    shown_run_id: str, browser_runs: object, event: gr.EventData, request: gr.Request
) -> tuple[Any, ...]:
    """Let the run that is looked at go on from where it was stopped or broke off."""
    lang = request_language(request)
    requested_id = getattr(event, "id", "")
    try:
        run = runs.get(requested_id if isinstance(requested_id, str) else "")
        require_disk_space(home(), MIN_FREE_BYTES)
        access.check_queue()
        launcher.resume(run)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), live_view.view_value(shown_run_id, lang), gr.skip()
    return (
        notices.notice(RESUMED.render(lang, name=run.plan.name), kind="good"),
        live_view.view_value(run.id, lang),
        list_runs(run.id, browser_runs, lang),
    )


def stop_run(run_id: str, request: gr.Request) -> dict[str, Any]:
    """Ask the shown run to stop."""
    lang = request_language(request)
    if not run_id:
        return notices.notice(NOTHING_TRAINING.render(lang))
    try:
        run = runs.get(run_id)
    except StudioError as error:
        return notices.error_notice(error, lang)
    state = runs.status(run).state
    if state in runs.ENDED_STATES:
        return notices.notice(RUN_HAS_ENDED.render(lang, state=live_view.STATE_NAMES[state]))
    launcher.stop(run)
    message = STOPPING if state == "training" else STOPPING_BEFORE_TRAINING
    return notices.notice(message.render(lang, name=run.plan.name))


def refresh_state(run_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """The state of the run has changed: update the list, and clear the notice of a run that has ended."""
    lang = request_language(request)
    try:
        has_ended = runs.status(runs.get(run_id or "")).state in runs.ENDED_STATES
    except StudioError:
        return gr.skip(), gr.skip()
    return notices.notice("") if has_ended else gr.skip(), list_runs(run_id, browser_runs, lang)


def show_run(run_id: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Look at an earlier run."""
    shown_run_id = run_id if run_id and runs.RUN_ID.fullmatch(run_id) else ""
    return live_view.view_value(shown_run_id, request_language(request)), shown_run_id


def reattach_run(remembered_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """The run to show after a reload.

    That of the address, else the remembered one, else one that is going on.
    """
    lang = request_language(request)
    requested_id = str(request.query_params.get("run", "")) if request is not None else ""
    existing_ids = {run.id for run in runs.all_runs()}
    active_ids = [
        run.id for run in access.visible_runs(browser_runs) if runs.status(run).state not in runs.ENDED_STATES
    ]
    shown_run_id = next(
        (run_id for run_id in (requested_id, remembered_id, *active_ids) if run_id in existing_ids), ""
    )
    return live_view.view_value(shown_run_id, lang), shown_run_id, list_runs(shown_run_id, browser_runs, lang)


def list_runs(selected_id: str, browser_runs: object, lang: str) -> Any:
    """The list of runs, the newest first; whoever has a run's address may look at it."""
    visible_runs = access.visible_runs([*access.read_run_ids(browser_runs), selected_id])
    return gr.update(
        choices=[
            (
                f"{runs.describe(run, lang)} · {_describe_state(run, lang)}",
                run.id,
            )
            for run in visible_runs
        ],
        value=selected_id or None,
        visible=bool(visible_runs),
    )


def _describe_state(run: Run, lang: str) -> str:
    """A run's verdict where it has one, else its state."""
    return verdict_card.word(run, lang) or live_view.STATE_NAMES[runs.status(run).state].render(lang)


def build(run: gr.BrowserState, browser_runs: gr.BrowserState, inputs: dict[str, Any]) -> TrainTab:
    """Build and wire the tab; `run` and `browser_runs` remember runs, `inputs` are the other tabs' fields by
    name.
    """
    gr.Markdown(t(TRAIN_HEADING))
    summary = notices.notice_box("summary")
    name = gr.Textbox(
        "", label=t(RUN_NAME), info=t(RUN_NAME_HELP), max_lines=1, max_length=120, elem_id="run-name"
    )
    with gr.Row():
        start_button = gr.Button(t(START), variant="primary", elem_id="start")
        stop_button = gr.Button(t(STOP), elem_id="stop")
    insist = gr.Checkbox(
        False, label=t(START_ANYWAY), info=t(START_ANYWAY_HELP), elem_id="insist", visible=False
    )
    notice = notices.notice_box("train-notice")
    run_view = live_view.build_view("live")
    run_dropdown = gr.Dropdown([], label=t(RUN_LIST), info=t(RUN_LIST_HELP), elem_id="runs", visible=False)
    more_data.build(run, browser_runs)
    with gr.Row():
        next_button = gr.Button(t(NEXT_COMPARE), elem_id="to-playground")
        report_button = gr.Button(t(OPEN_REPORT), elem_id="open-report")
    report_button.click(None, run, None, js=OPEN_REPORT_JS)
    plan_inputs = {**inputs, "name": name}
    start_inputs = {**plan_inputs, "browser_runs": browser_runs, "insist": insist}
    # Shown at once by the browser, since checking the settings takes seconds; first, so that the result
    # replaces it.
    start_button.click(None, None, notice, js=_build_checking_js(), show_progress="hidden", queue=False)
    start_button.click(
        start_run,
        inputs_kwargs=start_inputs,
        outputs=[notice, run_view, run, run_dropdown, browser_runs, insist],
        show_progress="hidden",
        trigger_mode="once",
        queue=False,
    )
    state_changed = run_view.moved(
        refresh_state, [run, browser_runs], [notice, run_dropdown], show_progress="hidden", queue=False
    )
    run_view.resume(
        resume_run,
        [run, browser_runs],
        [notice, run_view, run_dropdown],
        show_progress="hidden",
        trigger_mode="once",
        queue=False,
    )
    stop_button.click(stop_run, run, notice, show_progress="hidden", queue=False)
    run_dropdown.input(show_run, run_dropdown, [run_view, run], show_progress="hidden", queue=False)
    root = current_page()
    attached = root.load(
        reattach_run, [run, browser_runs], [run_view, run, run_dropdown], show_progress="hidden", queue=False
    )
    attached.then(
        None, None, None, js="() => { window.studioAttached = true; }"
    )  # until then the address may name another run
    run.change(None, run, None, js="(run) => window.studioNameRun(run)")
    return TrainTab(next_button, summary, state_changed, plan_inputs)


def _build_checking_js() -> str:
    texts = json.dumps({language: CHECKING.render(language) for language in languages()}, ensure_ascii=False)
    return f"() => ({{ text: {texts}[window.studioLanguage], more: '', kind: 'info', bad: false }})"
