"""How far a plan could go before memory runs out: the largest batch and the longest text that still fit."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from studio import methods
from studio.estimate import all_methods
from studio.estimate.all_methods import EstimateContext
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate

# Values that are tried: GPUs as machines have them; and those of the page's sliders (examples; tokens).
CARD_COUNTS = (1, 2, 4, 8, 16, 32, 64)
BATCH_SIZES, TEXT_LENGTHS = tuple(range(1, 65)), tuple(range(32, 2049, 16))

FitCheck = Callable[[Estimate | None], bool]
ContextChange = Callable[[EstimateContext, int], EstimateContext]


def build_fit_check(refined_estimate: Estimate | None, analytic_estimate: Estimate | None) -> FitCheck:
    """Return a function that tells whether an estimate by the closed form fits.

    Its memory is first multiplied by the ratio of refined to closed form, so that what the page shows of a
    plan and what it says of the plan's neighbours agree.

    Args:
        refined_estimate: What is shown of the plan.
        analytic_estimate: The same plan by the closed form.
    """
    ratio = _memory_ratio(refined_estimate, analytic_estimate)

    def fits(estimate: Estimate | None) -> bool:
        if not estimate or not estimate.memory_gb or estimate.room_gb is None:
            return False
        return estimate.memory_gb.likely * ratio <= estimate.room_gb

    return fits


def _memory_ratio(refined_estimate: Estimate | None, analytic_estimate: Estimate | None) -> float:
    """Return by what to multiply the closed form's memory, so that it agrees with a refined estimate."""
    if not refined_estimate or not refined_estimate.memory_gb:
        return 1.0
    if not analytic_estimate or not analytic_estimate.memory_gb or not analytic_estimate.room_gb:
        return 1.0
    analytic_gb = analytic_estimate.memory_gb.likely
    ratio = refined_estimate.memory_gb.likely / analytic_gb
    # With this ratio the plan itself would just fit.
    limit_ratio = analytic_estimate.room_gb / analytic_gb
    if refined_estimate.fits == "no":
        return max(ratio, 1.000001 * limit_ratio)
    return min(ratio, 0.999999 * limit_ratio)


def largest_fitting(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """Return the last of ascending values that fits, by bisection; 0 where not even the first one does."""
    if values and fits(values[-1]):
        return values[-1]
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if fits(values[middle]):
            low = middle + 1
        else:
            high = middle
    return values[low - 1] if low else 0


def max_batch_size(context: EstimateContext) -> int:
    """Return the most examples per step with which the plan's method fits, all else unchanged.

    Returns:
        One of BATCH_SIZES; 0 where not even the smallest fits.
    """
    return _find_largest(context, BATCH_SIZES, with_batch_size)


def min_cards(context: EstimateContext) -> int:
    """Return how many of the machine's GPUs hold the plan's method, by the closed form.

    Returns:
        One of CARD_COUNTS; 0 where not even the most of them do, or where no GPU computes.
    """
    if not context.machine.is_gpu or context.machine.has_unified_memory:
        return 0
    name = context.plan.method.name
    for cards in CARD_COUNTS:
        several = replace(context, machine=catalogue.with_cards(context.machine, cards))
        estimate = all_methods.estimate_all_methods(several, name, use_traces=False).get(name)
        if estimate and estimate.fits in ("yes", "tight"):
            return cards
    return 0


def max_text_length(context: EstimateContext) -> int:
    """Return the longest text (tokens) with which the plan's method fits, all else unchanged.

    Returns:
        One of TEXT_LENGTHS, no longer than the longest example needs, since more changes nothing; 0 where
        not even the shortest fits or there are no examples.
    """
    if not context.lengths:
        return 0
    longest = max(row.longest_tokens for row in context.lengths.rows)
    shortest = min_text_length(context.lengths)
    values = [value for value in TEXT_LENGTHS if shortest <= value < longest]
    values.append(min(value for value in (*TEXT_LENGTHS, longest) if value >= longest))
    return _find_largest(context, values, with_max_length)


def min_text_length(lengths: DatasetLengths) -> int:
    """Return the fewest tokens that leave anything to learn: below, every prompt fills the text alone."""
    return min(row.lead_tokens + 1 if row.completion_tokens else 1 for row in lengths.rows)


def with_batch_size(context: EstimateContext, value: int) -> EstimateContext:
    """Return the context of a plan with so many examples per step, in its micro batches if they divide it."""
    count = context.plan.training.gradient_accumulation_steps
    kept_count = count if count and value % count == 0 else None
    return context.with_training(batch_size=value, gradient_accumulation_steps=kept_count)


def with_max_length(context: EstimateContext, value: int) -> EstimateContext:
    """Return the context of a plan with texts of so many tokens."""
    return context.with_training(max_length=value)


def _find_largest(context: EstimateContext, values: Sequence[int], with_value: ContextChange) -> int:
    """Return the largest value that fits: by the closed form, times what a trace of the plan says of it."""
    method = methods.get(context.plan.method.name)

    def estimate(candidate: EstimateContext, use_traces: bool) -> Estimate | None:
        return all_methods.estimate_all_methods(candidate, method.name, use_traces).get(method.name)

    fits = build_fit_check(estimate(context, True), estimate(context, False))
    return largest_fitting(values, lambda value: fits(estimate(with_value(context, value), False)))
