"""What this machine has, asked of the system and of nvidia-smi, without torch."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

from studio import processes, runs

# Where the limits of a container are read.
CGROUP = Path("/sys/fs/cgroup")
NVIDIA_SMI_QUERY = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
# Of the free memory so much is left to the system and the page; a run is held to the rest (bytes).
RESERVED_BYTES = 1_000_000_000
# How long an answer of nvidia-smi stands, and how long it may take (seconds).
SMI_CACHE_SECONDS, SMI_TIMEOUT_SECONDS = 30.0, 5.0


def query_gpu() -> tuple[str, int] | None:
    """The name and the free memory (bytes) of the first NVIDIA card that torch may use; None where there is none."""
    return _query_nvidia_smi(
        os.environ.get("CUDA_VISIBLE_DEVICES"), int(time.monotonic() / SMI_CACHE_SECONDS)
    )


def free_memory(cgroup: Path = CGROUP) -> int:
    """Bytes a new process could take now: what the system has free, and within a container what its limit leaves (v2, then v1)."""
    free_bytes = psutil.virtual_memory().available
    for folder, limit_file, usage_file, cache_key in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limits_read = _read_integers(folder / limit_file)
        if limits_read:
            cache_bytes = [
                int(line.split()[1])
                for line in _read_text(folder / "memory.stat").splitlines()
                if line.startswith(f"{cache_key} ")
            ]
            free_bytes = min(
                free_bytes,
                limits_read[0] - max(sum(_read_integers(folder / usage_file)) - sum(cache_bytes), 0),
            )
    return max(free_bytes, 0)


def reclaimable_bytes(on_gpu: bool) -> int:
    """Bytes, of a card's memory or of the machine's, that going runs hold now: the next run waits until they have ended."""
    active_runs = [
        run
        for run in runs.all_runs()
        if runs.is_alive(run) and runs.process_info(run).get("pid") != os.getpid()
    ]
    if on_gpu:
        return sum(int(runs.peak_memory_gb(run) * 1e9) for run in active_runs)
    held_bytes = 0
    for run in active_runs:
        with suppress(psutil.NoSuchProcess, KeyError):  # it has just ended
            held_bytes += int(psutil.Process(int(runs.process_info(run)["pid"])).memory_info().rss)
    return held_bytes


def peak_resident_bytes() -> int:
    """The most memory this process ever held at once (bytes); getrusage would count what its parent held before it began."""
    values = [
        line.split()[1]
        for line in _read_text(Path("/proc/self/status")).splitlines()
        if line.startswith("VmHWM:")
    ]
    if values:
        return int(values[0]) * 1024
    if peak_bytes := getattr(psutil.Process().memory_info(), "peak_wset", 0):
        return int(peak_bytes)
    import resource  # noqa: PLC0415 - Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def data_segment_bytes() -> int:
    """Bytes of this process that RLIMIT_DATA counts: its own writable memory, touched or not."""
    memory_info = psutil.Process().memory_info()
    return int(getattr(memory_info, "data", memory_info.vms))


def available_cores(cgroup: Path = CGROUP) -> float:
    """The cores this process may use, which a container may hold to a fraction."""
    n_cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota_v1 = [
        *_read_integers(cgroup / "cpu" / "cpu.cfs_quota_us"),
        *_read_integers(cgroup / "cpu" / "cpu.cfs_period_us"),
    ]
    for quota in (_read_integers(cgroup / "cpu.max"), quota_v1):
        if len(quota) == 2 and quota[0] > 0:
            n_cores = min(n_cores, quota[0] / quota[1])
    return n_cores


@lru_cache(maxsize=1)
def _query_nvidia_smi(visible_devices: str | None, _: int) -> tuple[str, int] | None:
    first_device, program = (visible_devices or "").split(",")[0].strip(), shutil.which("nvidia-smi")
    if program is None or (visible_devices is not None and first_device in ("", "-1")):
        return None
    device_args = (f"--id={first_device}",) if first_device else ()
    try:
        result = processes.run_program(
            [program, *NVIDIA_SMI_QUERY, *device_args], timeout=SMI_TIMEOUT_SECONDS
        )
        result.check_returncode()
        name, _total, free_mib = result.stdout.splitlines()[0].rsplit(",", 2)
        return name.strip(), int(free_mib) * 2**20
    except (
        OSError,
        subprocess.SubprocessError,
        ValueError,
        IndexError,
    ):  # no driver, no answer, or memory shared with the processor
        return None


def _read_integers(path: Path) -> list[int]:
    """The whole numbers in a file; none where it is not there. `max 100000` is no limit: one number, not two."""
    return [int(word) for word in _read_text(path).split() if word.lstrip("-").isdigit()]


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
