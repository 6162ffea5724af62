"""What the same run would cost elsewhere: on every listed machine, and with services that train for you.

The tables are worked out only while they are open.
"""

import html
from collections.abc import Sequence
from datetime import date
from typing import Any

import gradio as gr

from studio import methods, presets
from studio.estimate import dataset_lengths
from studio.estimate.machines import elsewhere
from studio.estimate.machines.catalogue import Machine, Source
from studio.estimate.machines.elsewhere import HostedOption, MachineOption
from studio.estimate.types import Range, range_around
from studio.i18n import Message, label
from studio.ui import units
from studio.ui.components.events import read_event
from studio.ui.components.labels import t
from studio.ui.components.tables import render_table
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language
from studio.ui.method import machine as machine_panel
from studio.ui.method.estimate_inputs import EstimateInputs, load_inputs
from studio.ui.method.estimates import format_memory_and_time

SHOW_ELSEWHERE = label("What would it cost elsewhere?")
MACHINES_CAPTION = Message("{method} with these settings on other machines")
ESTIMATES_ONLY = Message(
    "Estimates. “Train here” chooses the machine; nothing starts before you agree on the Train tab. Without "
    "the button, install the studio there."
)
TRAIN_HERE = Message("Train here")
MACHINE_HEADINGS = (
    Message("Machine"),
    Message("Memory: needed / available"),
    Message("Time"),
    Message("Cost"),
    Message("Price per hour"),
    Message("Source, date"),
)
SEVERAL_CARDS_ONLY_ESTIMATED = Message("estimate only: the studio does not start it")
SHARES_WEIGHTS = Message("each GPU holds its share of the weights (FSDP)")
MORE_CARDS = Message("More GPUs than {name}: {comparisons}.")
MORE_CARDS_AT_COST = Message("{machine} {speedup:.1f} × as fast for {cost:.1f} × the price")
MORE_CARDS_FREE = Message("{machine} {speedup:.1f} × as fast")
WORTH_IT = Message("Worth it: {machine}.")
NOT_WORTH_IT = Message("Not worth it for this run.")
NOTHING_HOLDS_IT = Message("No machine of the list holds this run. {count} × {card} would.")
NOTHING_EVER_HOLDS_IT = Message("No machine of the list holds this run, nor would 64 of their GPUs.")
TOO_SMALL = Message("Not enough memory: {names}.")
MORE_MACHINES = Message("{count} more machines")
SERVICES_CAPTION = Message("Services that train for you, for {tokens} training tokens")
SERVICE_MODELS_NOTE = Message("They train models of their own choice, and your examples leave this machine.")
SERVICE_HEADINGS = (
    Message("Service"),
    Message("Cost"),
    Message("Price per million tokens"),
    Message("Source, date"),
)
PRICE_TOO_OLD = Message("older than 180 days")
DATA_OR_MODEL_MISSING = Message("Add data and choose a base model to see what this run would cost elsewhere.")
# A click on a button sends which machine it is.
CHOOSE_SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-machine]');
  if (button) trigger('choose', { machine: button.dataset.machine });
});
"""
# So many machines are in sight, the others behind one click.
MAX_VISIBLE_MACHINES = 8


def render_tables(inputs: EstimateInputs, lang: str) -> str:
    """Both tables as HTML; texts from files are escaped."""
    shape, lengths = inputs.base.shape, inputs.lengths
    if not shape or not lengths:
        return _render_note(DATA_OR_MODEL_MISSING.render(lang))
    today = date.today()
    method_name = inputs.plan.method.name
    options = [
        option
        for option in elsewhere.estimate_on_all_machines(inputs.context, today)
        if _is_verified(option.machine)
    ]
    workload = dataset_lengths.build_workload(
        inputs.plan, methods.get(method_name), inputs.settings[method_name], shape, lengths
    )
    tokens = elsewhere.count_training_tokens(workload)
    machines = _render_machines(options, presets.methods()[method_name].name.render(lang), lang)
    services = [
        option for option in elsewhere.hosted_options(tokens, today) if option.offer.source.quality == "cited"
    ]
    machines += _describe_what_would_hold(inputs, options, lang)
    return machines + _render_services(services, tokens, lang)


def _is_verified(machine: Machine) -> bool:
    """Whether both the price and the specification were read on a page, and not recalled."""
    price_source = machine.price_source
    return price_source is not None and {price_source.quality, machine.spec_source.quality} == {"cited"}


def _render_machines(options: Sequence[MachineOption], method: str, lang: str) -> str:
    fitting = [option for option in options if option.estimate.fits != "no"]
    too_small = [option.machine.name for option in options if option.estimate.fits == "no"]
    rows = [_render_cells(option, lang) for option in fitting]
    visible_rows, more_rows = rows[:MAX_VISIBLE_MACHINES], rows[MAX_VISIBLE_MACHINES:]
    headings = [heading.render(lang) for heading in MACHINE_HEADINGS]
    parts = [render_table(MACHINES_CAPTION.render(lang, method=method), headings, visible_rows)]
    if more_rows:
        summary = MORE_MACHINES.render(lang, count=len(more_rows))
        table = render_table(summary, headings, more_rows)
        parts.append(f"<details><summary>{html.escape(summary)}</summary>{table}</details>")
    parts.append(_render_note(ESTIMATES_ONLY.render(lang)))
    if fitting and (sentence := _describe_more_cards(fitting, lang)):
        parts.append(_render_note(sentence))
    if too_small:
        names = list(dict.fromkeys(too_small))
        parts.append(_render_note(TOO_SMALL.render(lang, names=names)))
    return "".join(parts)


def _describe_more_cards(fitting: Sequence[MachineOption], lang: str) -> str:
    """How many GPUs of the cheapest machine's kind are worth it; empty where no more of them are offered."""
    first = next((option for option in fitting if option.machine.is_gpu), None)
    comparisons = elsewhere.compare_cards(fitting, first) if first else []
    if not first or not comparisons:
        return ""
    texts = []
    for comparison in comparisons:
        figures = {"machine": comparison.machine.name, "speedup": comparison.speedup}
        if comparison.cost_factor is None:
            texts.append(MORE_CARDS_FREE.render(lang, **figures))
        else:
            texts.append(MORE_CARDS_AT_COST.render(lang, cost=comparison.cost_factor, **figures))
    worth_it = [comparison.machine.name for comparison in comparisons if comparison.is_worth_it]
    verdict = NOT_WORTH_IT.render(lang)
    if worth_it:
        verdict = WORTH_IT.render(lang, machine=worth_it[-1])
    return f"{MORE_CARDS.render(lang, name=first.machine.name, comparisons=texts)} {verdict}"


def _describe_what_would_hold(inputs: EstimateInputs, options: Sequence[MachineOption], lang: str) -> str:
    """How many GPUs would hold a run that fits nowhere; empty where it fits somewhere."""
    if not options or any(option.estimate.fits != "no" for option in options):
        return ""
    holding = elsewhere.find_holding_machine(inputs.context, (option.machine for option in options))
    if not holding:
        return _render_note(NOTHING_EVER_HOLDS_IT.render(lang))
    count, machine = holding
    return _render_note(NOTHING_HOLDS_IT.render(lang, count=count, card=machine.name))


def _render_cells(option: MachineOption, lang: str) -> list[str]:
    """A machine's cells as HTML; its name has a button where the studio can train there."""
    name, *cells = (html.escape(cell) for cell in _machine_cells(option, lang))
    if machine_panel.can_train_at(option.machine):
        button = html.escape(TRAIN_HERE.render(lang))
        machine_id = html.escape(option.machine.id)
        name += f' <button type="button" class="train-here" data-machine="{machine_id}">{button}</button>'
    return [name, *cells]


def _machine_cells(option: MachineOption, lang: str) -> list[str]:
    machine, estimate = option.machine, option.estimate
    memory, time = format_memory_and_time(estimate, lang)
    available = units.format_gb(machine.usable_bytes / 1e9)
    name, price, money = machine.name, "–", "–"
    if machine.note:
        name += f" ({machine.note.render(lang)})"
    if machine.cards > 1 and not machine.can_train:
        name += f" ({SEVERAL_CARDS_ONLY_ESTIMATED.render(lang)})"
    if estimate.is_sharded:
        name += f" ({SHARES_WEIGHTS.render(lang)})"
    if machine.price_per_hour is not None:
        price = units.format_money(range_around(machine.price_per_hour, 1), machine.currency)
    if estimate.money:
        money = units.format_money(estimate.money, estimate.currency)
    return [
        name,
        f"{memory or '?'} / {available}",
        time or "?",
        money,
        price,
        _format_source(machine.price_source, option.is_price_stale, lang),
    ]


def _render_services(options: Sequence[HostedOption], tokens: float, lang: str) -> str:
    rows = [[html.escape(cell) for cell in _service_cells(option, lang)] for option in options]
    if not rows:
        return ""
    caption = SERVICES_CAPTION.render(lang, tokens=units.format_count(tokens))
    headings = [heading.render(lang) for heading in SERVICE_HEADINGS]
    return render_table(caption, headings, rows) + _render_note(SERVICE_MODELS_NOTE.render(lang))


def _service_cells(option: HostedOption, lang: str) -> list[str]:
    offer = option.offer
    name = offer.name
    if offer.note:
        name += f" ({offer.note.render(lang)})"
    return [
        name,
        _format_dollars(option.low, option.high),
        _format_dollars(offer.low, offer.high),
        _format_source(offer.source, option.is_price_stale, lang),
    ]


def _format_dollars(low: float, high: float) -> str:
    return units.format_money(Range(low, (low + high) / 2, high))


def _format_source(source: Source | None, is_stale: bool, lang: str) -> str:
    """Where and when a price was read, and whether that is long ago."""
    if not source:
        return "–"
    parts = [source.said, f"{source.date}"]
    if is_stale:
        parts.append(PRICE_TOO_OLD.render(lang))
    return " · ".join(parts)


def _render_note(text: str) -> str:
    return f'<p class="elsewhere-note">{html.escape(text)}</p>'


def build() -> tuple[gr.Accordion, gr.HTML]:
    """The accordion that opens and closes the tables, and their component."""
    with gr.Accordion(t(SHOW_ELSEWHERE), open=False, elem_id="elsewhere") as accordion:
        tables = gr.HTML("", js_on_load=CHOOSE_SCRIPT, elem_id="elsewhere-tables", apply_default_css=False)
    return accordion, tables


def choose_machine(event: gr.EventData) -> Any:
    """The machine of the button that was clicked, for the list of machines."""
    machine_id = read_event(event, "machine")
    return machine_id if isinstance(machine_id, str) else gr.skip()


def open_tables(request: gr.Request, **fields: Any) -> str:
    """The tables, once their accordion is opened."""
    return render_tables(load_inputs(read_form(fields)), request_language(request))
