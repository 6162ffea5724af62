"""One run trains at a time: waiting for a turn, and leaving when asked to."""

import time

from studio import runs
from studio.runs import Run


class Halt(Exception):
    """The run was asked to stop before it had learned anything."""


def go_on(this: Run) -> None:
    """Between two stages: raise Halt where the run was asked to stop."""
    if this.stop_file.exists():
        raise Halt


def wait(this: Run) -> None:
    """One run trains at a time: wait until no older run that is alive is still going."""
    while not this.stop_file.exists():
        ahead = [other for other in runs.all_runs() if _before(other, this)]
        if not ahead:
            return
        runs.set_status(this, "waiting", "queue", steps=len(ahead))
        time.sleep(1)


def _before(other: Run, this: Run) -> bool:
    return other.id != this.id and (other.created, other.id) < (this.created, this.id) and runs.status(other).state not in runs.ENDED
