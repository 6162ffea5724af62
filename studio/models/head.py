"""The linear head of a classifier: its kind of problem, and the scale of the numbers it gives."""

from typing import Any

import torch


def has_bias(model: Any) -> bool:
    """Whether the head of a model with one output has a bias; those of decoders have none."""
    return _find_heads(model)[-1].bias is not None


def fold_scale(model: Any, mean: float, deviation: float) -> None:
    """Make a model that has learned standardized numbers give them in their own unit, whatever opens it.

    w·x + b becomes deviation·(w·x + b) + mean, in the trained head's own weight and bias.

    Args:
        model: The trained model; of a head that PEFT has copied, the trained copy changes.
        mean: What was taken from the numbers; 0 where the head has no bias.
        deviation: What they were divided by.
    """
    (head,) = [linear for linear in _find_heads(model) if linear.weight.requires_grad]
    with torch.no_grad():
        head.weight.mul_(deviation)
        if head.bias is not None:
            head.bias.mul_(deviation).add_(mean)


def _find_heads(model: Any) -> list[torch.nn.Linear]:
    """The linear layers with one output, of which an ordinary model has one."""
    return [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == 1
    ]
