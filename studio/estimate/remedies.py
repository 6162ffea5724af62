"""What would make a run fit: each remedy with its new estimate, the mildest first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from studio import methods
from studio.estimate import solve, table
from studio.estimate.figures import Estimate
from studio.estimate.load import Lengths
from studio.estimate.machines import Place
from studio.estimate.table import Base
from studio.methods import fits
from studio.methods.base import Settings
from studio.plan import Plan, Value
from studio.words import Words

Kind = Literal["batch", "recompute", "length", "method", "machine"]
SAID: dict[Kind, Words] = {
    "batch": Words("{value} examples per step (batch size)", "每步 {value} 个样本（batch size）"),
    "recompute": Words("Compute intermediate results twice (gradient checkpointing)", "中间结果重算以省内存（gradient checkpointing）"),
    "length": Words("Texts of at most {value} tokens (max length)", "文本最长 {value} 个 token（max length）"),
    "method": Words("{value} instead", "改用 {value}"),
    "machine": Words("Another machine: {value}", "换一台机器：{value}"),
}
# Lengths are offered in steps of the page's slider; below this little is left of most texts (tokens).
STEP, SHORTEST = 16, 32
MOST = 4


@dataclass(frozen=True)
class Remedy:
    """One change of a plan: `value` is what its field becomes, `estimate` what the run then needs."""

    kind: Kind
    value: Value
    label: Words
    estimate: Estimate


def find(
    plan: Plan, name: str, settings: Mapping[str, Settings], place: Place, base: Base, lengths: Lengths, places: Mapping[str, Place]
) -> list[Remedy]:
    """Up to MOST changes under which method `name` fits here, or one that fits elsewhere; empty where it fits as it is."""
    found: list[Remedy] = []
    for remedy in _tried(plan, name, settings, place, base, lengths, places):
        if remedy.estimate.fits in ("yes", "tight"):
            found.append(remedy)
        if len(found) == MOST:
            break
    return found


def _tried(
    plan: Plan, name: str, settings: Mapping[str, Settings], place: Place, base: Base, lengths: Lengths, places: Mapping[str, Place]
) -> Iterator[Remedy]:
    training = plan.training

    def one(method: str, where: Place = place, refined: bool = True, **changes: object) -> Estimate | None:
        made = plan.model_copy(update={"training": training.model_copy(update=changes)})
        return table.estimates(made, where, settings, base, lengths, method, refined).get(method)

    def remedy(kind: Kind, value: Value, found: Estimate | None, shown: object = None) -> Iterator[Remedy]:
        if found:
            yield Remedy(kind, value, SAID[kind].filled(value=shown or value), found)

    fitting = solve.trusting(one(name), one(name, refined=False))
    smaller = range(1, plan.training.batch_size or 8)
    largest = solve.largest(smaller, lambda value: fitting(one(name, refined=False, batch_size=value, accumulate=1)))
    if largest:
        yield from remedy("batch", largest, one(name, batch_size=largest, accumulate=1))
    if methods.get(name).recomputes and training.recompute is None:
        yield from remedy("recompute", True, one(name, recompute=True))
    least = SHORTEST * max(1, -(-solve.shortest(lengths) // SHORTEST))
    longest = solve.largest(range(least, plan.training.max_length, STEP), lambda value: fitting(one(name, refined=False, max_length=value)))
    if longest:
        yield from remedy("length", longest, one(name, max_length=longest))
    if name != "qlora" and not fits.refusal("qlora", plan.task, base.shape):
        yield from remedy("method", "qlora", one("qlora"), "QLoRA")
    paid = (other for other in places.values() if other.price_per_hour and other.currency == "USD")  # what is free is free for minutes
    cheapest = sorted(paid, key=lambda other: other.price_per_hour or 0)
    for other in cheapest:
        found = one(name, other)
        if found and found.fits == "yes":
            yield from remedy("machine", other.id, found, other.name)
            return
