"""What meta tensors do not know of a device: attention kernels, what autocast does there, 4-bit matrices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map
from transformers import masking_utils
from transformers.integrations import moe

from studio.estimate.tracing.trace import Trace, grouped_mm, unpack
from studio.methods.training.lora_layers import PlainLinear
from studio.models.cpu_attention import is_in_float32

aten = torch.ops.aten
sdpa = torch.nn.functional.scaled_dot_product_attention
softmax = torch.nn.functional.softmax
# The fastest attention that a GPU has: flash attention needs Ampere or newer, older GPUs take torch's
# memory-efficient kernel.
AttentionKernel = Literal["flash", "efficient"]


@contextmanager
def patch_kernels(
    device: str,
    padded: bool,
    attention: AttentionKernel = "flash",
    autocast_dtype: torch.dtype | None = None,
) -> Iterator[None]:
    """Make the libraries do what they would do on the device.

    They choose its attention kernels, build a mask where texts are padded, and use a fused softmax on a GPU.

    Args:
        device: "cpu" or "cuda".
        padded: Whether texts are padded; on meta tensors transformers cannot look.
        attention: The fastest kernel that a GPU has.
        autocast_dtype: The format in which autocast computes attention; None without autocast.
    """
    kernel = _attention_on_cpu
    if device == "cuda":
        kernel = partial(_attention_on_gpu, attention)
    patches: dict[tuple[Any, str], Any] = {
        (masking_utils, "fast_all"): lambda mask: not padded,
        (masking_utils, "_ignore_bidirectional_mask_sdpa"): lambda *_: not padded,
        (masking_utils, "find_packed_sequence_indices"): lambda positions: None,
    }
    functional = torch.nn.functional
    patches[moe, "_grouped_mm"] = lambda inputs, weight, offs: _GroupedProduct.apply(inputs, weight, offs)
    patches[functional, "scaled_dot_product_attention"] = partial(_cast_attention, kernel, autocast_dtype)
    if device == "cuda":
        patches[functional, "softmax"] = _fused_softmax
        patches[functional, "rms_norm"] = lambda hidden, _, weight, eps: _FusedNorm.apply(hidden, weight)
    originals = {target: getattr(*target) for target in patches}
    for (module, name), value in patches.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in originals.items():
            setattr(module, name, value)


def _fused_softmax(
    tensor: torch.Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Use one kernel from 16-bit to 32-bit numbers, as on a GPU; elsewhere they are copied (SoftMax.cpp)."""
    if dim is not None and dtype is torch.float32 and tensor.dtype in (torch.float16, torch.bfloat16):
        return torch._softmax(tensor, dim % tensor.dim(), True)
    return softmax(tensor, dim=dim, dtype=dtype)


# What autocast computes in 16 bits, and on a GPU in 32; a CPU computes the latter in the format they come in
# (torch/amp/autocast_mode.py: the lists of CUDA, and aten/src/ATen/autocast_mode.h: those of CPU).
HALF_FUNCTIONS = {
    torch.nn.functional.linear,
    torch.matmul,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.bmm,
    torch.baddbmm,
    torch.Tensor.baddbmm,
    torch.addmm,
    sdpa,
}
FLOAT32_FUNCTIONS = {
    torch.nn.functional.cross_entropy,
    torch.nn.functional.softmax,
    torch.nn.functional.layer_norm,
    torch.Tensor.pow,
    torch.Tensor.sum,
}


class MetaAutocast(TorchFunctionMode):  # type: ignore[misc] # torch ships no types for it
    """Autocast to a 16-bit format on meta tensors, where torch's own does nothing.

    Args:
        dtype: The format.
        device: The device that it is meant for, "cpu" or "cuda".
        caches_weights: Whether a trainable weight's copy is kept for the whole pass. Autocast does so
            unless the pass is computed again on the way back.
    """

    def __init__(self, dtype: torch.dtype, device: str, caches_weights: bool) -> None:
        super().__init__()
        self.dtype = dtype
        self.float32_functions = FLOAT32_FUNCTIONS if device == "cuda" else set()
        self.caches_weights = caches_weights
        self.weight_copies: dict[int, torch.Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function with its tensors in the format that autocast gives them."""
        kwargs = kwargs or {}
        if func in HALF_FUNCTIONS:
            args, kwargs = tree_map(self._to_half, (args, kwargs))
        elif func in self.float32_functions:
            args, kwargs = tree_map(_to_float32, (args, kwargs))
        return func(*args, **kwargs)

    def _to_half(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
            return value
        if id(value) in self.weight_copies:
            return self.weight_copies[id(value)]
        half = value.to(self.dtype)
        if self.caches_weights and value.is_leaf and value.requires_grad:
            self.weight_copies[id(value)] = half
        return half


def _to_float32(value: Any) -> Any:
    is_half = isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if is_half else value


@dataclass(frozen=True)
class AttentionOptions:
    """The arguments of torch's scaled_dot_product_attention beside query, key and value."""

    attn_mask: torch.Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


def _cast_attention(
    kernel: Callable[..., torch.Tensor],
    dtype: torch.dtype | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *args: Any,
    **kwargs: Any,
) -> torch.Tensor:
    """Bring what meets in attention to the format of autocast: no mode sees a function that is replaced."""
    if dtype and kernel is _attention_on_cpu and is_in_float32(query, key):
        dtype = torch.float32
    if dtype:
        query, key, value = (tensor.to(dtype) for tensor in (query, key, value))
    return kernel(query, key, value, *args, **kwargs)


def _attention_on_cpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **kwargs: Any
) -> torch.Tensor:
    """Compute attention as torch does on a CPU (sdp_utils_cpp.cpp).

    That is its flash kernel, or plain products where there is dropout.
    """
    options = AttentionOptions(*args, **kwargs)
    # Nor does that kernel take values of another width than keys (latent attention).
    if options.dropout_p > 0 or value.shape[-1] != key.shape[-1]:
        return sdpa(query, key, value, **vars(options))
    attn_mask = options.attn_mask
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask, 0.0)
    return aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, options.is_causal, attn_mask=attn_mask, scale=options.scale
    )[0]


def _attention_on_gpu(
    fastest: AttentionKernel,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *args: Any,
    **kwargs: Any,
) -> torch.Tensor:
    """Compute attention as torch does on a GPU (cuda/sdp_utils.cpp).

    That is flash attention on 16-bit numbers without a mask, else the memory-efficient kernel, or plain
    products where that kernel would have to share keys among heads.
    """
    options = AttentionOptions(*args, **kwargs)
    attn_mask = options.attn_mask
    is_half = query.dtype in (torch.bfloat16, torch.float16)
    if fastest == "flash" and attn_mask is None and is_half and value.shape[-1] == key.shape[-1]:
        return aten._scaled_dot_product_flash_attention(
            query, key, value, options.dropout_p, options.is_causal, False, scale=options.scale
        )[0]
    if options.enable_gqa and key.shape[1] != query.shape[1]:
        return sdpa(query, key, value, **vars(options))
    if attn_mask is not None:
        if attn_mask.dtype is torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype)
        attn_mask = attn_mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, True, options.dropout_p, options.is_causal, scale=options.scale
    )[0]


class _FusedNorm(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """An RMS norm as a GPU computes it: one kernel each way, which keeps a number in 32 bits for each row."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        scales = torch.empty(hidden.shape[:-1], dtype=torch.float32, device=hidden.device)
        ctx.save_for_backward(hidden, weight, scales)
        return hidden * weight

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        hidden, weight, _ = ctx.saved_tensors
        weight_grad = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        return grad * hidden, weight_grad


class _GroupedProduct(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """The product of tokens with the matrices of their experts, as torch and transformers compute it.

    That is in the format of the weights, and nothing is kept for the way back but what it needs.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, group_ends: torch.Tensor
    ) -> torch.Tensor:
        rows = inputs.to(weight.dtype)
        ctx.dtype, ctx.is_trained = inputs.dtype, weight.requires_grad
        ctx.save_for_backward(*(rows,) * ctx.is_trained, weight, group_ends)
        return grouped_mm(rows, weight, group_ends)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *rows, weight, group_ends = ctx.saved_tensors
        grad = grad.to(weight.dtype)
        input_grad = grouped_mm(grad, weight.transpose(-2, -1), group_ends).to(ctx.dtype)
        weight_grad = None
        if ctx.is_trained:  # in the layout of the parameter, of which the weight is the transpose
            weight_grad = grouped_mm(grad.t(), rows[0], group_ends).transpose(-2, -1)
        return input_grad, weight_grad, None


class _DequantizedLinear(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """A product with a 4-bit matrix as bitsandbytes computes it.

    The matrix is dequantized for the forward pass, and once more on the way back.
    """

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, matrix: "PackedLinear") -> torch.Tensor:
        ctx.matrix = matrix
        return torch.nn.functional.linear(inputs, matrix.dequantize(inputs.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad @ ctx.matrix.dequantize(grad.dtype), None


class PackedLinear(torch.nn.Linear):  # type: ignore[misc] # torch's types are not followed
    """Stands for a 4-bit matrix of bitsandbytes: NF4 in blocks of 64, with a scale for each block.

    Args:
        linear: The matrix that it replaces.
        dtype: The format of products, whatever the input has.
        nested: Whether the scales are 8-bit numbers in blocks of 256 (double quantisation).

    Attributes:
        clones_output: Whether the result is cloned, as PEFT does before it adds to it.
    """

    def __init__(self, linear: torch.nn.Linear, dtype: torch.dtype, nested: bool = True) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.dtype, self.nested, self.clones_output = dtype, nested, False
        n_weights = linear.weight.numel()
        n_blocks = -(-n_weights // 64)
        packed = torch.empty(n_weights // 2, 1, dtype=torch.uint8, device="meta")
        self.weight = torch.nn.Parameter(packed, requires_grad=False)
        scale_dtype = torch.uint8 if nested else torch.float32
        scales = {
            "absmax": torch.empty(n_blocks, dtype=scale_dtype, device="meta"),
            "code": torch.empty(16, device="meta"),
        }
        if nested:
            scales["absmax_of_absmax"] = torch.empty(-(-n_blocks // 256), device="meta")
            scales["nested_code"] = torch.empty(256, device="meta")
            scales["offset"] = torch.empty((), device="meta")
        for name, value in scales.items():
            self.register_buffer(name, value, persistent=False)

    def dequantize(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the matrix in a format; its nested scales are dequantized before it."""
        scales = self.absmax
        if self.nested:
            scales = torch.empty_like(self.absmax, dtype=torch.float32).add_(self.offset)
        return unpack(scales, self.out_features, self.in_features, dtype)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the product in the format of the input."""
        outputs = _DequantizedLinear.apply(inputs.to(self.dtype), self)
        if self.bias is not None:
            outputs = outputs + self.bias.to(self.dtype)
        outputs = outputs.to(inputs.dtype)
        return outputs.clone() if self.clones_output else outputs


def replace_linears_with_4bit(model: Any, dtype: torch.dtype, nested: bool = True) -> Callable[[Trace], None]:
    """Replace every matrix that bitsandbytes would quantize by a 4-bit stand-in.

    Args:
        model: The model, which is changed in place.
        dtype: The format of products.
        nested: Whether the scales are quantized too.

    Returns:
        A function that counts the loading of the model into a trace.
    """
    from studio.models import load  # noqa: PLC0415 - its list of modules that are not quantized

    skip_modules = load.nf4_config().llm_int8_skip_modules
    for path, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and not any(part in skip_modules for part in path.split(".")):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, PackedLinear(module, dtype, nested))
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad and parameter.dtype is not torch.uint8)
    return partial(_trace_loading, sorted(model.named_modules()))


def clone_packed_outputs(model: Any) -> None:
    """Clone what 4-bit matrices return, where PEFT does: in the base layers of its own adapters."""
    for layer in model.modules():
        base_layer = getattr(layer, "base_layer", None)
        if isinstance(base_layer, PackedLinear):
            base_layer.clones_output = not isinstance(layer, PlainLinear)


def _trace_loading(modules: list[tuple[str, Any]], trace: Trace) -> None:
    """Count how transformers loads a 4-bit model on a GPU.

    It allocates a block of the model's size and releases it (caching_allocator_warmup). Then come the
    matrices, one by one, in 16 bits and packed. What is not quantized is converted to its format at the end.
    """
    parameters = _unique_parameters(modules)
    trace.allocate("model", sum(_loaded_bytes(parameter, packed=1) for _, parameter in parameters.values()))
    trace.release("model")
    ordered = sorted(parameters.items())
    for path, (module, parameter) in ordered:
        # A packed matrix holds two numbers a byte, which come in 16 bits each.
        trace.allocate(path, _loaded_bytes(parameter, packed=4))
        if parameter.dtype is torch.uint8:
            trace.track([parameter, *module.buffers()], "frozen")
            trace.release(path)
    for path, (_, parameter) in ordered:
        if parameter.dtype is not torch.uint8:
            trace.track([parameter], "frozen")
            trace.release(path)


def _unique_parameters(modules: list[tuple[str, Any]]) -> dict[str, tuple[Any, torch.Tensor]]:
    """Return each parameter once by its path, with its module; of tied ones the first path stays."""
    by_id: dict[int, tuple[str, tuple[Any, torch.Tensor]]] = {}
    for path, module in modules:
        for name, parameter in module._parameters.items():
            if parameter is not None:
                by_id.setdefault(id(parameter), (f"{path}.{name}", (module, parameter)))
    return dict(by_id.values())


def _loaded_bytes(parameter: torch.Tensor, packed: int) -> int:
    """Return the bytes of a parameter with so many for an element that is packed, else 2."""
    bytes_per_element = packed if parameter.dtype is torch.uint8 else 2
    return int(parameter.numel() * bytes_per_element)
