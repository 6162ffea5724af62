"""`studio queue`: which runs train, which wait and for what; one is moved to the front, up, or cancelled."""

import argparse

from studio import runs
from studio.cli import EXIT_OK
from studio.i18n import Message
from studio.runs import Run
from studio.training import queue as run_queue
from studio.training.queue import Queue

EMPTY = Message("No run trains, and none waits.")
TRAINS = Message("trains   {run}: {state}")
WAITS = Message("waits {place}  {run}: {why}")
STARTS = Message("It starts now.")
LIMIT = Message("Up to {limit} {limit:run trains|runs train} at once, if memory allows (STUDIO_MAX_RUNS).")
MOVED = Message("“{name}” is number {place} in the queue.")
CANCELLED = Message("“{name}” no longer waits. Start it again: studio train --resume {run}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is done with one run; without it the queue is listed."""
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--first", metavar="RUN", help="let a waiting run start before all others")
    action.add_argument("--up", metavar="RUN", help="let a waiting run start one place earlier")
    action.add_argument("--cancel", metavar="RUN", help="take a waiting run out of the queue")


def run(options: argparse.Namespace) -> int:
    """Change the queue, or list it.

    Raises:
        RunNotFound: There is no such run.
        NotPossible: The run does not wait, or STUDIO_MAX_RUNS is no number of runs.
    """
    if options.first or options.up:
        _move(runs.find(options.first or options.up), to_front=bool(options.first))
    elif options.cancel:
        _cancel(runs.find(options.cancel))
    else:
        _list(run_queue.read())
    return EXIT_OK


def _move(moved_run: Run, to_front: bool) -> None:
    run_queue.move_up(moved_run, to_front)
    position = run_queue.read().waiting.index(moved_run) + 1
    print(MOVED.render(name=run_queue.find_name(moved_run), place=position))


def _cancel(cancelled_run: Run) -> None:
    run_queue.cancel(cancelled_run)
    print(CANCELLED.render(name=run_queue.find_name(cancelled_run), run=cancelled_run.id[:8]))


def _list(queue: Queue) -> None:
    if not queue.active and not queue.waiting:
        print(EMPTY.render())
    for active_run in queue.active:
        print(TRAINS.render(run=runs.describe(active_run), state=runs.status(active_run).state))
    for position, waiting_run in enumerate(queue.waiting, start=1):
        wait = run_queue.find_wait(waiting_run, queue)
        why = wait.message if wait else STARTS
        print(WAITS.render(place=position, run=runs.describe(waiting_run), why=why))
    print(LIMIT.render(limit=run_queue.max_runs()))
