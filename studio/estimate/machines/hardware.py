"""What this machine has, as the system and nvidia-smi report it, without torch."""

import os
import shutil
import subprocess
import sys
import time
import timeit
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import psutil

from studio import cgroups, processes, runs
from studio.models import device
from studio.runs import Run

NVIDIA_SMI_USE_QUERY = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
NVIDIA_SMI_QUERY = ("--query-gpu=name,memory.total,memory.free,compute_cap", "--format=csv,noheader,nounits")
MIB = 2**20
# Of the free memory this much is left to the system and the page; a run is limited to the remainder (bytes).
RESERVED_BYTES = 1_000_000_000
# A short program of calls, as a GPU's host runs them, and its seconds on the Xeon of the bench.
PYTHON_SAMPLE = "for index in range(20_000): str.upper('x')"
PYTHON_SAMPLE_SECONDS, PYTHON_REPEATS = 0.75e-3, 7
# What a Mac's chip is called where it does not tell.
APPLE_CHIP = "Apple GPU"
# How long an answer of nvidia-smi is reused, and how long it may take (seconds).
SMI_CACHE_SECONDS, SMI_TIMEOUT_SECONDS = 30.0, 5.0


class Gpu(NamedTuple):
    """A GPU as nvidia-smi reports it: its memory in bytes, its compute capability such as (7, 5)."""

    name: str
    total_bytes: int
    free_bytes: int
    compute_capability: tuple[int, ...]


def query_gpu() -> Gpu | None:
    """Return the first NVIDIA GPU that a run may use; None without one, or where STUDIO_DEVICE forbids it."""
    if os.environ.get(device.DEVICE_VARIABLE, "cuda") not in ("", "cuda"):
        return None
    visible_devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return _query_nvidia_smi(visible_devices, int(time.monotonic() / SMI_CACHE_SECONDS))


def gpu_busy_share() -> float:
    """Return the share of the last moments in which the first NVIDIA GPU computed; 0 where nobody knows."""
    program = shutil.which("nvidia-smi")
    visible_device = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    if program is None:
        return 0.0
    command = [program, *NVIDIA_SMI_USE_QUERY, f"--id={visible_device}"]
    try:
        result = processes.run_program(command, timeout=SMI_TIMEOUT_SECONDS)
        return int(result.stdout.splitlines()[0]) / 100
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0.0  # a share of a GPU (MIG) does not tell


def count_gpus() -> int:
    """Return how many NVIDIA GPUs runs may use."""
    if not query_gpu():
        return 0
    visible_devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible_devices is not None:
        return len(visible_devices.split(","))
    return _count_with_nvidia_smi(int(time.monotonic() / SMI_CACHE_SECONDS))


def apple_chip() -> str:
    """Return the name of a Mac's chip, such as “Apple M3 Max”; "" where no run computes on its GPU."""
    return _query_apple_chip() if device.expects_apple_gpu() else ""


@lru_cache(maxsize=1)
def _query_apple_chip() -> str:
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        result = processes.run_program(command, timeout=SMI_TIMEOUT_SECONDS)
        result.check_returncode()
    except (OSError, subprocess.SubprocessError):
        return APPLE_CHIP
    return str(result.stdout).strip() or APPLE_CHIP


@cache
def python_slowness() -> float:
    """Return how slow this machine's Python is: a short program's time over that on the bench's Xeon.

    The best of a few repeats, so that other programs hardly matter. Takes a hundredth of a second, once.
    """
    return min(timeit.repeat(PYTHON_SAMPLE, number=1, repeat=PYTHON_REPEATS)) / PYTHON_SAMPLE_SECONDS


def free_memory(cgroup: Path = cgroups.CGROUP) -> int:
    """Return the bytes that a new process could take now.

    This is what the system has free, and within a container, a Slurm job or a systemd unit what its limit
    leaves.

    Args:
        cgroup: Where the limits of a container are read, in version 2 and version 1 of cgroups.
    """
    free_bytes = psutil.virtual_memory().available
    for controller, limit_file, usage_file, cache_keys in (
        ("", "memory.max", "memory.current", ("inactive_file", "active_file")),
        (
            "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ("total_inactive_file", "total_active_file"),
        ),
    ):
        for folder in cgroups.limiting_folders(cgroup, controller):
            limits = cgroups.read_integers(folder / limit_file)
            used_bytes = sum(cgroups.read_integers(folder / usage_file))
            cache_bytes = _read_memory_stat(folder / "memory.stat", cache_keys)
            # What the cache holds is given back when memory is short.
            held_bytes = max(used_bytes - cache_bytes, 0)
            free_bytes = min([free_bytes, *(limit - held_bytes for limit in limits)])
    return max(free_bytes, 0)


def _read_memory_stat(path: Path, keys: tuple[str, ...]) -> int:
    """Return the sum of figures of a cgroup's memory.stat; 0 where they are missing."""
    lines = [line.split() for line in cgroups.read_text(path).splitlines()]
    return sum(int(words[1]) for words in lines if words[0] in keys)


def reclaimable_bytes(on_gpu: bool) -> int:
    """Return the bytes that active runs hold now: the next run waits until they have ended.

    Args:
        on_gpu: Whether to count a GPU's memory; else the machine's.
    """
    workers = {run: runs.worker_process(run) for run in runs.all_runs()}
    others = {run: worker for run, worker in workers.items() if worker and worker.pid != os.getpid()}
    return sum(held_bytes(run, on_gpu) for run in others)


def held_bytes(run: Run, on_gpu: bool) -> int:
    """Return the bytes that a run holds now: on a GPU as it has noted itself; 0 where it has ended.

    Args:
        run: The run.
        on_gpu: Whether a GPU's memory is meant; else the machine's.
    """
    if on_gpu:
        return int(runs.peak_memory_gb(run) * 1e9)
    worker = runs.worker_process(run)
    with suppress(psutil.NoSuchProcess):  # it has just ended
        return int(worker.memory_info().rss) if worker else 0
    return 0


def peak_resident_bytes() -> int:
    """Return the most memory that this process ever held at once (bytes).

    On Linux getrusage would also count what its parent held before the fork, so /proc comes first.
    """
    for line in cgroups.read_text(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if peak_bytes := getattr(psutil.Process().memory_info(), "peak_wset", 0):
        return int(peak_bytes)
    import resource  # noqa: PLC0415 - Windows has none

    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit


def data_segment_bytes() -> int:
    """Return the bytes of this process that RLIMIT_DATA counts: its own writable memory, touched or not."""
    memory_info = psutil.Process().memory_info()
    return int(getattr(memory_info, "data", memory_info.vms))


@lru_cache(maxsize=1)
def _query_nvidia_smi(visible_devices: str | None, _period: int) -> Gpu | None:
    """Ask nvidia-smi; the answer is reused within a period of SMI_CACHE_SECONDS."""
    program = shutil.which("nvidia-smi")
    first_device = (visible_devices or "").split(",")[0].strip()
    if program is None or (visible_devices is not None and first_device in ("", "-1")):
        return None
    device_args = (f"--id={first_device}",) if first_device else ()
    try:
        result = processes.run_program(
            [program, *NVIDIA_SMI_QUERY, *device_args], timeout=SMI_TIMEOUT_SECONDS
        )
        result.check_returncode()
        name, total_mib, free_mib, capability = result.stdout.splitlines()[0].rsplit(",", 3)
        total_bytes, free_bytes = int(total_mib) * MIB, int(free_mib) * MIB
        return Gpu(name.strip(), total_bytes, free_bytes, tuple(map(int, capability.split("."))))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        # No driver, no answer, or memory that is shared with the CPU.
        return None


@lru_cache(maxsize=1)
def _count_with_nvidia_smi(_period: int) -> int:
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        result = processes.run_program([program, *NVIDIA_SMI_QUERY], timeout=SMI_TIMEOUT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(result.stdout.splitlines())
