"""What the same run would cost elsewhere: every machine of the list, and services that train for you, worked out when it is opened."""

import html
from collections.abc import Sequence
from datetime import date
from typing import Any

import gradio as gr

from studio import methods, presets
from studio.estimate import elsewhere, load, machines
from studio.estimate.elsewhere import Elsewhere, Hosted
from studio.estimate.figures import Range, around
from studio.estimate.machines import Source
from studio.tabs import amounts, estimates, forms
from studio.tabs import table_words as words
from studio.tabs.forms import t
from studio.words import Words, label

HEAD = label("What would it cost elsewhere?", "换到别处训练要花多少？")
MACHINES = Words("{method} with these settings on other machines", "同样的设置，用 {method} 在其他机器上训练")
ROUGH = Words(
    "From each machine's specification, so the ranges are wide. The studio trains on the machine it runs on: to train there, run it there.",
    "按各机器的规格估算，所以范围较宽。工作室只在安装它的机器上训练；想用别的机器，请到那台机器上启动工作室。",
)
HEADS = (
    Words("Machine", "机器"),
    Words("Memory: needed / there", "内存：需要 / 可用"),
    Words("Time", "时间"),
    Words("Money", "费用"),
    Words("Energy", "用电"),
    Words("Price per hour (date checked, source)", "每小时价格（查询日期与来源）"),
)
TOO_SMALL = Words("Too small: {names}.", "内存不够：{names}。")
REST = Words("{count} more machines", "另外 {count} 台机器")
SERVICES = Words("Services that train for you, for {tokens} trained tokens", "代为训练的服务（按 {tokens} 个训练 token 计）")
THEIR_MODELS = Words(
    "They train models of their own choice: a price, not a comparison of results. Your examples would leave this machine.",
    "这些服务训练的是各家自选的模型：这里只比价格，不比效果。你的样本也会离开本机。",
)
SERVICE_HEADS = (
    Words("Service", "服务"),
    Words("Money", "费用"),
    Words("Price per million tokens (date checked, source)", "每百万 token 价格（查询日期与来源）"),
)
RECALLED = Words("from memory, not verified", "凭记忆，未核实")
OLD = Words("older than 180 days", "已超过 180 天")
NOTHING = Words(
    "Choose data and a base model whose shape is known; then this shows what the run would cost on {count} machines.",
    "选好数据和结构已知的基础模型后，这里会显示在 {count} 台机器上训练的费用。",
)
# So many machines stand in sight, the others behind one click.
IN_SIGHT = 8


def show(request: gr.Request, **fields: Any) -> str:
    """Both tables for what the fields say; what comes from files is escaped."""
    lang, found = forms.language(request), estimates.asked(**fields)
    name = found.plan.method.name
    if not found.base.shape or not found.lengths:
        return f'<p class="elsewhere-note">{html.escape(NOTHING.say(lang, count=len(machines.places())))}</p>'
    today = date.today()
    places = elsewhere.everywhere(found.plan, found.settings, found.base, found.lengths, today)
    tokens = elsewhere.trained_tokens(load.of(found.plan, methods.get(name), found.settings[name], found.base.shape, found.lengths))
    return _machines(places, presets.methods()[name].name.say(lang), lang) + _services(elsewhere.hosted(tokens, today), tokens, lang)


def _machines(places: Sequence[Elsewhere], method: str, lang: str) -> str:
    able = [one for one in places if one.estimate.fits != "no"]
    small = [one.place.name for one in places if one.estimate.fits == "no"]
    rows = [[html.escape(cell) for cell in _machine(one, lang)] for one in able]
    heads = [head.say(lang) for head in HEADS]
    parts = [_table(MACHINES.say(lang, method=method), heads, rows[:IN_SIGHT])]
    if rows[IN_SIGHT:]:
        more = html.escape(REST.say(lang, count=len(rows) - IN_SIGHT))
        parts.append(f"<details><summary>{more}</summary>{_table(more, heads, rows[IN_SIGHT:])}</details>")
    told = [ROUGH.say(lang)] + ([TOO_SMALL.say(lang, names=list(dict.fromkeys(small)))] if small else [])
    return "".join(parts) + "".join(f'<p class="elsewhere-note">{html.escape(one)}</p>' for one in told)


def _machine(one: Elsewhere, lang: str) -> list[str]:
    place, made = one.place, one.estimate
    (memory, time), money = estimates.spans(made, lang), made.money
    there = amounts.memory(place.usable_bytes / 1e9)
    price = "–" if place.price_per_hour is None else amounts.money(around(place.price_per_hour, 1), place.currency)
    return [
        place.name + (f" ({place.note.say(lang)})" if place.note else ""),
        f"{memory or '?'} / {there}",
        time or "?",
        amounts.money(money, made.currency) if money else words.NO_PRICE.say(lang),
        amounts.energy(made.watt_hours) if made.watt_hours else "–",
        f"{price}{_read(place.price_source, one.stale, lang)}",
    ]


def _services(found: Sequence[Hosted], tokens: float, lang: str) -> str:
    rows = []
    for one in found:
        offer = one.offer
        price = amounts.money(Range(offer.low, (offer.low + offer.high) / 2, offer.high))
        note = f" ({offer.note.say(lang)})" if offer.note else ""
        cost = amounts.money(Range(one.low, (one.low + one.high) / 2, one.high))
        rows.append([html.escape(cell) for cell in (offer.name + note, cost, f"{price}{_read(offer.source, one.stale, lang)}")])
    head = SERVICES.say(lang, tokens=forms.number(tokens))
    note = f'<p class="elsewhere-note">{html.escape(THEIR_MODELS.say(lang))}</p>'
    return _table(head, [one.say(lang) for one in SERVICE_HEADS], rows) + note


def _read(source: Source | None, stale: bool, lang: str) -> str:
    """When and where a price was read, and what is wrong with that."""
    if not source:
        return ""
    doubts = [doubt.say(lang) for doubt, holds in ((RECALLED, source.quality == "recalled"), (OLD, stale)) if holds]
    return f" · {source.date} · {source.said}" + "".join(f" · {doubt}" for doubt in doubts)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table from escaped cells; it may scroll sideways within its frame."""
    top = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    body = "".join(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows)
    said = html.escape(caption)
    return (
        f'<div class="outcome-frame" tabindex="0" role="region" aria-label="{said}"><table class="outcome"><caption>{said}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def build() -> tuple[gr.Button, gr.HTML]:
    """The button that shows the tables or puts them away, and their place; what they say goes with the comparison table's update."""
    return gr.Button(t(HEAD), elem_id="elsewhere", size="sm"), gr.HTML("", elem_id="elsewhere-tables")


def turn(shown: str, request: gr.Request, **fields: Any) -> str:
    """Show the tables, or put them away."""
    return "" if shown else show(request, **fields)


def follow(shown: object, request: gr.Request, **fields: Any) -> Any:
    """The tables anew where some are shown."""
    return show(request, **fields) if shown else gr.skip()
