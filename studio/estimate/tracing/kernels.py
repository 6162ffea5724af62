"""What meta tensors do not know of a device: which attention kernel it would choose, what autocast does there, what 4 bits take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map
from transformers import masking_utils

from studio.estimate.tracing.trace import Trace, unpack

aten = torch.ops.aten
sdpa = torch.nn.functional.scaled_dot_product_attention
softmax = torch.nn.functional.softmax
# The fastest attention a card has: flash attention needs Ampere or newer; below, torch takes the memory-efficient kernel.
AttentionKernel = Literal["flash", "efficient"]


@contextmanager
def patch_kernels(device: str, padded: bool, attention: AttentionKernel = "flash") -> Iterator[None]:
    """What the libraries would do on the device: its attention kernels, a mask where texts are padded, and on a card a fused softmax.

    `attention` is the fastest kernel that a card has.
    """
    patches: dict[tuple[Any, str], Any] = {
        (masking_utils, "fast_all"): lambda mask: not padded,
        (masking_utils, "_ignore_bidirectional_mask_sdpa"): lambda *_: not padded,
        (masking_utils, "find_packed_sequence_indices"): lambda positions: None,
    }
    functional = torch.nn.functional
    if device == "cuda":
        patches |= {
            (functional, "scaled_dot_product_attention"): partial(_attention_on_gpu, attention),
            (functional, "softmax"): _fused_softmax,
        }
    else:
        patches[functional, "scaled_dot_product_attention"] = _attention_on_cpu
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
    """On a card one kernel takes 16-bit numbers and gives 32-bit ones; everywhere else they are copied first (SoftMax.cpp)."""
    if dim is not None and dtype is torch.float32 and tensor.dtype in (torch.float16, torch.bfloat16):
        return torch._softmax(tensor, dim % tensor.dim(), True)
    return softmax(tensor, dim=dim, dtype=dtype)


# What autocast computes in 16 bits, and in 32 (torch/amp/autocast_mode.py: the lists of CUDA).
BF16_FUNCTIONS = {
    torch.nn.functional.linear,
    torch.matmul,
    torch.Tensor.matmul,
    torch.Tensor.__matmul__,
    torch.bmm,
    torch.baddbmm,
    torch.addmm,
}
FLOAT32_FUNCTIONS = {
    torch.nn.functional.cross_entropy,
    torch.nn.functional.softmax,
    torch.nn.functional.layer_norm,
    torch.Tensor.pow,
    torch.Tensor.sum,
}


class MetaAutocast(TorchFunctionMode):  # type: ignore[misc] # torch ships no types for it
    """Autocast to bfloat16, which does nothing on meta tensors, done by hand; a trained weight's copy is kept for the pass, as there,
    unless the pass is computed twice."""

    def __init__(self, caches_weights: bool) -> None:
        super().__init__()
        self.caches_weights, self.weight_copies = caches_weights, dict[int, torch.Tensor]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function with its tensors in the format autocast gives them."""
        kwargs = kwargs or {}
        if func in BF16_FUNCTIONS or func is torch.nn.functional.scaled_dot_product_attention:
            args, kwargs = tree_map(self._to_bf16, (args, kwargs))
        elif func in FLOAT32_FUNCTIONS:
            args, kwargs = tree_map(_to_float32, (args, kwargs))
        return func(*args, **kwargs)

    def _to_bf16(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
            return value
        if id(value) in self.weight_copies:
            return self.weight_copies[id(value)]
        half = value.to(torch.bfloat16)
        if self.caches_weights and value.is_leaf and value.requires_grad:
            self.weight_copies[id(value)] = half
        return half


def _to_float32(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype is torch.bfloat16 else value


def _attention_on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """torch's choice on a processor: its flash kernel, or plain products where dropout is wanted (sdp_utils_cpp.cpp)."""
    if dropout_p > 0:
        return sdpa(
            query,
            key,
            value,
            attn_mask=attn_mask,
            dropout_p=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask, 0.0)
    return aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale
    )[0]


def _attention_on_gpu(
    fastest: AttentionKernel,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """torch's choice on a card (cuda/sdp_utils.cpp): flash attention on 16-bit numbers without a mask, else the memory-efficient kernel;
    plain products where that would have to share keys among heads."""
    if fastest == "flash" and attn_mask is None and query.dtype in (torch.bfloat16, torch.float16):
        return aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, is_causal, False, scale=scale
        )[0]
    if enable_gqa and key.shape[1] != query.shape[1]:
        return sdpa(
            query,
            key,
            value,
            attn_mask=attn_mask,
            dropout_p=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=True,
        )
    if attn_mask is not None:
        attn_mask = (
            torch.zeros_like(attn_mask, dtype=query.dtype) if attn_mask.dtype is torch.bool else attn_mask
        )
        attn_mask = attn_mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale
    )[0]


class _DequantizedLinear(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """A product with a 4-bit matrix as bitsandbytes does it: multiplied out for the pass, and once more on the way back."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, matrix: "PackedLinear") -> torch.Tensor:
        ctx.matrix = matrix
        return torch.nn.functional.linear(inputs, matrix.dequantize(inputs.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad @ ctx.matrix.dequantize(grad.dtype), None


class PackedLinear(torch.nn.Linear):  # type: ignore[misc] # torch's types are not followed
    """Stands for a 4-bit matrix of bitsandbytes: NF4 in blocks of 64, a scale each; `nested` scales are 8-bit numbers in blocks of 256.

    Products are in `dtype`, whatever comes in. `copied` says that the outcome is cloned, as PEFT does before it adds to it.
    """

    def __init__(self, linear: torch.nn.Linear, dtype: torch.dtype, nested: bool = True) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.dtype, self.nested, self.clones_output = dtype, nested, False
        n_weights, options = linear.weight.numel(), {"device": "meta"}
        blocks = -(-n_weights // 64)
        self.weight = torch.nn.Parameter(
            torch.empty(n_weights // 2, 1, dtype=torch.uint8, **options), requires_grad=False
        )
        scales = {
            "absmax": torch.empty(blocks, dtype=torch.uint8 if nested else torch.float32, **options),
            "code": torch.empty(16, **options),
        }
        if nested:
            scales |= {
                "absmax_of_absmax": torch.empty(-(-blocks // 256), **options),
                "nested_code": torch.empty(256, **options),
                "offset": torch.empty((), **options),
            }
        for name, value in scales.items():
            self.register_buffer(name, value, persistent=False)

    def dequantize(self, dtype: torch.dtype) -> torch.Tensor:
        """The matrix multiplied out, its scales before it."""
        scales = (
            torch.empty_like(self.absmax, dtype=torch.float32).add_(self.offset)
            if self.nested
            else self.absmax
        )
        return unpack(scales, self.out_features, self.in_features, dtype)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The product in the format of what was given."""
        outputs = _DequantizedLinear.apply(inputs.to(self.dtype), self)
        outputs = (outputs if self.bias is None else outputs + self.bias.to(self.dtype)).to(inputs.dtype)
        return outputs.clone() if self.clones_output else outputs


def replace_linears_with_4bit(model: Any, dtype: torch.dtype, nested: bool = True) -> Callable[[Trace], None]:
    """Put 4-bit stand-ins in the place of every matrix that bitsandbytes would round; returns what counts the loading of the model."""
    from studio.models import load  # noqa: PLC0415 - its list of what stays whole

    skip_modules = load.nf4_config().llm_int8_skip_modules
    for path, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and not any(part in skip_modules for part in path.split(".")):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, PackedLinear(module, dtype, nested))
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad and parameter.dtype is not torch.uint8)
    return partial(_trace_loading, sorted(model.named_modules()))


def clone_packed_outputs(model: Any) -> None:
    """Have PEFT's clones of what its 4-bit matrices give."""
    for path, module in model.named_modules():
        if isinstance(module, PackedLinear):
            module.clones_output = path.endswith("base_layer")


def _trace_loading(modules: list[tuple[str, Any]], trace: Trace) -> None:
    """Reading a model in 4 bits on a card: transformers takes a block of its size and lets go of it (caching_allocator_warmup); then come
    the matrices, one by one, in 16 bits and packed; what stays whole is brought into its format at the end."""
    parameters = {
        f"{path}.{name}": (module, parameter)
        for path, module in modules
        for name, parameter in module._parameters.items()
        if parameter is not None
    }
    parameters = dict(
        {
            id(parameter): (path, (module, parameter))
            for path, (module, parameter) in reversed(parameters.items())
        }.values()
    )
    trace.allocate(
        "model",
        sum(
            parameter.numel() * (1 if parameter.dtype is torch.uint8 else 2)
            for _, parameter in parameters.values()
        ),
    )
    trace.release("model")
    ordered = sorted(parameters.items())
    for path, (module, parameter) in ordered:
        trace.allocate(path, parameter.numel() * (4 if parameter.dtype is torch.uint8 else 2))
        if parameter.dtype is torch.uint8:
            trace.track([parameter, *module.buffers()], "frozen")
            trace.release(path)
    for path, (_, parameter) in ordered:
        if parameter.dtype is not torch.uint8:
            trace.track([parameter], "frozen")
            trace.release(path)
