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

Fits = Callable[[Estimate | None], bool]


def trusting(shown: Estimate | None, rough: Estimate | None) -> Fits:
    """Whether an estimate by the closed form fits, set right by what is `shown` of the same plan where it was `rough` by the closed form:
    so that what is said of the plan as it is and of its neighbours agrees.
    """
    share = 1.0
    if shown and shown.memory_gb and rough and rough.memory_gb and rough.room_gb:
        room = rough.room_gb / rough.memory_gb.likely
        share = shown.memory_gb.likely / rough.memory_gb.likely
        share = max(share, 1.000001 * room) if shown.fits == "no" else min(share, 0.999999 * room)

    def fits(found: Estimate | None) -> bool:
        return bool(found and found.memory_gb and found.room_gb is not None and found.memory_gb.likely * share <= found.room_gb)

    return fits


def largest(values: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The last of growing values that fits, by halving; 0 where not even the first does."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if fits(values[middle]):
            low = middle + 1
        else:
            high = middle
    return values[low - 1] if low else 0


def batch(plan: Plan, settings: Settings, place: Place, base: Base, lengths: Lengths, wait: bool = False) -> int:
    """The most examples at once that the plan's method bears on a machine, everything else as it is; with `wait` a trace has its say."""
    return _solved(plan, BATCHES, lambda value: with_batch(plan, value), settings, place, base, lengths, wait)


def length(plan: Plan, settings: Settings, place: Place, base: Base, lengths: Lengths, wait: bool = False) -> int:
    """The longest text (tokens) likewise; no longer than the longest example, since more changes nothing."""
    longest, least = max(row.tokens for row in lengths.rows), shortest(lengths)
    values = [value for value in LENGTHS if least <= value < longest] + [min(value for value in (*LENGTHS, longest) if value >= longest)]
    return _solved(plan, values, lambda value: with_length(plan, value), settings, place, base, lengths, wait)


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
    plan: Plan,
    values: Sequence[int],
    changed: Callable[[int], Plan],
    settings: Settings,
    place: Place,
    base: Base,
    lengths: Lengths,
    wait: bool,
) -> int:
    method = methods.get(plan.method.name)

    def made(asked: Plan, refined: bool) -> Estimate | None:
        return table.estimates(asked, place, {method.name: settings}, base, lengths, method.name, refined).get(method.name)

    def reached(known: Plan, values: Sequence[int]) -> int:
        fits = trusting(made(known, True), made(known, False))
        return largest(values, lambda value: fits(made(changed(value), False)))

    found = reached(plan, values)
    while wait and found:
        table.sharpen(changed(found), method, settings, place, base, lengths)
        shown = made(changed(found), True)
        if shown and shown.fits != "no":
            break
        found = reached(changed(found), [value for value in values if value < found])
    return found
