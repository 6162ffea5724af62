"""A bake-off on the Train tab: the chosen methods train in turns on the same rows, and the best goes on."""

from typing import Any

import gradio as gr

from studio import methods, presets, runs
from studio.errors import NotPossible, StudioError, explain
from studio.i18n import Message, join_sentences, label
from studio.launchers import bake_off as elsewhere_bake_off
from studio.launchers.bake_off import Agreement
from studio.plan import MethodChoice, Plan
from studio.training.bake_off import conductor, process, record, summary
from studio.training.bake_off.record import BakeOff, Contender
from studio.training.bake_off.summary import OUTCOMES, Row, Summary
from studio.ui import access, units, visitors
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language
from studio.ui.train import consent_sheet

NamedPlans = list[tuple[str, Plan]]
POLL_SECONDS = 3.0
MAX_MINUTES = 24 * 60
TITLE = label("Not sure which method? Let them compete")
HELP = label(
    "A bake-off trains two to five methods in turns on the same rows, drops those that are shown to be "
    "worse, and trains the best one to its end. Each is an ordinary run. If another machine is chosen, all "
    "train there to their end, as many at once as it has room for, and none is dropped on the way."
)
METHODS_LABEL, MINUTES_LABEL = label("Methods"), label("At most (minutes)")
START, STOP = label("Start the bake-off"), label("Stop the bake-off")
WORKING = Message("{name} trains, {minutes} of at most {cap} are used.")
WORKING_ELSEWHERE = Message(
    "{count} methods train at another machine, each to its end: {minutes} of at most {cap} are used."
)
WAITS = Message("waits for its turn")
READ_FIRST = Message("This bake-off would leave this machine. Nothing has been sent yet.")
STARTING = Message("The bake-off starts.")
BROKE_OFF = Message("The bake-off stopped unexpectedly; what was learned is kept.")
GO_ON = Message("Press Start, with the same machine chosen, to go on with it.")
HEADS = (
    Message("Method", context="bake-off"),
    Message("Outcome"),
    Message("On validation rows (95% interval)"),
    Message("Trained"),
    Message("Time", context="bake-off"),
    Message("Memory", context="bake-off"),
    Message("Size", context="bake-off"),
)
CAPTION = Message("The bake-off: what was measured")
WRONG_MINUTES = Message("A bake-off takes 1 to {most} minutes, and you gave {minutes}.")
TABLE_TEMPLATE = """{{#if value.rows}}<div class="outcome-frame" tabindex="0" role="region"
 aria-label="{{value.caption}}"><table class="outcome"><caption>{{value.caption}}</caption>
<thead><tr>{{#each value.heads}}<th scope="col">{{this}}</th>{{/each}}</tr></thead>
<tbody>{{#each value.rows}}<tr><th scope="row">{{this.name}}</th>
{{#each this.cells}}<td>{{this}}</td>{{/each}}</tr>{{/each}}</tbody></table></div>{{/if}}"""


def start(
    request: gr.Request,
    bake_off_id: str,
    browser_runs: object,
    chosen: object,
    minutes: object,
    **fields: Any,
) -> tuple[Any, ...]:
    """Create and start a bake-off of the form's plan, or go on with one that broke off at the same machine.

    What would be sent to another machine starts once the person has agreed to what that comes to now.

    Args:
        request: The visitor's request.
        bake_off_id: The bake-off that this browser started last.
        browser_runs: The runs this browser has started.
        chosen: The names of the methods.
        minutes: How long all of it may take.
        fields: The form (form_state.read_form), and the answer of the sheet where that was agreed to.

    Returns:
        As `look`.
    """
    lang = request_language(request)
    answer, form = consent_sheet.read_answer(fields), read_form(fields)
    try:
        access.check_queue(request)
        visitors.check_several()
        bake_off = _find_unfinished(bake_off_id)
        if bake_off and bake_off.where != plan_form.find_where(form.machine):
            bake_off = None
        if bake_off and process.is_alive(bake_off):
            return _show(bake_off, browser_runs, lang)
        if bake_off and bake_off.state == "stopped" and bake_off.is_local:
            bake_off = bake_off if _is_as_before(bake_off, form, chosen, minutes) else None
        named_plans, cap_minutes = ([], 0.0) if bake_off else _name_contenders(form, chosen, minutes)
        agreement = _describe_elsewhere(bake_off, named_plans, cap_minutes, answer.keep)
        lines = agreement.lines if agreement else ()
        if notice := consent_sheet.ask_unless_agreed(READ_FIRST, lines, answer, lang):
            return notice, *_unchanged(bake_off_id)
        if not bake_off:
            bake_off = _create(agreement, named_plans, cap_minutes, answer.keep)
        elif agreement:
            elsewhere_bake_off.record_agreement(agreement, answer.keep)
        conductor.require_startable(bake_off)
        process.start(bake_off)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), *_unchanged(bake_off_id)
    return _show(bake_off, browser_runs, lang)


def _unchanged(bake_off_id: str) -> tuple[Any, ...]:
    """What follows the notice where nothing has started, as in `look`."""
    return gr.skip(), bake_off_id, gr.skip(), gr.skip(), gr.update(active=False)


def _describe_elsewhere(
    bake_off: BakeOff | None, named_plans: NamedPlans, cap_minutes: float, keep: bool
) -> Agreement | None:
    """What it comes to that runs leave this machine: of a bake-off that goes on, else of these plans."""
    plan = bake_off.contenders[0].plan if bake_off else named_plans[0][1]
    if plan.is_local:
        return None
    machine = consent_sheet.find_machine(plan)
    if bake_off:
        return elsewhere_bake_off.describe_again(bake_off, machine, keep)
    return elsewhere_bake_off.describe(named_plans, cap_minutes, machine, keep)


def _create(agreement: Agreement | None, named_plans: NamedPlans, cap_minutes: float, keep: bool) -> BakeOff:
    if agreement:
        return elsewhere_bake_off.create(agreement, keep)
    return conductor.create(named_plans, cap_minutes)


def _find_unfinished(bake_off_id: object) -> BakeOff | None:
    """The bake-off that goes on; None where there is none, or it has ended."""
    if not isinstance(bake_off_id, str) or not bake_off_id:
        return None
    try:
        bake_off = record.get(bake_off_id)
    except NotPossible:
        return None
    return None if bake_off.state in ("done", "time_is_up") else bake_off


def _name_contenders(form: Any, chosen: object, minutes: object) -> tuple[NamedPlans, float]:
    """The chosen methods' plans with their names, and their minutes; raises NotPossible where they cannot."""
    if not isinstance(minutes, int | float) or not 1 <= minutes <= MAX_MINUTES:
        raise NotPossible(WRONG_MINUTES, record.NO_TIME_TO_DO, most=MAX_MINUTES, minutes=str(minutes)[:20])
    plan = plan_form.build_plan(form)
    names = [name for name in chosen if isinstance(name, str)] if isinstance(chosen, list) else []
    named_plans = [_name_plan(plan, name) for name in names]
    record.require_comparable(named_plans, float(minutes))
    return named_plans, float(minutes)


def _is_as_before(bake_off: BakeOff, form: Any, chosen: object, minutes: object) -> bool:
    """Whether the form describes the bake-off that a person has stopped; else Start means another one."""
    before = [(contender.name, contender.plan) for contender in bake_off.contenders]
    return (before, bake_off.cap_minutes) == _name_contenders(form, chosen, minutes)


def _name_plan(plan: Plan, method_name: str) -> tuple[str, Plan]:
    """A contender's name and plan: the form's own method keeps its settings, others take their defaults."""
    title = presets.methods()[methods.get(method_name).name].name.render()
    name = f"{plan.name[:60]} · {title}"
    if method_name == plan.method.name:
        return title, plan.model_copy(update={"name": name})
    training = plan.training.model_copy(update={"learning_rate": None})
    method = MethodChoice(name=method_name)
    return title, plan.model_copy(update={"name": name, "method": method, "training": training})


def stop(bake_off_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """Stop the bake-off; what was learned is kept, and it can go on."""
    lang = request_language(request)
    bake_off = _find_unfinished(bake_off_id)
    if not bake_off:
        return notices.notice(""), gr.skip(), bake_off_id, gr.skip(), gr.skip(), gr.update(active=False)
    return _show(conductor.stop(bake_off), browser_runs, lang)


def look(bake_off_id: str, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """Where the bake-off stands.

    Returns:
        The notice, the table, the bake-off's id, the runs of this browser, the button to stop, and the timer.
    """
    lang = request_language(request)
    try:
        bake_off = record.get(bake_off_id if isinstance(bake_off_id, str) else "")
    except NotPossible:  # none was started here, or it is gone
        return notices.notice(""), {}, "", gr.skip(), gr.update(visible=False), gr.update(active=False)
    return _show(bake_off, browser_runs, lang)


def _show(bake_off: BakeOff, browser_runs: object, lang: str) -> tuple[Any, ...]:
    result, is_working = summary.summarize(bake_off), process.is_alive(bake_off)
    own_runs = access.read_run_ids(browser_runs)
    new_runs = [each.run_id for each in bake_off.contenders if each.run_id and each.run_id not in own_runs]
    return (
        _describe(bake_off, result, is_working, lang),
        _describe_table(result, lang),
        bake_off.id,
        [*own_runs, *new_runs] if new_runs else gr.skip(),
        gr.update(visible=is_working),
        gr.update(active=is_working),
    )


def _describe(bake_off: BakeOff, result: Summary, is_working: bool, lang: str) -> dict[str, Any]:
    if is_working:
        return notices.notice(_describe_turn(bake_off, lang))
    if bake_off.state == "training":
        return notices.notice(BROKE_OFF.render(lang), GO_ON.render(lang), kind="check")
    first, *others = [message.render(lang) for message in result.recommend()]
    return notices.notice(first, join_sentences(others, lang), kind="good")


def _describe_turn(bake_off: BakeOff, lang: str) -> str:
    contender = _whose_turn(bake_off)
    if not contender:
        return STARTING.render(lang)
    minutes, cap = (units.format_minutes(value, lang) for value in (bake_off.minutes, bake_off.cap_minutes))
    if not bake_off.is_local:
        return WORKING_ELSEWHERE.render(lang, count=len(bake_off.remaining), minutes=minutes, cap=cap)
    return WORKING.render(lang, name=contender.name, minutes=minutes, cap=cap)


def _whose_turn(bake_off: BakeOff) -> Contender | None:
    """Whose turn it is: the first of those that have had the fewest looks; None before the first one."""
    started = [each for each in bake_off.remaining if each.run_id and each.share < 1]
    return min(started, key=lambda each: each.looks, default=None)


def _describe_table(result: Summary, lang: str) -> dict[str, Any]:
    if not any(row.contender.run_id for row in result.rows):
        return {}
    return {
        "caption": CAPTION.render(lang),
        "heads": [head.render(lang) for head in HEADS],
        "rows": [_describe_row(result, row, lang) for row in result.rows],
    }


def _describe_row(result: Summary, row: Row, lang: str) -> dict[str, Any]:
    contender, score = row.contender, result.format_score(row)
    outcome = contender.reason or OUTCOMES[contender.outcome]
    if contender.outcome == "in" and contender.run and runs.status(contender.run).state == "waiting":
        outcome = WAITS
    cells = (
        outcome.render(lang),
        score.render(lang) if score else "–",
        f"{contender.share:.0%}",
        units.format_minutes(contender.minutes, lang) if contender.minutes else "–",
        units.format_gb(row.memory_gb) if row.memory_gb else "–",
        units.format_mb(row.size_mb) if row.size_mb else "–",
    )
    return {"name": contender.name, "cells": cells}


def list_methods(request: gr.Request, **fields: Any) -> Any:
    """The methods that can compete on the form's data and model; the form's own and LoRA are chosen."""
    lang, form = request_language(request), read_form(fields)
    cards = presets.methods()
    names = [method.name for method in methods.METHODS if record.can_compete(method, {}, form.task)]
    chosen = [name for name in names if name in (form.method, "lora", "frozen")]
    return gr.update(choices=[(cards[name].name.render(lang), name) for name in names], value=chosen)


def build(browser_runs: gr.BrowserState, inputs: dict[str, Any]) -> None:
    """Build and wire the part of the tab.

    Args:
        browser_runs: The runs this browser has started.
        inputs: The form's fields by name.
    """
    bake_off_id = gr.BrowserState("", storage_key="studio-bake-off")
    with gr.Accordion(t(TITLE), open=False, elem_id="bake-off") as panel:
        gr.Markdown(t(HELP))
        chosen = gr.CheckboxGroup([], label=t(METHODS_LABEL), elem_id="bake-off-methods")
        with gr.Row():
            minutes = gr.Number(
                30, label=t(MINUTES_LABEL), minimum=1, maximum=MAX_MINUTES, elem_id="bake-off-minutes"
            )
            start_button = gr.Button(t(START), elem_id="bake-off-start", scale=0, min_width=190)
            stop_button = gr.Button(t(STOP), visible=False, elem_id="bake-off-stop", scale=0, min_width=190)
        notice = notices.notice_box("bake-off-notice")
        sheet = consent_sheet.build("bake-off-consent")
        table = gr.HTML({}, html_template=TABLE_TEMPLATE, elem_id="bake-off-table", apply_default_css=False)
    timer = gr.Timer(POLL_SECONDS, active=False)
    outputs = [notice, table, bake_off_id, browser_runs, stop_button, timer]
    panel.expand(list_methods, inputs_kwargs=inputs, outputs=chosen, **UNQUEUED)
    for trigger in (panel.expand, timer.tick):
        trigger(look, [bake_off_id, browser_runs], outputs, **UNQUEUED)
    own_fields = {"bake_off_id": bake_off_id, "chosen": chosen, "minutes": minutes}
    start_inputs = {**inputs, **own_fields, "browser_runs": browser_runs}
    answer = consent_sheet.wire(sheet, notice)
    start_button.click(None, None, notice, js=notices.build_checking_js(), **UNQUEUED)
    start_button.click(start, inputs_kwargs=start_inputs, outputs=outputs, trigger_mode="once", **UNQUEUED)
    sheet.agree.click(
        start,
        inputs_kwargs={**start_inputs, **answer},
        outputs=outputs,
        trigger_mode="once",
        **UNQUEUED,
    )
    stop_button.click(stop, [bake_off_id, browser_runs], outputs, **UNQUEUED)
