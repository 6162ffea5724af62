"""One run trains at a time: waiting for a turn, and leaving when asked to."""

import time

from studio import runs
from studio.methods.spec import StopRequested
from studio.runs import Run


def raise_if_stopped(run: Run) -> None:
    """Between two stages: raise Halt where the run was asked to stop."""
    if run.stop_file.exists():
        raise StopRequested


def wait_for_turn(run: Run) -> None:
    """One run trains at a time: wait until no other run is going, and none that is older waits."""
    while not run.stop_file.exists():
        others = [other for other in runs.all_runs() if is_ahead(other, run)]
        if not others:
            return
        runs.set_status(run, "waiting", "queue", steps=len(others))
        time.sleep(1)


def is_ahead(other: Run, run: Run) -> bool:
    """Whether a run must wait for another one: one that is going (it may be newer than a run that was woken again), or has waited longer."""
    state = runs.status(other).state
    is_older = (other.created, other.id) < (run.created, run.id)
    return other.id != run.id and state not in runs.ENDED_STATES and (is_older or state != "waiting")
