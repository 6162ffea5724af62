"""What the same run would cost elsewhere: every machine of the list, and services that train for you, worked out when it is opened."""

import html
from collections.abc import Sequence
from datetime import date
from typing import Any

import gradio as gr

from studio import methods, presets
from studio.estimate import dataset_lengths
from studio.estimate.machines import catalogue, elsewhere
from studio.estimate.machines.catalogue import Source
from studio.estimate.machines.elsewhere import HostedOption, MachineOption
from studio.estimate.types import Range, range_around
from studio.i18n import Message, label
from studio.ui import units
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.method import estimates as table_estimates
from studio.ui.method import table_messages as messages

SHOW_ELSEWHERE = label("What would it cost elsewhere?")
MACHINES_CAPTION = Message("{method} with these settings on other machines")
FROM_SPECIFICATION = Message(
    "From each machine's specification, so the ranges are wide. The studio trains on the machine it runs on: to train there, run it there."
)
MACHINE_HEADINGS = (
    Message("Machine"),
    Message("Memory: needed / there"),
    Message("Time"),
    Message("Money"),
    Message("Energy"),
    Message("Price per hour (date checked, source)"),
)
TOO_SMALL = Message("Too small: {names}.")
MORE_MACHINES = Message("{count} more machines")
SERVICES_CAPTION = Message("Services that train for you, for {tokens} trained tokens")
SERVICE_MODELS_NOTE = Message(
    "They train models of their own choice: a price, not a comparison of results. Your examples would leave this machine."
)
SERVICE_HEADINGS = (
    Message("Service"),
    Message("Money"),
    Message("Price per million tokens (date checked, source)"),
)
PRICE_UNVERIFIED = Message("from memory, not verified")
PRICE_TOO_OLD = Message("older than 180 days")
DATA_OR_MODEL_MISSING = Message(
    "Choose data and a base model whose shape is known; then this shows what the run would cost on {count} machines."
)
# So many machines stand in sight, the others behind one click.
MAX_VISIBLE_MACHINES = 8


def render_tables(request: gr.Request, **fields: Any) -> str:
    """Both tables for what the fields say; what comes from files is escaped."""
    lang, form = forms.request_language(request), table_estimates.read_form(**fields)
    method_name = form.plan.method.name
    if not form.base.shape or not form.lengths:
        return f'<p class="elsewhere-note">{html.escape(DATA_OR_MODEL_MISSING.render(lang, count=len(catalogue.load_machines())))}</p>'
    today = date.today()
    machine_costs = elsewhere.estimate_on_all_machines(
        form.plan, form.settings, form.base, form.lengths, today
    )
    tokens = elsewhere.count_training_tokens(
        dataset_lengths.build_workload(
            form.plan, methods.get(method_name), form.settings[method_name], form.base.shape, form.lengths
        )
    )
    return _render_machines(
        machine_costs, presets.methods()[method_name].name.render(lang), lang
    ) + _render_services(elsewhere.hosted_options(tokens, today), tokens, lang)


def _render_machines(machine_costs: Sequence[MachineOption], method: str, lang: str) -> str:
    fitting = [entry for entry in machine_costs if entry.estimate.fits != "no"]
    too_small = [entry.machine.name for entry in machine_costs if entry.estimate.fits == "no"]
    rows = [[html.escape(cell) for cell in _machine_cells(entry, lang)] for entry in fitting]
    headings = [heading.render(lang) for heading in MACHINE_HEADINGS]
    parts = [
        _render_table(MACHINES_CAPTION.render(lang, method=method), headings, rows[:MAX_VISIBLE_MACHINES])
    ]
    if rows[MAX_VISIBLE_MACHINES:]:
        summary = html.escape(MORE_MACHINES.render(lang, count=len(rows) - MAX_VISIBLE_MACHINES))
        parts.append(
            f"<details><summary>{summary}</summary>{_render_table(summary, headings, rows[MAX_VISIBLE_MACHINES:])}</details>"
        )
    notes = [FROM_SPECIFICATION.render(lang)] + (
        [TOO_SMALL.render(lang, names=list(dict.fromkeys(too_small)))] if too_small else []
    )
    return "".join(parts) + "".join(f'<p class="elsewhere-note">{html.escape(entry)}</p>' for entry in notes)


def _machine_cells(cost: MachineOption, lang: str) -> list[str]:
    machine, estimate = cost.machine, cost.estimate
    (memory, time), money = table_estimates.format_memory_and_time(estimate, lang), estimate.money
    available = units.format_gb(machine.usable_bytes / 1e9)
    price = (
        "–"
        if machine.price_per_hour is None
        else units.format_money(range_around(machine.price_per_hour, 1), machine.currency)
    )
    return [
        machine.name + (f" ({machine.note.render(lang)})" if machine.note else ""),
        f"{memory or '?'} / {available}",
        time or "?",
        units.format_money(money, estimate.currency) if money else messages.NO_PRICE.render(lang),
        units.format_energy(estimate.watt_hours) if estimate.watt_hours else "–",
        f"{price}{_format_source(machine.price_source, cost.is_price_stale, lang)}",
    ]


def _render_services(services: Sequence[HostedOption], tokens: float, lang: str) -> str:
    rows = []
    for entry in services:
        offer = entry.offer
        price = units.format_money(Range(offer.low, (offer.low + offer.high) / 2, offer.high))
        note = f" ({offer.note.render(lang)})" if offer.note else ""
        cost = units.format_money(Range(entry.low, (entry.low + entry.high) / 2, entry.high))
        rows.append(
            [
                html.escape(cell)
                for cell in (
                    offer.name + note,
                    cost,
                    f"{price}{_format_source(offer.source, entry.is_price_stale, lang)}",
                )
            ]
        )
    caption = SERVICES_CAPTION.render(lang, tokens=forms.format_count(tokens))
    note = f'<p class="elsewhere-note">{html.escape(SERVICE_MODELS_NOTE.render(lang))}</p>'
    return _render_table(caption, [entry.render(lang) for entry in SERVICE_HEADINGS], rows) + note


def _format_source(source: Source | None, is_stale: bool, lang: str) -> str:
    """When and where a price was read, and what is wrong with that."""
    if not source:
        return ""
    doubts = [
        doubt.render(lang)
        for doubt, applies in ((PRICE_UNVERIFIED, source.quality == "recalled"), (PRICE_TOO_OLD, is_stale))
        if applies
    ]
    return f" · {source.date} · {source.said}" + "".join(f" · {doubt}" for doubt in doubts)


def _render_table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table from escaped cells; it may scroll sideways within its frame."""
    header_cells = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in remaining)}</tr>'
        for first, *remaining in rows
    )
    escaped_caption = html.escape(caption)
    return (
        f'<div class="outcome-frame" tabindex="0" role="region" aria-label="{escaped_caption}"><table class="outcome"><caption>{escaped_caption}</caption>'
        f"<thead><tr>{header_cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def build() -> tuple[gr.Button, gr.HTML]:
    """The button that shows the tables or puts them away, and their place; what they say goes with the comparison table's update."""
    return gr.Button(t(SHOW_ELSEWHERE), elem_id="elsewhere", size="sm"), gr.HTML(
        "", elem_id="elsewhere-tables"
    )


def toggle_tables(shown: str, request: gr.Request, **fields: Any) -> str:
    """Show the tables, or put them away."""
    return "" if shown else render_tables(request, **fields)


def refresh_tables(shown: object, request: gr.Request, **fields: Any) -> Any:
    """The tables anew where some are shown."""
    return render_tables(request, **fields) if shown else gr.skip()
