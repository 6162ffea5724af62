"""Starts a classifier's head from the linear fit on the base's embeddings, which is also the yardstick.

A linear model on the embeddings of a frozen base takes seconds, and a head that starts from nothing takes
most of a training to get where it is. So the head of every method starts there, and a result says what the
training added.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from studio.data import collate
from studio.data.examples import Encoded
from studio.evaluate.predictions import Measured
from studio.methods.spec import TrainingContext
from studio.methods.workload import CACHE_BATCH_TOKENS, MAX_LINEAR_ROWS
from studio.models import device
from studio.models.head import find_head, is_trained_for
from studio.models.linear_fit import fit_linear
from studio.models.pooled_classifier import PooledClassifier
from studio.plan import PROBLEM_TYPES

Array = NDArray[Any]


def start(context: TrainingContext, held_out: Sequence[Encoded], keeps_head: bool = True) -> Measured:
    """Fit the head of a context's model to its training rows.

    Virtual tokens change what the head reads from the start, so behind them it is fitted anew.

    Args:
        context: The training.
        held_out: The rows on which the linear model is measured.
        keeps_head: Whether a head that an earlier training taught these very classes stays as it is: the fit
            is measured alone. Where no steps follow, the fit is what is learned.

    Returns:
        What the linear model on the frozen base's embeddings makes of `held_out`, with the `seconds` that
        features and fit took among the scores.
    """
    started_at = time.perf_counter()
    has_virtual_tokens = collate.get_prompt_config(context.model) is not None
    base = context.model.get_base_model() if has_virtual_tokens else context.model
    own_head = _copy_trained_head(context)
    fit(context, base)
    seconds = time.perf_counter() - started_at
    measured = context.measure_rows(base, list(held_out))
    if own_head:
        context.add_note("own_head", True)
    if own_head and keeps_head:
        find_head(context.model).load_state_dict(own_head)
    elif has_virtual_tokens:
        fit(context, context.model)
    return Measured(measured.scores | {"seconds": round(seconds, 1)}, measured.outcomes)


def _copy_trained_head(context: TrainingContext) -> dict[str, torch.Tensor]:
    """The head of a base that sorts into the classes of the data already; empty of any other base."""
    names = list((context.model.config.id2label or {}).values())
    sorts_texts = context.model.config.problem_type != PROBLEM_TYPES["rating"]
    if not sorts_texts or not context.base_folder or not is_trained_for(context.base_folder, names):
        return {}
    return {name: value.clone() for name, value in find_head(context.model).state_dict().items()}


def fit(context: TrainingContext, model: Any) -> None:
    """Put the linear fit to the context's training rows into a model's head.

    Of more than MAX_LINEAR_ROWS rows so many are taken evenly: all would hardly be better, and take memory.
    """
    rows = context.train[:: math.ceil(len(context.train) / MAX_LINEAR_ROWS)]
    fit_head(model, rows, context.tokenizer, partial(context.report_progress, "linear"))


def fit_head(
    model: Any, rows: Sequence[Encoded], tokenizer: Any, on_progress: Callable[[int, int], None]
) -> None:
    """Put the linear fit to encoded examples into a model's head; arguments as in `compute_features`."""
    features = compute_features(model, rows, tokenizer, on_progress)
    targets = [row.labels if len(row.labels) > 1 else row.labels[0] for row in rows]
    layer = find_head(model)
    has_bias = layer.bias is not None
    centre, scale = np.zeros(layer.in_features), np.full(layer.in_features, layer.in_features**-0.5)
    if not _is_normalized(model):
        centre, scale = _standardization(features, centred=has_bias)
    weight, bias = fit_linear((features - centre) * scale, np.array(targets), layer.out_features, has_bias)
    weight = weight * scale
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        if has_bias:
            layer.bias.copy_(torch.from_numpy(bias - weight @ centre))


def _is_normalized(model: Any) -> bool:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return isinstance(base, PooledClassifier)


def compute_features(
    model: Any, rows: Sequence[Encoded], tokenizer: Any, on_progress: Callable[[int, int], None]
) -> Array:
    """What a model's head reads of each row in evaluation mode.

    Args:
        model: A classifier.
        rows: The encoded examples.
        tokenizer: Its tokenizer.
        on_progress: Called with the rows that are done, and of how many.

    Returns:
        Rows x width, in the order of the rows.
    """
    collator = collate.build_collator("classify", tokenizer)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    batch_size = max(1, CACHE_BATCH_TOKENS // len(rows[order[-1]].input_ids))
    layer = find_head(model)
    features = np.empty((len(rows), layer.in_features), dtype=np.float32)
    was_training = model.training
    model.eval()
    # With what it reads in place of its scores, the model's logits are the features of each text.
    handle = layer.register_forward_hook(lambda module, inputs, output: inputs[0])
    try:
        for start_index in range(0, len(order), batch_size):
            on_progress(start_index, len(order))
            indices = order[start_index : start_index + batch_size]
            batch = collator([vars(rows[index]) for index in indices])
            del batch["labels"]
            with torch.no_grad(), device.autocast():
                logits = model(**collate.to_device(batch, model.device)).logits
            features[indices] = logits.float().cpu().numpy()
    finally:
        handle.remove()
        model.train(was_training)
    return features


def _standardization(features: Array, centred: bool) -> tuple[Array, Array]:
    """What is taken from each feature, and what it is multiplied by, so that a row has about unit length."""
    centre = features.mean(axis=0) if centred else np.zeros(features.shape[1])
    spread = np.sqrt(((features - centre) ** 2).mean(axis=0)) + 1e-6
    return centre, 1 / (spread * math.sqrt(features.shape[1]))
