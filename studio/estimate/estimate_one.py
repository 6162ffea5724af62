"""What each method would need for a plan on a machine: one estimate a method, from the closed form or from traced passes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from studio import methods
from studio.estimate.analytic import formula
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import time as time_model
from studio.estimate.machines import catalogue, rates
from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.estimate.types import (
    MEMORY_PARTS,
    TWO_CLASSES,
    Estimate,
    EstimateLevel,
    FitStatus,
    Range,
    range_around,
)
from studio.i18n import Message
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, Settings
from studio.methods.workload import MicroBatch, Phase, Workload
from studio.models.shape import ModelShape
from studio.plan import Task, Training

# How far memory may lie from an estimate, either way.
MEMORY_SPREAD = {"formula": 1.15, "traced": 1.10}
# From this share of the room on, a run is tight: the worst under-prediction on public rows was 6.7 % (design/estimator.md, 4).
TIGHT_SHARE = 0.92
# Where nothing measures it: 0.7 of the card's board power, and 1.2 for the building around it (design/estimator.md, 4).
POWER_SHARE, BUILDING_FACTOR = 0.7, 1.2
NEEDS_MORE_MEMORY = Message(
    "Needs {need:.1f} GB where {room:.1f} GB are free: {over:.1f} GB too much, mostly {part}."
)
TOKENS_ESTIMATED = Message("exact token counts, which the model's tokenizer gives once it is here")
TOKENIZER_FAILED = Message("exact token counts, for the model's tokenizer gave none: {why}")


class PassCounter(Protocol):
    """Where the work of single passes comes from."""

    def __call__(
        self, method: Method, settings: Settings, workload: Workload, phase: Phase, micro_batch: MicroBatch
    ) -> OpCounts | None:
        """The tally of one portion; None where this source does not know it."""


def estimate_method(
    method: Method,
    settings: Settings,
    workload: Workload,
    machine: Machine,
    machine_rates: Rates | None = None,
    traced_counts: PassCounter | None = None,
    corrections: Mapping[str, float] | None = None,
) -> Estimate:
    """The estimate of one method; `settings` holds every knob, `traced` knows passes better than the closed form.

    `corrected` is what earlier runs say (studio.estimate.history.correction_factors).
    """
    machine_rates = machine_rates or rates.load_rates(machine)
    footprint = method.count_parameters(workload.shape, settings, workload.num_labels)
    count_pass, untraced_phases = _build_count_pass(method, settings, workload, machine, traced_counts)
    phases = [
        (phase, time_model.count_phase(phase, workload, footprint, machine.kind, count_pass))
        for phase in method.build_phases(settings, workload)
    ]
    is_traced = not any(phase.with_gradients for phase in untraced_phases)
    level: EstimateLevel = "traced" if is_traced else "formula"
    parts, releasable_bytes = memory_model.peak_memory(
        method, workload, footprint, phases, machine, machine_rates
    )
    result_bytes = memory_model.disk_bytes(method, settings, workload, footprint, machine)
    # What is trained is kept before the first step and at each validation, and put back at the end.
    saved_bytes = result_bytes + 4.0 * footprint.trainable * (workload.n_evaluations + 2)
    # Gradients and the optimiser's averages are handed out and taken back until the allocator has settled.
    touched_bytes = (
        sum(parts.values()) - parts["runtime"] + parts.get("gradients", 0.0) + parts.get("optimiser", 0.0)
    )
    phase_seconds = time_model.phase_seconds(
        phases, machine_rates, machine.kind, parts["model"], saved_bytes, touched_bytes
    )
    factors = corrections or {}
    parts["slack"] = max(
        0.0, parts.get("slack", 0.0) + (factors.get("memory_gb", 1.0) - 1) * sum(parts.values())
    )
    phase_seconds = {name: seconds * factors.get("minutes", 1.0) for name, seconds in phase_seconds.items()}
    peak = range_around(sum(parts.values()) / 1e9, MEMORY_SPREAD[level])
    fits, why_not = _check_fit(peak, parts, releasable_bytes / 1e9, machine)
    minutes = range_around(
        sum(phase_seconds.values()) / 60,
        rates.TIME_SPREADS["measured" if machine_rates.is_measured and is_traced else level],
    )
    return Estimate(
        method=method.name,
        place=machine.id,
        trainable=footprint.trainable,
        total=footprint.total,
        memory_gb=peak,
        parts={name: size / 1e9 for name, size in parts.items()},
        minutes=minutes,
        stretches={name: seconds / 60 for name, seconds in phase_seconds.items()},
        money=_cost_range(machine, minutes),
        currency=machine.currency,
        watt_hours=_energy_range(machine, minutes),
        disk_mb=result_bytes / 1e6,
        level=level,
        stamp=machine_rates.when,
        corrected=dict(factors),
        fits=fits,
        room_gb=machine.usable_bytes / 1e9,
        why_not=why_not,
    )


def estimate_without_rows(
    method: Method, settings: Settings, shape: ModelShape, machine: Machine, task: Task, reason: Message
) -> Estimate:
    """What is known where there are no examples yet: how much is trained, and the size of the result; `why` says what is missing."""
    labels = 2 if task == "classify" else 0
    footprint = method.count_parameters(shape, settings, labels)
    workload = Workload(task, (), 0, 0.1, Training(), shape, labels)
    disk_mb = memory_model.disk_bytes(method, settings, workload, footprint, machine) / 1e6
    missing = (reason, TWO_CLASSES) if labels else (reason,)
    available_gb, parameter_counts = machine.usable_bytes / 1e9, (footprint.trainable, footprint.total)
    return Estimate(
        method.name,
        *parameter_counts,
        disk_mb=disk_mb,
        room_gb=available_gb,
        missing=missing,
        place=machine.id,
    )


def widen_ranges(estimate: Estimate, reason: Message | None = None) -> Estimate:
    """The same where the lengths of the texts were guessed from their characters: time by a third, memory by a tenth.

    `why` the model's tokenizer could not count, where it is here.
    """
    if not estimate.minutes or not estimate.memory_gb:
        return estimate
    minutes, memory_gb = estimate.minutes, estimate.memory_gb
    money = estimate.money and Range(
        estimate.money.low / 1.3, estimate.money.likely, estimate.money.high * 1.3
    )
    return replace(
        estimate,
        minutes=Range(minutes.low / 1.3, minutes.likely, minutes.high * 1.3),
        memory_gb=Range(memory_gb.low / 1.1, memory_gb.likely, memory_gb.high * 1.1),
        money=money,
        missing=(*estimate.missing, TOKENIZER_FAILED.format(why=reason) if reason else TOKENS_ESTIMATED),
    )


def _build_count_pass(
    method: Method,
    settings: Settings,
    workload: Workload,
    machine: Machine,
    traced_counts: PassCounter | None,
) -> tuple[Callable[[Phase, MicroBatch], OpCounts], list[Phase]]:
    """What a portion takes: as traced where that is known, else by the closed form; and the phases in which that was so, as they are asked."""
    device = "cpu" if machine.kind == "processor" else "cuda"
    gradient_checkpointing = memory_model.is_checkpointing_gradients(method, workload, machine)
    attached_cache: dict[str, tuple[CostProfile, int]] = {}
    untraced_phases: list[Phase] = []

    def count_pass(phase: Phase, micro_batch: MicroBatch) -> OpCounts:
        counts = traced_counts(method, settings, workload, phase, micro_batch) if traced_counts else None
        if counts:
            return counts
        untraced_phases.append(phase)
        if phase.method not in attached_cache:
            attached_method = methods.get(phase.method) if phase.method else method
            attached_settings = (
                settings if attached_method is method else attached_method.resolve_settings({})
            )
            attached_cache[phase.method] = (
                attached_method.cost_profile(workload.shape, attached_settings),
                attached_method.count_parameters(
                    workload.shape, attached_settings, workload.num_labels
                ).trainable,
            )
        profile, trainable_params = attached_cache[phase.method]
        return formula.count_pass(
            workload.shape,
            phase,
            micro_batch,
            profile,
            device,
            phase.with_gradients and gradient_checkpointing,
            trainable_params,
        )

    return count_pass, untraced_phases


def _check_fit(
    peak: Range, parts: Mapping[str, float], releasable_gb: float, machine: Machine
) -> tuple[FitStatus, Message | None]:
    """Whether the likely peak has room; what the allocator would give back when short (`spare`, GB) makes a run tight, not impossible."""
    available_gb = machine.usable_bytes / 1e9
    fits: FitStatus = (
        "no"
        if peak.likely - releasable_gb > available_gb
        else "tight"
        if peak.likely > TIGHT_SHARE * available_gb
        else "yes"
    )
    largest_part = max(parts, key=lambda name: parts[name])
    message = (
        NEEDS_MORE_MEMORY.format(
            need=peak.likely,
            room=available_gb,
            over=peak.likely - available_gb,
            part=MEMORY_PARTS[largest_part],
        )
        if fits == "no"
        else None
    )
    return fits, message


def _cost_range(machine: Machine, minutes: Range) -> Range | None:
    startup_minutes = machine.start_minutes or 0.0
    costs = [
        catalogue.cost_of_minutes(machine, startup_minutes + value)
        for value in (minutes.low, minutes.likely, minutes.high)
    ]
    return None if any(value is None for value in costs) else Range(*(float(value or 0) for value in costs))


def _energy_range(machine: Machine, minutes: Range) -> Range | None:
    return minutes.scaled(POWER_SHARE * BUILDING_FACTOR * machine.watts / 60) if machine.watts else None
