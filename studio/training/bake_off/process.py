"""The process that conducts a bake-off: `python -m studio.training.bake_off.process ID`."""

import sys

from studio import processes, runs
from studio.runs import Run
from studio.training.bake_off import conductor, record
from studio.training.bake_off.record import BakeOff

LOG_FILE = "bake-off.log"


def start(bake_off: BakeOff) -> None:
    """Start the process that conducts a bake-off, unless there is one; it outlives the page."""
    with runs.claiming():
        if is_alive(bake_off):
            return
        bake_off.stop_file.unlink(missing_ok=True)
        # Those that follow its runs elsewhere get no more of the environment than it has.
        options = processes.WORKER if bake_off.is_local else processes.FOLLOWER
        pid = processes.start_detached(
            __name__, bake_off.id, log_path=bake_off.folder / LOG_FILE, options=options
        )
        runs.claim(_as_run(bake_off), pid)


def is_alive(bake_off: BakeOff) -> bool:
    """Whether the process that conducts a bake-off is still there."""
    return runs.is_alive(_as_run(bake_off))


def _as_run(bake_off: BakeOff) -> Run:
    """Its folder notes its process as a run's does."""
    return Run(bake_off.id, bake_off.folder)


if __name__ == "__main__":
    conductor.conduct(record.get(sys.argv[1]))
