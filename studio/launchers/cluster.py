"""A Ray cluster on this machine, for the runs of others: started, asked after and stopped.

It takes a token for everything (Ray's own file of it), reports nothing to anybody, and answers at the address
that was named.
"""

import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil

from studio import cgroups, processes, runs
from studio.errors import NotPossible, StudioError
from studio.estimate.machines import catalogue, hardware
from studio.i18n import Message
from studio.launchers import ray_jobs
from studio.processes import ChildOptions
from studio.storage import home, read_json, write_json

RECORD_FILE, LOG_FILE = "cluster.json", "cluster.log"
PORT, RAY_PORT = 8265, 6379
START_SECONDS, STOP_SECONDS, ANSWER_SECONDS, POLL_SECONDS = 120.0, 30.0, 5.0, 0.5
RAY_PROGRAM = "ray.scripts.scripts"
# The cluster takes the token that this side asks with, wherever the person keeps it.
OPTIONS = ChildOptions(gpus="all", online=True, uses_ray=True)
ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
NO_RAY = Message("Ray is not installed here.")
INSTALL_RAY = Message("Install it with: python -m pip install 'training-studio[ray]'")
IS_RUNNING = Message("A cluster runs here already: {address}.")
STOP_FIRST = Message("Use it, or stop it with `studio cluster stop`.")
NO_ADDRESS = Message("{host} is no address of this machine, or port {port} is in use: {why}")
NAME_ADDRESS = Message("Name another one with --host, or another port with --port.")
NOT_STARTED = Message("Ray did not start: {why}")
SEE_LOG = Message("Look into {file}.")
NONE_RUNS = Message("No cluster of the studio's runs here.")
START_ONE = Message("Start one with `studio cluster start`.")


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs here.

    Attributes:
        pid: The process that holds all others.
        created: When it was born, as psutil says it.
        address: Its dashboard's address.
        cards: Its GPUs; 0 where it computes on cores.
    """

    pid: int
    created: float
    address: str
    cards: int


def find() -> Cluster | None:
    """The cluster that the studio has started here; None where none runs."""
    raw = read_json(home() / RECORD_FILE)
    try:
        cluster = Cluster(int(raw["pid"]), float(raw["created"]), str(raw["address"]), int(raw["cards"]))
    except (KeyError, TypeError, ValueError):
        return None
    return cluster if _process(cluster) else None


def _process(cluster: Cluster) -> psutil.Process | None:
    try:
        process = psutil.Process(cluster.pid)
        is_it = abs(process.create_time() - cluster.created) < runs.START_TIME_TOLERANCE_SECONDS
        return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def start(host: str, port: int = PORT) -> Cluster:
    """Start a cluster with all GPUs of this machine, and wait until it answers.

    Args:
        host: The address of this machine at which it answers.
        port: The port of its dashboard.

    Raises:
        NotPossible: Ray is not installed, a cluster runs already, or nothing can listen at the address.
        StudioError: It did not start.
    """
    if not find_spec("ray"):
        raise NotPossible(NO_RAY, INSTALL_RAY)
    if running := find():
        raise NotPossible(IS_RUNNING, STOP_FIRST, address=running.address)
    _require_address(host, port)
    if not ray_jobs.find_token():
        processes.run_module(RAY_PROGRAM, "get-auth-token", "--generate", options=OPTIONS)
        Path(ray_jobs.TOKEN_FILE).expanduser().chmod(0o600)  # Ray leaves it to everyone
    log = home() / LOG_FILE
    log.unlink(missing_ok=True)
    arguments = ("start", "--head", "--block", "--disable-usage-stats", f"--port={RAY_PORT}")
    addresses = (f"--node-ip-address={host}", f"--dashboard-host={host}", f"--dashboard-port={port}")
    # Jobs start the Python that stands first.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    pid = processes.start_detached(
        RAY_PROGRAM,
        *arguments,
        *addresses,
        log_path=log,
        options=OPTIONS,
        extra_env={**ENVIRONMENT, "PATH": path},
    )
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    cluster = Cluster(pid, psutil.Process(pid).create_time(), address, _count_gpus())
    write_json(home() / RECORD_FILE, asdict(cluster))
    ends_at = time.monotonic() + START_SECONDS
    while not _answers(cluster):
        if not _process(cluster) or time.monotonic() > ends_at:
            stop(cluster)
            raise StudioError(NOT_STARTED, SEE_LOG, why=_last_line(log), file=log)
        time.sleep(POLL_SECONDS)
    return cluster


def _require_address(host: str, port: int) -> None:
    """Raise NotPossible where nothing can listen at an address and a port."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return
    except (OSError, OverflowError) as error:
        raise NotPossible(NO_ADDRESS, NAME_ADDRESS, host=host, port=port, why=str(error)) from None


def _count_gpus() -> int:
    """How many GPUs this machine has, by nvidia-smi."""
    if not hardware.query_gpu():
        return 0
    listed = processes.run_program(["nvidia-smi", "--list-gpus"], options=OPTIONS).stdout
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def _answers(cluster: Cluster) -> bool:
    return ask(cluster, "/api/version") is not None


def ask(cluster: Cluster, path: str) -> Any:
    """What the cluster's dashboard answers; None where it does not."""
    headers = {"Authorization": f"Bearer {ray_jobs.find_token()}"}
    try:
        response = httpx.get(cluster.address + path, headers=headers, timeout=ANSWER_SECONDS)
        return response.json() if response.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError):
        return None


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "?")[:300]


def stop(cluster: Cluster) -> None:
    """End a cluster with all its processes, and the runs that train there: they go on when resumed."""
    process = _process(cluster)
    if process:
        family = [process, *process.children(recursive=True)]
        process.terminate()
        psutil.wait_procs(family, timeout=STOP_SECONDS)
        for member in family:
            if member.is_running():
                member.kill()
        psutil.wait_procs(family, timeout=STOP_SECONDS)
    (home() / RECORD_FILE).unlink(missing_ok=True)


def list_jobs(cluster: Cluster) -> list[str]:
    """The jobs that have not ended there."""
    jobs = ask(cluster, "/api/jobs/") or []
    return [
        str(job["submission_id"])
        for job in jobs
        if isinstance(job, dict) and job.get("submission_id") and job.get("status") in ("PENDING", "RUNNING")
    ]


def describe_entry(cluster: Cluster) -> str:
    """What stands in the machines.yaml of whoever trains there."""
    card = catalogue.local_card_id() or "ONE OF presets/machines.yaml"
    row = f"name: {socket.gethostname()}, card: {card}, ray: {cluster.address}"
    if cluster.cards:
        row += f", cards: {cluster.cards}"
    else:
        memory_gb = psutil.virtual_memory().total / catalogue.GIB
        row += f", host: {{memory_gb: {memory_gb:.0f}, cores: {cgroups.available_cores():g}}}"
    return f"machines:\n  cluster: {{{row}}}"
