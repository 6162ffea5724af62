"""How far a plan could go before memory runs out: the largest portion and the longest text that still fit on a machine."""

from collections.abc import Callable, Sequence

from studio import methods
from studio.estimate import table
from studio.estimate.figures import Estimate
from studio.estimate.load import Lengths
from studio.estimate.machines import Place
from studio.estimate.table import Base
from studio.methods.base import Settings
from studio.plan import Plan

# Values that are tried: those of the page's sliders (examples; tokens).
BATCHES, LENGTHS = tuple(range(1, 65)), tuple(range(32, 2049, 16))
# So many lower values are tried where a trace needs more than the closed form said.
CORRECTIONS = 4

Made = Callable[[int], Estimate | None]


def largest(values: Sequence[int], made: Made) -> int:
    """The last of growing values whose estimate fits, by halving; 0 where not even the first does."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if _fits(made(values[middle])):
            low = middle + 1
        else:
            high = middle
    return values[low - 1] if low else 0


def batch(plan: Plan, settings: Settings, place: Place, base: Base, lengths: Lengths, wait: bool = False) -> int:
    """The most examples at once that the plan's method bears on a machine, everything else as it is; with `wait` a trace has its say."""
    return _solved(BATCHES, lambda value: with_batch(plan, value), settings, place, base, lengths, wait)


def length(plan: Plan, settings: Settings, place: Place, base: Base, lengths: Lengths, wait: bool = False) -> int:
    """The longest text (tokens) likewise; no longer than the longest example, since more changes nothing."""
    longest, least = max(row.tokens for row in lengths.rows), shortest(lengths)
    values = [value for value in LENGTHS if least <= value < longest] + [min(value for value in (*LENGTHS, longest) if value >= longest)]
    return _solved(values, lambda value: with_length(plan, value), settings, place, base, lengths, wait)


def shortest(lengths: Lengths) -> int:
    """The fewest tokens that leave anything to learn from: below, every question fills the text alone."""
    return min(row.asked + 1 if row.answer else 1 for row in lengths.rows)


def with_batch(plan: Plan, value: int) -> Plan:
    """The plan with so many examples at once."""
    return plan.model_copy(update={"training": plan.training.model_copy(update={"batch_size": value, "accumulate": 1})})


def with_length(plan: Plan, value: int) -> Plan:
    """The plan with texts of so many tokens."""
    return plan.model_copy(update={"training": plan.training.model_copy(update={"max_length": value})})


def _solved(
    values: Sequence[int], changed: Callable[[int], Plan], settings: Settings, place: Place, base: Base, lengths: Lengths, wait: bool
) -> int:
    name = changed(values[0]).method.name

    def made(value: int) -> Estimate | None:
        return table.estimates(changed(value), place, {name: settings}, base, lengths, name, refined=wait).get(name)

    found = largest(values, made)
    for _ in range(CORRECTIONS if wait and found else 0):
        table.sharpen(changed(found), methods.get(name), settings, place, base, lengths)
        if _fits(made(found)):
            break
        found = largest([value for value in values if value < 0.95 * found], made)
        if not found:
            break
    return found


def _fits(found: Estimate | None) -> bool:
    return found is not None and found.fits in ("yes", "tight")
