"""What a plan leaves to the machine: of settings with the same result, the fastest that fit there."""

from dataclasses import replace

from studio.estimate import estimate_one
from studio.estimate.machines import rates
from studio.estimate.machines.catalogue import Machine
from studio.estimate.method_run import MethodRun


def choose_gradient_checkpointing(run: MethodRun, machine: Machine) -> MethodRun:
    """Return the run with gradient checkpointing decided for a GPU, where its plan leaves that open.

    Computing activations a second time takes about a third longer, so it is done only where a run that keeps
    them might not fit. A processor keeps them: its memory has no fixed size, and the page offers the change.

    Args:
        run: The run, whose training says True, False or None (automatic).
        machine: Where it would run.
    """
    training = run.workload.training
    is_open = machine.is_gpu and training.gradient_checkpointing is None and run.workload.rows
    if not is_open or not run.method.supports_gradient_checkpointing:
        return run
    keeping = _with_gradient_checkpointing(run, False)
    estimate = estimate_one.estimate_method(keeping, machine, rates.load_rates(machine))
    fits = estimate.memory_gb is not None and estimate.memory_gb.high <= machine.usable_bytes / 1e9
    return keeping if fits else _with_gradient_checkpointing(run, True)


def _with_gradient_checkpointing(run: MethodRun, value: bool) -> MethodRun:
    training = run.workload.training.model_copy(update={"gradient_checkpointing": value})
    return replace(run, workload=replace(run.workload, training=training))
