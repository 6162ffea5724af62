"""A run elsewhere that goes on: where it would be sent anew, that is agreed to anew, as a first start is."""

from dataclasses import replace

from studio import runs
from studio.estimate import all_methods
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message
from studio.launchers import consent
from studio.launchers.consent import Consent
from studio.runs import Run
from studio.training import caps

GOES_ON = Message(
    "It is sent there again and goes on from what it has kept. The figures are those of a whole training; "
    "what it has cost so far is not in them."
)
BEGINS_ANEW = Message(
    "It is sent there again and begins anew, since it has kept nothing. What it has cost so far is not in "
    "the figures."
)


def needs_agreement(run: Run) -> bool:
    """Whether a run that goes on would be sent to another machine anew: its job there has ended."""
    if run.plan.is_local or runs.may_go_on_elsewhere(run):
        return False
    state = runs.status(run).state
    return state != "done" if state in runs.ENDED_STATES else not runs.is_alive(run)


def describe(run: Run, machine: Machine, keep: bool = False) -> Consent:
    """What it comes to that a run elsewhere goes on.

    Args:
        run: The run.
        machine: Where it trains, at today's price.
        keep: Whether what lies there stays once the result is here.

    Raises:
        StudioError: The machine cannot be reached, refuses this person, or cannot train the plan.
    """
    estimate = all_methods.estimate_before_start(run.plan, machine)
    agreement = consent.describe(run.plan, machine, estimate, keep, caps.used_minutes(run))
    start = GOES_ON if runs.has_saved_state(run) else BEGINS_ANEW
    return replace(agreement, lines=(start, *agreement.lines))
