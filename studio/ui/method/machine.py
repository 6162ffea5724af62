"""Where a run would go, on the Method tab: the machines to choose from, how right the studio has been here, and measuring this one."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.estimate import all_methods as costs
from studio.estimate import history
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import LOCAL_ID
from studio.estimate.types import range_around
from studio.i18n import Message, label
from studio.ui import access, units
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.method import table_messages as messages

MACHINE_LABEL = label("Where it would run")
MACHINE_HELP = label(
    "The studio trains on this machine; the others show what the same run would take there. Prices are as of their date."
)
MEASURE, CANCEL_MEASURING = label("Measure this machine"), label("Cancel")
LOCAL_MACHINE_OPTION = Message("This machine: {name}, {room:.1f} GB free")
OTHER_MACHINE_OPTION = Message("{name}, {room:.0f} GB, {price}")
HOURLY_PRICE, FREE = Message("{price} an hour"), Message("free")
PRICE_OUTDATED = Message("price read {date}, more than 180 days ago")
MEASURING = Message(
    "Measuring: a few real steps on a small cut of the model, {share:.0%} done; under a minute."
)
MEASURED = Message(
    "Measured: {rate} GFLOP/s and {memory:.0f} GB/s. The times now rest on this machine's own figures."
)
MEASURING_CANCELLED = Message("Cancelled; the estimates rest on the machine's specification as before.")


def _machine_choices(lang: str) -> list[tuple[str, str]]:
    local = catalogue.local_machine()
    choices = [(LOCAL_MACHINE_OPTION.render(lang, name=local.name, room=local.usable_bytes / 1e9), LOCAL_ID)]
    for machine in catalogue.load_machines().values():
        if machine.price_per_hour is None:
            price = messages.NO_PRICE.render(lang)
        elif not machine.price_per_hour:
            price = FREE.render(lang)
        else:
            price = HOURLY_PRICE.render(
                lang, price=units.format_money(range_around(machine.price_per_hour, 1), machine.currency)
            )
        if catalogue.is_stale(machine.price_source, date.today()) and machine.price_source:
            price += "; " + PRICE_OUTDATED.render(lang, date=machine.price_source.date)
        choices.append(
            (
                OTHER_MACHINE_OPTION.render(
                    lang, name=machine.name, room=machine.usable_bytes / 1e9, price=price
                ),
                machine.id,
            )
        )
    return choices


def show_machines(request: gr.Request) -> tuple[Any, ...]:
    """The machines, how right the studio has been so far, and the button that measures: only on a page of one's own."""
    lang = forms.request_language(request)
    record_notice = forms.notice(history.accuracy_message().render(lang))
    return (
        gr.update(choices=_machine_choices(lang)),
        record_notice,
        gr.update(visible=not access.is_open_to_others()),
    )


def measure_machine(model: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Measure this machine, saying how far it is; closing the iterator calls it off."""
    lang = forms.request_language(request)
    busy, idle = (
        (gr.update(visible=False), gr.update(visible=True)),
        (gr.update(visible=True), gr.update(visible=False)),
    )
    try:
        access.check_owner()
        base = access.find_base(model)
        config, is_encoder = (
            (base.config, base.shape.encoder)
            if base and base.shape
            else (costs.find_base_model("smollm2-135m").config, False)
        )
        for progress, measured_rates in measure.measure_machine(
            config, is_encoder, catalogue.local_machine()
        ):
            if measured_rates:
                message = MEASURED.render(
                    lang, rate=f"{measured_rates.flop_32 / 1e9:,.0f}", memory=measured_rates.bandwidth / 1e9
                )
                yield forms.notice(message, history.accuracy_message().render(lang), kind="good"), *idle
            else:
                yield forms.notice(MEASURING.render(lang, share=progress)), *busy
    except StudioError as error:
        yield forms.error_notice(error, lang), *idle


def show_cancelled(request: gr.Request) -> tuple[Any, ...]:
    """What is said when a measurement was called off."""
    return (
        forms.notice(MEASURING_CANCELLED.render(forms.request_language(request))),
        gr.update(visible=True),
        gr.update(visible=False),
    )


class MachineFields(NamedTuple):
    """The fields that say where a run would go."""

    machine: gr.Dropdown
    notice: gr.HTML


def build(model: gr.Dropdown) -> MachineFields:
    """Lay out where it would run, and the measurement of this machine."""
    with gr.Row():
        machine = gr.Dropdown(
            _machine_choices("en"),
            value=LOCAL_ID,
            label=t(MACHINE_LABEL),
            info=t(MACHINE_HELP),
            elem_id="machine",
            scale=4,
        )
        with gr.Column(min_width=180, scale=1):
            measure_button = gr.Button(t(MEASURE), elem_id="measure", size="sm")
            cancel_button = gr.Button(t(CANCEL_MEASURING), elem_id="measure-stop", visible=False, size="sm")
    notice = forms.notice_box("machine-notice")
    measure_event = measure_button.click(
        measure_machine,
        model,
        [notice, measure_button, cancel_button],
        show_progress="hidden",
        trigger_mode="once",
        concurrency_limit=1,
    )
    cancel_button.click(
        show_cancelled,
        None,
        [notice, measure_button, cancel_button],
        cancels=measure_event,
        show_progress="hidden",
        queue=False,
    )
    gr.context.Context.root_block.load(
        show_machines, None, [machine, notice, measure_button], show_progress="hidden", queue=False
    )
    return MachineFields(machine, notice)
