"""A copy of a model that runs at any size: the code of its family, with large matrices of few numbers."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM

from studio.models import layers

# Of a deep model these blocks are kept, from the first: no pattern of kinds known here repeats in more.
MOST_BLOCKS = 8
# A tensor of more numbers than this repeats a few.
MOST_NUMBERS = 1 << 16
# Inner width of what stands for a matrix.
RANK = 16
# Scores this wide reach the bounds that models put on them.
SCORE_SPREAD = 10.0
# Tokens this far apart stay so behind many blocks, where rounding would grow from one to the next.
TABLE_SPREAD = 30.0
# Classes of matrices that have a forward pass of their own and do in it what every matrix does.
OTHER_MATRICES = ("FalconLinear",)
# Ends of the names of settings that say from how many tokens on attention sees less than all before.
VIEW_NAMES = ("sliding_window", "window_size", "chunk_size", "index_topk", "floor_scale")


def build(config: Mapping[str, Any], longest_view: int) -> Any:
    """A causal model that mixes tokens and scores words as the one of a config does, with other weights.

    Each matrix is a product of three thin ones, each other large tensor repeats its numbers, and experts pass
    on what they get.

    Args:
        config: The contents of a `config.json`.
        longest_view: Windows, chunks and the like that a text may exceed are set to this many tokens, so
            that short ones do.
    """
    model_config = AutoConfig.for_model(**config)
    for part in (model_config, model_config.get_text_config()):
        context = getattr(part, "max_position_embeddings", None) or math.inf
        for name, value in vars(part).items():
            if name.endswith(VIEW_NAMES) and isinstance(value, int) and longest_view < value < context:
                setattr(part, name, longest_view)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        with _LargeWithoutMemory():
            model = AutoModelForCausalLM.from_config(
                model_config, dtype=torch.float32, trust_remote_code=False
            )
        del layers.get_blocks(model)[MOST_BLOCKS:]
        model_config.get_text_config().num_hidden_layers = len(layers.get_blocks(model))
        _fill(model)
    return model.eval()


class _LargeWithoutMemory(TorchFunctionMode):  # type: ignore[misc] # torch's types are not followed
    """Within, what a module allocates takes no memory where it is large."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and func(*args, **{**kwargs, "device": "meta"}).numel() > MOST_NUMBERS:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _fill(model: Any) -> None:
    """Give every part of a model numbers, and its matrices thin forms."""
    head, thin = model.get_output_embeddings(), _ThinMatrices()
    for name, module in list(model.named_modules()):
        parameters = dict(module.named_parameters(recurse=False))
        if name.endswith("experts") and any(
            value.ndim == 3 and value.is_meta for value in parameters.values()
        ):
            module.forward = _pass_on
        for key, value in parameters.items():
            is_table = isinstance(module, torch.nn.Embedding)
            if value.is_meta or is_table:
                spread = TABLE_SPREAD if is_table else value.shape[-1] ** -0.5
                setattr(module, key, torch.nn.Parameter(_repeat_numbers(value, spread), requires_grad=False))
        if type(module).forward is torch.nn.Linear.forward or type(module).__name__ in OTHER_MATRICES:
            module.forward = thin.stand_for(module, SCORE_SPREAD if module is head else 1.0)


def _pass_on(hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return hidden


def _repeat_numbers(like: torch.Tensor, spread: float) -> torch.Tensor:
    """Random values in the form of a tensor: each row is the one before, moved by one."""
    values = torch.randn(sum(like.shape)) * spread
    return values.as_strided(like.shape, (1,) * like.ndim)


class _ThinMatrices:
    """What stands for matrices; those of like widths share most of it."""

    def __init__(self) -> None:
        self._by_width: dict[int, torch.Tensor] = {}

    def stand_for(self, matrix: torch.nn.Linear, spread: float) -> Any:
        """The forward pass that stands for the one of a matrix."""
        n_out, n_in = matrix.weight.shape
        into, out_of = self._of_width(n_in), self._of_width(n_out).T
        between = torch.randn(RANK, RANK) * spread * (n_in**0.5 * RANK) ** -1

        def forward(hidden: torch.Tensor) -> torch.Tensor:
            product = hidden.float() @ into @ between @ out_of
            return (product if matrix.bias is None else product + matrix.bias).to(hidden.dtype)

        return forward

    def _of_width(self, width: int) -> torch.Tensor:
        return self._by_width.setdefault(width, torch.randn(width, RANK))
