"""The device is chosen in one place: CUDA, else the CPU, and an Apple GPU where it is asked for."""

from types import SimpleNamespace

import pytest

from studio.models import device

GB = 10**9


def make_torch(cuda=False, mps=False, native_bf16=True, gpu_bytes=0):
    """A stand-in for torch on a machine with these devices; GPU calls are recorded in `calls`."""
    calls = []
    stand_in_cuda = SimpleNamespace(
        is_available=lambda: cuda,
        is_bf16_supported=lambda including_emulation: native_bf16 or including_emulation,
        max_memory_allocated=lambda: 3 * GB,
        max_memory_reserved=lambda: 4 * GB,
        memory_reserved=lambda: 4 * GB,
        mem_get_info=lambda: (80 * GB - gpu_bytes, 80 * GB),
        synchronize=lambda: calls.append("cuda.synchronize"),
        empty_cache=lambda: calls.append("cuda.empty_cache"),
    )
    stand_in_mps = SimpleNamespace(
        current_allocated_memory=lambda: 1 * GB,
        driver_allocated_memory=lambda: 2 * GB,
        synchronize=lambda: calls.append("mps.synchronize"),
        empty_cache=lambda: calls.append("mps.empty_cache"),
    )
    return SimpleNamespace(
        cuda=stand_in_cuda,
        mps=stand_in_mps,
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        device=str,
        bfloat16="bfloat16",
        float32="float32",
        calls=calls,
    )


@pytest.fixture
def use_torch(monkeypatch):
    """`use_torch(...)`: a stand-in takes the place of torch."""

    def use(**devices):
        torch = make_torch(**devices)
        monkeypatch.setattr(device, "_import_torch", lambda: torch)
        return torch

    monkeypatch.delenv("STUDIO_DEVICE", raising=False)
    return use


@pytest.mark.parametrize(
    ("devices", "asked_for", "kind"),
    [
        ({}, "", "cpu"),
        ({"cuda": True}, "", "cuda"),
        ({"mps": True}, "", "cpu"),
        ({"mps": True}, "mps", "mps"),
        ({"mps": False}, "mps", "cpu"),
        ({"cuda": True, "mps": True}, "mps", "cuda"),
    ],
)
def test_a_model_goes_to_cuda_else_to_the_cpu_and_to_mps_only_when_asked(
    devices, asked_for, kind, use_torch, monkeypatch
):
    use_torch(**devices)
    monkeypatch.setenv("STUDIO_DEVICE", asked_for)
    assert device.device_type() == device.torch_device() == kind
    assert device.uses_cpu() is (kind == "cpu")


@pytest.mark.parametrize(
    ("devices", "dtype"),
    [
        ({}, "float32"),
        ({"cuda": True}, "bfloat16"),
        ({"cuda": True, "native_bf16": False}, "float32"),
        ({"mps": True}, "float32"),
    ],
)
def test_weights_are_held_in_bfloat16_only_where_it_is_not_emulated(devices, dtype, use_torch):
    use_torch(**devices)
    assert device.weights_dtype() == dtype


def test_the_peak_of_a_gpu_counts_a_context_of_the_usual_size_and_no_other_programs(use_torch):
    use_torch(cuda=True, gpu_bytes=4 * GB + 300_000_000)
    assert device.tensor_bytes() == 3 * GB
    assert device.peak_memory_bytes() == 4 * GB + 300_000_000
    use_torch(cuda=True, gpu_bytes=20 * GB)
    assert device.peak_memory_bytes() == 4 * GB + device.MAX_CONTEXT_BYTES
    use_torch(cuda=True, gpu_bytes=3 * GB)
    assert device.peak_memory_bytes() == 4 * GB


def test_an_apple_gpu_says_what_is_held_now(use_torch, monkeypatch):
    use_torch(mps=True)
    monkeypatch.setenv("STUDIO_DEVICE", "mps")
    assert (device.tensor_bytes(), device.peak_memory_bytes()) == (1 * GB, 2 * GB)


def test_a_cpu_has_no_memory_of_its_own_and_nothing_to_wait_for(use_torch):
    torch = use_torch()
    device.synchronize()
    device.empty_cache()
    assert (device.tensor_bytes(), device.peak_memory_bytes(), torch.calls) == (None, None, [])


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_gpu_is_waited_for_and_gives_its_cache_back(kind, use_torch, monkeypatch):
    torch = use_torch(**{kind: True})
    monkeypatch.setenv("STUDIO_DEVICE", kind)
    device.synchronize()
    device.empty_cache()
    assert torch.calls == [f"{kind}.synchronize", f"{kind}.empty_cache"]


def test_only_the_device_module_asks_torch_which_device_there_is():
    from pathlib import Path

    questions = ("cuda.is_available", "mps.is_available", "is_bf16_supported", "cuda.mem_get_info")
    studio = Path(device.__file__).parent.parent
    asking = {
        path.relative_to(studio).as_posix()
        for path in studio.rglob("*.py")
        if any(question in path.read_text(encoding="utf-8") for question in questions)
    }
    assert asking == {"models/device.py"}
