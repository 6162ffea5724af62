"""The linear head of a classifier: its kind of problem, and the scale of the numbers it gives."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from studio.models.other_kinds import list_architectures
from studio.models.shape import list_labels, read_config

# Numbers lie within so many standard deviations of their mean, and may be rounded by this share of one.
MAX_DEVIATIONS, MAX_ROUNDING_SHARE = 10.0, 0.25


def find_head(model: Any) -> torch.nn.Linear:
    """The linear layer that gives the scores of classes; of a head that PEFT has copied, the trained copy."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layer = base.classifier if hasattr(base, "classifier") else base.score
    head = layer.modules_to_save[layer.active_adapter] if hasattr(layer, "modules_to_save") else layer
    return getattr(head, "out_proj", head)  # of RoBERTa and its like, the last layer of two


def is_trained_for(folder: Path, labels: Sequence[str]) -> bool:
    """Whether the model in a folder has a head for just these classes, in this order."""
    config = read_config(folder) if (folder / "config.json").is_file() else {}
    classes = " ".join(list_architectures(config))
    has_head = "ForSequenceClassification" in classes or "PooledClassifier" in classes
    return has_head and list_labels(config) == list(labels)


def has_bias(model: Any) -> bool:
    """Whether the head of a model with one output has a bias; those of decoders have none."""
    return find_head(model).bias is not None


def can_hold(dtype: torch.dtype, mean: float, deviation: float) -> bool:
    """Whether a head whose bias holds the mean of numbers still tells them apart in a format.

    Args:
        dtype: The format in which the head is saved and computes.
        mean: The mean of the numbers; 0 where the head has no bias.
        deviation: Their standard deviation.
    """
    limits = torch.finfo(dtype)
    # Half the step between two numbers of the size of the mean.
    rounding_error = limits.eps / 2 * 2.0 ** math.floor(math.log2(abs(mean))) if mean else 0.0
    is_in_range = abs(mean) + MAX_DEVIATIONS * deviation < limits.max
    return bool(is_in_range and rounding_error <= MAX_ROUNDING_SHARE * deviation)


def fold_scale(model: Any, mean: float, deviation: float) -> None:
    """Make a model that has learned standardized numbers give them in their own unit, whatever opens it.

    w·x + b becomes deviation·(w·x + b) + mean, in the trained head's own weight and bias.

    Args:
        model: The trained model; of a head that PEFT has copied, the trained copy changes.
        mean: What was taken from the numbers; 0 where the head has no bias.
        deviation: What they were divided by.
    """
    head = find_head(model)
    with torch.no_grad():
        head.weight.mul_(deviation)
        if head.bias is not None:
            head.bias.mul_(deviation).add_(mean)
