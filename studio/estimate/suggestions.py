"""What would make a run fit: each remedy with its new estimate, the mildest first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from studio import methods
from studio.estimate import all_methods
from studio.estimate import limits as plan_limits
from studio.estimate.all_methods import BaseModelInfo
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility
from studio.methods.spec import Settings
from studio.plan import Plan, Value

SuggestionKind = Literal["batch", "gradient_checkpointing", "length", "method", "machine"]
LABELS: dict[SuggestionKind, Message] = {
    "batch": Message("{value} examples per step (batch size)"),
    "gradient_checkpointing": Message("Compute intermediate results twice (gradient checkpointing)"),
    "length": Message("Texts of at most {value} tokens (max length)"),
    "method": Message("{value} instead"),
    "machine": Message("Another machine: {value}"),
}
# Lengths are offered in steps of the page's slider; below this little is left of most texts (tokens).
LENGTH_STEP, MIN_LENGTH = 16, 32
MAX_SUGGESTIONS = 4


@dataclass(frozen=True)
class Suggestion:
    """One change of a plan: `value` is what its field becomes, `estimate` what the run then needs."""

    kind: SuggestionKind
    value: Value
    label: Message
    estimate: Estimate


def find_suggestions(
    plan: Plan,
    method_name: str,
    settings: Mapping[str, Settings],
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
    other_machines: Mapping[str, Machine],
) -> list[Suggestion]:
    """Up to MOST changes under which method `name` fits here, or one that fits elsewhere; empty where it fits as it is."""
    suggestions: list[Suggestion] = []
    for suggestion in _candidates(plan, method_name, settings, machine, base_model, lengths, other_machines):
        if suggestion.estimate.fits in ("yes", "tight"):
            suggestions.append(suggestion)
        if len(suggestions) == MAX_SUGGESTIONS:
            break
    return suggestions


def _candidates(
    plan: Plan,
    method_name: str,
    settings: Mapping[str, Settings],
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
    other_machines: Mapping[str, Machine],
) -> Iterator[Suggestion]:
    training = plan.training

    def estimate_with(
        method: str, target_machine: Machine = machine, use_traces: bool = True, **changes: object
    ) -> Estimate | None:
        changed_plan = plan.model_copy(update={"training": training.model_copy(update=changes)})
        return all_methods.estimate_all_methods(
            changed_plan, target_machine, settings, base_model, lengths, method, use_traces
        ).get(method)

    def suggest(
        kind: SuggestionKind, value: Value, estimate: Estimate | None, shown_value: object = None
    ) -> Iterator[Suggestion]:
        if estimate:
            yield Suggestion(kind, value, LABELS[kind].format(value=shown_value or value), estimate)

    fits_check = plan_limits.build_fit_check(
        estimate_with(method_name), estimate_with(method_name, refined=False)
    )
    batch_sizes = range(1, plan.training.batch_size or 8)
    largest_batch = plan_limits.largest_fitting(
        batch_sizes,
        lambda value: fits_check(
            estimate_with(method_name, refined=False, batch_size=value, gradient_accumulation_steps=1)
        ),
    )
    if largest_batch:
        yield from suggest(
            "batch",
            largest_batch,
            estimate_with(method_name, batch_size=largest_batch, gradient_accumulation_steps=1),
        )
    if methods.get(method_name).supports_gradient_checkpointing and training.gradient_checkpointing is None:
        yield from suggest(
            "gradient_checkpointing", True, estimate_with(method_name, gradient_checkpointing=True)
        )
    min_length = MIN_LENGTH * max(1, -(-plan_limits.min_text_length(lengths) // MIN_LENGTH))
    longest = plan_limits.largest_fitting(
        range(min_length, plan.training.max_length, LENGTH_STEP),
        lambda value: fits_check(estimate_with(method_name, refined=False, max_length=value)),
    )
    if longest:
        yield from suggest("length", longest, estimate_with(method_name, max_length=longest))
    if method_name != "qlora" and not compatibility.find_incompatibility(
        "qlora", plan.task, base_model.shape
    ):
        yield from suggest("method", "qlora", estimate_with("qlora"), "QLoRA")
    paid_machines = (
        other_machine
        for other_machine in other_machines.values()
        if other_machine.price_per_hour and other_machine.currency == "USD"
    )  # what is free is free for minutes
    cheapest_first = sorted(paid_machines, key=lambda other_machine: other_machine.price_per_hour or 0)
    for other_machine in cheapest_first:
        estimate = estimate_with(method_name, other_machine)
        if estimate and estimate.fits == "yes":
            yield from suggest("machine", other_machine.id, estimate, other_machine.name)
            return
