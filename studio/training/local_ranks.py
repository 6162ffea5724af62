"""Several GPUs of this machine train one run: a process for each, of which the first is the run's worker."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from subprocess import Popen, TimeoutExpired
from typing import TYPE_CHECKING

from studio import processes, runs
from studio.errors import StudioError, is_known
from studio.i18n import Message
from studio.methods import several_cards
from studio.models import device, ranks
from studio.runs import Run

if TYPE_CHECKING:
    from torch.distributed import TCPStore

# The ranks talk to each other on this machine alone.
HOST = "127.0.0.1"
# What torchrun tells each of them; accelerate reads it.
LOOPBACK_VARIABLES = {"NCCL_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"}  # Linux's name
RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
POLL_SECONDS = 0.2
# A worker that waits for a rank which is gone may not notice: it is ended after this. One that has done its
# part gets as long.
GRACE_SECONDS = 10.0
# A rank that is lost breaks a connection a moment before the system says that it has ended.
LOSS_SECONDS = 2.0
RANK_LOST = Message("The process that trained on GPU {gpu} ended before its time.")
RESUME = Message("Resume it: it goes on from its last checkpoint. Why it ended may stand in worker.log.")


@contextmanager
def together(run: Run) -> Iterator[None]:
    """Within, this process is the first of the ranks that a run's plan asks for; it has started the others.

    Raises:
        StudioError: One of them has ended before its time.
    """
    n_ranks = run.plan.training.num_gpus
    if n_ranks == 1:
        yield
        return
    several_cards.require_possible(run.plan, n_ranks)
    (run.folder / ranks.FAILURE_FILE).unlink(missing_ok=True)
    store, port = _open_store(0, n_ranks)
    others = [_start_rank(run, rank, n_ranks, port) for rank in range(1, n_ranks)]
    watch, patience = _Watch(run, others), GRACE_SECONDS
    try:
        join(0, n_ranks, store)
        yield
    except BaseException as error:
        patience = 0.0
        loss = None if is_known(error) else watch.find_loss(LOSS_SECONDS)
        if loss:
            raise loss from error
        raise
    finally:
        watch.is_over.set()
        _leave(others, patience)


def main() -> None:
    """Be another rank than the first: `python -m studio.training.local_ranks RUN RANK RANKS PORT`."""
    processes.end_with_parent()
    run_id, rank, n_ranks, port = sys.argv[1:]
    from studio.training import ranked_monitor  # noqa: PLC0415 - loads torch
    from studio.training.memory import limit_memory  # noqa: PLC0415

    limit_memory()
    store, _ = _open_store(int(rank), int(n_ranks), int(port))
    join(int(rank), int(n_ranks), store)
    ranked_monitor.follow_in_own_home(runs.get(run_id))


def join(rank: int, n_ranks: int, store: "TCPStore") -> None:
    """Make this process one of the ranks, as torchrun tells it to libraries."""
    from torch import distributed  # noqa: PLC0415 - a worker that waits does without

    # Each sees one GPU alone, its first.
    values = (rank, n_ranks, 0, n_ranks, HOST, store.port)
    os.environ |= dict(zip(RANK_VARIABLES, map(str, values), strict=True))
    if sys.platform == "linux":
        os.environ |= LOOPBACK_VARIABLES
    backend = "nccl" if device.device_type() == "cuda" else "gloo"
    timeout = timedelta(seconds=ranks.COLLECTIVE_SECONDS)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=n_ranks, timeout=timeout)


def _open_store(rank: int, n_ranks: int, port: int = 0) -> "tuple[TCPStore, int]":
    """Where ranks find each other: the first one opens it at a free port, to this machine alone."""
    from torch.distributed import TCPStore  # noqa: PLC0415 - a worker that waits does without

    if rank:
        return TCPStore(HOST, port, n_ranks, is_master=False, wait_for_workers=False), port
    # A store that opens its port itself does so to the whole network.
    listener = socket.create_server((HOST, 0))
    port, descriptor = listener.getsockname()[1], listener.detach()
    store = TCPStore(HOST, port, n_ranks, is_master=True, wait_for_workers=False, master_listen_fd=descriptor)
    return store, port


def _start_rank(run: Run, rank: int, n_ranks: int, port: int) -> "Popen[bytes]":
    arguments = (run.id, str(rank), str(n_ranks), str(port))
    return processes.start_beside(
        "studio.training.local_ranks",
        *arguments,
        log_path=run.folder / "worker.log",
        options=processes.WORKER,
        extra_env={"CUDA_VISIBLE_DEVICES": processes.name_gpu(rank)},
    )


def _leave(others: "list[Popen[bytes]]", patience_seconds: float) -> None:
    """Be alone again; the other ranks get so long to end by themselves."""
    from torch import distributed  # noqa: PLC0415 - as above

    for process in others:
        with suppress(TimeoutExpired):
            process.wait(patience_seconds)
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()
    if distributed.is_initialized():
        distributed.destroy_process_group()
    for name in RANK_VARIABLES:
        os.environ.pop(name, None)


class _Watch:
    """Looks after the other ranks: a worker that waits in vain for one that is lost is ended."""

    def __init__(self, run: Run, others: "list[Popen[bytes]]") -> None:
        self.run, self.others = run, others
        self.is_over = threading.Event()
        threading.Thread(target=self._look_after, daemon=True).start()

    def find_loss(self, seconds: float = 0.0) -> StudioError | None:
        """Why a rank has ended before its time; None where none has, or does within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            for rank, process in enumerate(self.others, start=1):
                if process.poll():
                    lost = StudioError(RANK_LOST, RESUME, gpu=processes.name_gpu(rank))
                    return ranks.read_failure(self.run.folder) or lost
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)

    def _look_after(self) -> None:
        while not self.is_over.wait(POLL_SECONDS):
            if self.find_loss():
                break
        if self.is_over.wait(GRACE_SECONDS):
            return
        loss, status = self.find_loss(), runs.stored_status(self.run)
        assert loss
        values = {"message": loss.message, "hint": loss.hint}
        runs.set_status(self.run, "failed", status.stage, step=status.step, steps=status.steps, **values)
        os._exit(1)


if __name__ == "__main__":
    main()
