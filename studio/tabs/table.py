"""The comparison table of all methods as a live cost estimator: one row each, from its card, its estimate and what would make it fit.

What is shown is said and formatted here; `assets/table.js` draws it and keeps what the person sorted, filtered, pinned and opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio import presets
from studio.data.enough import wanted
from studio.estimate.figures import PARTS, TWO_CLASSES, Estimate, Range
from studio.methods.base import Footprint
from studio.methods.fits import Refusal
from studio.plan import Task
from studio.presets import MethodCard
from studio.tabs import amounts, forms
from studio.tabs import table_words as said
from studio.words import Words, joined

# Parts and stretches below this share are told together.
SMALL = 0.02
# A row that needs far more than there is would make all other bars too short to read: bars end here (in rooms).
LONGEST = 1.6


@dataclass(frozen=True)
class Offer:
    """A change that would make a method fit, and the figures it would then have."""

    label: Words
    figures: Words


def table(elem_id: str) -> gr.HTML:
    """The component; the browser tells `pick` with the id of a method, `remedy` with an id and the number of its offer, from 0.

    Both may be anything: check them against the list.
    """
    script = (presets.ASSETS / "table.js").read_text(encoding="utf-8")
    return gr.HTML(
        {"rows": []}, html_template='<div class="costs-anchor"></div>', js_on_load=script, elem_id=elem_id, apply_default_css=False
    )


def content(
    estimates: Mapping[str, Estimate],
    refused: Mapping[str, Refusal],
    offers: Mapping[str, Sequence[Offer]],
    chosen: str,
    place: str,
    lang: str,
    pending: bool = False,
    reach: Words | None = None,
    task: Task | None = None,
    have: int | None = None,
) -> dict[str, Any]:
    """Everything the table shows. An estimate of a refused method is left out; `place` is the machine's name, `reach` how far the chosen
    method could go on it, `have` how many examples there are for `task`.

    `pending` says that finer figures are being worked out; the same call without it takes the hint away.
    """
    cards = presets.methods()
    known = {name: estimates[name] for name in cards if name in estimates and name not in refused}
    room = max((found.room_gb or 0.0 for found in known.values()), default=0.0)
    most = max((found.memory_gb.high for found in known.values() if found.memory_gb), default=0.0)
    scales = {
        "memory": min(max(room, most), LONGEST * room) if room else most,
        "time": max((found.minutes.high for found in known.values() if found.minutes), default=0.0),
        "money": max((found.money.high for found in known.values() if found.money), default=0.0),
        "energy": max((found.watt_hours.high for found in known.values() if found.watt_hours), default=0.0),
        "disk": max((found.disk_mb for found in known.values() if found.disk_mb), default=0.0),
    }
    powered = any(found.watt_hours for found in known.values())
    heads = {name: head.say(lang) for name, head in said.HEADS.items() if name != "energy" or powered}
    return {
        "caption": said.CAPTION.say(lang),
        "about": (said.ABOUT_ROOM if room else said.ABOUT).say(lang, place=place, room=amounts.memory(room)) if place else "",
        "pending": said.PENDING.say(lang) if pending else "",
        "columns": [
            {"id": name, "head": head, "what": said.LESS[name].say(lang) if name in said.LESS else ""} for name, head in heads.items()
        ],
        "rows": [
            _row(card, known.get(card.id), refused.get(card.id), offers.get(card.id, ()), card.id == chosen, reach, scales, lang)
            | _least(card.id, task if card.id not in refused else None, have, lang)
            for card in cards.values()
        ],
        "words": {name: words.say(lang) for name, words in said.SAID.items()},
        "csv": _csv_heads(lang),
    }


def _row(
    card: MethodCard,
    found: Estimate | None,
    refused: Refusal | None,
    offers: Sequence[Offer],
    chosen: bool,
    reach: Words | None,
    scales: Mapping[str, float],
    lang: str,
) -> dict[str, Any]:
    fit = found.fits if found else "unknown"
    why = said.REFUSED.say(lang) if refused else said.UNKNOWN.say(lang) if not found else " · ".join(one.say(lang) for one in found.missing)
    told = found or Estimate(card.id)
    short = _short(told, lang)
    return {
        "id": card.id,
        "kind": "chosen" if chosen else "closed" if refused else "open",
        "open": not refused,
        "fit": fit,
        "name": card.name.say(lang),
        "badge": said.CHOSEN.say(lang) if chosen else "",
        "settings": said.SETTINGS.say(lang) if chosen else "",
        "short": card.short.say(lang),
        "refused": f"{refused.why.say(lang)} {refused.nearest.say(lang)}" if refused else "",
        "lacks": short or (told.why_not.say(lang) if told.why_not and fit != "yes" else ""),
        "exact": _exact(told, lang),
        "cells": {
            "updated": _updated(told, card, lang),
            "memory": _memory(told, scales["memory"], why, lang),
            "time": _time(told, scales["time"], why, lang),
            "money": _money(told, bool(found), scales["money"], why, lang),
            "disk": _disk(told, scales["disk"], why, lang),
            "energy": _energy(told, scales["energy"], why, lang),
        },
        "raw": _raw(told),
        "csv": _csv(card.name.say(lang), told, lang),
        "remedies": (said.REMEDIES if fit == "no" else said.EASES).say(lang) if offers else "",
        "offers": [{"label": offer.label.say(lang), "figures": offer.figures.say(lang)} for offer in offers],
        "more": _more(card, found, why, reach if chosen else None, lang),
    }


def _least(name: str, task: Task | None, have: int | None, lang: str) -> dict[str, Any]:
    """How many examples a method wants at least, and whether there are fewer."""
    if not task:
        return {"least": "", "scarce": False}
    least, _ = wanted(name, task)
    scarce = have is not None and have < least
    return {"least": (said.SCARCE if scarce else said.LEAST).say(lang, least=f"{least:,}", have=f"{have or 0:,}"), "scarce": scarce}


def _dash(why: str, lang: str) -> dict[str, Any]:
    return {"big": "–", "why": why or said.UNSAID.say(lang)}


def _exact(found: Estimate, lang: str) -> str:
    if found.trainable is None or not found.total:
        return ""
    exact = said.NEARLY if TWO_CLASSES in found.missing else said.EXACT
    return exact.say(lang, trained=f"{found.trainable:,}", total=f"{found.total:,}")


def _updated(found: Estimate, card: MethodCard, lang: str) -> dict[str, Any]:
    if found.trainable is None or not found.total:
        return {"plain": card.updated.say(lang)}
    part = found.trainable / found.total
    return {"big": amounts.share(part), "small": _exact(found, lang), "bar": _bar(part, 0.0, 1.0)}


def _memory(found: Estimate, scale: float, why: str, lang: str) -> dict[str, Any]:
    if not found.memory_gb:
        return _dash(why, lang)
    cell = _ranged(found.memory_gb, amounts.memory, scale)
    cell["bar"]["mark"] = _percent(found.room_gb, scale) if found.room_gb else None
    cell["bar"]["over"] = found.memory_gb.likely > scale
    cell["state"] = said.STATES[found.fits].say(lang) if found.fits in said.STATES else ""
    cell["note"] = said.MOSTLY.say(lang, part=PARTS.get(found.largest, Words(found.largest))) if found.parts else ""
    return cell


def _time(found: Estimate, scale: float, why: str, lang: str) -> dict[str, Any]:
    return _ranged(found.minutes, lambda minutes: amounts.duration(minutes, lang), scale) if found.minutes else _dash(why, lang)


def _money(found: Estimate, known: bool, scale: float, why: str, lang: str) -> dict[str, Any]:
    if not found.money:
        return {"plain": said.NO_PRICE.say(lang)} if known and found.minutes else _dash(why, lang)
    if found.money.high == 0:
        return {"big": said.FREE.say(lang)}
    return {"big": amounts.money(found.money, found.currency), "bar": _bar(found.money.likely, found.money.high, scale)}


def _disk(found: Estimate, scale: float, why: str, lang: str) -> dict[str, Any]:
    if found.disk_mb is None:
        return _dash(why, lang)
    return {"big": amounts.size(found.disk_mb), "bar": _bar(found.disk_mb, 0.0, scale)}


def _energy(found: Estimate, scale: float, why: str, lang: str) -> dict[str, Any]:
    if not found.watt_hours:
        return _dash(why, lang)
    return {"big": amounts.energy(found.watt_hours), "bar": _bar(found.watt_hours.likely, found.watt_hours.high, scale)}


def _ranged(amount: Range, say: Callable[[float], str], scale: float) -> dict[str, Any]:
    """The likely figure large, its range small, and both as a bar."""
    bar = _bar(amount.likely, amount.high, scale)
    return {"big": say(amount.likely), "small": amounts.span(say(amount.low), say(amount.high)), "bar": bar}


def _bar(likely: float, high: float, scale: float) -> dict[str, Any]:
    return {"fill": _percent(likely, scale), "high": _percent(high, scale), "mark": None, "over": False}


def _percent(value: float, scale: float) -> float:
    """A length of a bar; what is there at all is seen."""
    return round(min(100.0, max(1.0, 100 * value / scale)), 2) if value > 0 and scale > 0 else 0.0


def _short(found: Estimate, lang: str) -> str:
    """By how much a row does not fit; empty where it does, or nobody knows."""
    if found.fits != "no" or not found.memory_gb or found.room_gb is None:
        return ""
    more = max(found.memory_gb.likely - found.room_gb, 0.0)
    return said.MORE.say(lang, more=amounts.memory(more), room=amounts.memory(found.room_gb))


def _more(card: MethodCard, found: Estimate | None, why: str, reach: Words | None, lang: str) -> list[dict[str, Any]]:
    """What stands under a row when it is opened: texts, steps and the parts of the figures."""
    entries: dict[str, dict[str, Any]] = {
        "principle": {"text": card.principle.say(lang)},
        "steps": {"steps": list(card.steps[lang])},
        "when": {"text": card.when.say(lang)},
        "needs": {"text": card.needs.say(lang)},
    }
    if found and found.parts:
        entries["parts"] = {"pairs": _shares(found.parts, PARTS, amounts.memory, lang)}
    if found and found.stretches:
        entries["stretches"] = {"pairs": _shares(found.stretches, said.STRETCHES, lambda minutes: amounts.duration(minutes, lang), lang)}
    if found and found.memory_gb:
        sure = [said.LEVELS[found.level], *([said.MEASURED] if found.measured else [])]
        entries["sure"] = {"text": joined((words.say(lang) for words in sure), lang)}
    if reach:
        entries["reach"] = {"text": reach.say(lang)}
    if why:
        entries["missing"] = {"text": why}
    return [{"head": said.DETAILS[name].say(lang), **entry} for name, entry in entries.items()]


def _shares(amount: Mapping[str, float], names: Mapping[str, Words], say: Callable[[float], str], lang: str) -> list[list[str]]:
    """Name and amount, the largest first; what is small, or has no name, is told together at the end."""
    whole = sum(amount.values())
    large = {name: value for name, value in amount.items() if name in names and value >= SMALL * whole}
    pairs = [[names[name].say(lang), say(value)] for name, value in sorted(large.items(), key=lambda item: -item[1])]
    rest = whole - sum(large.values())
    return [*pairs, [said.REST.say(lang), say(rest)]] if rest > 0.001 * whole else pairs


def _raw(found: Estimate) -> dict[str, list[float] | None]:
    """Low, likely and high of every column for the script, which sorts and compares by them; None where a figure is not known."""
    ranges = {"memory": found.memory_gb, "time": found.minutes, "money": found.money, "energy": found.watt_hours}
    part = found.trainable / found.total if found.trainable is not None and found.total else None
    exact = {"updated": part, "disk": found.disk_mb}
    return {
        **{name: [amount.low, amount.likely, amount.high] if amount else None for name, amount in ranges.items()},
        **{name: None if value is None else [value] * 3 for name, value in exact.items()},
    }


def _csv_heads(lang: str) -> list[str]:
    heads = {name: words.say(lang) for name, words in said.HEADS.items()}
    low, likely, high = (words.say(lang) for words in said.ENDS)
    spread = [f"{heads[name]}, {end} ({unit})" for name, unit in (("memory", "GB"), ("time", "min")) for end in (low, likely, high)]
    money = [f"{heads['money']}, {end}" for end in (low, likely, high)]
    energy = [f"{heads['energy']}, {end} (Wh)" for end in (low, likely, high)]
    counted, total, room, fits, currency = (words.say(lang) for words in said.CSV)
    return [
        heads["method"],
        f"{heads['updated']}, 0–1",
        counted,
        total,
        *spread,
        room,
        fits,
        *money,
        currency,
        f"{heads['disk']} (MB)",
        *energy,
    ]


def _csv(name: str, found: Estimate, lang: str) -> list[str | float | None]:
    """The raw figures of a row, in the order of `_csv_heads`."""
    raw = {column: [float(f"{value:.6g}") for value in values] if values else [None] * 3 for column, values in _raw(found).items()}
    room = None if found.room_gb is None else float(f"{found.room_gb:.6g}")
    fits = said.STATES[found.fits].say(lang) if found.fits in said.STATES else None
    currency = found.currency if found.money else None
    counts = [raw["updated"][1], found.trainable, found.total]
    return [name, *counts, *raw["memory"], *raw["time"], room, fits, *raw["money"], currency, raw["disk"][1], *raw["energy"]]


def sentence(count: Footprint, lang: str) -> str:
    """How much is trained, in one sentence."""
    told = Words("{trained} of {total} parameters are trained ({share:.2%}).", "将训练 {total} 个参数中的 {trained} 个（{share:.2%}）。")
    return told.say(lang, trained=forms.number(count.trainable), total=forms.number(count.total), share=count.share)
