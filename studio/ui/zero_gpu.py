"""On a ZeroGPU Space a short run trains on a card that is lent for as long as the run should take.

Longer ones train on the Space's processors, as elsewhere.
"""

import math
import os
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread

import spaces

from studio import runs
from studio.errors import StudioError
from studio.estimate import all_methods
from studio.estimate.machines import catalogue
from studio.models import fetch
from studio.plan import Plan
from studio.processes import worker_environment
from studio.runs import Run
from studio.training import launcher, worker

# What the card is called among the machines, for the estimator.
MACHINE_ID = "hf-zero"
# Loading the model and both evaluations take a while on any card.
START_SECONDS = 20
# A visitor who is not signed in gets about two minutes a day; whoever asks for more is refused.
MAX_SECONDS = 120


def estimate_seconds(plan: Plan) -> int | None:
    """How long the card is needed for a plan at most, by the estimator; None where it cannot say."""
    try:
        estimate = all_methods.estimate_chosen_method(plan, catalogue.load_machines()[MACHINE_ID])
    except StudioError:
        return None
    return math.ceil(estimate.minutes.high * 60) + START_SECONDS if estimate.minutes else None


def declare_seconds(run_id: str) -> int:
    """For how long the card is asked for."""
    return min(estimate_seconds(runs.get(run_id).plan) or MAX_SECONDS, MAX_SECONDS)


def _train(run_id: str) -> None:
    """Execute a run where the card is: in a process that ZeroGPU forks from this one."""
    (runs.get(run_id).folder / runs.PROCESS_FILE).unlink(missing_ok=True)
    with worker_environment():
        worker.run(run_id)


# Without a function for the card a ZeroGPU Space does not start.
train: Callable[[str], None] = spaces.GPU(duration=declare_seconds)(_train)


def start(run: Run) -> None:
    """Start a run: on the card if it is short enough, else, or where none is lent, on the processors."""
    seconds = estimate_seconds(run.plan)
    if seconds is None or seconds > MAX_SECONDS:
        launcher.start(run)
        return
    with runs.claiming():
        runs.claim(run, os.getpid())
    # The thread is the visitor's: the card counts against their share of the day.
    Thread(target=copy_context().run, args=(_train_or_fall_back, run), daemon=True).start()


def _train_or_fall_back(run: Run) -> None:
    """Fetch the model, train on the card, and start a worker where no card was lent."""
    try:
        fetch.fetch(run.plan.model)
        train(run.id)
    except Exception as error:  # the hub's own, such as a share of the day that is used up
        with (run.folder / "worker.log").open("a", encoding="utf-8") as log:
            log.write(f"ZeroGPU: {type(error).__name__}: {error}\n")
    if runs.status(run).state == "waiting":
        (run.folder / runs.PROCESS_FILE).unlink(missing_ok=True)
        launcher.start(run)
