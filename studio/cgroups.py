"""The limits of memory and cores that a container, a Slurm job or a systemd unit sets this process."""

import os
from pathlib import Path

# Where limits are read, and which cgroups this process is in.
CGROUP, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def limiting_folders(cgroup: Path, controller: str) -> list[Path]:
    """Return the folders with limits of this process: its own cgroup's, and those that it lies within.

    Args:
        cgroup: Where cgroups are mounted.
        controller: What is limited in version 1, "memory" or "cpu"; "" for version 2.
    """
    root = cgroup / controller
    lines = [line.split(":", 2) for line in read_text(OWN_CGROUPS).splitlines()]
    paths = [path for _, controllers, path in lines if controller in controllers.split(",")]
    own_folder = root.joinpath(*(path.lstrip("/") for path in paths[:1]))
    return [folder for folder in (own_folder, *own_folder.parents) if folder.is_relative_to(root)]


def available_cores(cgroup: Path = CGROUP) -> float:
    """Return the cores that this process may use, which a container may limit to a fraction."""
    return min([float(visible_cores()), *_core_quotas(cgroup)])


def visible_cores() -> int:
    """Return the cores that libraries find, and start a thread for: a quota leaves all of them visible."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _core_quotas(cgroup: Path) -> list[float]:
    limits = [read_integers(folder / "cpu.max") for folder in limiting_folders(cgroup, "")]
    for folder in limiting_folders(cgroup, "cpu"):
        times = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        limits.append([number for name in times for number in read_integers(folder / name)])
    return [limit[0] / limit[1] for limit in limits if len(limit) == 2 and limit[0] > 0]


def read_integers(path: Path) -> list[int]:
    """Return the integers in a file; none where it is missing.

    `max 100000`, which means no limit, gives one integer and not two.
    """
    return [int(word) for word in read_text(path).split() if word.lstrip("-").isdigit()]


def read_text(path: Path) -> str:
    """Return what is in a file; nothing where it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
