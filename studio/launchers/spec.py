"""What a launcher is: seven calls that differ by machine. All else is the same wherever it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from studio.errors import StudioError
from studio.i18n import Message
from studio.runs import Run

# What a launcher knows its job by: plain values, kept in the run's folder without any secret.
Job = dict[str, Any]
# Receives what a launcher does (a stage of the run's status), how much is done, and how much there is.
StageProgress = Callable[[str, int, int], None]


class ConnectionLost(StudioError):
    """The machine does not answer now; the run may go on there, and is asked after again."""


class LauncherRefused(StudioError):
    """The machine cannot take the run, or has lost it: nothing is asked again."""


class JobLost(LauncherRefused):
    """The machine no longer has the job: the run can only be submitted again."""


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands; `message` says why it ended, where its machine does."""

    state: Literal["waiting", "running", "ended"]
    message: Message | None = None


class Launcher(Protocol):
    """Takes a run to one machine and brings it back; any call may raise ConnectionLost or LauncherRefused."""

    def submit(self, run: Run, first_seq: int, on_progress: StageProgress) -> Job:
        """Find the job of this very attempt, which may have ended, or else start the worker there.

        Args:
            run: The run; its data is prepared.
            first_seq: The number of the worker's first event, which no other attempt has.
            on_progress: Told, from when no job was found, what happens until the worker starts, right before
                that too; it raises StudioError or StopRequested where the run is not to start.
        """

    def events(self, job: Job) -> Iterator[str]:
        """The lines that the worker has printed and prints, from the first, until the job has ended."""

    def status(self, job: Job) -> JobStatus:
        """Where the job stands."""

    def cancel(self, job: Job, at_once: bool = False) -> None:
        """Let the worker stop and keep what it has learned; at once ends it as it is."""

    def fetch(self, job: Job, folder: Path) -> None:
        """Bring the run's folder here, whole; one that broke off is called again with the same folder."""

    def remove(self, job: Job) -> None:
        """Delete there what the ended job has left, its data too; harmless where nothing lies."""

    def discard(self, run: Run, job: Job, keep: bool) -> None:
        """End the job of a run that is given up; unless `keep`, delete what lies there. Nothing comes back.

        It is harmless where nothing lies.

        Args:
            run: The run.
            job: Its job; empty where the answer with it was lost.
            keep: Whether what lies there stays.
        """
