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

from studio import runs

# Where the limits of a container are read.
CGROUP = Path("/sys/fs/cgroup")
SMI = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
# Of the free memory so much is left to the system and the page; a run is held to the rest (bytes).
SPARED = 1_000_000_000
# How long an answer of nvidia-smi stands, and how long it may take (seconds).
STANDS, TIMEOUT = 30.0, 5.0


def nvidia() -> tuple[str, int] | None:
    """The name and the free memory (bytes) of the first NVIDIA card that torch may use; None where there is none."""
    return _asked(os.environ.get("CUDA_VISIBLE_DEVICES"), int(time.monotonic() / STANDS))


def free_memory(cgroup: Path = CGROUP) -> int:
    """Bytes a new process could take now: what the system has free, and within a container what its limit leaves (v2, then v1)."""
    free = psutil.virtual_memory().available
    for folder, limit, used, cache in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most = _numbers(folder / limit)
        if most:
            kept = [int(line.split()[1]) for line in _text(folder / "memory.stat").splitlines() if line.startswith(f"{cache} ")]
            free = min(free, most[0] - max(sum(_numbers(folder / used)) - sum(kept), 0))
    return max(free, 0)


def given_back(card: bool) -> int:
    """Bytes, of a card's memory or of the machine's, that going runs hold now: the next run waits until they have ended."""
    going = [run for run in runs.all_runs() if runs.alive(run) and runs.process(run).get("pid") != os.getpid()]
    if card:
        return sum(int(runs.last_memory(run) * 1e9) for run in going)
    held = 0
    for run in going:
        with suppress(psutil.NoSuchProcess, KeyError):  # it has just ended
            held += int(psutil.Process(int(runs.process(run)["pid"])).memory_info().rss)
    return held


def peak_resident() -> int:
    """The most memory this process ever held at once (bytes); getrusage would count what its parent held before it began."""
    found = [line.split()[1] for line in _text(Path("/proc/self/status")).splitlines() if line.startswith("VmHWM:")]
    if found:
        return int(found[0]) * 1024
    if peak := getattr(psutil.Process().memory_info(), "peak_wset", 0):
        return int(peak)
    import resource  # noqa: PLC0415 - Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def mapped() -> int:
    """Bytes of this process that RLIMIT_DATA counts: its own writable memory, touched or not."""
    known = psutil.Process().memory_info()
    return int(getattr(known, "data", known.vms))


def cores(cgroup: Path = CGROUP) -> float:
    """The cores this process may use, which a container may hold to a fraction."""
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    old = [*_numbers(cgroup / "cpu" / "cpu.cfs_quota_us"), *_numbers(cgroup / "cpu" / "cpu.cfs_period_us")]
    for quota in (_numbers(cgroup / "cpu.max"), old):
        if len(quota) == 2 and quota[0] > 0:
            allowed = min(allowed, quota[0] / quota[1])
    return allowed


@lru_cache(maxsize=1)
def _asked(visible: str | None, _: int) -> tuple[str, int] | None:
    first, program = (visible or "").split(",")[0].strip(), shutil.which("nvidia-smi")
    if program is None or (visible is not None and first in ("", "-1")):
        return None
    chosen = (f"--id={first}",) if first else ()
    try:
        asked = subprocess.run([program, *SMI, *chosen], capture_output=True, text=True, timeout=TIMEOUT, check=True)  # noqa: S603 - our own arguments
        name, _total, free = asked.stdout.splitlines()[0].rsplit(",", 2)
        return name.strip(), int(free) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):  # no driver, no answer, or memory shared with the processor
        return None


def _numbers(path: Path) -> list[int]:
    """The whole numbers in a file; none where it is not there. `max 100000` is no limit: one number, not two."""
    return [int(word) for word in _text(path).split() if word.lstrip("-").isdigit()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
