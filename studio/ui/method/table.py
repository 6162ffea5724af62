"""The comparison table of all methods as a live cost estimator: one row each, from its card, its estimate and what would make it fit.

What is shown is said and formatted here; `assets/table.js` draws it and keeps what the person sorted, filtered, pinned and opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from studio.ui.components import forms
from studio.ui.method import table_messages as messages

# Parts and stretches below this share are told together.
MIN_LISTED_SHARE = 0.02
# A row that needs far more than there is would make all other bars too short to read: bars end here (in rooms).
MAX_BAR_RATIO = 1.6


@dataclass(frozen=True)
class Offer:
    """A change that would make a method fit, and the figures it would then have."""

    label: Message
    figures: Message


def build(elem_id: str) -> gr.HTML:
    """The component; the browser tells `pick` with the id of a method, `remedy` with an id and the number of its offer, from 0.

    Both may be anything: check them against the list.
    """
    script = (presets.ASSETS / "table.js").read_text(encoding="utf-8")
    return gr.HTML(
        {"rows": []},
        html_template='<div class="costs-anchor"></div>',
        js_on_load=script,
        elem_id=elem_id,
        apply_default_css=False,
    )


def render_table(
    estimates: Mapping[str, Estimate],
    refusals: Mapping[str, Incompatibility],
    offers: Mapping[str, Sequence[Offer]],
    chosen: str,
    machine_name: str,
    lang: str,
    pending: bool = False,
    limits_message: Message | None = None,
    task: Task | None = None,
    example_count: int | None = None,
) -> dict[str, Any]:
    """Everything the table shows. An estimate of a refused method is left out; `place` is the machine's name, `reach` how far the chosen
    method could go on it, `have` how many examples there are for `task`.

    `pending` says that finer figures are being worked out; the same call without it takes the hint away.
    """
    cards = presets.methods()
    shown_estimates = {name: estimates[name] for name in cards if name in estimates and name not in refusals}
    usable_gb = max((estimate.room_gb or 0.0 for estimate in shown_estimates.values()), default=0.0)
    max_memory_gb = max(
        (estimate.memory_gb.high for estimate in shown_estimates.values() if estimate.memory_gb), default=0.0
    )
    scales = {
        "memory": min(max(usable_gb, max_memory_gb), MAX_BAR_RATIO * usable_gb)
        if usable_gb
        else max_memory_gb,
        "time": max(
            (estimate.minutes.high for estimate in shown_estimates.values() if estimate.minutes), default=0.0
        ),
        "money": max(
            (estimate.money.high for estimate in shown_estimates.values() if estimate.money), default=0.0
        ),
        "energy": max(
            (estimate.watt_hours.high for estimate in shown_estimates.values() if estimate.watt_hours),
            default=0.0,
        ),
        "disk": max(
            (estimate.disk_mb for estimate in shown_estimates.values() if estimate.disk_mb), default=0.0
        ),
    }
    has_energy = any(estimate.watt_hours for estimate in shown_estimates.values())
    headings = {
        name: heading.render(lang)
        for name, heading in messages.COLUMN_HEADINGS.items()
        if name != "energy" or has_energy
    }
    return {
        "caption": messages.TABLE_CAPTION.render(lang),
        "about": (messages.ON_MACHINE_WITH_MEMORY if usable_gb else messages.ON_MACHINE).render(
            lang, place=machine_name, room=units.format_gb(usable_gb)
        )
        if machine_name
        else "",
        "pending": messages.REFINING.render(lang) if pending else "",
        "columns": [
            {
                "id": name,
                "head": heading,
                "what": messages.COLUMN_NOUNS[name].render(lang) if name in messages.COLUMN_NOUNS else "",
            }
            for name, heading in headings.items()
        ],
        "rows": [
            _render_row(
                card,
                shown_estimates.get(card.id),
                refusals.get(card.id),
                offers.get(card.id, ()),
                card.id == chosen,
                limits_message,
                scales,
                lang,
            )
            | _min_examples_note(card.id, task if card.id not in refusals else None, example_count, lang)
            for card in cards.values()
        ],
        "words": {name: message.render(lang) for name, message in messages.SCRIPT_MESSAGES.items()},
        "csv": _csv_headings(lang),
    }


def _render_row(
    card: MethodCard,
    estimate: Estimate | None,
    refusal: Incompatibility | None,
    offers: Sequence[Offer],
    is_chosen: bool,
    limits_message: Message | None,
    scales: Mapping[str, float],
    lang: str,
) -> dict[str, Any]:
    fit = estimate.fits if estimate else "unknown"
    unknown_reason = (
        messages.NOT_ESTIMATED.render(lang)
        if refusal
        else messages.UNKNOWN_SHAPE.render(lang)
        if not estimate
        else " · ".join(message.render(lang) for message in estimate.missing)
    )
    shown_estimate = estimate or Estimate(card.id)
    shortfall = _format_shortfall(shown_estimate, lang)
    return {
        "id": card.id,
        "kind": "chosen" if is_chosen else "closed" if refusal else "open",
        "open": not refusal,
        "fit": fit,
        "name": card.name.render(lang),
        "badge": messages.CHOSEN.render(lang) if is_chosen else "",
        "settings": messages.SETTINGS_LINK.render(lang) if is_chosen else "",
        "short": card.short.render(lang),
        "refused": f"{refusal.reason.render(lang)} {refusal.alternative.render(lang)}" if refusal else "",
        "lacks": shortfall
        or (shown_estimate.why_not.render(lang) if shown_estimate.why_not and fit != "yes" else ""),
        "exact": _format_exact_counts(shown_estimate, lang),
        "cells": {
            "updated": _trainable_cell(shown_estimate, card, lang),
            "memory": _memory_cell(shown_estimate, scales["memory"], unknown_reason, lang),
            "time": _time_cell(shown_estimate, scales["time"], unknown_reason, lang),
            "money": _money_cell(shown_estimate, bool(estimate), scales["money"], unknown_reason, lang),
            "disk": _disk_cell(shown_estimate, scales["disk"], unknown_reason, lang),
            "energy": _energy_cell(shown_estimate, scales["energy"], unknown_reason, lang),
        },
        "raw": _raw_values(shown_estimate),
        "csv": _csv_row(card.name.render(lang), shown_estimate, lang),
        "remedies": (messages.SUGGESTIONS_TO_FIT if fit == "no" else messages.SUGGESTIONS_TO_EASE).render(
            lang
        )
        if offers
        else "",
        "offers": [
            {"label": offer.label.render(lang), "figures": offer.figures.render(lang)} for offer in offers
        ],
        "more": _render_details(card, estimate, unknown_reason, limits_message if is_chosen else None, lang),
    }


def _min_examples_note(name: str, task: Task | None, example_count: int | None, lang: str) -> dict[str, Any]:
    """How many examples a method wants at least, and whether there are fewer."""
    if not task:
        return {"least": "", "scarce": False}
    required_count, _ = get_min_examples(name, task)
    is_scarce = example_count is not None and example_count < required_count
    return {
        "least": (messages.TOO_FEW_EXAMPLES if is_scarce else messages.MIN_EXAMPLES).render(
            lang, least=f"{required_count:,}", have=f"{example_count or 0:,}"
        ),
        "scarce": is_scarce,
    }


def _unknown_cell(reason: str, lang: str) -> dict[str, Any]:
    return {"big": "–", "why": reason or messages.NOT_KNOWN.render(lang)}


def _format_exact_counts(estimate: Estimate, lang: str) -> str:
    if estimate.trainable is None or not estimate.total:
        return ""
    template = (
        messages.TRAINED_WITH_TWO_CLASSES if TWO_CLASSES in estimate.missing else messages.TRAINED_EXACTLY
    )
    return template.render(lang, trained=f"{estimate.trainable:,}", total=f"{estimate.total:,}")


def _trainable_cell(estimate: Estimate, card: MethodCard, lang: str) -> dict[str, Any]:
    if estimate.trainable is None or not estimate.total:
        return {"plain": card.updated.render(lang)}
    trainable_share = estimate.trainable / estimate.total
    return {
        "big": units.format_share(trainable_share),
        "small": _format_exact_counts(estimate, lang),
        "bar": _bar(trainable_share, 0.0, 1.0),
    }


def _memory_cell(estimate: Estimate, scale: float, reason: str, lang: str) -> dict[str, Any]:
    if not estimate.memory_gb:
        return _unknown_cell(reason, lang)
    cell = _range_cell(estimate.memory_gb, units.format_gb, scale)
    cell["bar"]["mark"] = _percent(estimate.room_gb, scale) if estimate.room_gb else None
    cell["bar"]["over"] = estimate.memory_gb.likely > scale
    cell["state"] = (
        messages.FIT_LABELS[estimate.fits].render(lang) if estimate.fits in messages.FIT_LABELS else ""
    )
    cell["note"] = (
        messages.LARGEST_PART.render(
            lang, part=MEMORY_PARTS.get(estimate.largest_part, Message(estimate.largest_part))
        )
        if estimate.parts
        else ""
    )
    return cell


def _time_cell(estimate: Estimate, scale: float, reason: str, lang: str) -> dict[str, Any]:
    return (
        _range_cell(estimate.minutes, lambda minutes: units.format_minutes(minutes, lang), scale)
        if estimate.minutes
        else _unknown_cell(reason, lang)
    )


def _money_cell(estimate: Estimate, is_known: bool, scale: float, reason: str, lang: str) -> dict[str, Any]:
    if not estimate.money:
        return (
            {"plain": messages.NO_PRICE.render(lang)}
            if is_known and estimate.minutes
            else _unknown_cell(reason, lang)
        )
    if estimate.money.high == 0:
        return {"big": messages.FREE.render(lang)}
    return {
        "big": units.format_money(estimate.money, estimate.currency),
        "bar": _bar(estimate.money.likely, estimate.money.high, scale),
    }


def _disk_cell(estimate: Estimate, scale: float, reason: str, lang: str) -> dict[str, Any]:
    if estimate.disk_mb is None:
        return _unknown_cell(reason, lang)
    return {"big": units.format_mb(estimate.disk_mb), "bar": _bar(estimate.disk_mb, 0.0, scale)}


def _energy_cell(estimate: Estimate, scale: float, reason: str, lang: str) -> dict[str, Any]:
    if not estimate.watt_hours:
        return _unknown_cell(reason, lang)
    return {
        "big": units.format_energy(estimate.watt_hours),
        "bar": _bar(estimate.watt_hours.likely, estimate.watt_hours.high, scale),
    }


def _range_cell(amount: Range, formatter: Callable[[float], str], scale: float) -> dict[str, Any]:
    """The likely figure large, its range small, and both as a bar."""
    bar = _bar(amount.likely, amount.high, scale)
    return {
        "big": formatter(amount.likely),
        "small": units.format_span(formatter(amount.low), formatter(amount.high)),
        "bar": bar,
    }


def _bar(likely: float, high: float, scale: float) -> dict[str, Any]:
    return {"fill": _percent(likely, scale), "high": _percent(high, scale), "mark": None, "over": False}


def _percent(value: float, scale: float) -> float:
    """A length of a bar; what is there at all is seen."""
    return round(min(100.0, max(1.0, 100 * value / scale)), 2) if value > 0 and scale > 0 else 0.0


def _format_shortfall(estimate: Estimate, lang: str) -> str:
    """By how much a row does not fit; empty where it does, or nobody knows."""
    if estimate.fits != "no" or not estimate.memory_gb or estimate.room_gb is None:
        return ""
    missing_gb = max(estimate.memory_gb.likely - estimate.room_gb, 0.0)
    return messages.MEMORY_SHORTFALL.render(
        lang, more=units.format_gb(missing_gb), room=units.format_gb(estimate.room_gb)
    )


def _render_details(
    card: MethodCard,
    estimate: Estimate | None,
    unknown_reason: str,
    limits_message: Message | None,
    lang: str,
) -> list[dict[str, Any]]:
    """What stands under a row when it is opened: texts, steps and the parts of the figures."""
    entries: dict[str, dict[str, Any]] = {
        "principle": {"text": card.principle.render(lang)},
        "steps": {"steps": [step.render(lang) for step in card.steps]},
        "when": {"text": card.when.render(lang)},
        "needs": {"text": card.needs.render(lang)},
    }
    if estimate and estimate.parts:
        entries["parts"] = {"pairs": _list_shares(estimate.parts, MEMORY_PARTS, units.format_gb, lang)}
    if estimate and estimate.stretches:
        entries["stretches"] = {
            "pairs": _list_shares(
                estimate.stretches,
                messages.PHASE_LABELS,
                lambda minutes: units.format_minutes(minutes, lang),
                lang,
            )
        }
    if estimate and estimate.memory_gb:
        evidence = [
            messages.ESTIMATE_LEVELS[estimate.level],
            *([messages.SPEED_MEASURED] if estimate.is_measured else []),
        ]
        entries["sure"] = {"text": join_sentences((message.render(lang) for message in evidence), lang)}
    if limits_message:
        entries["reach"] = {"text": limits_message.render(lang)}
    if unknown_reason:
        entries["missing"] = {"text": unknown_reason}
    return [{"head": messages.DETAIL_HEADINGS[name].render(lang), **entry} for name, entry in entries.items()]


def _list_shares(
    values: Mapping[str, float], labels: Mapping[str, Message], formatter: Callable[[float], str], lang: str
) -> list[list[str]]:
    """Name and amount, the largest first; what is small, or has no name, is told together at the end."""
    total = sum(values.values())
    large = {
        name: value for name, value in values.items() if name in labels and value >= MIN_LISTED_SHARE * total
    }
    pairs = [
        [labels[name].render(lang), formatter(value)]
        for name, value in sorted(large.items(), key=lambda item: -item[1])
    ]
    remainder = total - sum(large.values())
    return (
        [*pairs, [messages.REMAINDER.render(lang), formatter(remainder)]]
        if remainder > 0.001 * total
        else pairs
    )


def _raw_values(estimate: Estimate) -> dict[str, list[float] | None]:
    """Low, likely and high of every column for the script, which sorts and compares by them; None where a figure is not known."""
    ranges = {
        "memory": estimate.memory_gb,
        "time": estimate.minutes,
        "money": estimate.money,
        "energy": estimate.watt_hours,
    }
    trainable_share = (
        estimate.trainable / estimate.total if estimate.trainable is not None and estimate.total else None
    )
    exact_values = {"updated": trainable_share, "disk": estimate.disk_mb}
    return {
        **{
            name: [amount.low, amount.likely, amount.high] if amount else None
            for name, amount in ranges.items()
        },
        **{name: None if value is None else [value] * 3 for name, value in exact_values.items()},
    }


def _csv_headings(lang: str) -> list[str]:
    headings = {name: message.render(lang) for name, message in messages.COLUMN_HEADINGS.items()}
    low, likely, high = (message.render(lang) for message in messages.RANGE_ENDS)
    range_columns = [
        f"{headings[name]}, {end} ({unit})"
        for name, unit in (("memory", "GB"), ("time", "min"))
        for end in (low, likely, high)
    ]
    money_columns = [f"{headings['money']}, {end}" for end in (low, likely, high)]
    energy_columns = [f"{headings['energy']}, {end} (Wh)" for end in (low, likely, high)]
    trained, total, usable_memory, fits, currency = (message.render(lang) for message in messages.CSV_COLUMNS)
    return [
        headings["method"],
        f"{headings['updated']}, 0–1",
        trained,
        total,
        *range_columns,
        usable_memory,
        fits,
        *money_columns,
        currency,
        f"{headings['disk']} (MB)",
        *energy_columns,
    ]


def _csv_row(name: str, estimate: Estimate, lang: str) -> list[str | float | None]:
    """The raw figures of a row, in the order of `_csv_heads`."""
    raw = {
        column: [float(f"{value:.6g}") for value in values] if values else [None] * 3
        for column, values in _raw_values(estimate).items()
    }
    usable_gb = None if estimate.room_gb is None else float(f"{estimate.room_gb:.6g}")
    fits = messages.FIT_LABELS[estimate.fits].render(lang) if estimate.fits in messages.FIT_LABELS else None
    currency = estimate.currency if estimate.money else None
    counts = [raw["updated"][1], estimate.trainable, estimate.total]
    return [
        name,
        *counts,
        *raw["memory"],
        *raw["time"],
        usable_gb,
        fits,
        *raw["money"],
        currency,
        raw["disk"][1],
        *raw["energy"],
    ]


def format_trainable_sentence(parameters: ParameterCount, lang: str) -> str:
    """How much is trained, in one sentence."""
    message = Message("{trained} of {total} parameters are trained ({share:.2%}).")
    return message.render(
        lang,
        trained=forms.format_count(parameters.trainable),
        total=forms.format_count(parameters.total),
        share=parameters.share,
    )
