"""How far a plan could go before memory runs out: the largest portion and the longest text that still fit on a machine."""

from collections.abc import Callable, Sequence

from studio import methods
from studio.estimate import all_methods
from studio.estimate.all_methods import BaseModelInfo
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.methods.spec import Settings
from studio.plan import Plan

# Values that are tried: those of the page's sliders (examples; tokens).
BATCH_SIZES, TEXT_LENGTHS = tuple(range(1, 65)), tuple(range(32, 2049, 16))

FitCheck = Callable[[Estimate | None], bool]


def build_fit_check(refined_estimate: Estimate | None, analytic_estimate: Estimate | None) -> FitCheck:
    """Whether an estimate by the closed form fits, set right by what is `shown` of the same plan where it was `rough` by the closed form:
    so that what is said of the plan as it is and of its neighbours agrees.
    """
    ratio = 1.0
    if (
        refined_estimate
        and refined_estimate.memory_gb
        and analytic_estimate
        and analytic_estimate.memory_gb
        and analytic_estimate.room_gb
    ):
        limit_ratio = analytic_estimate.room_gb / analytic_estimate.memory_gb.likely
        ratio = refined_estimate.memory_gb.likely / analytic_estimate.memory_gb.likely
        ratio = (
            max(ratio, 1.000001 * limit_ratio)
            if refined_estimate.fits == "no"
            else min(ratio, 0.999999 * limit_ratio)
        )

    def fits(estimate: Estimate | None) -> bool:
        return bool(
            estimate
            and estimate.memory_gb
            and estimate.room_gb is not None
            and estimate.memory_gb.likely * ratio <= estimate.room_gb
        )

    return fits


def largest_fitting(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The last of growing values that fits, by halving; 0 where not even the first does."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if fits(values[middle]):
            low = middle + 1
        else:
            high = middle
    return values[low - 1] if low else 0


def max_batch_size(
    plan: Plan,
    settings: Settings,
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
    wait: bool = False,
) -> int:
    """The most examples at once that the plan's method bears on a machine, everything else as it is; with `wait` a trace has its say."""
    return _find_largest(
        plan,
        BATCH_SIZES,
        lambda value: with_batch_size(plan, value),
        settings,
        machine,
        base_model,
        lengths,
        wait,
    )


def max_text_length(
    plan: Plan,
    settings: Settings,
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
    wait: bool = False,
) -> int:
    """The longest text (tokens) likewise; no longer than the longest example, since more changes nothing."""
    longest, min_tokens = max(row.tokens for row in lengths.rows), min_text_length(lengths)
    values = [value for value in TEXT_LENGTHS if min_tokens <= value < longest] + [
        min(value for value in (*TEXT_LENGTHS, longest) if value >= longest)
    ]
    return _find_largest(
        plan, values, lambda value: with_max_length(plan, value), settings, machine, base_model, lengths, wait
    )


def min_text_length(lengths: DatasetLengths) -> int:
    """The fewest tokens that leave anything to learn from: below, every question fills the text alone."""
    return min(row.prompt_tokens + 1 if row.completion_tokens else 1 for row in lengths.rows)


def with_batch_size(plan: Plan, value: int) -> Plan:
    """The plan with so many examples at once."""
    return plan.model_copy(
        update={
            "training": plan.training.model_copy(
                update={"batch_size": value, "gradient_accumulation_steps": 1}
            )
        }
    )


def with_max_length(plan: Plan, value: int) -> Plan:
    """The plan with texts of so many tokens."""
    return plan.model_copy(update={"training": plan.training.model_copy(update={"max_length": value})})


def _find_largest(
    plan: Plan,
    values: Sequence[int],
    with_value: Callable[[int], Plan],
    settings: Settings,
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
    wait: bool,
) -> int:
    method = methods.get(plan.method.name)

    def estimate_with(candidate: Plan, use_traces: bool) -> Estimate | None:
        return all_methods.estimate_all_methods(
            candidate, machine, {method.name: settings}, base_model, lengths, method.name, use_traces
        ).get(method.name)

    def search(reference_plan: Plan, values: Sequence[int]) -> int:
        fits = build_fit_check(estimate_with(reference_plan, True), estimate_with(reference_plan, False))
        return largest_fitting(values, lambda value: fits(estimate_with(with_value(value), False)))

    largest_value = search(plan, values)
    while wait and largest_value:
        all_methods.trace_missing(with_value(largest_value), method, settings, machine, base_model, lengths)
        refined_estimate = estimate_with(with_value(largest_value), True)
        if refined_estimate and refined_estimate.fits != "no":
            break
        largest_value = search(
            with_value(largest_value), [value for value in values if value < largest_value]
        )
    return largest_value
