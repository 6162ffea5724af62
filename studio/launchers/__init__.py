"""Trains a plan elsewhere: one worker, a launcher for each kind of machine, and the same run folder back."""

from studio import runs
from studio.errors import NotPossible
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message
from studio.launchers import hub_jobs, ray_jobs, record, ssh
from studio.launchers.spec import Launcher
from studio.training import launcher

NO_LAUNCHER = Message("The studio cannot train at “{machine}”.")
CHOOSE_MACHINE = Message(
    "It can train here, at your own boxes and Ray clusters (docs/elsewhere.md), and at: {machines}."
)


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


def follow_again() -> None:
    """Follow the runs elsewhere that nobody follows since this machine restarted; they may go on there."""
    for run in runs.all_runs():
        if record.read(run).job and runs.status(run).message == runs.not_followed(run):
            launcher.resume(run)


def create(machine: Machine) -> Launcher:
    """The launcher of a machine that has one."""
    if machine.ssh:
        return ssh.SshLauncher(machine)
    if machine.ray:
        return ray_jobs.RayLauncher(machine)
    return hub_jobs.JobsLauncher(machine)
