"""RMS norms in one kernel of torch on a GPU, where transformers computes them in eight."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm


@contextmanager
def fused_norms(model: Any, device: str = "") -> Iterator[None]:
    """Within, a CUDA GPU computes each norm that is Llama's in one kernel, and keeps no copy in 32 bits.

    The sum of squares is in 32 bits either way; the result is rounded once instead of twice.

    Args:
        model: The model.
        device: The kind of device that is meant; empty for the one that the model is on.
    """
    if (device or model.device.type) != "cuda":
        yield
        return
    modules = [module for module in model.modules() if "forward" not in vars(module)]  # which nobody changed
    llamas = {module_class for module_class in set(map(type, modules)) if _is_llamas(module_class)}
    norms = [module for module in modules if type(module) in llamas]
    for norm in norms:
        norm.forward = partial(_normalize, norm, norm.forward)
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _is_llamas(module_class: type) -> bool:
    """Whether a class computes what LlamaRMSNorm does: transformers repeats its lines for each family."""
    if not module_class.__name__.endswith("RMSNorm"):
        return False
    return _lines(module_class) == _lines(LlamaRMSNorm)


def _lines(module_class: Any) -> str:
    return inspect.getsource(module_class.forward)


def _normalize(
    norm: Any, forward: Callable[[torch.Tensor], torch.Tensor], hidden_states: torch.Tensor
) -> torch.Tensor:
    """Rows x tokens x width, normalized; of different formats transformers makes a third one."""
    if hidden_states.dtype is not norm.weight.dtype:
        return forward(hidden_states)
    with torch.autocast("cuda", enabled=False):  # which would make it 32 bits, that each matrix copies back
        normalized: torch.Tensor = functional.rms_norm(
            hidden_states, (hidden_states.shape[-1],), norm.weight, norm.variance_epsilon
        )
    return normalized
