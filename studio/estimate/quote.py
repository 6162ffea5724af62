"""What each method would need for a plan on a machine: one estimate a method, from the closed form or from traced passes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from studio import methods
from studio.estimate import formula, machines, memory, rates, time
from studio.estimate.figures import PARTS, TWO_CLASSES, Estimate, Fit, Level, Range, around
from studio.estimate.machines import Place
from studio.estimate.rates import Rates
from studio.estimate.tally import Tally
from studio.methods.base import Method, Settings
from studio.methods.touch import Touch
from studio.methods.work import Load, Phase, Portion
from studio.models.shape import ModelShape
from studio.plan import Task, Training
from studio.words import Words

# How far memory may lie from an estimate, either way.
MEMORY_SPREAD = {"formula": 1.15, "traced": 1.10}
# From this share of the room on, a run is tight: the worst under-prediction on public rows was 6.7 % (design/estimator.md, 4).
TIGHT = 0.92
# Where nothing measures it: 0.7 of the card's board power, and 1.2 for the building around it (design/estimator.md, 4).
POWER_SHARE, BUILDING = 0.7, 1.2
OVER = Words(
    "Needs {need:.1f} GB where {room:.1f} GB are free: {over:.1f} GB too much, mostly {part}.",
    "需要 {need:.1f} GB，可用 {room:.1f} GB，超出 {over:.1f} GB，主要是{part}。",
)
GUESSED = Words("exact token counts, which the model's tokenizer gives once it is here", "精确的 token 数（下载模型后由其分词器给出）")
UNCOUNTED = Words("exact token counts, for the model's tokenizer gave none: {why}", "精确的 token 数（模型的分词器未能给出：{why}）")


class Passes(Protocol):
    """Where the work of single passes comes from."""

    def __call__(self, method: Method, settings: Settings, load: Load, phase: Phase, portion: Portion) -> Tally | None:
        """The tally of one portion; None where this source does not know it."""


def quote(
    method: Method,
    settings: Settings,
    load: Load,
    place: Place,
    own: Rates | None = None,
    traced: Passes | None = None,
    corrected: Mapping[str, float] | None = None,
) -> Estimate:
    """The estimate of one method; `settings` holds every knob, `traced` knows passes better than the closed form.

    `corrected` is what earlier runs say (studio.estimate.record.learned).
    """
    own = own or rates.of(place)
    footprint = method.footprint(load.shape, settings, load.labels)
    known, rough = _passes(method, settings, load, place, traced)
    phases = [(phase, time.worked(phase, load, footprint, place.kind, known)) for phase in method.work(settings, load)]
    exact = not any(phase.learn for phase in rough)
    level: Level = "traced" if exact else "formula"
    parts, spare = memory.peak(method, load, footprint, phases, place, own)
    result = memory.disk(method, settings, load, footprint, place)
    # What is trained is kept before the first step and at each validation, and put back at the end.
    saved = result + 4.0 * footprint.trainable * (load.checks + 2)
    # Gradients and the optimiser's averages are handed out and taken back until the allocator has settled.
    touched = sum(parts.values()) - parts["runtime"] + parts.get("gradients", 0.0) + parts.get("optimiser", 0.0)
    spent = time.stretches(phases, own, place.kind, parts["model"], saved, touched)
    learned = corrected or {}
    parts["slack"] = max(0.0, parts.get("slack", 0.0) + (learned.get("memory_gb", 1.0) - 1) * sum(parts.values()))
    spent = {name: seconds * learned.get("minutes", 1.0) for name, seconds in spent.items()}
    peak = around(sum(parts.values()) / 1e9, MEMORY_SPREAD[level])
    fits, why_not = _fit(peak, parts, spare / 1e9, place)
    minutes = around(sum(spent.values()) / 60, rates.SPREADS["measured" if own.measured and exact else level])
    return Estimate(
        method=method.name,
        place=place.id,
        trainable=footprint.trainable,
        total=footprint.total,
        memory_gb=peak,
        parts={name: size / 1e9 for name, size in parts.items()},
        minutes=minutes,
        stretches={name: seconds / 60 for name, seconds in spent.items()},
        money=_money(place, minutes),
        currency=place.currency,
        watt_hours=_energy(place, minutes),
        disk_mb=result / 1e6,
        level=level,
        stamp=own.when,
        corrected=dict(learned),
        fits=fits,
        room_gb=place.usable_bytes / 1e9,
        why_not=why_not,
    )


def without_rows(method: Method, settings: Settings, shape: ModelShape, place: Place, task: Task, why: Words) -> Estimate:
    """What is known where there are no examples yet: how much is trained, and the size of the result; `why` says what is missing."""
    labels = 2 if task == "classify" else 0
    footprint = method.footprint(shape, settings, labels)
    load = Load(task, (), 0, 0.1, Training(), shape, labels)
    disk = memory.disk(method, settings, load, footprint, place) / 1e6
    missing = (why, TWO_CLASSES) if labels else (why,)
    room, counts = place.usable_bytes / 1e9, (footprint.trainable, footprint.total)
    return Estimate(method.name, *counts, disk_mb=disk, room_gb=room, missing=missing, place=place.id)


def widened(found: Estimate, why: Words | None = None) -> Estimate:
    """The same where the lengths of the texts were guessed from their characters: time by a third, memory by a tenth.

    `why` the model's tokenizer could not count, where it is here.
    """
    if not found.minutes or not found.memory_gb:
        return found
    time, room = found.minutes, found.memory_gb
    money = found.money and Range(found.money.low / 1.3, found.money.likely, found.money.high * 1.3)
    return replace(
        found,
        minutes=Range(time.low / 1.3, time.likely, time.high * 1.3),
        memory_gb=Range(room.low / 1.1, room.likely, room.high * 1.1),
        money=money,
        missing=(*found.missing, UNCOUNTED.filled(why=why) if why else GUESSED),
    )


def _passes(
    method: Method, settings: Settings, load: Load, place: Place, traced: Passes | None
) -> tuple[Callable[[Phase, Portion], Tally], list[Phase]]:
    """What a portion takes: as traced where that is known, else by the closed form; and the phases in which that was so, as they are asked."""
    device = "cpu" if place.kind == "processor" else "cuda"
    again = memory.recomputes(method, load, place)
    attached: dict[str, tuple[Touch, int]] = {}
    rough: list[Phase] = []

    def passed(phase: Phase, portion: Portion) -> Tally:
        found = traced(method, settings, load, phase, portion) if traced else None
        if found:
            return found
        rough.append(phase)
        if phase.under not in attached:
            under = methods.get(phase.under) if phase.under else method
            inside = settings if under is method else under.settle({})
            attached[phase.under] = under.touch(load.shape, inside), under.footprint(load.shape, inside, load.labels).trainable
        touch, trained = attached[phase.under]
        return formula.passed(load.shape, phase, portion, touch, device, phase.learn and again, trained)

    return passed, rough


def _fit(peak: Range, parts: Mapping[str, float], spare: float, place: Place) -> tuple[Fit, Words | None]:
    """Whether the likely peak has room; what the allocator would give back when short (`spare`, GB) makes a run tight, not impossible."""
    room = place.usable_bytes / 1e9
    fits: Fit = "no" if peak.likely - spare > room else "tight" if peak.likely > TIGHT * room else "yes"
    largest = max(parts, key=lambda name: parts[name])
    said = OVER.filled(need=peak.likely, room=room, over=peak.likely - room, part=PARTS[largest]) if fits == "no" else None
    return fits, said


def _money(place: Place, minutes: Range) -> Range | None:
    begun = place.start_minutes or 0.0
    found = [machines.cost(place, begun + value) for value in (minutes.low, minutes.likely, minutes.high)]
    return None if any(value is None for value in found) else Range(*(float(value or 0) for value in found))


def _energy(place: Place, minutes: Range) -> Range | None:
    return minutes.times(POWER_SHARE * BUILDING * place.watts / 60) if place.watts else None
