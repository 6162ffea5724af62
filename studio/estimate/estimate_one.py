"""The estimate of one method on one machine, from the closed form or from traced passes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from studio import methods
from studio.estimate.analytic import formula, several_cards
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import time as time_model
from studio.estimate.analytic.formula import AttachedModel
from studio.estimate.machines import catalogue, hardware, rates
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.machines.rates import Rates
from studio.estimate.method_run import MethodRun
from studio.estimate.op_counts import OpCounts, total
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
from studio.methods.several_cards import OFFLOADS_ON_ONE_GPU, can_train_together
from studio.methods.spec import Method, Settings
from studio.methods.workload import MicroBatch, Phase, Workload
from studio.models import device
from studio.models.shape import ModelShape
from studio.plan import Task, Training

# How far memory may lie from an estimate, either way (docs/estimator.md#memory_spread).
MEMORY_SPREAD = {"formula": 1.15, "traced": 1.10}
# From this share of the machine's memory on, a run is tight: the worst under-prediction on public rows was
# 6.7 % (docs/estimator.md#tight_share).
TIGHT_SHARE = 0.92
# Where nothing measures it: 0.7 of the GPU's board power, and 1.2 for the building around it
# (docs/estimator.md#power_share).
POWER_SHARE = 0.7
BUILDING_FACTOR = 1.2
# Lengths that were estimated from characters widen the ranges of time and money, and of memory, by these
# factors (docs/estimator.md#the-four-levels).
ESTIMATED_LENGTHS_TIME_FACTOR = 1.3
ESTIMATED_LENGTHS_MEMORY_FACTOR = 1.1
# So does the closed form of Llama where it stands in for a family of models that has none of its own
# (docs/estimator.md#counted_shape_factors).
COUNTED_SHAPE_TIME_FACTOR = 2.0
COUNTED_SHAPE_MEMORY_FACTOR = 1.5
# What a rented machine runs before the training: it starts and the studio is installed (minutes), and the
# model is fetched (bytes a second); recalled, not measured (docs/estimator.md#rented_start_minutes).
RENTED_START_MINUTES = 3.0
FETCH_BYTES_PER_SECOND = 100e6
# What a model has a number on the hub, where most are in 16 bits, and a matrix of gpt-oss's experts is in
# MXFP4: half a byte, and a scale of one byte for each 32 numbers (bytes).
HUB_BYTES_PER_PARAMETER = 2
MXFP4_BYTES = 0.5 + 1 / 32
NEEDS_MORE_MEMORY = Message(
    "Needs {need:.1f} GB where {room:.1f} GB are free: {over:.1f} GB too much, mostly {part}."
)
ONE_GPU_ALONE = Message("This method trains on one GPU alone.")
NEEDS_BF16 = Message(
    "Weights cannot be trained in bfloat16 there: the machine does not compute in it. Set weights_precision"
    " to float32, or choose LoRA."
)
NO_BF16 = (NEEDS_BF16, device.NO_NATIVE_BF16)
NO_FORMULA_OF_FAMILY = Message(
    "a formula for “{family}”: until a step is traced, that of Llama stands in, with wider ranges"
)
NO_FORMULA_OF_EAGER = Message(
    "a traced step: the attention of “{family}” runs step by step, which takes more than the formula counts,"
    " so the ranges are wider until then"
)
NO_FORMULA_OF_STATES = Message(
    "a traced step: no formula here tells what layers that keep a state take, so memory and time are unknown"
    " until then"
)
TOKENS_ESTIMATED = Message("exact token counts, which the model's tokenizer gives once it is here")
TOKENIZER_FAILED = Message("exact token counts, for the model's tokenizer gave none: {why}")


class PassCounter(Protocol):
    """A source of what single passes take."""

    def __call__(self, run: MethodRun, phase: Phase, micro_batch: MicroBatch) -> OpCounts | None:
        """Return what one micro batch takes; None where this source does not know it."""


def estimate_method(
    run: MethodRun,
    machine: Machine,
    machine_rates: Rates | None = None,
    traced_counts: PassCounter | None = None,
    corrections: Mapping[str, float] | None = None,
) -> Estimate:
    """Estimate one method.

    Args:
        run: The method with all of its settings and its workload.
        machine: Where it would run.
        machine_rates: The machine's rates; None to look them up.
        traced_counts: Knows some passes better than the closed form.
        corrections: What earlier runs teach (studio.estimate.history.correction_factors).
    """
    machine_rates = machine_rates or rates.load_rates(machine)
    estimate = _estimate_run(run, machine, machine_rates, traced_counts, corrections or {})
    estimate = _shard_if_needed(estimate, run, machine, machine_rates, corrections or {})
    shape = run.workload.shape
    if estimate.level == "traced" or not (shape.is_counted or shape.is_eager):
        return estimate
    if shape.has_state:
        task, settings = run.workload.task, run.settings
        return estimate_without_rows(run.method, settings, shape, machine, task, NO_FORMULA_OF_STATES)
    message = NO_FORMULA_OF_FAMILY if shape.is_counted else NO_FORMULA_OF_EAGER
    missing = message.format(family=shape.family)
    return _widen_by(estimate, COUNTED_SHAPE_TIME_FACTOR, COUNTED_SHAPE_MEMORY_FACTOR, missing)


def _shard_if_needed(
    estimate: Estimate,
    run: MethodRun,
    machine: Machine,
    machine_rates: Rates,
    corrections: Mapping[str, float],
) -> Estimate:
    """Return the estimate of a run whose weights are spread over its cards where they do not fit on one."""
    if estimate.fits != "no" or estimate.why_not in NO_BF16 or not several_cards.may_shard(run):
        return estimate
    # No trace knows what a card holds then, so the closed form stands.
    sharded = _estimate_run(several_cards.shard(run), machine, machine_rates, None, corrections)
    if sharded.fits != "no" and several_cards.can_shard(run, machine):
        return sharded
    return replace(estimate, why_not=several_cards.explain_no_fit(run, machine, estimate, sharded))


def training_peak_gb(run: MethodRun, machine: Machine, machine_rates: Rates) -> float:
    """Return the upper end of a training's memory by the closed form (GB), its longest micro batches alone.

    Several cards hold all of the model each, or a part of it, whichever takes less.

    Args:
        run: The method with all of its settings and its workload.
        machine: Where it would run.
        machine_rates: The machine's rates.
    """
    peaks = []
    for kind in (run, several_cards.shard(run)) if several_cards.can_shard(run, machine) else (run,):
        count_pass, _ = _build_count_pass(kind, machine, None)
        counts = [
            (phase, count_pass(phase, phase.micro_batches[-1]))
            for phase in kind.phases
            if phase.with_gradients and phase.micro_batches
        ]
        parts, _ = memory_model.peak_memory(kind, counts, machine, machine_rates)
        peaks.append(sum(parts.values()) / 1e9)
    return range_around(min(peaks), MEMORY_SPREAD["formula"]).high


def _estimate_run(
    run: MethodRun,
    machine: Machine,
    machine_rates: Rates,
    traced_counts: PassCounter | None,
    corrections: Mapping[str, float],
) -> Estimate:
    count_pass, untraced_phases = _build_count_pass(run, machine, traced_counts)
    offloaded_bytes = memory_model.offloaded_bytes(run, machine)
    phases = [
        (
            phase,
            time_model.count_pieces(
                phase, run.workload, run.parameters.trainable, machine.kind, count_pass, offloaded_bytes
            ),
        )
        for phase in run.phases
    ]
    is_traced = not any(phase.with_gradients for phase in untraced_phases)
    level: EstimateLevel = "traced" if is_traced else "formula"
    peaks = [(phase, total(pieces)) for phase, pieces in phases]
    parts, releasable_bytes = memory_model.peak_memory(run, peaks, machine, machine_rates)
    result_bytes = memory_model.disk_bytes(run, machine)
    if offloaded_bytes and _main_memory_left(machine, parts) > offloaded_bytes:
        # After the first pass the system has the files in memory that nothing else takes.
        machine_rates = replace(machine_rates, disk_read=max(machine_rates.disk_read, rates.CACHED_READ_RATE))
    phase_seconds = time_model.phase_seconds(
        phases,
        machine_rates,
        machine.kind,
        memory_model.full_model_bytes(run, machine),
        _saved_bytes(run, machine, result_bytes),
        _touched_bytes(parts),
    )
    # What earlier runs held beyond their estimates counts as slack.
    corrected_bytes = (corrections.get("memory_gb", 1.0) - 1) * sum(parts.values())
    parts["slack"] = max(0.0, parts.get("slack", 0.0) + corrected_bytes)
    time_factor = corrections.get("minutes", 1.0)
    minutes_by_phase = {name: time_factor * seconds / 60 for name, seconds in phase_seconds.items()}
    minutes = _range_of_minutes(minutes_by_phase, phases, machine_rates, level)
    fetched_bytes = _hub_bytes(run.workload.shape) if machine.is_rented else 0.0
    startup_minutes = minutes_before_start(machine, fetched_bytes)
    peak = range_around(sum(parts.values()) / 1e9, MEMORY_SPREAD[level])
    fits, why_not = _check_fit(peak, parts, releasable_bytes / 1e9, machine)
    if memory_model.trains_in_bf16(run, machine) and machine.weights_dtype != "bfloat16":
        fits, why_not = "no", NEEDS_BF16
    if machine.lacks_bf16:
        fits, why_not = "no", device.NO_NATIVE_BF16
    if run.cards > 1 and run.workload.training.disk_offload:
        fits, why_not = "no", OFFLOADS_ON_ONE_GPU
    if run.cards > 1 and not can_train_together(run.method.name, run.settings):
        fits, why_not = "no", ONE_GPU_ALONE
    return Estimate(
        method=run.method.name,
        machine_id=machine.id,
        trainable=run.parameters.trainable,
        total=run.parameters.total,
        memory_gb=peak,
        parts={name: size / 1e9 for name, size in parts.items()},
        minutes=minutes,
        stretches=minutes_by_phase,
        money=_cost_range(machine, minutes, startup_minutes),
        startup_minutes=startup_minutes,
        fetched_gb=fetched_bytes / 1e9,
        currency=machine.currency,
        watt_hours=_energy_range(machine, minutes),
        disk_mb=result_bytes / 1e6,
        level=level,
        measured_at=machine_rates.when,
        corrections=dict(corrections),
        fits=fits,
        room_gb=machine.usable_bytes / 1e9,
        why_not=why_not,
        has_untraced_passes=bool(untraced_phases),
        cards=run.cards,
        is_sharded=run.is_sharded,
        gradient_checkpointing=memory_model.is_checkpointing_gradients(run, machine),
        gradient_accumulation_steps=run.workload.training.accumulation_steps,
        packs_texts=run.workload.packs_texts,
    )


def _hub_bytes(shape: ModelShape) -> float:
    """Return the size of a model's files on the hub (bytes)."""
    experts = shape.experts
    n_in_mxfp4 = 0
    if shape.family == "gpt_oss":
        n_in_mxfp4 = round(shape.layers * experts.share) * experts.count * (experts.size - experts.biases)
    return HUB_BYTES_PER_PARAMETER * (shape.total() - n_in_mxfp4) + MXFP4_BYTES * n_in_mxfp4


def _main_memory_left(machine: Machine, parts: Mapping[str, float]) -> float:
    """Return the main memory that a run leaves (bytes); of a GPU elsewhere nobody knows any."""
    if machine.device_type != "cuda":
        return machine.usable_bytes - sum(parts.values())
    return hardware.free_memory() if machine.id == LOCAL_ID else 0.0


def _range_of_minutes(
    minutes_by_phase: Mapping[str, float],
    phases: Sequence[tuple[Phase, Sequence[OpCounts]]],
    machine_rates: Rates,
    level: EstimateLevel,
) -> Range:
    """Return the range around the time of a run.

    By the specification of a GPU it is wide where the host's operations decide, of which no source tells.
    """
    likely = sum(minutes_by_phase.values())
    if machine_rates.is_measured and level == "traced":
        return range_around(likely, rates.TIME_SPREADS["measured"])
    if not machine_rates.overlaps:
        return range_around(likely, rates.TIME_SPREADS[level])
    pieces = [piece for _, phase_pieces in phases for piece in phase_pieces]
    fast, slow = (sum(map(spread.estimate_seconds, pieces)) for spread in machine_rates.spread(level))
    work_seconds = sum(map(machine_rates.estimate_seconds, pieces)) or 1.0
    around = range_around(minutes_by_phase["start"] + minutes_by_phase["save"], rates.TIME_SPREADS[level])
    work_minutes = likely - around.likely
    return Range(
        work_minutes * fast / work_seconds + around.low,
        likely,
        work_minutes * slow / work_seconds + around.high,
    )


def _saved_bytes(run: MethodRun, machine: Machine, result_bytes: float) -> float:
    """Return all bytes that a run writes to disk.

    Beside the result that is what is trained, before the first step and at each validation; the best of
    them is read back at the end, which takes as long.
    """
    n_copies = run.workload.n_evaluations + 1
    trained_bytes = memory_model.bytes_per_trained_parameter(run, machine)
    return result_bytes + trained_bytes * run.parameters.trainable * n_copies


def _touched_bytes(parts: Mapping[str, float]) -> float:
    """Return all bytes of memory that a run touches for the first time.

    Gradients and the optimiser's averages count twice: they are allocated and released until the allocator
    has settled.
    """
    allocated_twice = parts.get("gradients", 0.0) + parts.get("optimiser", 0.0)
    return sum(parts.values()) - parts["runtime"] + allocated_twice


def estimate_without_rows(
    method: Method, settings: Settings, shape: ModelShape, machine: Machine, task: Task, reason: Message
) -> Estimate:
    """Return what is known without examples: how much is trained, and the size of the result.

    Args:
        method: The method.
        settings: All of its settings.
        shape: The base model's shape.
        machine: Where it would run.
        task: The task.
        reason: What is missing.
    """
    num_labels = 2 if task == "classify" else 0
    run = MethodRun(method, settings, Workload(task, (), 0, 0.1, Training(), shape, num_labels))
    return Estimate(
        method=method.name,
        trainable=run.parameters.trainable,
        total=run.parameters.total,
        disk_mb=memory_model.disk_bytes(run, machine) / 1e6,
        room_gb=machine.usable_bytes / 1e9,
        missing=(reason, TWO_CLASSES) if num_labels else (reason,),
        machine_id=machine.id,
    )


def widen_ranges(estimate: Estimate, reason: Message | None = None) -> Estimate:
    """Return an estimate whose lengths of texts were estimated from their characters: with wider ranges.

    Args:
        estimate: The estimate.
        reason: Why the model's tokenizer could not count although it is here; None where it is not.
    """
    missing = TOKENIZER_FAILED.format(why=reason) if reason else TOKENS_ESTIMATED
    return _widen_by(estimate, ESTIMATED_LENGTHS_TIME_FACTOR, ESTIMATED_LENGTHS_MEMORY_FACTOR, missing)


def _widen_by(estimate: Estimate, time_factor: float, memory_factor: float, missing: Message) -> Estimate:
    """Return an estimate with wider ranges, and with what is missing for better ones."""
    if not estimate.minutes or not estimate.memory_gb:
        return estimate
    money, watt_hours = estimate.money, estimate.watt_hours
    return replace(
        estimate,
        minutes=_widen(estimate.minutes, time_factor),
        memory_gb=_widen(estimate.memory_gb, memory_factor),
        money=_widen(money, time_factor) if money else None,
        watt_hours=_widen(watt_hours, time_factor) if watt_hours else None,
        missing=(*estimate.missing, missing),
    )


def _widen(value: Range, factor: float) -> Range:
    return Range(value.low / factor, value.likely, value.high * factor)


def _build_count_pass(
    run: MethodRun, machine: Machine, traced_counts: PassCounter | None
) -> tuple[Callable[[Phase, MicroBatch], OpCounts], list[Phase]]:
    """Return a function that counts a micro batch: from a trace where there is one, else by the closed form.

    Returns:
        The function, and a list to which it adds each phase of which it finds a pass untraced.
    """
    gradient_checkpointing = memory_model.is_checkpointing_gradients(run, machine)
    models: dict[str, AttachedModel] = {}
    untraced_phases: list[Phase] = []
    sent_bytes = memory_model.sent_bytes(run, machine) if run.cards > 1 else 0.0
    n_held = several_cards.count_held_gradients(run)

    def count_pass(phase: Phase, micro_batch: MicroBatch) -> OpCounts:
        counts = count_alone(phase, micro_batch)
        if not phase.with_gradients or not (n_held or sent_bytes):
            return counts
        held = formula.held_gradient_parts(attach(phase), phase, micro_batch, gradient_checkpointing, n_held)
        parts = {name: counts.parts.get(name, 0.0) + held.get(name, 0.0) for name in {**counts.parts, **held}}
        return replace(counts, sent=sent_bytes, parts=parts, peak=counts.peak + sum(held.values()))

    def attach(phase: Phase) -> AttachedModel:
        if phase.method not in models:
            attached = run.attach(methods.get(phase.method)) if phase.method else run
            models[phase.method] = memory_model.attach_model(attached, machine)
        return models[phase.method]

    def count_alone(phase: Phase, micro_batch: MicroBatch) -> OpCounts:
        counts = traced_counts(run, phase, micro_batch) if traced_counts else None
        if counts:
            return counts
        # Single tokens of a generation are never traced.
        if micro_batch in phase.micro_batches:
            untraced_phases.append(phase)
        return formula.count_pass(attach(phase), phase, micro_batch, gradient_checkpointing)

    return count_pass, untraced_phases


def _check_fit(
    peak: Range, parts: Mapping[str, float], releasable_gb: float, machine: Machine
) -> tuple[FitStatus, Message | None]:
    """Return whether the likely peak fits, and why it does not.

    What the allocator would give back when memory is short (`releasable_gb`) makes a run tight, not
    impossible.
    """
    available_gb = machine.usable_bytes / 1e9
    if peak.likely - releasable_gb > available_gb:
        largest_part = max(parts, key=lambda name: parts[name])
        message = NEEDS_MORE_MEMORY.format(
            need=peak.likely,
            room=available_gb,
            over=peak.likely - available_gb,
            part=MEMORY_PARTS[largest_part],
        )
        return "no", message
    if peak.likely > TIGHT_SHARE * available_gb:
        return "tight", None
    return "yes", None


def minutes_before_start(machine: Machine, fetched_bytes: float = 0.0) -> float:
    """Return the minutes that a machine runs before the training: as it names them, else what is assumed.

    Table, consent, cap and receipt all take them from here.

    Args:
        machine: The machine.
        fetched_bytes: The size of the model, where it has to be fetched; 0 for the time before that alone.
    """
    if not machine.is_rented:
        return machine.start_minutes or 0.0
    start_minutes = RENTED_START_MINUTES if machine.start_minutes is None else machine.start_minutes
    return start_minutes + fetched_bytes / FETCH_BYTES_PER_SECOND / 60


def _cost_range(machine: Machine, minutes: Range, startup_minutes: float) -> Range | None:
    """Return the cost of a run, the machine's start-up included; None where no price is known."""
    low = catalogue.cost_of_minutes(machine, startup_minutes + minutes.low)
    likely = catalogue.cost_of_minutes(machine, startup_minutes + minutes.likely)
    high = catalogue.cost_of_minutes(machine, startup_minutes + minutes.high)
    if low is None or likely is None or high is None:
        return None
    return Range(low, likely, high)


def _energy_range(machine: Machine, minutes: Range) -> Range | None:
    """Return the watt-hours of a run; None where the machine's power is not known."""
    watt_hours = watt_hours_of_minutes(machine, 1)
    return None if watt_hours is None else minutes.scaled(watt_hours)


def watt_hours_of_minutes(machine: Machine, minutes: float) -> float | None:
    """Return the watt-hours that `minutes` of training take; None where the machine's power is not known."""
    if not machine.watts:
        return None
    return POWER_SHARE * BUILDING_FACTOR * machine.watts / 60 * minutes
