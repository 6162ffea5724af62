"""What would make a run fit: each suggestion with its new estimate, the mildest change first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from studio import methods
from studio.estimate import all_methods
from studio.estimate import limits as plan_limits
from studio.estimate.all_methods import EstimateContext
from studio.estimate.limits import FitCheck
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility
from studio.plan import Value

SuggestionKind = Literal["batch", "gradient_checkpointing", "disk_offload", "length", "method", "machine"]
LABELS: dict[SuggestionKind, Message] = {
    "batch": Message("{value} examples per step (batch size)"),
    "gradient_checkpointing": Message("Compute intermediate results twice (gradient checkpointing)"),
    "disk_offload": Message("Read the weights from disk, about {value} × as slow (disk offload)"),
    "length": Message("Texts of at most {value} tokens (max length)"),
    "method": Message("{value} instead"),
    "machine": Message("Another machine: {value}"),
}
# Lengths are suggested in steps of the page's slider; below MIN_LENGTH too little is left of most texts
# (tokens).
LENGTH_STEP, MIN_LENGTH = 16, 32
MAX_SUGGESTIONS = 5


@dataclass(frozen=True)
class Suggestion:
    """One change of a plan: what its field becomes, and what the run then needs."""

    kind: SuggestionKind
    value: Value
    label: Message
    estimate: Estimate


def find_suggestions(
    context: EstimateContext, method_name: str, other_machines: Mapping[str, Machine]
) -> list[Suggestion]:
    """Return changes with which a method fits.

    Args:
        context: The plan and all it depends on.
        method_name: The method, which need not be the plan's own.
        other_machines: Machines that may be suggested, by id.

    Returns:
        At most MAX_SUGGESTIONS, the mildest first; empty where nothing helps or there are no examples.
    """
    suggestions: list[Suggestion] = []
    for suggestion in _build_candidates(context, method_name, other_machines):
        if suggestion.estimate.fits in ("yes", "tight"):
            suggestions.append(suggestion)
        if len(suggestions) == MAX_SUGGESTIONS:
            break
    return suggestions


def _build_candidates(
    context: EstimateContext, method_name: str, other_machines: Mapping[str, Machine]
) -> Iterator[Suggestion]:
    """Yield changes with their estimates, whether the run then fits or not."""
    fits = plan_limits.build_fit_check(
        _estimate(context, method_name), _estimate(context, method_name, use_traces=False)
    )
    yield from _suggest_batch_size(context, method_name, fits)
    yield from _suggest_gradient_checkpointing(context, method_name)
    yield from _suggest_max_length(context, method_name, fits)
    yield from _suggest_qlora(context, method_name)
    yield from _suggest_disk_offload(context, method_name)
    yield from _suggest_machine(context, method_name, other_machines)


def _suggest_batch_size(context: EstimateContext, method_name: str, fits: FitCheck) -> Iterator[Suggestion]:
    batch_size = plan_limits.largest_fitting(
        range(1, context.plan.training.batch_size or 8),
        lambda value: fits(
            _estimate(plan_limits.with_batch_size(context, value), method_name, use_traces=False)
        ),
    )
    if batch_size:
        estimate = _estimate(plan_limits.with_batch_size(context, batch_size), method_name)
        yield from _suggest("batch", batch_size, estimate)


def _suggest_gradient_checkpointing(context: EstimateContext, method_name: str) -> Iterator[Suggestion]:
    method = methods.get(method_name)
    run = context.run_of(method)
    is_chosen_already = run is not None and run.workload.training.gradient_checkpointing
    if method.supports_gradient_checkpointing and not is_chosen_already:
        estimate = _estimate(context.with_training(gradient_checkpointing=True), method_name)
        yield from _suggest("gradient_checkpointing", True, estimate)


def _suggest_disk_offload(context: EstimateContext, method_name: str) -> Iterator[Suggestion]:
    """Yield reading the weights from the disk, where the method can and would not fit without."""
    method, current = methods.get(method_name), _estimate(context, method_name)
    settings = context.settings_of(method)
    is_chosen_already = context.plan.training.disk_offload
    if is_chosen_already or not method.supports_disk_offload(settings) or not current:
        return
    estimate = _estimate(context.with_training(disk_offload=True), method_name)
    slowdown = all_methods.describe_slowdown(estimate, current)
    if current.fits == "no" and slowdown:
        yield from _suggest("disk_offload", True, estimate, slowdown)


def _suggest_max_length(context: EstimateContext, method_name: str, fits: FitCheck) -> Iterator[Suggestion]:
    run = context.run_of(methods.get(method_name))
    if not context.lengths or not run:
        return
    shortest = plan_limits.min_text_length(context.lengths)
    min_length = MIN_LENGTH * max(1, -(-shortest // MIN_LENGTH))
    max_length = plan_limits.largest_fitting(
        range(min_length, run.workload.training.token_limit, LENGTH_STEP),
        lambda value: fits(
            _estimate(plan_limits.with_max_length(context, value), method_name, use_traces=False)
        ),
    )
    if max_length:
        estimate = _estimate(plan_limits.with_max_length(context, max_length), method_name)
        yield from _suggest("length", max_length, estimate)


def _suggest_qlora(context: EstimateContext, method_name: str) -> Iterator[Suggestion]:
    if method_name == "qlora":
        return
    if not compatibility.find_incompatibility("qlora", context.plan.task, context.base_model.shape):
        yield from _suggest("method", "qlora", _estimate(context, "qlora"), "QLoRA")


def _suggest_machine(
    context: EstimateContext, method_name: str, other_machines: Mapping[str, Machine]
) -> Iterator[Suggestion]:
    """Yield the cheapest machine on which the method fits.

    Machines without a price are left out, and so are free ones, which are free for minutes only.
    """
    paid_machines = [
        machine for machine in other_machines.values() if machine.price_per_hour and machine.currency == "USD"
    ]
    for machine in sorted(paid_machines, key=lambda machine: machine.price_per_hour or 0):
        estimate = _estimate(replace(context, machine=machine), method_name)
        if estimate and estimate.fits == "yes":
            yield from _suggest("machine", machine.id, estimate, machine.name)
            return


def _suggest(
    kind: SuggestionKind, value: Value, estimate: Estimate | None, shown_value: str = ""
) -> Iterator[Suggestion]:
    """Yield a suggestion where there is an estimate; `shown_value` is what a person reads for the value."""
    if estimate:
        yield Suggestion(kind, value, LABELS[kind].format(value=shown_value or value), estimate)


def _estimate(context: EstimateContext, method_name: str, use_traces: bool = True) -> Estimate | None:
    return all_methods.estimate_all_methods(context, method_name, use_traces).get(method_name)
