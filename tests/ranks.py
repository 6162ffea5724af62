"""Starts the ranks of a training as processes of this machine, as torchrun would."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from studio.training import setup


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start_ranks(run, count=2):
    """The processes of the ranks, the first one's first; what they print is in worker.log of the run."""
    setup.prepare_data(run, run.plan)  # as a follower does
    return start_scripts("rank_process.py", run.id, log=run.folder / "worker.log", count=count)


def start_scripts(name, *arguments, log, count=2):
    """A script of tests as so many ranks, whose output is appended to a file."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = []
    for rank in range(count):
        with log.open("ab") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, str(Path(__file__).parent / name), *arguments],
                    env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                    stdout=output,
                    stderr=output,
                )
            )
    return processes


def train_on_ranks(run, count=2, seconds=180):
    """Train a run on so many ranks to its end."""
    for process in start_ranks(run, count):
        assert process.wait(seconds) == 0, (run.folder / "worker.log").read_text(encoding="utf-8")[-3000:]
