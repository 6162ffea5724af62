"""One run trains at a time: waiting for a turn, and giving up when asked to stop."""

import time

from studio import runs
from studio.methods.spec import StopRequested
from studio.runs import Run

POLL_SECONDS = 1.0


def raise_if_stopped(run: Run) -> None:
    """Between two parts of a run: raise StopRequested where it was asked to stop."""
    if run.stop_file.exists():
        raise StopRequested


def wait_for_turn(run: Run) -> None:
    """Wait until no other run is active and no older one waits, or until this one is asked to stop."""
    while not run.stop_file.exists():
        n_ahead = sum(is_ahead(other, run) for other in runs.all_runs())
        if not n_ahead:
            return
        runs.set_status(run, "waiting", "queue", steps=n_ahead)
        time.sleep(POLL_SECONDS)


def is_ahead(other: Run, run: Run) -> bool:
    """Whether a run must wait for another one.

    It waits for one that is active, which may be newer than a run that was resumed, and for one that has
    waited longer.
    """
    if other.id == run.id:
        return False
    state = runs.status(other).state
    if state in runs.ENDED_STATES:
        return False
    is_older = (other.created, other.id) < (run.created, run.id)
    return is_older or state != "waiting"
