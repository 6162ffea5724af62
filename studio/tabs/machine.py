"""Where a run would go, on the Method tab: the machines to choose from, how right the studio has been here, and measuring this one."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.estimate import machines, measure, record
from studio.estimate import table as costs
from studio.estimate.figures import around
from studio.estimate.machines import HERE
from studio.tabs import amounts, forms, visitor
from studio.tabs import table_words as words
from studio.tabs.forms import t
from studio.words import Words, label

WHERE = label("Where it would run", "在哪里运行")
WHERE_HELP = label(
    "The studio trains on this machine; the others show what the same run would take there. Prices are as of their date.",
    "工作室在本机训练；选其他机器，可以看同样的训练在那里要花多少。价格截至所注日期。",
)
MEASURE, CALL_OFF = label("Measure this machine", "测量这台机器"), label("Cancel", "取消")
THIS = Words("This machine: {name}, {room:.1f} GB free", "本机：{name}，可用 {room:.1f} GB")
OTHER = Words("{name}, {room:.0f} GB, {price}", "{name}，{room:.0f} GB，{price}")
HOURLY, FREE = Words("{price} an hour", "每小时 {price}"), Words("free", "免费")
OLD = Words("price read {date}, more than 180 days ago", "价格查询于 {date}，已超过 180 天")
MEASURING = Words(
    "Measuring: a few real steps on a small cut of the model, {share:.0%} done; under a minute.",
    "正在测量：拿模型的一小部分实际跑几步，已完成 {share:.0%}，全程不到一分钟。",
)
MEASURED = Words(
    "Measured: {rate} GFLOP/s and {memory:.0f} GB/s. The times now rest on this machine's own figures.",
    "已测量：{rate} GFLOP/s，{memory:.0f} GB/s。用时估算现在基于本机的实测数据。",
)
CALLED_OFF = Words("Cancelled; the estimates rest on the machine's specification as before.", "已取消；估算仍基于机器规格。")


def _choices(lang: str) -> list[tuple[str, str]]:
    here = machines.here()
    found = [(THIS.say(lang, name=here.name, room=here.usable_bytes / 1e9), HERE)]
    for place in machines.places().values():
        if place.price_per_hour is None:
            price = words.NO_PRICE.say(lang)
        elif not place.price_per_hour:
            price = FREE.say(lang)
        else:
            price = HOURLY.say(lang, price=amounts.money(around(place.price_per_hour, 1), place.currency))
        if machines.stale(place.price_source, date.today()) and place.price_source:
            price += "; " + OLD.say(lang, date=place.price_source.date)
        found.append((OTHER.say(lang, name=place.name, room=place.usable_bytes / 1e9, price=price), place.id))
    return found


def greet(request: gr.Request) -> tuple[Any, ...]:
    """The machines, how right the studio has been so far, and the button that measures: only on a page of one's own."""
    lang = forms.language(request)
    told = forms.notice(record.sentence().say(lang))
    return gr.update(choices=_choices(lang)), told, gr.update(visible=not visitor.open_to_others())


def gauge(model: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Measure this machine, saying how far it is; closing the iterator calls it off."""
    lang = forms.language(request)
    busy, idle = (gr.update(visible=False), gr.update(visible=True)), (gr.update(visible=True), gr.update(visible=False))
    try:
        visitor.check_owner()
        base = visitor.base(model)
        config, encoder = (base.config, base.shape.encoder) if base and base.shape else (costs.base("smollm2-135m").config, False)
        for share, found in measure.measure(config, encoder, machines.here()):
            if found:
                told = MEASURED.say(lang, rate=f"{found.flop_32 / 1e9:,.0f}", memory=found.bandwidth / 1e9)
                yield forms.notice(told, record.sentence().say(lang), kind="good"), *idle
            else:
                yield forms.notice(MEASURING.say(lang, share=share)), *busy
    except StudioError as error:
        yield forms.problem(error, lang), *idle


def called_off(request: gr.Request) -> tuple[Any, ...]:
    """What is said when a measurement was called off."""
    return forms.notice(CALLED_OFF.say(forms.language(request))), gr.update(visible=True), gr.update(visible=False)


class Machine(NamedTuple):
    """The fields that say where a run would go."""

    machine: gr.Dropdown
    told: gr.HTML


def build(model: gr.Dropdown) -> Machine:
    """Lay out where it would run, and the measurement of this machine."""
    with gr.Row():
        machine = gr.Dropdown(_choices("en"), value=HERE, label=t(WHERE), info=t(WHERE_HELP), elem_id="machine", scale=4)
        with gr.Column(min_width=180, scale=1):
            go = gr.Button(t(MEASURE), elem_id="measure", size="sm")
            halt = gr.Button(t(CALL_OFF), elem_id="measure-stop", visible=False, size="sm")
    told = forms.notice_box("machine-notice")
    measuring = go.click(gauge, model, [told, go, halt], show_progress="hidden", trigger_mode="once", concurrency_limit=1)
    halt.click(called_off, None, [told, go, halt], cancels=measuring, show_progress="hidden", queue=False)
    gr.context.Context.root_block.load(greet, None, [machine, told, go], show_progress="hidden", queue=False)
    return Machine(machine, told)
