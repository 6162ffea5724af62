"""What is checked before a plan trains, from wherever it is started: page, terminal, or a bake-off."""

from studio import runs
from studio.errors import BadPlan, NotPossible, Problem
from studio.estimate import all_methods, history
from studio.estimate.machines import catalogue, hardware
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import folder_check, settings_check, several_cards
from studio.models import device
from studio.plan import Plan
from studio.runs import Run
from studio.storage import home, require_disk_space
from studio.training import caps

# Room that a run needs beside what it learns: the split data, the log and the points.
MIN_FREE_BYTES = 200_000_000
TOO_FEW_GPUS = Message("The plan would train on {count} GPUs, and this machine has {available}.")
CHOOSE_FEWER = Message("Set training.num_gpus to {most} at most.")
CHOOSE_WHAT_FITS = Message(
    "The Method tab and `studio estimate` say what would fit: a smaller model, shorter texts, a smaller "
    "batch or another method."
)
NAMED_NO_ROOM = Message("“{name}” does not fit at {machine}. {why}")
LEAVE_OUT = Message("Leave it out, or choose another machine.")


class DoesNotFit(NotPossible):
    """A plan that by its estimate does not fit into the memory of its machine."""


def check(plan: Plan, machine: Machine, insist: bool = False) -> Estimate | None:
    """Check all that can be known before a run is created; it takes seconds.

    Args:
        plan: The plan.
        machine: Where it trains.
        insist: Whether it starts although it is estimated not to fit.

    Returns:
        What it will take; None where that is not known.

    Raises:
        BadPlan: The method's library refuses its settings.
        ModelUnavailable: The folder of its base model is not one that can be trained.
        NotPossible: Its GPUs cannot train it together, or a cap cannot be measured there.
        OutOfDiskSpace: The run's folder may not fit on this machine's disk.
        DoesNotFit: It does not fit into the memory.
    """
    if problem := settings_check.find_problem(plan):
        raise BadPlan([Problem("method.settings", problem)])
    folder_check.require_startable(plan.model, plan.task)
    require_machine(plan, machine)
    estimate = all_methods.estimate_before_start(plan, machine)
    if estimate and estimate.fits == "no" and estimate.why_not and not insist:
        raise DoesNotFit(estimate.why_not, CHOOSE_WHAT_FITS)
    return estimate


def check_contender(name: str, plan: Plan, machine: Machine) -> Estimate | None:
    """Check a plan that starts beside others, under its name; returns and raises as `check`."""
    try:
        return check(plan, machine)
    except DoesNotFit as error:
        raise DoesNotFit(
            NAMED_NO_ROOM, LEAVE_OUT, name=name, machine=machine.name, why=error.message
        ) from None


def require_machine(plan: Plan, machine: Machine) -> None:
    """Check without an estimate that a machine has what a plan asks for, and this one room for its run.

    Raises:
        NotPossible: Its GPUs are too few, cannot train the plan together or lack its precision, or a cap
            cannot be measured.
        OutOfDiskSpace: The run's folder may not fit on this machine's disk.
    """
    require_disk_space(home(), MIN_FREE_BYTES)
    caps.require_measurable(plan, machine)
    if machine.with_precision(plan.training.precision).lacks_bf16:
        raise NotPossible(device.NO_NATIVE_BF16, device.CHOOSE_PRECISION)
    if machine.id != LOCAL_ID:
        several_cards.require_possible(plan, machine.cards)
        return
    count = plan.training.num_gpus
    several_cards.require_possible(plan, count)
    if count > 1 and count > (available := hardware.count_gpus()):
        raise NotPossible(
            TOO_FEW_GPUS, CHOOSE_FEWER, count=count, available=available, most=max(1, available)
        )


def require_here(plan: Plan) -> None:
    """As `require_machine`, before a run goes on or a plan is tried; of other machines only the disk here."""
    if plan.is_local:
        require_machine(plan, catalogue.local_machine())
    else:
        require_disk_space(home(), MIN_FREE_BYTES)


def create(plan: Plan, estimate: Estimate | None, machine: Machine) -> Run:
    """A new run, with what it is estimated to take beside it."""
    run = runs.create(plan)
    if estimate:
        history.save_estimate(run, estimate, machine)
    return run
