"""The figures on the Method tab: what every method would need for the form, and what would make it fit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from studio import methods
from studio.errors import StudioError
from studio.estimate import all_methods, fitting_changes, limits
from studio.estimate.fitting_changes import FittingChange
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility
from studio.methods.compatibility import Incompatibility
from studio.plan import MethodChoice, Plan, Value
from studio.ui import units
from studio.ui.form.form_state import FormState
from studio.ui.method import refinement, table_messages
from studio.ui.method.estimate_inputs import EstimateInputs, load_inputs
from studio.ui.method.machine import find_machine
from studio.ui.method.table import Offer, TableState

# Dollars; more is a slip of the keyboard.
MAX_KWH_PRICE = 100.0
EXPECTED_COST = Message("Estimate: {time} and {memory} on {place}.")
LOCAL_MACHINE_NAME = Message("this machine")
MEMORY_AND_TIME = Message("{memory} · {time}")
# Keys of a plan -> the fields that hold them, of what an offer changes; others have no field of their own.
OFFERED_FIELDS = {
    **{f"training.{name}": name for name in ("max_length", "gradient_checkpointing", "disk_offload")},
    **{"method.name": "method", "where": "machine"},
}


def estimate_all_methods(inputs: EstimateInputs) -> dict[str, Estimate]:
    """The estimates of the methods that go with the data and the model, by method name."""
    return all_methods.estimate_all_methods(inputs.context)


def add_electricity(estimates: Mapping[str, Estimate], price_per_kwh: float | None) -> dict[str, Estimate]:
    """The estimates with the cost of electricity, where a machine has no price of its own.

    Args:
        estimates: By method name.
        price_per_kwh: In dollars; None where the person has entered none.
    """
    return {name: _add_electricity(estimate, price_per_kwh) for name, estimate in estimates.items()}


def _add_electricity(estimate: Estimate, price_per_kwh: float | None) -> Estimate:
    if estimate.money or not estimate.watt_hours or not price_per_kwh:
        return estimate
    return replace(estimate, money=estimate.watt_hours.scaled(price_per_kwh / 1000), currency="USD")


def read_electricity_price(value: object) -> float | None:
    """What a kilowatt-hour costs, as a browser sends it; None where that is no price."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_KWH_PRICE:
        return None
    return float(value)


def build_table_state(
    inputs: EstimateInputs, method_estimates: Mapping[str, Estimate], lang: str
) -> TableState:
    """What the table shows: every method's estimate, why some are refused, and what would make a row fit."""
    offers = {}
    for name, estimate in method_estimates.items():
        if estimate.fits == "no":
            offers[name] = [_build_offer(change, lang) for change in _find_offers(inputs, name)]
    chosen = inputs.plan.method.name
    return TableState(
        estimates=method_estimates,
        refusals=_find_refusals(inputs),
        offers=offers,
        chosen=chosen,
        machine_name=inputs.machine.name,
        is_refining=refinement.is_needed(inputs, method_estimates),
        limits_message=_describe_limits(inputs, method_estimates.get(chosen)),
        task=inputs.plan.task,
        example_count=inputs.lengths.count if inputs.lengths else None,
        is_electricity=inputs.machine.price_per_hour is None,
    )


def _find_refusals(inputs: EstimateInputs) -> dict[str, Incompatibility]:
    refusals = {}
    for method in methods.METHODS:
        refusal = compatibility.find_incompatibility(method.name, inputs.plan.task, inputs.base.shape)
        if refusal is not None:
            refusals[method.name] = refusal
    return refusals


def _describe_limits(inputs: EstimateInputs, estimate: Estimate | None) -> Message | None:
    """How far the chosen method could go on this machine; None where it is not known, or no batch fits."""
    if not estimate or not estimate.memory_gb or not inputs.lengths:
        return None
    max_batch = limits.max_batch_size(inputs.context)
    if not max_batch:
        return None
    count_message = table_messages.UP_TO
    if max_batch == limits.BATCH_SIZES[-1]:
        count_message = table_messages.OR_MORE
    batch_text = count_message.format(count=max_batch)
    max_length = limits.max_text_length(inputs.context)
    longest_example = max(example.tokens for example in inputs.lengths.rows)
    if max_length >= longest_example:
        return table_messages.MAX_BATCH_ANY_LENGTH.format(batch=batch_text)
    return table_messages.MAX_BATCH_AND_LENGTH.format(batch=batch_text, length=f"{max_length:,}")


def _find_offers(inputs: EstimateInputs, name: str) -> Sequence[FittingChange]:
    """What would make a method fit; always the same list for the same fields."""
    plan = inputs.plan.model_copy(update={"method": MethodChoice(name=name)})
    return fitting_changes.find_for_row(replace(inputs.context, plan=plan), catalogue.load_machines())


def _build_offer(change: FittingChange, lang: str) -> Offer:
    memory, time = format_memory_and_time(change.estimate, lang)
    figures = MEMORY_AND_TIME.format(memory=memory or "?", time=time or "?")
    return Offer(change.label, figures)


def resolve_offer(form: FormState, method_name: str, offer_index: object) -> dict[str, Value]:
    """The fields that an offer changes, with their new values.

    Args:
        form: The form for which the offers were made.
        method_name: The row the offer is in.
        offer_index: Its position there, from 0.

    Returns:
        Field name -> value; empty where a browser names no offer.
    """
    inputs = load_inputs(form)
    offered = _find_offers(inputs, method_name) if method_name in inputs.settings else []
    if not isinstance(offer_index, int) or not 0 <= offer_index < len(offered):
        return {}
    plan_changes = {"method.name": method_name, **offered[offer_index].plan_changes}
    return {field: plan_changes[key] for key, field in OFFERED_FIELDS.items() if key in plan_changes}


def format_memory_and_time(estimate: Estimate, lang: str) -> tuple[str, str]:
    """Memory and time, each from low to high; "" where it is not known."""
    memory_text = time_text = ""
    if estimate.memory_gb:
        memory_text = units.format_span(
            units.format_gb(estimate.memory_gb.low), units.format_gb(estimate.memory_gb.high)
        )
    if estimate.minutes:
        time_text = units.format_span(
            units.format_minutes(estimate.minutes.low, lang),
            units.format_minutes(estimate.minutes.high, lang),
        )
    return memory_text, time_text


def format_expected_cost(estimate: Estimate | None, lang: str) -> str:
    """Time and memory in one sentence, and on which machine; "" where either is not known."""
    if not estimate or not estimate.minutes or not estimate.memory_gb:
        return ""
    memory, time = format_memory_and_time(estimate, lang)
    listed_machine = catalogue.load_machines().get(estimate.machine_id)
    machine_name = listed_machine.name if listed_machine else LOCAL_MACHINE_NAME
    return EXPECTED_COST.render(lang, time=time, memory=memory, place=machine_name)


def estimate_plan(plan: Plan) -> Estimate | None:
    """What a plan would need where it goes, as well as it is known now; None without readable data."""
    try:
        return all_methods.estimate_chosen_method(plan, find_machine(plan.where))
    except StudioError:
        return None
