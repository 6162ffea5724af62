"""Rehearse a step of a run without weights: the very model, method and loss on meta tensors, with the kernels of the device it is meant for."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, masking_utils

from studio import methods
from studio.data import batch
from studio.estimate.trace import Trace
from studio.methods.base import Settings
from studio.plan import Task

aten = torch.ops.aten
sdpa = torch.nn.functional.scaled_dot_product_attention


@dataclass(frozen=True)
class Pass:
    """One portion of texts on its way through the model: `rows` texts of `tokens` tokens, scores at `scored` positions of each.

    `padded` says that some are shorter, so that a mask is needed; `learn` that gradients are wanted.
    """

    rows: int
    tokens: int
    scored: int
    padded: bool
    learn: bool = True


class Rehearsal:
    """A model of a config with a method attached, on meta tensors, as it stands in training on `device` ("cpu" or "cuda")."""

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        settings: Settings,
        task: Task,
        labels: int,
        device: str,
        bf16: bool = False,
        recompute: bool = False,
        where: str = "meta",
    ) -> None:
        self.method, self.task, self.device, self.where = methods.get(name), task, device, where
        found = AutoConfig.for_model(**config)
        found.num_labels = labels or found.num_labels
        kind = AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM
        held = torch.bfloat16 if bf16 and device == "cuda" and self.method.weights != "trained" else torch.float32
        with torch.device(where):
            model = kind.from_config(found, dtype=held, attn_implementation="sdpa")
            if self.method.weights == "nf4":
                _in_4_bits(model, held)
            model.config.name_or_path = model.name_or_path = ""
            model.config.pad_token_id = 0
            model = self.method.attach(model, settings, task)
            self.model = self.method.rehearse(model, settings)
        for value in self.model.parameters():
            if value.requires_grad and value.is_floating_point():
                value.data = value.data.float()
        self.half, self.recompute = bf16 and device == "cuda", recompute
        if recompute:
            # On the way back no mode is on: the second pass must be told to compute as the first.
            again = (lambda: (nullcontext(), _Mixed(keep=False))) if self.half else (lambda: (nullcontext(), nullcontext()))
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False, "context_fn": again})
            self.model.enable_input_require_grads()
        self.vocabulary = int(getattr(found, "vocab_size", 0))

    @property
    def learned(self) -> list[torch.nn.Parameter]:
        """The numbers that are trained."""
        return [value for value in self.model.parameters() if value.requires_grad]

    def run(self, asked: Pass, states: bool = True) -> Trace:
        """Send a portion through, and back where it is to learn; the trace has the phases "forward", "backward" and "update".

        For a card a learning step is done twice and the second one counted: only then are the optimiser's averages there, unless `states`
        says that they lie elsewhere.
        """
        trace = Trace(self.device, self.vocabulary)
        trace.hold((value for value in self.model.parameters() if not value.requires_grad), "frozen")
        trace.hold((value for value in self.model.buffers()), "frozen")
        trace.hold(self.learned, "weights")
        self.model.train(asked.learn)
        kept: list[torch.Tensor] = []
        kernels = _kernels(self.device, asked.padded) if self.where == "meta" else nullcontext()
        with (
            kernels,
            _Mixed(keep=not self.recompute) if self.half and asked.learn else nullcontext(),
            trace,
            torch.set_grad_enabled(asked.learn),
        ):
            if asked.learn and self.device == "cuda":
                self._step(trace, asked)
                with trace.during("states", "optimiser"):
                    kept += [torch.empty_like(value) for value in self.learned for _ in range(2 if states else 0)]
                trace.again()
            self._step(trace, asked)
        del kept
        gc.collect()
        return trace

    def _step(self, trace: Trace, asked: Pass) -> None:
        with trace.during("forward", "activations"):
            trace.workspace()
            loss = self._loss(asked)
        if asked.learn:
            handles = [
                value.register_post_accumulate_grad_hook(lambda value: trace.belongs(value.grad, "gradients")) for value in self.learned
            ]
            with trace.during("backward", "passing"):
                trace.workspace()
                loss.backward()
            del loss
            with trace.during("update", "passing"):
                torch.nn.utils.clip_grad_norm_(self.learned, 1.0)
            for handle in handles:
                handle.remove()
        for value in self.learned:
            value.grad = None

    def _loss(self, asked: Pass) -> torch.Tensor:
        """The loss of a portion; the model's outputs are let go as a Trainer lets them go."""
        kind: dict[str, Any] = {"dtype": torch.long, "device": self.where}
        mask = torch.ones(asked.rows, asked.tokens, **kind)
        if asked.padded:
            mask[0, -1] = 0
        given = {"input_ids": torch.ones(asked.rows, asked.tokens, **kind), "attention_mask": mask}
        if self.task == "classify":
            labels = torch.zeros(asked.rows, **kind)
        else:
            given["logits_to_keep"] = torch.arange(asked.tokens - asked.scored, asked.tokens, **kind) - 1
            labels = torch.ones(asked.rows, asked.scored + 1, **kind)
        return batch.loss(self.task)(self.model(**given), labels, torch.ones((), **kind))


@contextmanager
def _kernels(device: str, padded: bool) -> Iterator[None]:
    """What the libraries would do on the device: its attention kernels, and a mask where texts are padded."""
    told = {
        (masking_utils, "fast_all"): lambda mask: not padded,
        (masking_utils, "_ignore_bidirectional_mask_sdpa"): lambda *_: not padded,
        (masking_utils, "find_packed_sequence_indices"): lambda positions: None,
        (torch.nn.functional, "scaled_dot_product_attention"): _attention_on_card if device == "cuda" else _attention_on_cpu,
    }
    before = {place: getattr(*place) for place in told}
    for (where, name), value in told.items():
        setattr(where, name, value)
    try:
        yield
    finally:
        for (where, name), value in before.items():
            setattr(where, name, value)


# What autocast computes in 16 bits, and in 32 (torch/amp/autocast_mode.py: the lists of CUDA).
IN_16 = {torch.nn.functional.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm, torch.baddbmm, torch.addmm}
IN_32 = {torch.nn.functional.cross_entropy, torch.nn.functional.softmax, torch.nn.functional.layer_norm, torch.Tensor.pow, torch.Tensor.sum}


class _Mixed(TorchFunctionMode):  # type: ignore[misc] # torch ships no types for it
    """Autocast to bfloat16, which does nothing on meta tensors, done by hand; a trained weight's copy is kept for the pass, as there,
    unless the pass is computed twice."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self.keep, self.copies = keep, dict[int, torch.Tensor]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function with its tensors in the format autocast gives them."""
        kwargs = kwargs or {}
        if func in IN_16 or func is torch.nn.functional.scaled_dot_product_attention:
            args, kwargs = tree_map(self._half, (args, kwargs))
        elif func in IN_32:
            args, kwargs = tree_map(_whole_again, (args, kwargs))
        return func(*args, **kwargs)

    def _half(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
            return value
        if id(value) in self.copies:
            return self.copies[id(value)]
        half = value.to(torch.bfloat16)
        if self.keep and value.is_leaf and value.requires_grad:
            self.copies[id(value)] = half
        return half


def _whole_again(value: Any) -> Any:
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
        return sdpa(query, key, value, attn_mask=attn_mask, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa)
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask, 0.0)
    return aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale)[0]


def _attention_on_card(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """torch's choice on a card: flash attention on 16-bit numbers without a mask, else the memory-efficient kernel."""
    if attn_mask is None and query.dtype in (torch.bfloat16, torch.float16):
        return aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
    if enable_gqa:
        key, value = (one.repeat_interleave(query.shape[1] // one.shape[1], dim=1) for one in (key, value))
    if attn_mask is not None:
        attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype) if attn_mask.dtype is torch.bool else attn_mask
        attn_mask = attn_mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return aten._scaled_dot_product_efficient_attention(query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale)[0]


class _Multiplied(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """A product with a 4-bit matrix as bitsandbytes does it: multiplied out for the pass, and once more on the way back."""

    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, packed: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        ctx.shape, ctx.packed = shape, packed
        return torch.nn.functional.linear(given, _whole(packed, shape, given.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return grad @ _whole(ctx.packed, ctx.shape, grad.dtype), None, None


def _whole(packed: torch.Tensor, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    return packed.new_empty(shape, dtype=dtype)


class Packed(torch.nn.Linear):  # type: ignore[misc] # torch's types are not followed
    """Stands for a 4-bit matrix of bitsandbytes: NF4 in blocks of 64, whose scales are 8-bit numbers in blocks of 256 (double quantisation)."""

    def __init__(self, whole: torch.nn.Linear, dtype: torch.dtype) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias, count = whole.in_features, whole.out_features, whole.bias, whole.weight.numel()
        self.weight = torch.nn.Parameter(torch.empty(count // 2, 1, dtype=torch.uint8, device="meta"), requires_grad=False)
        self.register_buffer("absmax", torch.empty(-(-count // 64), dtype=torch.uint8, device="meta"), persistent=False)
        self.register_buffer("nested", torch.empty(-(-count // (64 * 256)) + 256 + 16, device="meta"), persistent=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """The product; PEFT clones the outcome of a 4-bit layer before it adds to it."""
        found = _Multiplied.apply(given, self.weight, (self.out_features, self.in_features))
        return (found if self.bias is None else found + self.bias).clone()


def _in_4_bits(model: Any, dtype: torch.dtype) -> None:
    """Put 4-bit stand-ins in the place of every matrix that bitsandbytes would round."""
    from studio.models import load  # noqa: PLC0415 - its list of what stays whole

    stays = load.nf4().llm_int8_skip_modules
    for path, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and not any(part in stays for part in path.split(".")):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, Packed(module, dtype))
    for value in model.parameters():
        if value.dtype is torch.uint8:
            value.requires_grad_(False)
