"""Starts, resumes and stops the worker process of a run; the page never trains in its own process."""

from studio import processes, runs
from studio.errors import NotPossible
from studio.i18n import Message
from studio.runs import Run
from studio.training import before_start
from studio.training.pause import Pause

NO_PAUSE_ELSEWHERE = Message("“{name}” would train in turns, which it cannot at “{machine}”.")
TRAIN_HERE = Message("Let it train on this machine: where: local.")


def start(run: Run, pause: Pause | None = None) -> None:
    """Start the run's worker in a session of its own and return at once; it outlives the page.

    Args:
        run: The run.
        pause: When it pauses on its way; None for never.
    """
    with runs.claiming():
        _start_worker(run, pause)


def resume(run: Run, pause: Pause | None = None) -> None:
    """Start a worker that continues a stopped or failed run from its last checkpoint, or from the beginning.

    Args:
        run: The run.
        pause: When it pauses on its way; None for never.

    Raises:
        NotPossible: The run has not ended, or is done, or this machine has no longer what it needs; of
            several who ask at once, one starts it.
    """
    with runs.claiming():
        _set_waiting(run)
        _start_worker(run, pause)


def requeue(run: Run) -> None:
    """Set a run that has ended back to waiting, so that a worker continues it.

    Raises:
        NotPossible: The run has not ended, or is done, or this machine has no longer what it needs.
    """
    with runs.claiming():
        _set_waiting(run)


def _start_worker(run: Run, pause: Pause | None) -> None:
    log_path = run.folder / "worker.log"
    arguments = pause.to_arguments() if pause else ()
    plan = run.plan
    module, options = "studio.training.worker", processes.WORKER
    if not plan.is_local:
        module, options = "studio.launchers.follower", processes.FOLLOWER
    if pause and not plan.is_local:
        raise NotPossible(NO_PAUSE_ELSEWHERE, TRAIN_HERE, name=plan.name, machine=plan.where)
    pid = processes.start_detached(module, run.id, *arguments, log_path=log_path, options=options)
    runs.claim(run, pid)


def _set_waiting(run: Run) -> None:
    if not runs.is_resumable(run):
        raise NotPossible(
            Message("“{name}” cannot be resumed: its state is “{state}”."),
            Message("Only a stopped or failed run can be resumed."),
            name=run.plan.name,
            state=runs.status(run).state,
        )
    before_start.require_here(run.plan)
    if not runs.may_go_on_elsewhere(run):  # else it is still to stop there
        run.stop_file.unlink(missing_ok=True)
    (run.folder / runs.PROCESS_FILE).unlink(missing_ok=True)
    runs.set_status(run, "waiting", "queue")


def stop(run: Run) -> None:
    """Ask the run to stop after the step it is in; what it has learned by then is saved.

    One that stands still hears nothing, so its process is ended: it goes on from its last checkpoint. Of a
    run elsewhere the process here only follows, and passes the wish on.
    """
    run.stop_file.touch()
    worker = runs.worker_process(run) if run.plan.is_local else None
    if worker and runs.stalled_since(run, runs.status(run)) is not None:
        worker.kill()


def is_stopping(run: Run) -> bool:
    """Whether the run was asked to stop and has not ended yet."""
    return run.stop_file.exists() and runs.status(run).state not in runs.ENDED_STATES
