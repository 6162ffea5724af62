"""The Train tab: the next run (its plan in a sentence, Start), and the run that is looked at."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, runs, space
from studio.errors import NotPossible, StudioError, explain
from studio.estimate import all_methods
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message, join_sentences, label
from studio.launchers import consent, resumption
from studio.launchers.consent import Consent
from studio.methods import no_regret
from studio.plan import Plan
from studio.runs import Run
from studio.training import before_start, launcher
from studio.training import queue as run_queue
from studio.training.before_start import DoesNotFit
from studio.ui import access, visitors
from studio.ui.components import notices
from studio.ui.components.events import LATEST_UNQUEUED, UNQUEUED, after_any, read_event
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.form import plan_form
from studio.ui.form.form_state import FormState, read_form
from studio.ui.language import request_language
from studio.ui.method import estimates, held_out
from studio.ui.train import (
    bake_off,
    comparison,
    consent_sheet,
    corrections,
    live_view,
    more_data,
    queue_panel,
    remedies,
    runs_table,
)
from studio.ui.train.consent_sheet import Answer
from studio.ui.train.corrections import DataTargets

# How often the list of runs is brought up to date while one of them goes on.
REFRESH_SECONDS = 5.0
TRAIN_HEADING, NEXT_RUN_HEADING = label("## Train"), label("### Next run")
RUN_NAME = label("Name")
RUN_NAME_HELP = label("Shown in your run list.")
START, ADD_TO_QUEUE = label("Start training"), Message("Add to queue")
NEXT_COMPARE = label("Next: compare both models")
OPEN_REPORT = label("Report for a meeting (new tab)")
OPEN_REPORT_JS = "(run) => { if (run) window.open(`/report/${run}`, '_blank', 'noopener'); }"
# A run that has started is led to; where it has not, the notice beside the button says why.
REVEAL_RUN_JS = (
    "(notice) => { if (!notice.bad && !notice.asks) window.studioReveal(document.querySelector('#live')); }"
)
MARK_SHOWN_JS = "(run) => ({ props: { shown: run || '' }, __type__: 'update' })"
NO_DATA = Message("Upload data first.")
NO_DATA_HINT = Message("The Data tab takes a file or a sample.")
STARTED = Message("Started. You can close this page; the run goes on.")
STARTED_THERE = Message("Started. It trains at {machine}; you can close this page.")
QUEUED = Message("Added to the queue. It starts by itself.")
RESTARTS_STAGE = Message("If you stop it, a stage that is not finished starts over.")
DOES_NOT_FIT_ADVICE = Message("Below is what would fit; or tick “Start anyway”.")
START_ANYWAY = label("Start anyway")
START_ANYWAY_HELP = label("It will probably run out of memory. Nothing else on this machine is affected.")
NOTHING_TO_STOP = Message("“{name}” has already ended.")


class TrainTab(NamedTuple):
    """The components other tabs need; `attached` is the event after which the run of the address is known."""

    next: gr.Button
    summary: gr.HTML
    state_changed: Any
    inputs: dict[str, Any]
    table: gr.HTML
    run_notice: gr.HTML
    attached: Any


def summarise(request: gr.Request, **fields: Any) -> dict[str, Any]:
    """The plan in one sentence, or what is still missing; `fields` are the form (form_state.read_form)."""
    lang = request_language(request)
    form = read_form(fields)
    if not _has_data(form):
        return notices.notice(NO_DATA.render(lang), NO_DATA_HINT.render(lang))
    if not form.model:  # the Method tab has not suggested one yet
        return notices.notice("")
    try:
        plan = plan_form.build_plan(form)
        restart_note = "" if methods.get(form.method).supports_resume else RESTARTS_STAGE.render(lang)
        estimate = estimates.estimate_plan(plan)
        why_not_fitting = _why_not_fitting(estimate, lang)
        too_few = held_out.warn_of_too_few(plan_form.split_examples(plan), lang)
        cost = why_not_fitting or estimates.format_expected_cost(estimate, lang)
        extra_stages = plan_form.describe_extra_stages(plan, lang)
        shape = all_methods.find_base_model(plan.model).shape
        hints = [hint.render(lang) for hint in no_regret.find_hints(plan, shape)]
        details = join_sentences((too_few, cost, extra_stages, restart_note, *hints), lang)
        kind = "check" if why_not_fitting or too_few else "info"
        warning = plan_form.language_warning(form, lang)
        return notices.notice(plan_form.describe_plan(plan, lang), details, kind, warning)
    except StudioError as error:
        return plan_form.plan_error_notice(error, form.method, lang)


def _has_data(form: FormState) -> bool:
    """Whether the form's data set is still there; it may have been deleted on another tab."""
    try:
        access.find_dataset(form.source)
    except StudioError:
        return False
    return True


def _why_not_fitting(estimate: Estimate | None, lang: str) -> str:
    """Why a run does not fit this machine; "" where it does, or that is not known."""
    if not estimate or estimate.fits != "no" or not estimate.why_not:
        return ""
    return estimate.why_not.render(lang)


def start_run(
    request: gr.Request, browser_runs: object, insist: bool = False, **fields: Any
) -> tuple[Any, ...]:
    """Create the run and start its worker.

    Problems are reported before anything starts; a run that cannot fit is started only if the person insists,
    one for another machine once the person has agreed to what that comes to now.

    Args:
        request: The visitor's request.
        browser_runs: The runs this browser has started.
        insist: Whether to start a run that does not fit.
        fields: The form (form_state.read_form), and the answer of the sheet where that was agreed to.

    Returns:
        The notice, the live view, the run, the runs of this browser, what would make it fit, and the box to
        insist.
    """
    lang = request_language(request)
    answer, form = consent_sheet.read_answer(fields), read_form(fields)
    unchanged = (gr.skip(),) * 3
    if not _has_data(form):
        notice = notices.notice(NO_DATA.render(lang), NO_DATA_HINT.render(lang), kind="bad")
        return notice, *unchanged, {}, gr.skip()
    try:
        plan = plan_form.build_plan(form)
        plan_form.describe_plan(plan, lang)  # the data is checked once more: a browser may send anything
        machine = _find_machine(plan)
        estimate = before_start.check(plan, machine, insist is True)
        agreement = None if plan.is_local else consent.describe(plan, machine, estimate, answer.keep)
        lines = agreement.lines if agreement else ()
        if question := consent_sheet.ask_unless_agreed(consent_sheet.READ_FIRST, lines, answer, lang):
            return question, *unchanged, {}, gr.skip()
        if agreement:
            run, message = _launch_there(plan, estimate, agreement, answer.keep)
        else:
            run, message = _launch(plan, estimate, request)
    except DoesNotFit as error:
        changes = remedies.describe_fitting_changes(plan, lang)
        advice = DOES_NOT_FIT_ADVICE if plan.is_local else error.hint
        notice = notices.notice(error.message.render(lang), advice.render(lang), kind="bad")
        return notice, *unchanged, changes, gr.update(visible=True)
    except (StudioError, OSError) as error:
        return plan_form.plan_error_notice(error, form.method, lang), *unchanged, {}, gr.skip()
    return (
        notices.notice(message.render(lang), kind="good"),
        live_view.view_value(run.id, lang),
        run.id,
        [*access.read_run_ids(browser_runs), run.id],
        {},
        gr.update(value=False, visible=False),
    )


def _find_machine(plan: Plan) -> Machine:
    """Where a plan trains; raises NotPossible where the studio cannot."""
    return catalogue.local_machine() if plan.is_local else consent_sheet.find_machine(plan)


def start_fitting(
    request: gr.Request, event: gr.EventData, browser_runs: object, **fields: Any
) -> tuple[Any, ...]:
    """Start the plan of the form with a change that makes it fit.

    Returns:
        As `start_run`.
    """
    lang = request_language(request)
    form = read_form(fields)
    try:
        access.find_dataset(form.source)
        plan, changes = remedies.build_fitting_plan(
            plan_form.build_plan(form), read_event(event, "step"), lang
        )
        run, message = _check_and_launch(plan, request)
    except (StudioError, OSError) as error:
        return plan_form.plan_error_notice(error, form.method, lang), *(gr.skip(),) * 5
    sentence = remedies.STARTED_AGAIN.render(lang, name=plan.name, changes=changes)
    return (
        notices.notice(sentence, message.render(lang), kind="good"),
        live_view.view_value(run.id, lang),
        run.id,
        [*access.read_run_ids(browser_runs), run.id],
        {},
        gr.update(value=False, visible=False),
    )


def _check_and_launch(plan: Plan, request: gr.Request) -> tuple[Run, Message]:
    """Create and start a run on this machine; raises StudioError where it cannot train here."""
    return _launch(plan, before_start.check(plan, _find_machine(plan)), request)


def _launch(plan: Plan, estimate: Estimate | None, request: gr.Request) -> tuple[Run, Message]:
    """Create and start a run on this machine; also what to say of it.

    Raises:
        NotPossible: Its plan is for another machine, which a person agrees to on the sheet alone.
    """
    if not plan.is_local:
        raise NotPossible(
            consent_sheet.AGREE_AGAIN,
            consent_sheet.START_FROM_FORM,
            name=plan.name,
            machine=plan.where,
        )
    run_queue.max_runs()  # what is wrong with it is said before there is a run
    with visitors.one_at_a_time():
        access.check_queue(request)
        run = before_start.create(visitors.limit_minutes(plan), estimate, catalogue.local_machine())
        visitors.mark(run.folder, request)
    message = QUEUED if run_queue.find_wait(run, run_queue.read()) else STARTED
    _start_worker(run)
    return run, message


def _launch_there(
    plan: Plan, estimate: Estimate | None, agreement: Consent, keep: bool
) -> tuple[Run, Message]:
    """Create and start a run on another machine, as agreed; also what to say of it."""
    run = before_start.create(plan, estimate, agreement.machine)
    consent.record_agreement(run, agreement, keep)
    launcher.start(run)
    return run, STARTED_THERE.format(machine=agreement.machine.name)


def _start_worker(run: Run) -> None:
    """Let the run train: in a process of its own, on a ZeroGPU Space where the card is."""
    if space.is_zero_gpu():
        from studio.ui import zero_gpu  # noqa: PLC0415 - needs a library that only a Space has

        zero_gpu.start(run)
    else:
        launcher.start(run)


def _find_active(candidates: Sequence[Run]) -> list[Run]:
    """The runs among these that have not ended."""
    return [run for run in candidates if runs.status(run).state not in runs.ENDED_STATES]


def resume_run(shown_run_id: str, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Let the run that is looked at go on from where it was stopped or broke off.

    Returns:
        The notice, and the live view.
    """
    return _resume(read_event(event, "id"), shown_run_id, consent_sheet.NO_ANSWER, request)


def resume_agreed(shown_run_id: str, request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """As `resume_run`, once the person has agreed to what it comes to at another machine."""
    return _resume(shown_run_id, shown_run_id, consent_sheet.read_answer(fields), request)


def _resume(run_id: object, shown_run_id: str, answer: Answer, request: gr.Request) -> tuple[Any, ...]:
    lang = request_language(request)
    try:
        run = _find_run(run_id)
        access.check_queue(request)
        agreement = None
        if resumption.needs_agreement(run):
            agreement = resumption.describe(run, consent_sheet.find_machine(run.plan), answer.keep)
        lines = agreement.lines if agreement else ()
        if question := consent_sheet.ask_unless_agreed(consent_sheet.READ_FIRST, lines, answer, lang):
            return question, live_view.view_value(run.id, lang)
        if agreement:
            consent.record_agreement(run, agreement, answer.keep)
        launcher.resume(run)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), live_view.view_value(shown_run_id, lang)
    return notices.notice(""), live_view.view_value(run.id, lang)


def try_again(browser_runs: object, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Start the plan of the shown run with the change that one of its next steps means.

    Returns:
        The notice, the live view, the run, and the runs of this browser.
    """
    lang = request_language(request)
    try:
        plan, changes = remedies.build_variation(_named_run(event), read_event(event, "step"), lang)
        run, message = _check_and_launch(plan, request)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), *(gr.skip(),) * 3
    sentence = remedies.STARTED_AGAIN.render(lang, name=plan.name, changes=changes)
    return (
        notices.notice(sentence, message.render(lang), kind="good"),
        live_view.view_value(run.id, lang),
        run.id,
        [*access.read_run_ids(browser_runs), run.id],
    )


def stop_run(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
    """Ask the shown run to stop; its card says that it does."""
    lang = request_language(request)
    try:
        run = _named_run(event)
    except StudioError as error:
        return notices.error_notice(error, lang)
    if not _find_active([run]):
        return notices.notice(NOTHING_TO_STOP.render(lang, name=run.plan.name))
    launcher.stop(run)
    return notices.notice("")


def _named_run(event: gr.EventData) -> Run:
    """The run that a button of the card names; raises RunNotFound where it names none."""
    return _find_run(read_event(event, "id"))


def _find_run(run_id: object) -> Run:
    return runs.get(run_id if isinstance(run_id, str) else "")


def clear_notice_at_end(run_id: str) -> Any:
    """What was said when a run started goes once it has ended."""
    try:
        has_ended = not _find_active([runs.get(run_id or "")])
    except StudioError:
        return gr.skip()
    return notices.notice("") if has_ended else gr.skip()


def choose_run(browser_runs: object, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Look at the run whose row was chosen; returns the notice, the live view and the run."""
    lang = request_language(request)
    try:
        run = runs_table.find_own_run(read_event(event, "id"), browser_runs)
    except StudioError as error:
        return notices.error_notice(error, lang), gr.skip(), gr.skip()
    return notices.notice(""), live_view.view_value(run.id, lang), run.id


def start_again(browser_runs: object, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Start the plan of a row once more, as a run of its own.

    Returns:
        The notice, the live view, the run, and the runs of this browser.
    """
    lang = request_language(request)
    try:
        plan = runs_table.find_own_run(read_event(event, "id"), browser_runs).plan
        remedies.check_access(plan)
        run, message = _check_and_launch(plan, request)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), *(gr.skip(),) * 3
    return (
        notices.notice(message.render(lang), kind="good"),
        live_view.view_value(run.id, lang),
        run.id,
        [*access.read_run_ids(browser_runs), run.id],
    )


def reattach_run(remembered_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """The run to show after a reload.

    That of the address, else the remembered one, else one that is going on.
    """
    lang = request_language(request)
    requested_id = str(request.query_params.get("run", "")) if request is not None else ""
    existing_ids = {run.id for run in runs.all_runs()}
    active_ids = [run.id for run in _find_active(access.visible_runs(browser_runs))]
    shown_run_id = next(
        (run_id for run_id in (requested_id, remembered_id, *active_ids) if run_id in existing_ids), ""
    )
    return live_view.view_value(shown_run_id, lang), shown_run_id


def refresh(selected_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """Bring the tab up to date with what the runs have come to.

    Args:
        selected_id: The run that is looked at.
        browser_runs: The runs this browser has started.
        request: The visitor's request.

    Returns:
        The Start button, what follows a run with a result, and the timer, which runs while a run goes on.
    """
    lang = request_language(request)
    visible_runs = access.visible_runs([*access.read_run_ids(browser_runs), selected_id])
    active_runs = _find_active(runs.all_runs())
    has_result = any(run.id == selected_id and runs.is_usable(run) for run in visible_runs)
    start = ADD_TO_QUEUE if active_runs else START
    is_next_step = not active_runs and not has_result
    return (
        gr.update(value=start.render(lang), variant="primary" if is_next_step else "secondary"),
        gr.update(visible=has_result),
        gr.update(active=bool(active_runs)),
    )


def build(
    panel: gr.Tab,
    run: gr.BrowserState,
    browser_runs: gr.BrowserState,
    inputs: dict[str, Any],
    data: DataTargets,
) -> TrainTab:
    """Build and wire the tab.

    Args:
        panel: The tab itself.
        run: The run that is looked at.
        browser_runs: The runs this browser has started.
        inputs: The other tabs' fields by name.
        data: What a correction of the data changes.
    """
    gr.Markdown(t(TRAIN_HEADING))
    with gr.Column(elem_id="next-run"):
        gr.Markdown(t(NEXT_RUN_HEADING))
        summary = notices.notice_box("summary")
        with gr.Row(elem_id="next-run-row"):
            name = gr.Textbox(
                "", label=t(RUN_NAME), info=t(RUN_NAME_HELP), max_lines=1, max_length=120, elem_id="run-name"
            )
            start_button = gr.Button(t(START), variant="primary", elem_id="start", scale=0)
        insist = gr.Checkbox(
            False, label=t(START_ANYWAY), info=t(START_ANYWAY_HELP), elem_id="insist", visible=False
        )
        notice = notices.notice_box("train-notice")
        sheet = consent_sheet.build()
        fitting = remedies.build_fitting_changes()
    plan_inputs = {**inputs, "name": name}
    bake_off.build(browser_runs, plan_inputs)
    with gr.Column(elem_id="this-run"):
        run_notice = notices.notice_box("run-notice")
        resume_sheet = consent_sheet.build("resume-consent")
        run_view = live_view.build_view("live")
        with gr.Column(visible=False, elem_id="after-run") as after_run:
            with gr.Row(elem_id="after-run-buttons"):
                next_button = gr.Button(t(NEXT_COMPARE), variant="primary", elem_id="to-playground", scale=0)
                report_button = gr.Button(t(OPEN_REPORT), elem_id="open-report", scale=0)
            more_data.build(run, browser_runs)
        queue = queue_panel.build()
        table = runs_table.build()
        comparison_view = comparison.build()
    report_button.click(None, run, None, js=OPEN_REPORT_JS)
    start_inputs = {**plan_inputs, "browser_runs": browser_runs, "insist": insist}
    # Shown at once by the browser, since checking the settings takes seconds; first, so that the result
    # replaces it.
    start_button.click(None, None, notice, js=notices.build_checking_js(), **UNQUEUED)
    started = [notice, run_view, run, browser_runs, fitting, insist]
    start_button.click(
        start_run, inputs_kwargs=start_inputs, outputs=started, trigger_mode="once", **UNQUEUED
    ).then(None, notice, None, js=REVEAL_RUN_JS)
    changed_inputs = {**plan_inputs, "browser_runs": browser_runs}
    agreed_inputs = {**start_inputs, **consent_sheet.wire(sheet, notice)}
    sheet.agree.click(
        start_run, inputs_kwargs=agreed_inputs, outputs=started, trigger_mode="once", **UNQUEUED
    ).then(None, notice, None, js=REVEAL_RUN_JS)
    fitting.again(
        start_fitting, inputs_kwargs=changed_inputs, outputs=started, trigger_mode="once", **UNQUEUED
    )
    # What was wrong with an earlier plan is no longer said of another one.
    empty = json.dumps([notices.notice(""), {}])
    summary.change(None, None, [notice, fitting], js=f"() => {empty}", **UNQUEUED)
    state_changed = run_view.moved(clear_notice_at_end, run, notice, **UNQUEUED)
    run_view.resume(resume_run, run, [run_notice, run_view], trigger_mode="once", **UNQUEUED)
    resume_sheet.agree.click(
        resume_agreed,
        inputs_kwargs={"shown_run_id": run, **consent_sheet.wire(resume_sheet, run_notice)},
        outputs=[run_notice, run_view],
        trigger_mode="once",
        **UNQUEUED,
    )
    run_view.again(
        try_again, browser_runs, [run_notice, run_view, run, browser_runs], trigger_mode="once", **UNQUEUED
    )
    run_view.halt(stop_run, None, run_notice, **UNQUEUED)
    corrections.wire(run_view, run_notice, data)
    table.choose(choose_run, browser_runs, [run_notice, run_view, run], **UNQUEUED)
    table.compare(comparison.compare_runs, browser_runs, [run_notice, comparison_view], **UNQUEUED)
    table.again(
        start_again, browser_runs, [run_notice, run_view, run, browser_runs], trigger_mode="once", **UNQUEUED
    )
    timer = gr.Timer(REFRESH_SECONDS, active=False)
    moments = after_any(run.change, panel.select, current_page().load, timer.tick)
    outputs = [start_button, after_run, timer]
    for moment in (moments, state_changed):
        moment.then(refresh, [run, browser_runs], outputs, **LATEST_UNQUEUED)
    _wire_table(table, panel.select, (moments, state_changed), [run, browser_runs], run_notice)
    moments.then(queue_panel.show, browser_runs, queue, **LATEST_UNQUEUED)
    state_changed.then(queue_panel.show, browser_runs, queue, **LATEST_UNQUEUED)
    queue.act(queue_panel.change, browser_runs, [run_notice, queue], **UNQUEUED)
    attached = _wire_address(run, browser_runs, run_view)
    return TrainTab(next_button, summary, state_changed, plan_inputs, table, run_notice, attached)


def _wire_table(table: Any, opened: Any, moments: Sequence[Any], states: list[Any], notice: gr.HTML) -> None:
    """Fill the table when the tab is opened, bring it up to date from then on, and mark the shown run."""
    run, browser_runs = states
    digest = gr.Textbox("", visible=False)
    outputs = [table, digest]
    opened(runs_table.list_runs, browser_runs, outputs, **UNQUEUED)
    for moment in moments:
        moment.then(runs_table.update_runs, [browser_runs, digest], outputs, **LATEST_UNQUEUED)
    table.act(runs_table.change_run, browser_runs, [notice, *outputs], **UNQUEUED)
    gr.on([run.change, opened], None, run, table, js=MARK_SHOWN_JS, **UNQUEUED)


def _wire_address(run: gr.BrowserState, browser_runs: gr.BrowserState, run_view: gr.HTML) -> Any:
    """Show the run of the address after a reload, and keep the address at the run that is shown.

    Returns:
        The event after which the run of the address is known.
    """
    attached = current_page().load(reattach_run, [run, browser_runs], [run_view, run], **UNQUEUED)
    attached.then(
        None, None, None, js="() => { window.studioAttached = true; }"
    )  # until then the address may name another run
    run.change(None, run, None, js="(run) => window.studioNameRun(run)")
    return attached
