"""A process that computes is held to the memory that is free, and running out of it is told in a sentence."""

import resource
import subprocess
import sys

import pytest

from studio.estimate.machines import hardware
from studio.models import device
from studio.training import memory


@pytest.mark.parametrize(
    ("free_bytes", "allowed_bytes"),
    [(8_000_000_000, 7_000_000_000), (1_500_000_000, 750_000_000), (300_000_000, 150_000_000)],
)
def test_a_run_never_has_more_than_is_free(monkeypatch, free_bytes, allowed_bytes):
    limits = []
    monkeypatch.setattr(hardware, "free_memory", lambda: free_bytes)
    monkeypatch.setattr(hardware, "data_segment_bytes", lambda: 500)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: limits.append(values[0]))
    memory.limit_memory()
    assert limits == [500 + allowed_bytes]


@pytest.mark.parametrize(("hard_limit", "expected"), [(600, 600), (resource.RLIM_INFINITY, 1500)])
def test_a_limit_that_somebody_has_set_is_not_raised(monkeypatch, hard_limit, expected):
    limits = []
    monkeypatch.setattr(hardware, "free_memory", lambda: 2000)
    monkeypatch.setattr(hardware, "data_segment_bytes", lambda: 500)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (hard_limit, hard_limit))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: limits.append(values))
    memory.limit_memory()
    assert limits == [(expected, hard_limit)]


def test_on_a_gpu_nothing_is_limited(monkeypatch):
    limits = []
    monkeypatch.setattr(device, "uses_cpu", lambda: False)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, values: limits.append(values))
    memory.limit_memory()
    assert limits == []


def test_where_the_system_knows_no_limit_nothing_is_limited(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory.limit_memory() is None


def test_a_gpu_counts_its_own_memory_and_a_cpu_the_process(monkeypatch):
    monkeypatch.setattr(device, "tensor_bytes", lambda: 3 * 10**9)
    monkeypatch.setattr(device, "peak_memory_bytes", lambda: 4 * 10**9)
    assert (memory.memory_gb(), memory.peak_memory_gb()) == (3.0, 4.0)
    monkeypatch.setattr(device, "tensor_bytes", lambda: None)
    monkeypatch.setattr(device, "peak_memory_bytes", lambda: None)
    assert 0 < memory.memory_gb() <= memory.peak_memory_gb() < 100


@pytest.mark.thorough
def test_a_process_that_asks_for_more_memory_than_is_free_is_told_and_not_ended():
    script = (
        "import torch\n"
        "from studio.estimate.machines import hardware\n"
        "from studio.errors import explain\n"
        "from studio.training.memory import limit_memory\n"
        "limit_memory()\n"
        "try: torch.empty(hardware.free_memory() + 10**9, dtype=torch.uint8)\n"
        "except Exception as error: print(type(explain(error)).__name__)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stdout.strip()) == (0, "OutOfMemory"), result.stderr
