"""Where a run would go: the machines to choose from, how accurate estimates were, and measuring this one."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.estimate import all_methods, history
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.types import range_around
from studio.i18n import Message, label
from studio.ui import access, units
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.method.table_messages import FREE

# Its config is measured where no base model is chosen that could be.
DEFAULT_MEASURED_MODEL = "smollm2-135m"
# Below this width (pixels) base model and machine stand one below the other, so that their names can be read.
MIN_CHOICE_WIDTH = 260
MACHINE_LABEL = label("Machine")
MACHINE_HELP = label(
    "Where it trains. For those marked “estimate only” you see the figures; the run stays here."
)
SPEED_AND_COST = label("Speed and electricity of this machine")
KWH_PRICE = label("Electricity price ($ per kWh)")
KWH_PRICE_HELP = label("0.30 is an assumption. Enter yours; this browser remembers it.")
DEFAULT_KWH_PRICE = 0.30
MEASURE, CANCEL_MEASURING = label("Test speed"), label("Cancel")
LOCAL_MACHINE_OPTION = Message("This machine: {name}, {room:.1f} GB free")
OTHER_MACHINE_OPTION = Message("{name}, {room:.0f} GB, {price}")
OWN_MACHINE_OPTION = Message("{name}, {room:.0f} GB")
ESTIMATE_ONLY_OPTION = Message("{machine} (estimate only)")
HOURLY_PRICE = Message("{price} an hour")
PRICE_OUTDATED = Message("price from {date}, more than 180 days old")
MEASURING = Message("Testing the speed with a few real steps: {share:.0%}. Takes under a minute.")
MEASURED = Message("Tested: {rate} GFLOP/s and {memory:.0f} GB/s. Estimates now use this speed.")
MEASURING_CANCELLED = Message("Cancelled. Estimates still use the machine’s specification.")


class MachineFields(NamedTuple):
    """The fields that say where a run would go."""

    machine: gr.Dropdown
    notice: gr.HTML
    kwh_price: gr.Number


def find_machine(machine_id: str) -> Machine:
    """The listed machine with this id; this machine where a browser names none, or one that is not listed."""
    listed_machines = catalogue.load_machines()
    if machine_id in listed_machines:
        return listed_machines[machine_id]
    return catalogue.local_machine()


def machine_choices(lang: str) -> list[tuple[str, str]]:
    """The machines to choose from, each with its id: this one, one's own, then all others."""
    local = catalogue.local_machine()
    local_text = LOCAL_MACHINE_OPTION.render(lang, name=local.name, room=local.usable_bytes / 1e9)
    choices = [(local_text, LOCAL_ID)]
    machines = sorted(catalogue.load_machines().values(), key=_choice_rank)
    for machine in machines:
        text = _describe_machine(machine, lang)
        if not can_train_at(machine):
            text = ESTIMATE_ONLY_OPTION.render(lang, machine=text)
        choices.append((text, machine.id))
    return choices


def can_train_at(machine: Machine) -> bool:
    """Whether a run of this page can go to a machine; where others reach the page, none leaves it."""
    return machine.can_train and not access.is_open_to_others()


def _choice_rank(machine: Machine) -> int:
    """One's own boxes and clusters first, then where the studio can train, then what it can only estimate."""
    if machine.ssh or machine.ray:
        return 0
    return 1 if machine.can_train else 2


def _describe_machine(machine: Machine, lang: str) -> str:
    """A machine's name and memory, and what an hour costs where it has a price."""
    usable_gb = machine.usable_bytes / 1e9
    if machine.price_per_hour is None:
        return OWN_MACHINE_OPTION.render(lang, name=machine.name, room=usable_gb)
    price = _describe_price(machine, machine.price_per_hour, lang)
    return OTHER_MACHINE_OPTION.render(lang, name=machine.name, room=usable_gb, price=price)


def _describe_price(machine: Machine, per_hour: float, lang: str) -> str:
    """What an hour costs, and whether that is out of date."""
    if per_hour == 0:
        price = FREE.render(lang)
    else:
        amount = units.format_money(range_around(per_hour, 1), machine.currency)
        price = HOURLY_PRICE.render(lang, price=amount)
    if machine.price_source and catalogue.is_stale(machine.price_source, date.today()):
        price += "; " + PRICE_OUTDATED.render(lang, date=machine.price_source.date)
    return price


def show_machines(request: gr.Request) -> tuple[Any, ...]:
    """What the fields show when the page is opened.

    Returns:
        The machines to choose from, how accurate estimates were so far, and the button that measures: only on
        a page that others cannot reach.
    """
    lang = request_language(request)
    return (
        gr.update(choices=machine_choices(lang)),
        notices.notice(history.accuracy_message().render(lang)),
        gr.update(visible=not access.is_open_to_others()),
    )


def measure_machine(model: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
    """Measure this machine; closing the iterator cancels it.

    Yields:
        The notice with the progress, the button that measures and the one that cancels.
    """
    lang = request_language(request)
    busy = (gr.update(visible=False), gr.update(visible=True))
    idle = (gr.update(visible=True), gr.update(visible=False))
    try:
        access.check_owner()
        config, is_encoder = _config_to_measure(model)
        measurement = measure.measure_machine(config, is_encoder, catalogue.local_machine())
        for progress, measured_rates in measurement:
            if not measured_rates:
                yield notices.notice(MEASURING.render(lang, share=progress)), *busy
                continue
            text = MEASURED.render(
                lang, rate=f"{measured_rates.flop_32 / 1e9:,.0f}", memory=measured_rates.bandwidth / 1e9
            )
            yield notices.notice(text, history.accuracy_message().render(lang), kind="good"), *idle
    except StudioError as error:
        yield notices.error_notice(error, lang), *idle


def _config_to_measure(model: str) -> tuple[dict[str, Any], bool]:
    """The config of the chosen base model, else of a small default, and whether it is an encoder."""
    base = access.find_base(model)
    if base and base.shape:
        return base.config, base.shape.encoder
    return all_methods.find_base_model(DEFAULT_MEASURED_MODEL).config, False


def show_cancelled(request: gr.Request) -> tuple[Any, ...]:
    """The notice after a measurement was cancelled, and the two buttons as before."""
    notice = notices.notice(MEASURING_CANCELLED.render(request_language(request)))
    return notice, gr.update(visible=True), gr.update(visible=False)


def build_choice() -> gr.Dropdown:
    """Lay out the list of machines."""
    return gr.Dropdown(
        machine_choices("en"),
        value=LOCAL_ID,
        label=t(MACHINE_LABEL),
        info=t(MACHINE_HELP),
        elem_id="machine",
        min_width=MIN_CHOICE_WIDTH,
    )


def build(machine: gr.Dropdown, model: gr.Dropdown, saved_price: gr.BrowserState) -> MachineFields:
    """Lay out and wire what is known of this machine: its measured speed, and the price of electricity.

    Args:
        machine: The list of machines.
        model: The base model, of which a few steps are measured.
        saved_price: Where the browser keeps the price.
    """
    with gr.Accordion(t(SPEED_AND_COST), open=False, elem_id="machine-more"):
        notice = notices.notice_box("machine-notice")
        with gr.Row(equal_height=False):
            kwh_price = gr.Number(
                DEFAULT_KWH_PRICE,
                minimum=0,
                step=0.01,
                label=t(KWH_PRICE),
                info=t(KWH_PRICE_HELP),
                elem_id="kwh-price",
                min_width=240,
                scale=0,
            )
            measure_button = gr.Button(t(MEASURE), elem_id="measure", size="sm", scale=0, min_width=140)
            cancel_button = gr.Button(
                t(CANCEL_MEASURING), elem_id="measure-stop", visible=False, size="sm", scale=0, min_width=140
            )
    outputs = [notice, measure_button, cancel_button]
    measure_event = measure_button.click(
        measure_machine,
        model,
        outputs,
        show_progress="hidden",
        trigger_mode="once",
        concurrency_limit=1,
    )
    cancel_button.click(show_cancelled, None, outputs, cancels=measure_event, **UNQUEUED)
    page = current_page()
    page.load(show_machines, None, [machine, notice, measure_button], **UNQUEUED)
    page.load(None, saved_price, kwh_price, js="(price) => price", **UNQUEUED)
    kwh_price.change(None, kwh_price, saved_price, js="(price) => price", **UNQUEUED)
    return MachineFields(machine, notice, kwh_price)
