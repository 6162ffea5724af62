"""How fast a model's files are read from this machine's disk: measured once, as it is read in training."""

import os
import time
from pathlib import Path

from studio.storage import home, read_json, write_json

# Bytes per second of a disk that nobody has measured (a SATA SSD; docs/estimator.md#disk_read_rate).
DISK_READ_RATE = 0.5e9
# Read at most this much of a file, in pieces of this size; of smaller files nothing can be said (bytes).
MAX_READ_BYTES, PIECE_BYTES, MIN_READ_BYTES = 1_000_000_000, 16_000_000, 100_000_000
RATE_FILE = "disk.json"


def known_read_rate() -> float:
    """Return what was measured on this machine (bytes/s); the rate of an ordinary disk where nothing was."""
    rate = read_json(home() / RATE_FILE).get("read_rate")
    return float(rate) if isinstance(rate, int | float) and rate > 0 else DISK_READ_RATE


def is_measured() -> bool:
    """Return whether this machine's disk was measured."""
    return (home() / RATE_FILE).is_file()


def measure_read_rate(folder: Path | None) -> float:
    """Measure the disk by a model's largest file, and remember it. Takes at most a few seconds.

    Args:
        folder: The model's folder; None where it is not on this machine.

    Returns:
        Bytes per second; what is known without it where there is no file large enough.
    """
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size) if folder else []
    if not files or files[-1].stat().st_size < MIN_READ_BYTES:
        return known_read_rate()
    rate = _time_reading(files[-1])
    write_json(home() / RATE_FILE, {"read_rate": rate, "when": time.time()})
    return rate


def _time_reading(path: Path) -> float:
    piece = bytearray(PIECE_BYTES)
    n_read = 0
    with path.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):  # from the disk, and not from the system's memory of it
            os.posix_fadvise(file.fileno(), 0, MAX_READ_BYTES, os.POSIX_FADV_DONTNEED)
        started_at = time.perf_counter()
        while n_read < MAX_READ_BYTES and (n_bytes := file.readinto(piece)):
            n_read += n_bytes
    return n_read / (time.perf_counter() - started_at)
