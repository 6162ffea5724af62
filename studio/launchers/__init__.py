"""Trains a plan elsewhere: one worker, a launcher for each kind of machine, and the same run folder back."""

from contextlib import suppress
from itertools import chain

from studio import run_index, runs
from studio.errors import BadPlan, NotPossible, StudioError
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message
from studio.launchers import hub_jobs, ray_jobs, record, ssh
from studio.launchers.spec import Launcher
from studio.runs import Run
from studio.training import launcher

NO_LAUNCHER = Message("The studio cannot train at “{machine}”.")
CHOOSE_MACHINE = Message(
    "It can train here, at your own boxes and Ray clusters (docs/elsewhere.md), and at: {machines}."
)
DISCARDED = Message("Its job at “{machine}” is ended, and what lay there is deleted.")
ENDED_AND_KEPT = Message("Its job at “{machine}” is ended. Data and result stay there, as you agreed.")
STILL_THERE = Message(
    "What the run has left at “{machine}” could not be removed: {why} Its training may go on there, and its "
    "rows may lie there under the name {run}."
)
# How a run has ended, and what became of what lay elsewhere.
END_AND_LEFT = Message("{end} {left}")
BEGIN_AGAIN = Message("Resume it: it is sent there again, and goes on from what is here.")
DELETE_LATER = Message(
    "Press Undo and delete it again once the machine answers, or end and remove it there yourself. Whenever "
    "the page starts, the studio tries again by itself, for 30 days."
)


class StillThere(StudioError):
    """A run is given up, and what it has left at another machine could not be removed."""


def find_machine(machine_id: str) -> Machine:
    """The machine of this id, on which the studio can train by a launcher.

    Raises:
        NotPossible: There is none, or it has no launcher.
    """
    machines = catalogue.load_machines()
    machine = machines.get(machine_id)
    if machine and machine.can_train:
        return machine
    able = [listed.id for listed in machines.values() if listed.can_train]
    raise NotPossible(NO_LAUNCHER, CHOOSE_MACHINE, machine=machine_id, machines=able)


def discard(run: Run) -> Message | None:
    """End the job of a run at another machine, and delete what lies there: the run is about to be deleted.

    Returns:
        What was done; None where the run has left nothing there.

    Raises:
        StillThere: The machine cannot be reached, or refuses; the message says what to do.
    """
    saved = record.read(run)
    if not saved.has_left:
        return None
    try:
        create(find_machine(run.plan.where)).discard(run, saved.job, saved.keep)
    except StudioError as error:
        values = {"machine": saved.machine or run.plan.where, "run": run.id, "why": error.message}
        raise StillThere(STILL_THERE, DELETE_LATER, **values) from None
    done = (ENDED_AND_KEPT if saved.keep else DISCARDED).format(machine=saved.machine)
    if record.read(run) != saved:  # it was resumed meanwhile
        return done
    saved.write(run, job={}, sent=False, undeleted=False, agreed=False)
    stored = runs.stored_status(run)
    progress = {"step": stored.step, "steps": stored.steps}
    if stored.state not in runs.ENDED_STATES:  # in case its deletion is undone
        runs.set_status(run, "failed", stored.stage, message=done, hint=BEGIN_AGAIN, **progress)
    elif saved.undeleted:
        texts = {"message": _replace_left(stored.message, done), "hint": stored.hint, "cause": stored.cause}
        runs.set_status(run, stored.state, stored.stage, **texts, **progress)
    return done


def _replace_left(message: Message | None, done: Message) -> Message:
    """How a run has ended, without that something of it lies elsewhere: that is deleted now."""
    if message and message.text == END_AND_LEFT.text:
        return END_AND_LEFT.format(end=message.values["end"], left=done)
    return done


def discard_again() -> None:
    """Remove what runs that are deleted or have ended have left at machines that did not answer then."""
    for run in chain(run_index.deleted_runs(), filter(_is_unwanted, runs.runs_elsewhere())):
        with suppress(StillThere, BadPlan):  # tried again when the page starts the next time
            discard(run)


def _is_unwanted(run: Run) -> bool:
    """Whether what a run has left elsewhere was to be deleted; one that goes on again may need it there."""
    saved = record.read(run)
    if not saved.has_left:
        return False
    state = runs.stored_status(run).state
    return state == "done" or (saved.undeleted and state in runs.ENDED_STATES)


def follow_again() -> None:
    """Follow the runs elsewhere that nobody follows; they may go on there, or have a result there."""
    for run in runs.runs_elsewhere():
        if runs.may_go_on_elsewhere(run) and runs.is_resumable(run):
            with suppress(StudioError):  # it stays as it is: Resume says what is wrong
                launcher.resume(run)


def create(machine: Machine) -> Launcher:
    """The launcher of a machine that has one."""
    if machine.ssh:
        return ssh.SshLauncher(machine)
    if machine.ray:
        return ray_jobs.RayLauncher(machine)
    return hub_jobs.JobsLauncher(machine)
