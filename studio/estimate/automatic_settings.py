"""What a plan leaves to the machine: of settings with the same result, the fastest that fit there."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from studio.estimate import estimate_one
from studio.estimate.machines import rates
from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates
from studio.estimate.method_run import MethodRun
from studio.methods import workload
from studio.plan import Training

# A GPU packs texts where that shortens a run by this share at least: what is predicted is no more exact.
MIN_PACKING_GAIN = 0.02


def decide(run: MethodRun, machine: Machine, requested: Training) -> MethodRun:
    """Return the run with all decided that the machine may decide: none of it changes what is learned.

    Args:
        run: The run, with every setting filled in.
        machine: Where it would run.
        requested: The training as the plan has it.
    """
    can_pack = workload.can_pack_texts(run.workload.task, run.workload.shape, run.cost_profile.virtual_tokens)

    def packs(is_faster: bool) -> bool:
        device_type, cards = machine.device_type, run.cards
        return can_pack and workload.packs_texts(requested.padding_free, device_type, cards, is_faster)

    in_float16 = machine.autocast_dtype == "float16"
    may_replay = can_pack and workload.may_replay(requested, machine.device_type, run.cards, in_float16)
    run = replace(run, workload=replace(run.workload, may_replay=may_replay))
    if packs(is_faster=False):
        return choose_step_settings(_packed(run), machine, requested)
    padded = choose_step_settings(run, machine, requested)
    return _pack_where_faster(padded, machine) if packs(is_faster=True) and run.workload.rows else padded


def _packed(run: MethodRun) -> MethodRun:
    """Return the run without padding."""
    return replace(run, workload=replace(run.workload, packs_texts=True))


def _pack_where_faster(run: MethodRun, machine: Machine) -> MethodRun:
    """Return the run without padding where a GPU is faster so, which moves the texts for the attention."""
    machine_rates = rates.load_rates(machine)
    packed = _packed(run)
    if not any(batch.padded for phase in run.phases if phase.with_gradients for batch in phase.micro_batches):
        return run
    fits = estimate_one.training_peak_gb(packed, machine, machine_rates) <= machine.usable_bytes / 1e9
    minutes = [_likely_minutes(variant, machine, machine_rates) for variant in (run, packed)]
    return packed if fits and minutes[1] <= (1 - MIN_PACKING_GAIN) * minutes[0] else run


def choose_step_settings(run: MethodRun, machine: Machine, requested: Training) -> MethodRun:
    """Return the run with micro batches and gradient checkpointing decided, where its plan leaves them open.

    Neither changes what is learned. A micro batch costs the time of starting every operation, and computing
    activations a second time a third of the step. So a GPU computes as much at once as fits. A processor
    gains nothing by larger micro batches than its default, and goes below that only where memory asks for it.

    Args:
        run: The run, with every setting filled in; gradient checkpointing that is None is decided here.
        machine: Where it would run.
        requested: The training as the plan has it: micro batches that are None there are decided here.
    """
    counts = _possible_micro_batches(run, machine, requested)
    checkpointing_choices = _possible_checkpointing(run, machine)
    if len(counts) * len(checkpointing_choices) == 1 or not run.workload.rows:
        return run
    machine_rates = rates.load_rates(machine)
    fastest, fewest_minutes = None, 0.0
    for checkpointing in checkpointing_choices:
        variants = [_with_step_settings(run, count, checkpointing) for count in counts]
        index = _find_first_fitting(variants, machine, machine_rates)
        if index == 0 and not fastest:
            return variants[0]
        if index < len(variants):
            minutes = _likely_minutes(variants[index], machine, machine_rates)
            if not fastest or minutes < fewest_minutes:
                fastest, fewest_minutes = variants[index], minutes
    return fastest or _with_step_settings(run, counts[-1], checkpointing_choices[-1])


def _possible_micro_batches(run: MethodRun, machine: Machine, requested: Training) -> list[int]:
    """In how many micro batches a step can be computed, the fewest first."""
    training = run.workload.training
    if requested.gradient_accumulation_steps is not None:
        return [training.accumulation_steps]
    batch_size = training.batch_size or 1
    # Several GPUs compute so many micro batches at the same time.
    fewest = run.used_cards if machine.is_gpu else training.accumulation_steps
    return [count for count in range(fewest, batch_size + 1) if batch_size % count == 0]


def _possible_checkpointing(run: MethodRun, machine: Machine) -> tuple[bool | None, ...]:
    """Whether a step can keep its activations (False) or compute them again (True), the faster first."""
    filled = run.workload.training.gradient_checkpointing
    if machine.is_gpu and filled is None and run.method.supports_gradient_checkpointing:
        return False, True
    return (filled,)


def _with_step_settings(run: MethodRun, n_micro_batches: int, checkpointing: bool | None) -> MethodRun:
    changes = {"gradient_accumulation_steps": n_micro_batches, "gradient_checkpointing": checkpointing}
    training = run.workload.training.model_copy(update=changes)
    if training == run.workload.training:
        return run  # which knows its phases
    return replace(run, workload=replace(run.workload, training=training))


def _find_first_fitting(variants: Sequence[MethodRun], machine: Machine, machine_rates: Rates) -> int:
    """The index of the first variant that fits, as each needs less memory than the one before."""

    def fits(variant: MethodRun) -> bool:
        peak_gb = estimate_one.training_peak_gb(variant, machine, machine_rates)
        return peak_gb <= machine.usable_bytes / 1e9

    return 0 if fits(variants[0]) else bisect_left(variants, True, lo=1, key=fits)


def _likely_minutes(variant: MethodRun, machine: Machine, machine_rates: Rates) -> float:
    minutes = estimate_one.estimate_method(variant, machine, machine_rates).minutes
    return minutes.likely if minutes else 0.0
