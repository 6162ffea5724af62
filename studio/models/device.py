"""The one place that knows which device computes: an NVIDIA GPU (cuda), an Apple GPU (mps) or the CPU."""

import os
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

DeviceType = Literal["cuda", "mps", "cpu"]
# A CUDA context takes 0.1 to 0.6 GB (docs/estimator.md#max_context_bytes): bytes.
MAX_CONTEXT_BYTES = 700_000_000


def device_type() -> DeviceType:
    """The kind of device that models are put on: the first CUDA GPU, otherwise the CPU.

    An Apple GPU is used only where STUDIO_DEVICE=mps asks for it: neither the estimates nor the 4-bit
    kernels of bitsandbytes have been measured there.
    """
    torch = _import_torch()
    if torch.cuda.is_available():
        return "cuda"
    if os.environ.get("STUDIO_DEVICE") == "mps" and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def torch_device() -> "torch.device":
    """The device that models are put on."""
    return _import_torch().device(device_type())


def uses_cpu() -> bool:
    """Whether the CPU computes."""
    return device_type() == "cpu"


def has_native_bf16() -> bool:
    """Whether the device computes in bfloat16 itself; CPUs and older GPUs emulate it slowly."""
    cuda = _import_torch().cuda
    return device_type() == "cuda" and bool(cuda.is_bf16_supported(including_emulation=False))


def weights_dtype() -> "torch.dtype":
    """The format in which base weights are held: bfloat16 where it is native, 32 bits elsewhere."""
    torch = _import_torch()
    return torch.bfloat16 if has_native_bf16() else torch.float32


def tensor_bytes() -> int | None:
    """The most memory that tensors have taken on the GPU at once (bytes); None where the CPU computes."""
    kind, torch = device_type(), _import_torch()
    if kind == "cuda":
        return int(torch.cuda.max_memory_allocated())
    if kind == "mps":  # counts no peak
        return int(torch.mps.current_allocated_memory())
    return None


def peak_memory_bytes() -> int | None:
    """The most GPU memory this process has held, with its context (bytes); None where the CPU computes."""
    kind, torch = device_type(), _import_torch()
    if kind == "cuda":
        # Other programs may hold memory of the GPU too, so a context counts up to its usual size.
        context_bytes = min(max(cuda_bytes_outside_allocator(), 0), MAX_CONTEXT_BYTES)
        return int(torch.cuda.max_memory_reserved()) + context_bytes
    if kind == "mps":  # counts no peak
        return int(torch.mps.driver_allocated_memory())
    return None


def cuda_bytes_outside_allocator() -> int:
    """Bytes of the CUDA GPU that are taken, but not by torch's allocator: the context and other programs."""
    cuda = _import_torch().cuda
    free_bytes, total_bytes = cuda.mem_get_info()
    return int(total_bytes - free_bytes - cuda.memory_reserved())


def empty_cache() -> None:
    """Give memory that the GPU's allocator keeps for later back to the system; a CPU keeps none."""
    kind, torch = device_type(), _import_torch()
    if kind == "cuda":
        torch.cuda.empty_cache()
    if kind == "mps":
        torch.mps.empty_cache()


def synchronize() -> None:
    """Wait until the GPU has finished its work; a CPU is never behind."""
    kind, torch = device_type(), _import_torch()
    if kind == "cuda":
        torch.cuda.synchronize()
    if kind == "mps":
        torch.mps.synchronize()


def _import_torch() -> Any:
    """torch, imported at its first use: a worker that waits for its turn does without it."""
    import torch  # noqa: PLC0415

    return torch
