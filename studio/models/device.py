"""The one place that knows which device computes: an NVIDIA GPU (cuda), an Apple GPU (mps) or the CPU.

An older NVIDIA GPU and an Apple GPU are tested with a stand-in alone: nobody has trained there yet.
"""

import os
import platform
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, get_args

from studio.errors import NotPossible
from studio.i18n import Message
from studio.models import cpu_precision
from studio.models.cpu_precision import Precision

if TYPE_CHECKING:
    import torch

DeviceType = Literal["cuda", "mps", "cpu"]
AutocastName = Literal["bfloat16", "float16", ""]
# The variable of the environment that names the device, whatever else there is.
DEVICE_VARIABLE = "STUDIO_DEVICE"
UNKNOWN_DEVICE = Message("STUDIO_DEVICE is “{name}”, and there is no such kind of device.")
MISSING_DEVICE = Message("STUDIO_DEVICE is “{name}”, but torch finds no such device on this machine.")
CHOOSE_DEVICE = Message("Set it to one of {names}, or leave it out to use the best device there is.")
# The compute capability from which NVIDIA GPUs multiply matrices of a format in tensor cores: V100, T4 and
# RTX 20 float16, A100 and RTX 30 bfloat16 as well (docs/estimator.md#min_capability).
MIN_CAPABILITY = {"float16": (7, 0), "bfloat16": (8, 0)}
NO_NATIVE_BF16 = Message("The plan asks for bfloat16, and this GPU does not compute in it.")
CHOOSE_PRECISION = Message("Set training.precision to auto or float32.")
# A CUDA context takes 0.1 to 0.6 GB (docs/estimator.md#max_context_bytes): bytes.
MAX_CONTEXT_BYTES = 700_000_000


def device_type() -> DeviceType:
    """The kind of device that models are put on: what STUDIO_DEVICE names, else the first GPU, else the CPU.

    Raises:
        NotPossible: STUDIO_DEVICE names a kind that does not exist, or that this machine does not have.
    """
    kinds: tuple[DeviceType, ...] = get_args(DeviceType)
    wanted = os.environ.get(DEVICE_VARIABLE, "")
    if not wanted:
        return next(kind for kind in kinds if _is_available(kind))
    for kind in kinds:
        if kind == wanted and _is_available(kind):
            return kind
    message = MISSING_DEVICE if wanted in kinds else UNKNOWN_DEVICE
    raise NotPossible(message, CHOOSE_DEVICE, name=wanted, names=list(kinds))


def _is_available(kind: DeviceType) -> bool:
    torch = _import_torch()
    if kind == "cuda":
        return bool(torch.cuda.is_available())
    return kind == "cpu" or bool(torch.backends.mps.is_available())


def expects_apple_gpu() -> bool:
    """Whether a run will compute on an Apple GPU, told without torch: before it starts."""
    wanted = os.environ.get(DEVICE_VARIABLE, "")
    return wanted == "mps" or (not wanted and sys.platform == "darwin" and platform.machine() == "arm64")


def describe() -> str:
    """What torch found, in a line for the terminal: the device that a run would use, and other GPUs."""
    torch = _import_torch()
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    names = [f"{gpu.name} with {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus]
    if torch.backends.mps.is_available():
        names.append("Apple GPU")
    used = {"cuda": "an NVIDIA GPU", "mps": "the Apple GPU", "cpu": "the processor"}[device_type()]
    precision = str(autocast_dtype() or torch.float32).removeprefix("torch.")
    gpu_names = ", ".join(names) or "no GPU"
    return f"torch {torch.__version__}; {gpu_names}: training runs on {used} and computes in {precision}"


def torch_device() -> "torch.device":
    """The device that models are put on."""
    return _import_torch().device(device_type())


def uses_cpu() -> bool:
    """Whether the CPU computes."""
    return device_type() == "cpu"


def has_native_bf16() -> bool:
    """Whether a GPU computes in bfloat16 itself; older ones emulate it slowly."""
    cuda = _import_torch().cuda
    return device_type() == "cuda" and bool(cuda.is_bf16_supported(including_emulation=False))


_plan_precision: Precision = "auto"


def set_precision(precision: Precision) -> None:
    """Compute as a plan asks, in this process from now on.

    Args:
        precision: `training.precision` of the plan; "auto" leaves it to STUDIO_PRECISION and the device.
    """
    global _plan_precision
    _plan_precision = precision


def requested_precision() -> Precision:
    """What this process is to compute in: as the plan asks, else as STUDIO_PRECISION does."""
    return cpu_precision.requested_precision() if _plan_precision == "auto" else _plan_precision


def can_train_in_bf16() -> bool:
    """Whether trained weights may be held in bfloat16: a GPU computes in it, and is not asked for 32 bits."""
    return has_native_bf16() and requested_precision() != "float32"


def choose_autocast(precision: Precision, kind: DeviceType, has_bf16: bool, has_fp16: bool) -> AutocastName:
    """The 16-bit format in which passes compute; empty for 32 bits.

    Args:
        precision: What is asked for.
        kind: Where they compute: a processor does so in bfloat16 when asked to, however slowly.
        has_bf16: Whether a GPU computes in bfloat16, or a processor is faster in it.
        has_fp16: Whether a GPU multiplies float16 matrices in tensor cores.
    """
    if precision == "float32":
        return ""
    if has_bf16 or (precision == "bfloat16" and kind == "cpu"):
        return "bfloat16"
    return "float16" if has_fp16 else ""


def autocast_dtype() -> "torch.dtype | None":
    """The 16-bit format in which a training's passes compute; None where they compute in 32 bits.

    On a GPU bfloat16 where it is native, else float16 where it has tensor cores for it (T4, V100, RTX 20).
    On a CPU bfloat16 where that was measured to be faster.

    Raises:
        NotPossible: bfloat16 was asked for, and the GPU lacks it.
    """
    torch, kind, precision = _import_torch(), device_type(), requested_precision()
    if precision == "float32":
        return None  # nothing has to be asked or measured
    if kind == "cpu":
        has_bf16, has_fp16 = precision == "auto" and cpu_precision.is_bf16_faster(), False
    else:
        has_bf16 = has_native_bf16()
        has_fp16 = kind == "cuda" and torch.cuda.get_device_capability() >= MIN_CAPABILITY["float16"]
    if precision == "bfloat16" and kind != "cpu" and not has_bf16:
        raise NotPossible(NO_NATIVE_BF16, CHOOSE_PRECISION)
    name = choose_autocast(precision, kind, has_bf16, has_fp16)
    return getattr(torch, name) if name else None


def autocast() -> AbstractContextManager[Any]:
    """Within, passes compute as those of a training do."""
    torch, dtype = _import_torch(), autocast_dtype()
    context: AbstractContextManager[Any] = torch.autocast(
        device_type(), dtype=dtype or torch.bfloat16, enabled=dtype is not None
    )
    return context


def weights_dtype() -> "torch.dtype":
    """The format in which base weights are held: that of autocast on a GPU, else 32 bits.

    A CPU holds them in 32 bits whatever it computes in: rounding them for each pass takes 1 % of it, and
    answers, checksums and exports stay the same.
    """
    if uses_cpu():
        return _import_torch().float32
    return autocast_dtype() or _import_torch().float32


def prefer_flash_attention() -> None:
    """Let a CUDA GPU attend by torch's flash kernel, where torch prefers cuDNN's: on an H100 and H200.

    cuDNN plans anew for each number of rows and tokens, and hardly any two micro batches have the same: a
    step of a 3B model with LoRA took 335 ms on an H200, and 177 without (docs/methods.md#one-kernel).
    """
    torch = _import_torch()
    torch.backends.cuda.enable_cudnn_sdp(False)


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
        return int(torch.cuda.max_memory_reserved()) + cuda_context_bytes()
    if kind == "mps":  # counts no peak
        return int(torch.mps.driver_allocated_memory())
    return None


def cuda_memory_bytes() -> int | None:
    """The memory of the CUDA GPU that computes (bytes), used or free; None where none does."""
    if device_type() != "cuda":
        return None
    return int(_import_torch().cuda.get_device_properties(0).total_memory)


def free_cuda_bytes() -> int:
    """The memory of the CUDA GPU that nothing holds, torch's allocator neither (bytes)."""
    free_bytes, _ = _import_torch().cuda.mem_get_info()
    return int(free_bytes)


def cuda_context_bytes() -> int:
    """Bytes that this process takes of the CUDA GPU beside torch's allocator.

    Other programs may hold memory of the GPU too, so a context counts up to its usual size.
    """
    cuda = _import_torch().cuda
    free_bytes, total_bytes = cuda.mem_get_info()
    outside_allocator = int(total_bytes - free_bytes - cuda.memory_reserved())
    return min(max(outside_allocator, 0), MAX_CONTEXT_BYTES)


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
