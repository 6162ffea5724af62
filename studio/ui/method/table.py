"""The comparison table of all methods: one row each, from its card, its estimate and what would make it fit.

Texts and figures are rendered here; `assets/table.js` draws them and keeps what the person sorted, filtered,
pinned and opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from studio import presets
from studio.data.quality.minimum_examples import get_min_examples
from studio.estimate.types import MEMORY_PARTS, TWO_CLASSES, Estimate, Range
from studio.i18n import Message, join_sentences
from studio.methods.compatibility import Incompatibility
from studio.methods.spec import ParameterCount
from studio.plan import Task
from studio.presets import MethodCard
from studio.ui import units
from studio.ui.method import table_csv, table_messages

# Parts of a figure below this share are listed together.
MIN_LISTED_SHARE = 0.02
# Memory bars end at this multiple of what the machine has: a row that needs far more would make all others
# too short to read.
MAX_BAR_RATIO = 1.6
TRAINABLE_SENTENCE = Message("{trained} of {total} parameters are trained ({share:.2%}).")


@dataclass(frozen=True)
class Offer:
    """A change that would make a method fit, and the figures it would then have."""

    label: Message
    figures: Message


@dataclass(frozen=True)
class TableState:
    """Everything the table shows.

    Attributes:
        estimates: Estimates by method name; one of a refused method is not shown.
        refusals: Why a method cannot be used with the data or the model.
        offers: What would make a method fit.
        chosen: Name of the chosen method.
        machine_name: What the machine of the estimates is called.
        is_refining: Whether finer figures are being worked out, which a hint says.
        limits_message: How far the chosen method could go on the machine.
        task: What is trained; None where no number of examples is wanted.
        example_count: How many examples there are for it; None where there is no data.
        is_electricity: Whether what a run costs is that of its electricity alone.
    """

    estimates: Mapping[str, Estimate]
    refusals: Mapping[str, Incompatibility] = field(default_factory=dict)
    offers: Mapping[str, Sequence[Offer]] = field(default_factory=dict)
    chosen: str = ""
    machine_name: str = ""
    is_refining: bool = False
    limits_message: Message | None = None
    task: Task | None = None
    example_count: int | None = None
    is_electricity: bool = False

    def usable_estimates(self) -> dict[str, Estimate]:
        """The estimates of the rows that can be chosen, in the order of the cards."""
        return {
            name: self.estimates[name]
            for name in presets.methods()
            if name in self.estimates and name not in self.refusals
        }


@dataclass(frozen=True)
class _Scales:
    """What a full bar stands for, in each column that has bars; 0 where nothing is known."""

    memory_gb: float
    minutes: float
    money: float
    disk_mb: float


@dataclass(frozen=True)
class _Row:
    """One method as a row: what is known of it, and why a figure may be missing."""

    card: MethodCard
    estimate: Estimate
    is_estimated: bool
    refusal: Incompatibility | None
    offers: Sequence[Offer]
    is_chosen: bool
    unknown_reason: str


def build(elem_id: str) -> gr.HTML:
    """The table's component.

    The browser sends the event `pick` with the id of a method, and `remedy` with such an id and the number of
    one of its offers, from 0. Both may be anything: check them.
    """
    script = (presets.ASSETS / "table.js").read_text(encoding="utf-8")
    return gr.HTML(
        {"rows": []},
        html_template='<div class="costs-anchor"></div>',
        js_on_load=script,
        elem_id=elem_id,
        apply_default_css=False,
    )


def render_table(state: TableState, lang: str) -> dict[str, Any]:
    """The value of the table's component."""
    scales = _compute_scales(state)
    return {
        "caption": table_messages.TABLE_CAPTION.render(lang),
        "about": _describe_machine(state, lang),
        "pending": table_messages.REFINING.render(lang) if state.is_refining else "",
        "refused": _render_refused(state, lang),
        "columns": _render_columns(state, lang),
        "rows": [
            _render_row(_build_row(state, card, lang), state, scales, lang)
            for card in presets.methods().values()
        ],
        "words": {name: message.render(lang) for name, message in table_messages.SCRIPT_MESSAGES.items()},
        "csv": table_csv.render_headings(lang),
    }


def _usable_gb(state: TableState) -> float:
    """What the machine has for a run; 0 where it is not known."""
    return max((estimate.room_gb or 0.0 for estimate in state.usable_estimates().values()), default=0.0)


def _compute_scales(state: TableState) -> _Scales:
    estimates = list(state.usable_estimates().values())
    usable_gb = _usable_gb(state)
    memory_gb = _highest([estimate.memory_gb for estimate in estimates])
    if usable_gb:
        memory_gb = min(max(usable_gb, memory_gb), MAX_BAR_RATIO * usable_gb)
    return _Scales(
        memory_gb=memory_gb,
        minutes=_highest([estimate.minutes for estimate in estimates]),
        money=_highest([estimate.money for estimate in estimates]),
        disk_mb=max((estimate.disk_mb or 0.0 for estimate in estimates), default=0.0),
    )


def _highest(amounts: Sequence[Range | None]) -> float:
    return max((amount.high for amount in amounts if amount), default=0.0)


def _describe_machine(state: TableState, lang: str) -> str:
    if not state.machine_name:
        return ""
    usable_gb = _usable_gb(state)
    if not usable_gb:
        return table_messages.ON_MACHINE.render(lang, place=state.machine_name)
    return table_messages.ON_MACHINE_WITH_MEMORY.render(
        lang, place=state.machine_name, room=units.format_gb(usable_gb)
    )


def _render_columns(state: TableState, lang: str) -> list[dict[str, str]]:
    """Id, heading and noun of every column; cost has one only where it is known for some row."""
    has_cost = any(estimate.money for estimate in state.usable_estimates().values())
    columns = []
    for name, heading in table_messages.COLUMN_HEADINGS.items():
        if name == "money" and not has_cost:
            continue
        noun = table_messages.COLUMN_NOUNS.get(name)
        columns.append({"id": name, "head": heading.render(lang), "what": noun.render(lang) if noun else ""})
    return columns


def _build_row(state: TableState, card: MethodCard, lang: str) -> _Row:
    refusal = state.refusals.get(card.id)
    estimate = None if refusal else state.estimates.get(card.id)
    return _Row(
        card=card,
        estimate=estimate or Estimate(card.id),
        is_estimated=estimate is not None,
        refusal=refusal,
        offers=state.offers.get(card.id, ()),
        is_chosen=card.id == state.chosen,
        unknown_reason=_unknown_reason(estimate, refusal, lang),
    )


def _unknown_reason(estimate: Estimate | None, refusal: Incompatibility | None, lang: str) -> str:
    """Why figures of a row are not known; "" where none is missing."""
    if refusal:
        return table_messages.NOT_ESTIMATED.render(lang)
    if not estimate:
        return table_messages.UNKNOWN_SHAPE.render(lang)
    return " · ".join(message.render(lang) for message in estimate.missing)


def _render_row(row: _Row, state: TableState, scales: _Scales, lang: str) -> dict[str, Any]:
    card, estimate = row.card, row.estimate
    refused = ""
    if row.refusal:
        refused = f"{row.refusal.reason.render(lang)} {row.refusal.alternative.render(lang)}"
    return {
        "id": card.id,
        "kind": _row_kind(row),
        "open": not row.refusal,
        "fit": estimate.fits,
        "name": card.name.render(lang),
        "badge": table_messages.CHOSEN.render(lang) if row.is_chosen else "",
        "short": card.short.render(lang),
        "refused": refused,
        "lacks": _describe_shortfall(estimate, lang),
        "exact": _format_exact_counts(estimate, lang),
        "cells": {
            "updated": _trainable_cell(row, lang),
            "memory": _memory_cell(row, scales.memory_gb, lang),
            "time": _time_cell(row, scales.minutes, lang),
            "money": _money_cell(row, state, scales.money, lang),
            "disk": _disk_cell(row, scales.disk_mb, lang),
        },
        "raw": table_csv.raw_values(estimate),
        "csv": table_csv.render_row(card.name.render(lang), estimate, lang),
        "remedies": _offers_heading(row, lang),
        "offers": [
            {"label": offer.label.render(lang), "figures": offer.figures.render(lang)} for offer in row.offers
        ],
        "more": _render_details(row, state.limits_message, lang),
        "scarce": _describe_min_examples(row, state, lang),
    }


def _render_refused(state: TableState, lang: str) -> dict[str, str]:
    """One line for the methods that the data or the model rules out, with their reason where it is one."""
    cards = presets.methods()
    names = [cards[name].name for name in cards if name in state.refusals]
    if not names:
        return {}
    reasons = {state.refusals[name].reason.render(lang) for name in state.refusals}
    text = table_messages.REFUSED_METHODS.render(lang, count=len(names), names=names)
    return {
        "text": join_sentences((text, reasons.pop() if len(reasons) == 1 else ""), lang),
        "show": table_messages.SHOW_REFUSED.render(lang),
        "hide": table_messages.HIDE_REFUSED.render(lang),
    }


def _row_kind(row: _Row) -> str:
    if row.is_chosen:
        return "chosen"
    return "closed" if row.refusal else "open"


def _offers_heading(row: _Row, lang: str) -> str:
    if not row.offers:
        return ""
    if row.estimate.fits == "no":
        return table_messages.SUGGESTIONS_TO_FIT.render(lang)
    return table_messages.SUGGESTIONS_TO_EASE.render(lang)


def _describe_min_examples(row: _Row, state: TableState, lang: str) -> str:
    """That there are fewer examples than a method needs; empty where there are enough, or it is refused."""
    if not state.task or row.refusal or state.example_count is None:
        return ""
    min_examples, _ = get_min_examples(row.card.id, state.task)
    if state.example_count >= min_examples:
        return ""
    return table_messages.TOO_FEW_EXAMPLES.render(
        lang, least=f"{min_examples:,}", have=f"{state.example_count:,}"
    )


def _unknown_cell(reason: str, lang: str) -> dict[str, Any]:
    return {"big": "–", "why": reason or table_messages.NOT_KNOWN.render(lang)}


def _format_exact_counts(estimate: Estimate, lang: str) -> str:
    if estimate.trainable is None or not estimate.total:
        return ""
    message = table_messages.TRAINED_EXACTLY
    if TWO_CLASSES in estimate.missing:
        message = table_messages.TRAINED_WITH_TWO_CLASSES
    return message.render(lang, trained=f"{estimate.trainable:,}", total=f"{estimate.total:,}")


def _trainable_cell(row: _Row, lang: str) -> dict[str, Any]:
    estimate = row.estimate
    if estimate.trainable is None or not estimate.total:
        return {"plain": row.card.updated.render(lang)}
    trainable_share = estimate.trainable / estimate.total
    return {
        "big": units.format_share(trainable_share),
        "small": table_messages.TRAINED_ROUNDED.render(
            lang, trained=units.format_count(estimate.trainable), total=units.format_count(estimate.total)
        ),
        "bar": _bar(trainable_share, 0.0, 1.0),
    }


def _memory_cell(row: _Row, scale: float, lang: str) -> dict[str, Any]:
    estimate = row.estimate
    if not estimate.memory_gb:
        return _unknown_cell(row.unknown_reason, lang)
    cell = _range_cell(estimate.memory_gb, units.format_gb, scale)
    cell["bar"]["mark"] = _percent(estimate.room_gb, scale) if estimate.room_gb else None
    cell["bar"]["over"] = estimate.memory_gb.likely > scale
    fit_label = table_messages.FIT_LABELS.get(estimate.fits)
    cell["state"] = fit_label.render(lang) if fit_label else ""
    return cell


def _time_cell(row: _Row, scale: float, lang: str) -> dict[str, Any]:
    if not row.estimate.minutes:
        return _unknown_cell(row.unknown_reason, lang)
    return _range_cell(row.estimate.minutes, lambda minutes: units.format_minutes(minutes, lang), scale)


def _money_cell(row: _Row, state: TableState, scale: float, lang: str) -> dict[str, Any]:
    """What a run costs; beneath it the energy, where the cost is that of electricity alone."""
    estimate = row.estimate
    if not estimate.money:
        return _unknown_cell(row.unknown_reason, lang)
    if estimate.money.high == 0:
        return {"big": table_messages.FREE.render(lang)}
    cell = {
        "big": units.format_money(estimate.money, estimate.currency),
        "bar": _bar(estimate.money.likely, estimate.money.high, scale),
    }
    if estimate.watt_hours and state.is_electricity:
        energy = units.format_energy(estimate.watt_hours)
        cell["small"] = table_messages.ELECTRICITY.render(lang, energy=energy)
    return cell


def _disk_cell(row: _Row, scale: float, lang: str) -> dict[str, Any]:
    disk_mb = row.estimate.disk_mb
    if disk_mb is None:
        return _unknown_cell(row.unknown_reason, lang)
    return {"big": units.format_mb(disk_mb), "bar": _bar(disk_mb, 0.0, scale)}


def _range_cell(amount: Range, formatter: Callable[[float], str], scale: float) -> dict[str, Any]:
    """The likely figure in large type, its range in small type, and both as a bar."""
    return {
        "big": formatter(amount.likely),
        "small": units.format_span(formatter(amount.low), formatter(amount.high)),
        "bar": _bar(amount.likely, amount.high, scale),
    }


def _bar(likely: float, high: float, scale: float) -> dict[str, Any]:
    """A bar: solid up to `likely`, faint up to `high`; `scale` is what its full length stands for."""
    return {"fill": _percent(likely, scale), "high": _percent(high, scale), "mark": None, "over": False}


def _percent(value: float, scale: float) -> float:
    """The length of a bar, 0 to 100; at least 1 for a value above 0, so that it is seen."""
    if value <= 0 or scale <= 0:
        return 0.0
    return round(min(100.0, max(1.0, 100 * value / scale)), 2)


def _describe_shortfall(estimate: Estimate, lang: str) -> str:
    """By how much a row does not fit, else why it is tight; "" where it fits, or that is not known."""
    if estimate.fits == "no" and estimate.missing_gb > 0 and estimate.room_gb is not None:
        return table_messages.MEMORY_SHORTFALL.render(
            lang, more=units.format_gb(estimate.missing_gb), room=units.format_gb(estimate.room_gb)
        )
    if estimate.fits != "yes" and estimate.why_not:
        return estimate.why_not.render(lang)
    return ""


def _render_details(row: _Row, limits_message: Message | None, lang: str) -> list[dict[str, Any]]:
    """What an opened row shows below it, each with its heading: texts, steps, the parts of the figures."""
    card, estimate = row.card, row.estimate
    details: dict[str, dict[str, Any]] = {
        "principle": {"text": card.principle.render(lang)},
        "steps": {"steps": [step.render(lang) for step in card.steps]},
        "when": {"text": card.when.render(lang)},
        "needs": {"text": card.needs.render(lang)},
    }
    if row.is_estimated and estimate.trainable is not None:
        details["trained"] = {"text": _format_exact_counts(estimate, lang)}
    if estimate.parts:
        details["parts"] = {"pairs": _list_shares(estimate.parts, MEMORY_PARTS, units.format_gb, lang)}
    if estimate.stretches:
        details["stretches"] = {
            "pairs": _list_shares(
                estimate.stretches,
                table_messages.PHASE_LABELS,
                lambda minutes: units.format_minutes(minutes, lang),
                lang,
            )
        }
    if estimate.memory_gb:
        details["sure"] = {"text": _describe_evidence(estimate, lang)}
    if limits_message and row.is_chosen:
        details["reach"] = {"text": limits_message.render(lang)}
    if row.unknown_reason:
        details["missing"] = {"text": row.unknown_reason}
    return [
        {"head": table_messages.DETAIL_HEADINGS[name].render(lang), **content}
        for name, content in details.items()
    ]


def _describe_evidence(estimate: Estimate, lang: str) -> str:
    """What the figures rest on: a formula or a trace, and whether this machine was measured."""
    messages = [table_messages.ESTIMATE_LEVELS[estimate.level]]
    if estimate.is_measured:
        messages.append(table_messages.SPEED_MEASURED)
    return join_sentences((message.render(lang) for message in messages), lang)


def _list_shares(
    values: Mapping[str, float], labels: Mapping[str, Message], formatter: Callable[[float], str], lang: str
) -> list[list[str]]:
    """Label and amount, the largest first; small ones and those without a label are added up at the end."""
    total = sum(values.values())
    listed = {
        name: value for name, value in values.items() if name in labels and value >= MIN_LISTED_SHARE * total
    }
    largest_first = sorted(listed.items(), key=lambda item: -item[1])
    pairs = [[labels[name].render(lang), formatter(value)] for name, value in largest_first]
    remainder = total - sum(listed.values())
    if remainder > 0.001 * total:
        pairs.append([table_messages.REMAINDER.render(lang), formatter(remainder)])
    return pairs


def format_trainable_sentence(parameters: ParameterCount, lang: str) -> str:
    """How many parameters are trained, in one sentence."""
    return TRAINABLE_SENTENCE.render(
        lang,
        trained=units.format_count(parameters.trainable),
        total=units.format_count(parameters.total),
        share=parameters.share,
    )
