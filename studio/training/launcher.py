"""Start and stop a run's worker process; the page never trains itself."""

from studio import processes, runs
from studio.errors import NotPossible
from studio.i18n import Message
from studio.runs import Run


def start(run: Run) -> None:
    """Start the run in a process of its own session and return at once; it outlives the page."""
    log_path = run.folder / "worker.log"
    pid = processes.start_detached(
        "studio.training.worker", run.id, log_path=log_path, options=processes.WORKER
    )
    runs.claim(run, pid)


def resume(run: Run) -> None:
    """Let a stopped or broken-off run go on from its last state; raises NotPossible where there is none."""
    requeue(run)
    start(run)


def requeue(run: Run) -> None:
    """Make a run that has ended wait for its turn again, so that a worker goes on with it; raises NotPossible where it cannot."""
    if not runs.is_resumable(run):
        raise NotPossible(
            Message("The run “{name}” cannot go on ({state}): it has kept no state to go on from."),
            Message(
                "Only a run that was stopped, or broke off after its first check, goes on. Start it anew."
            ),
            name=run.plan.name,
            state=runs.status(run).state,
        )
    run.stop_file.unlink(missing_ok=True)
    (run.folder / "process.json").unlink(missing_ok=True)
    runs.set_status(run, "waiting", "queue")


def stop(run: Run) -> None:
    """Ask the run to stop after the step it is in; what it has learned by then is kept."""
    run.stop_file.touch()


def is_stopping(run: Run) -> bool:
    """Whether the run was asked to stop and has not ended yet."""
    return run.stop_file.exists() and runs.status(run).state not in runs.ENDED_STATES
