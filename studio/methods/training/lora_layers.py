"""PEFT's LoRA layers with a training pass of fewer operations, where a LoRA is plain: no dropout, no DoRA."""

from typing import Any

import torch
from peft import LoraConfig
from peft.tuners import lora


class _AddLora(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """Add scaling · (x Aᵀ) Bᵀ to the output of a matrix.

    PEFT copies x to the format of A, from which autocast copies it back, and computes product, scaling and
    sum one by one: 22 operations for a matrix on the way forward and back, and 13 here. A GPU waits for each
    to be launched, and the copies of x are kept too (docs/methods.md#one-kernel).
    """

    @staticmethod
    def forward(
        ctx: Any, output: torch.Tensor, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Add to rows x tokens x n_out; x has n_in, and A and B are rank x n_in and n_out x rank."""
        dtype = _product_dtype(output)
        x, b = x.to(dtype).flatten(0, -2), b.to(dtype)
        scaled_a = torch.mul(a, scaling, out=torch.empty_like(a, dtype=dtype))
        hidden = x @ scaled_a.t()
        ctx.save_for_backward(x, scaled_a, b, hidden)
        ctx.scaling, ctx.dtype = scaling, a.dtype
        may_change = output.is_contiguous() and not output._is_view()  # as a product with a bias is
        if not may_change or output.dtype is not dtype:
            return output + (hidden @ b.t()).view_as(output)
        output.view(-1, output.shape[-1]).addmm_(hidden, b.t())
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients of the output, x, A and B."""
        x, scaled_a, b, hidden = ctx.saved_tensors
        rows = grad.flatten(0, -2).to(x.dtype)
        hidden_grad = rows @ b
        a_grad = (hidden_grad.t() @ x).to(ctx.dtype).mul_(ctx.scaling)
        b_grad = (rows.t() @ hidden).to(ctx.dtype)
        x_grad = None
        if ctx.needs_input_grad[1]:
            x_grad = (hidden_grad @ scaled_a).view(*grad.shape[:-1], -1)
        return grad, x_grad, a_grad, b_grad, None


def _product_dtype(output: torch.Tensor) -> torch.dtype:
    """The format in which matrices are multiplied: that of autocast, else that of the base's product."""
    kind = output.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return output.dtype


class _PlainLora:
    """Comes before a LoRA layer of PEFT: a pass in training takes `_AddLora`, any other one is PEFT's.

    RLOO scores each answer twice in training, with gradients and without, and compares both scores.
    """

    active_adapters: list[str]
    base_layer: torch.nn.Module
    disable_adapters: bool
    lora_A: torch.nn.ModuleDict
    lora_B: torch.nn.ModuleDict
    merged: bool
    scaling: dict[str, float]
    training: bool

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Rows x tokens x n_in to rows x tokens x n_out."""
        is_plain_pass = not (args or kwargs or self.disable_adapters or self.merged)
        names = [name for name in self.active_adapters if name in self.lora_A]
        in_training = self.training or torch.is_grad_enabled()
        if not in_training or not is_plain_pass or len(names) != 1:
            output: torch.Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc] # PEFT's
            return output
        (name,) = names
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        added: torch.Tensor = _AddLora.apply(self.base_layer(x), x, a, b, self.scaling[name])
        return added


class PlainLinear(_PlainLora, lora.Linear):  # type: ignore[misc] # PEFT's types are not followed
    """A matrix with a plain LoRA."""


def register(config: LoraConfig, model: torch.nn.Module) -> None:
    """Let PEFT make layers of this module for a plain LoRA; any other one keeps PEFT's.

    Args:
        config: The LoRA, before it is attached.
        model: What it will be attached to.
    """
    if config.lora_dropout or config.use_dora:
        return
    layers: dict[type, type] = {}
    if getattr(model, "is_loaded_in_4bit", False):
        import bitsandbytes  # noqa: PLC0415 - not every machine has it

        class Plain4bit(_PlainLora, lora.Linear4bit):  # type: ignore[misc] # as above
            """A matrix in 4 bits with a plain LoRA."""

        layers[bitsandbytes.nn.Linear4bit] = Plain4bit
    config._register_custom_module({**layers, torch.nn.Linear: PlainLinear})
