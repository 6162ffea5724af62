"""The device is chosen in one place: CUDA, else an Apple GPU, else the CPU, or what STUDIO_DEVICE names."""

from types import SimpleNamespace

import pytest

from studio.errors import NotPossible
from studio.models import cpu_precision, device

GB = 10**9


def make_torch(cuda=False, mps=False, native_bf16=True, capability=(9, 0), gpu_bytes=0):
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
        get_device_capability=lambda: capability,
        device_count=lambda: int(cuda),
        get_device_properties=lambda index: SimpleNamespace(name="Tesla T4", total_memory=16 * GB),
    )
    stand_in_mps = SimpleNamespace(
        current_allocated_memory=lambda: 1 * GB,
        driver_allocated_memory=lambda: 2 * GB,
        synchronize=lambda: calls.append("mps.synchronize"),
    )
    return SimpleNamespace(
        cuda=stand_in_cuda,
        mps=stand_in_mps,
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        device=str,
        autocast=lambda kind, dtype, enabled: (kind, dtype, enabled),
        __version__="2.13.0",
        bfloat16="bfloat16",
        float16="float16",
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
    monkeypatch.delenv("STUDIO_PRECISION", raising=False)
    monkeypatch.setattr(cpu_precision, "bf16_speedup", lambda: 1.0)
    return use


@pytest.mark.parametrize(
    ("devices", "asked_for", "kind"),
    [
        ({}, "", "cpu"),
        ({"cuda": True}, "", "cuda"),
        ({"mps": True}, "", "mps"),
        ({"mps": True}, "mps", "mps"),
        ({"mps": True}, "cpu", "cpu"),
        ({"cuda": True}, "cpu", "cpu"),
        ({"cuda": True, "mps": True}, "", "cuda"),
        ({"cuda": True, "mps": True}, "mps", "mps"),
    ],
)
def test_a_model_goes_where_studio_device_says_else_to_the_first_gpu(
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
        # P100, V100, T4
        ({"cuda": True, "native_bf16": False, "capability": (6, 0)}, "float32"),
        ({"cuda": True, "native_bf16": False, "capability": (7, 0)}, "float16"),
        ({"cuda": True, "native_bf16": False, "capability": (7, 5)}, "float16"),
        ({"mps": True}, "float32"),
    ],
)
def test_weights_and_passes_take_16_bits_where_the_gpu_computes_in_them(devices, dtype, use_torch):
    torch = use_torch(**devices)
    assert device.weights_dtype() == dtype
    assert device.autocast_dtype() == (None if dtype == "float32" else dtype)
    assert device.autocast() == (
        device.device_type(),
        torch.bfloat16 if dtype == "float32" else dtype,
        dtype != "float32",
    )


@pytest.mark.parametrize(
    ("asked_for", "sentence"),
    [
        ("gpu", "STUDIO_DEVICE is “gpu”, and there is no such kind of device."),
        ("mps", "STUDIO_DEVICE is “mps”, but torch finds no such device on this machine."),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_may_be_named(
    asked_for, sentence, use_torch, monkeypatch
):
    use_torch(cuda=True)
    monkeypatch.setenv("STUDIO_DEVICE", asked_for)
    with pytest.raises(NotPossible) as caught:
        device.device_type()
    what, next_step = caught.value.sentences()
    assert what == sentence
    assert next_step.startswith("Set it to one of cuda, mps, cpu")


@pytest.mark.parametrize(
    ("devices", "line"),
    [
        ({}, "torch 2.13.0; no GPU: training runs on the processor and computes in float32"),
        (
            {"cuda": True, "native_bf16": False, "capability": (7, 5)},
            "torch 2.13.0; Tesla T4 with 16 GB: training runs on an NVIDIA GPU and computes in float16",
        ),
        ({"mps": True}, "torch 2.13.0; Apple GPU: training runs on the Apple GPU and computes in float32"),
    ],
)
def test_a_line_says_what_torch_found_and_what_will_be_used(devices, line, use_torch):
    use_torch(**devices)
    assert device.describe() == line


@pytest.mark.parametrize(
    ("system", "machine", "asked_for", "expected"),
    [
        ("darwin", "arm64", "", True),
        ("darwin", "arm64", "cpu", False),
        ("darwin", "x86_64", "", False),
        ("linux", "aarch64", "", False),
        ("linux", "x86_64", "mps", True),
    ],
)
def test_an_apple_gpu_is_expected_without_asking_torch(system, machine, asked_for, expected, monkeypatch):
    monkeypatch.setattr(device.sys, "platform", system)
    monkeypatch.setattr(device.platform, "machine", lambda: machine)
    monkeypatch.setenv("STUDIO_DEVICE", asked_for)
    assert device.expects_apple_gpu() is expected


def test_the_peak_of_a_gpu_counts_a_context_of_the_usual_size_and_no_other_programs(use_torch):
    use_torch(cuda=True, gpu_bytes=4 * GB + 300_000_000)
    assert device.tensor_bytes() == 3 * GB
    assert device.peak_memory_bytes() == 4 * GB + 300_000_000
    use_torch(cuda=True, gpu_bytes=20 * GB)
    assert device.peak_memory_bytes() == 4 * GB + device.MAX_CONTEXT_BYTES
    use_torch(cuda=True, gpu_bytes=3 * GB)
    assert device.peak_memory_bytes() == 4 * GB


def test_an_apple_gpu_says_what_is_held_now(use_torch):
    use_torch(mps=True)
    assert (device.tensor_bytes(), device.peak_memory_bytes()) == (1 * GB, 2 * GB)


def test_a_cpu_has_no_memory_of_its_own_and_nothing_to_wait_for(use_torch):
    torch = use_torch()
    device.synchronize()
    assert (device.tensor_bytes(), device.peak_memory_bytes(), torch.calls) == (None, None, [])


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_gpu_is_waited_for(kind, use_torch):
    torch = use_torch(**{kind: True})
    device.synchronize()
    assert torch.calls == [f"{kind}.synchronize"]


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
