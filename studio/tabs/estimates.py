"""The figures on the Method tab: what every method would need for what the fields say, refined while the person reads."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr

from studio import methods
from studio.errors import StudioError
from studio.estimate import load, machines, remedies, solve
from studio.estimate import table as costs
from studio.estimate.figures import Estimate
from studio.estimate.load import Lengths
from studio.estimate.machines import Place
from studio.estimate.remedies import Remedy
from studio.estimate.table import Base
from studio.methods import fits
from studio.methods.base import Method, Settings
from studio.plan import Data, MethodChoice, Plan, Task, Training, Value
from studio.tabs import amounts, forms, remember, table, visitor
from studio.tabs import table_words as words
from studio.words import Words

ABOUT = Words("It should take {time} and {memory} on {place}.", "预计用时 {time}，内存 {memory}（{place}）。")
HERE_SAID = Words("this machine", "本机")
FIGURES = Words("{memory} · {time}", "{memory} · {time}")


# How often the table was drawn anew for a visitor, of the latest so many.
_drawn: dict[str, int] = {}
MOST_VISITORS = 1_000
# Fields of the training in which nothing means: what suits.
BY_ITSELF = ("learning_rate", "recompute")


class Asked(NamedTuple):
    """What the fields say, as far as it makes sense: a plan, every method's settings, and the machine."""

    plan: Plan
    settings: dict[str, Settings]
    place: Place
    base: Base
    lengths: Lengths | None


def asked(source: str, task: Task, columns: str, model: str, chosen: str, machine: str, **values: Value) -> Asked:
    """What the fields say; a value that makes no sense counts as its default, and data that cannot be read as none."""
    training: dict[str, Any] = {}
    values = remember.entered(values)
    for name in Training.model_fields:
        value = values.get(name) or None if name in BY_ITSELF else values.get(name)
        if value is not None and sound(name, value):
            training[name] = value
    share, tested = values.get("validation_share"), values.get("test_share")
    data = Data(
        source=source or "-",
        columns=forms.unpack(columns),
        validation_share=share if isinstance(share, float) and 0.02 <= share <= 0.5 else 0.1,
        test_share=tested if isinstance(tested, float | int) and 0 <= tested <= 0.5 else None,
        test=str(values.get("test") or ""),
    )
    name = chosen if chosen in {method.name for method in methods.METHODS} else methods.METHODS[0].name
    made = Plan(task=task, model=str(model or "-")[:500], data=data, method=MethodChoice(name=name), training=Training(**training))
    settings = {method.name: settled(method, forms.settings(method, dict(values))) for method in methods.METHODS}
    known = machines.places()
    return Asked(made, settings, known[machine] if machine in known else machines.here(), *_known(made, source))


def sound(name: str, value: Value) -> bool:
    """Whether a training field can take a value."""
    try:
        Training(**{name: value})
    except (ValueError, TypeError):
        return False
    return True


def settled(method: Method, given: dict[str, Value]) -> Settings:
    """All settings of a method; one that makes no sense counts as its default until it is changed."""
    wrong = {problem.key for problem in method.problems(given)}
    return method.settle({name: value for name, value in given.items() if name not in wrong})


def _known(made: Plan, source: str) -> tuple[Base, Lengths | None]:
    try:
        visitor.check_model(made.model)
        base = costs.base(made.model)
    except StudioError:
        base = Base({}, None, None)
    try:
        visitor.dataset(source)
        return base, load.lengths(made, base.folder)
    except StudioError:
        return base, None


def every(found: Asked) -> dict[str, Estimate]:
    """The estimates of the methods that go with the data and the model."""
    return costs.estimates(found.plan, found.place, found.settings, found.base, found.lengths)


def content(found: Asked, rows: Mapping[str, Estimate], lang: str) -> dict[str, Any]:
    """What the table shows: every method's estimate, why some are refused, and what would make a row fit."""
    refused = {
        method.name: said
        for method in methods.METHODS
        if (said := fits.refusal(method.name, found.plan.task, found.base.shape)) is not None
    }
    offers = {name: [_offer(remedy, lang) for remedy in remedied(found, name)] for name, row in rows.items() if row.fits == "no"}
    chosen, pending = found.plan.method.name, _uncounted(found) or bool(unknown(found))
    reach, have = _reach(found, rows.get(chosen)), found.lengths.count if found.lengths else None
    return table.content(rows, refused, offers, chosen, found.place.name, lang, pending, reach, found.plan.task, have)


def _reach(found: Asked, row: Estimate | None) -> Words | None:
    """How far the chosen method could go on this machine; None where nobody knows."""
    if not row or not row.memory_gb or not found.lengths:
        return None
    given = (found.plan, found.settings[row.method], found.place, found.base, found.lengths)
    batch, length = solve.batch(*given), solve.length(*given)
    longest = max(one.tokens for one in found.lengths.rows)
    if not batch:
        return None
    many = (words.OR_MORE if batch == solve.BATCHES[-1] else words.UP_TO).filled(count=batch)
    return (words.REACH_ALL if length >= longest else words.REACH).filled(batch=many, length=f"{length:,}")


def remedied(found: Asked, name: str) -> list[Remedy]:
    """What would make a method fit; always the same for the same fields."""
    if not found.lengths:
        return []
    return remedies.find(found.plan, name, found.settings, found.place, found.base, found.lengths, machines.places())


def _offer(remedy: Remedy, lang: str) -> table.Offer:
    made = remedy.estimate
    memory, time = spans(made, lang)
    return table.Offer(remedy.label, FIGURES.filled(memory=memory or "?", time=time or "?"))


def unknown(found: Asked) -> list[Method]:
    """The methods whose figures could still be refined by tracing, the chosen one first."""
    shape, lengths = found.base.shape, found.lengths
    if not shape or not lengths:
        return []
    able = [method for method in methods.METHODS if not fits.refusal(method.name, found.plan.task, shape)]
    order = sorted(able, key=lambda method: method.name != found.plan.method.name)
    return [method for method in order if costs.lacks(found.plan, method, found.settings[method.name], found.place, found.base, lengths)]


def _uncounted(found: Asked) -> bool:
    """Whether tokens were guessed from characters although the model's tokenizer is here and has not just been unable to count them."""
    return bool(found.base.folder and found.lengths and not found.lengths.counted and not found.lengths.why)


def begin(request: gr.Request) -> int:
    """The fields have changed: whatever is still being refined for this visitor is out of date. Returns how often they have."""
    session = str(request.session_hash)
    _drawn[session] = _drawn.pop(session, 0) + 1
    while len(_drawn) > MOST_VISITORS:
        del _drawn[next(iter(_drawn))]
    return _drawn[session]


def sharpen(number: float | None, request: gr.Request, **fields: Any) -> Iterator[float]:
    """Count tokens and trace one method after the other, while the fields stay; a new number after each: the table can be drawn anew."""
    found, number, mine = asked(**fields), number or 0.0, _drawn.get(str(request.session_hash))  # a hidden field starts as nothing
    if found.base.folder and _uncounted(found):
        try:
            found = found._replace(lengths=load.lengths(found.plan, found.base.folder, wait=True))
        except StudioError:
            return
        number += 1
        yield number
    for method in unknown(found):
        if _drawn.get(str(request.session_hash)) != mine or not found.lengths:
            return
        if not costs.sharpen(found.plan, method, found.settings[method.name], found.place, found.base, found.lengths):
            continue
        number += 1
        yield number


def remedy(name: str, number: object, fields: Mapping[str, Any]) -> dict[str, Value]:
    """The fields that offer `number` of method `name` changes, with their new values; empty where the browser names none."""
    found = asked(**fields)
    offered = remedied(found, name) if name in found.settings else []
    if not isinstance(number, int) or not 0 <= number < len(offered):
        return {}
    one = offered[number]
    field = {"batch": "batch_size", "length": "max_length", "method": "chosen", "machine": "machine", "recompute": "recompute"}[one.kind]
    return {field: one.value, **({} if one.kind in ("method", "machine") else {"chosen": name})}


def spans(found: Estimate, lang: str) -> tuple[str, str]:
    """Memory and time with their ranges, as people read them; empty where nobody knows."""
    memory, time = found.memory_gb, found.minutes
    return (
        amounts.span(amounts.memory(memory.low), amounts.memory(memory.high)) if memory else "",
        amounts.span(amounts.duration(time.low, lang), amounts.duration(time.high, lang)) if time else "",
    )


def in_words(found: Estimate | None, lang: str) -> str:
    """Time and memory in one sentence, and on which machine; empty where neither is known."""
    if not found or not found.minutes or not found.memory_gb:
        return ""
    memory, time = spans(found, lang)
    other = machines.places().get(found.place)
    return ABOUT.say(lang, time=time, memory=memory, place=other.name if other else HERE_SAID)


def foretold(made: Plan) -> Estimate | None:
    """What a plan would take on this machine, as well as it is known now; None where its data cannot be read."""
    try:
        return costs.chosen(made, machines.here())
    except StudioError:
        return None
