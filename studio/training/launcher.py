"""Start and stop a run's worker process; the page never trains itself."""

import os
import subprocess
import sys
from pathlib import Path

from studio import runs
from studio.errors import NotPossible
from studio.i18n import Message
from studio.runs import Run
from studio.storage import home

REPO_ROOT = Path(__file__).resolve().parent.parent.parent
# What a worker may see of the environment: no tokens and no secrets but those the hub client reads for itself.
PASSED_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)
PASSED_PREFIXES = (
    "HF_",
    "PIP_",
    "OMP_",
    "MKL_",
    "TORCH_",
    "STUDIO_",
    "SSL_",
    "HTTP",
    "http",
    "NO_PROXY",
    "no_proxy",
    "XDG_",
    "NVIDIA_",
)

WORKER_ENV = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    # Large tensors in large pages: a third less time in the kernel per step on a CPU (read by torch when it starts).
    "THP_MEM_ALLOC_ENABLE": "1",
}

# Workers this process has started: asking after the ended ones lets the system forget them.
_WORKERS: list[subprocess.Popen[bytes]] = []


def start(run: Run) -> None:
    """Start the run in a process of its own session and return at once; it outlives the page."""
    with (run.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            [sys.executable, "-m", "studio.training.worker", run.id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
            env=child_environment(),
        )
    runs.claim(run, process.pid)
    _WORKERS[:] = [worker for worker in _WORKERS if worker.poll() is None] + [process]


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


def first_gpu() -> str:
    """The card a run may use: with several, Trainer would split what is no batch."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def child_environment() -> dict[str, str]:
    """The environment of a child process: only what it needs."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES)
    }
    if os.environ.get("STUDIO_OPEN") == "1":  # a visitor must not fetch with the owner's rights
        env = {name: value for name, value in env.items() if "TOKEN" not in name}
        env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"  # noqa: S105 - a switch
    env["CUDA_VISIBLE_DEVICES"] = first_gpu()
    # The studio's own folder comes first, whatever lies where it was started.
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPO_ROOT), os.environ.get("PYTHONPATH"))))
    env["PYTHONSAFEPATH"] = "1"
    return {**env, "STUDIO_HOME": str(home()), **WORKER_ENV}
