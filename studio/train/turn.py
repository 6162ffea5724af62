"""One run trains at a time: waiting for a turn, and leaving when asked to."""

import time

from studio import runs
from studio.methods.base import Halt
from studio.runs import Run


def go_on(this: Run) -> None:
    """Between two stages: raise Halt where the run was asked to stop."""
    if this.stop_file.exists():
        raise Halt


def wait(this: Run) -> None:
    """One run trains at a time: wait until no other run is going, and none that is older waits."""
    while not this.stop_file.exists():
        others = [other for other in runs.all_runs() if ahead(other, this)]
        if not others:
            return
        runs.set_status(this, "waiting", "queue", steps=len(others))
        time.sleep(1)


def ahead(other: Run, this: Run) -> bool:
    """Whether a run must wait for another one: one that is going (it may be newer than a run that was woken again), or has waited longer."""
    state = runs.status(other).state
    older = (other.created, other.id) < (this.created, this.id)
    return other.id != this.id and state not in runs.ENDED and (older or state != "waiting")
