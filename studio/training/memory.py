"""The memory of a process that trains or answers: in use, at its peak, and its limit."""

import os

import psutil

from studio.estimate.machines import hardware
from studio.models import device


def memory_gb() -> float:
    """Memory in use (GB, 10^9 bytes): on a GPU the peak of its tensors, on a CPU what is held now."""
    gpu_bytes = device.tensor_bytes()
    if gpu_bytes is not None:
        return gpu_bytes / 1e9
    return float(psutil.Process(os.getpid()).memory_info().rss) / 1e9


def peak_memory_gb() -> float:
    """The most memory held so far (GB, 10^9 bytes): of the GPU with its context, else of this process."""
    gpu_bytes = device.peak_memory_bytes()
    return (hardware.peak_resident_bytes() if gpu_bytes is None else gpu_bytes) / 1e9


def limit_memory() -> None:
    """Let a request for more memory than is free fail with an error, before the system ends the process.

    Nothing is limited on a GPU, where CUDA reserves far more address space than it uses, and on Windows,
    which has no such limit.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    if not device.uses_cpu():
        return
    free_bytes = hardware.free_memory()
    allowed_bytes = max(free_bytes - hardware.RESERVED_BYTES, free_bytes // 2)
    soft_limit = hardware.data_segment_bytes() + allowed_bytes
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    if hard_limit != resource.RLIM_INFINITY:  # somebody has limited it to less
        soft_limit = min(soft_limit, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (soft_limit, hard_limit))
