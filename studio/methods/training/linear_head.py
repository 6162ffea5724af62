"""Starts a classifier's head from the linear fit on the base's embeddings, which is also the yardstick.

A linear model on the embeddings of a frozen base takes seconds, and a head that starts from nothing takes
most of a training to get where it is. So the head of every method starts there, and a result says what the
training added.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from studio.data import collate
from studio.data.examples import Encoded
from studio.evaluate.predictions import Measured
from studio.methods.spec import TrainingContext
from studio.methods.workload import CACHE_BATCH_TOKENS, MAX_LINEAR_ROWS
from studio.models import device
from studio.models.head import find_head
from studio.models.pooled_classifier import PooledClassifier

Array = NDArray[Any]
# Little regularization on features of unit length (docs/methods.md#linear-start).
INVERSE_REGULARIZATION = 30.0
# Several times what Banking77's 77 classes take (docs/methods.md#linear-start).
MAX_ITERATIONS = 300


def start(context: TrainingContext, held_out: Sequence[Encoded]) -> Measured:
    """Fit the head of a context's model to its training rows.

    Virtual tokens change what the head reads from the start, so behind them it is fitted anew.

    Returns:
        What the linear model on the frozen base's embeddings makes of `held_out`, with the `seconds` that
        features and fit took among the scores.
    """
    started_at = time.perf_counter()
    has_virtual_tokens = collate.get_prompt_config(context.model) is not None
    base = context.model.get_base_model() if has_virtual_tokens else context.model
    fit(context, base)
    seconds = time.perf_counter() - started_at
    measured = context.measure_rows(base, list(held_out))
    if has_virtual_tokens:
        fit(context, context.model)
    return Measured(measured.scores | {"seconds": round(seconds, 1)}, measured.outcomes)


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
                logits = model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).logits
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


def fit_linear(
    features: Array, targets: NDArray[Any], n_outputs: int, has_bias: bool = True
) -> tuple[Array, Array]:
    """The linear fit: logistic regression on classes, one on each label, or ridge regression on numbers.

    Args:
        features: Rows x width.
        targets: The class of each row (whole numbers); or rows x labels, each 1 or 0; or one number for each
            row.
        n_outputs: Outputs of the head.
        has_bias: Whether the head has a bias.

    Returns:
        Weight (outputs x width) and bias (outputs); zeros where there is none.
    """
    if np.issubdtype(targets.dtype, np.integer):
        return _fit_classes(features, targets, n_outputs, has_bias)
    if targets.ndim == 2:
        fits = [_fit_classes(features, column.astype(int), 2, has_bias) for column in targets.T]
        weights = [weight[1] - weight[0] for weight, _ in fits]
        return np.stack(weights), np.array([bias[1] - bias[0] for _, bias in fits])
    ridge = Ridge(alpha=1 / INVERSE_REGULARIZATION, fit_intercept=has_bias).fit(features, targets)
    return ridge.coef_[None], np.array([ridge.intercept_])


def _fit_classes(
    features: Array, targets: NDArray[Any], n_classes: int, has_bias: bool
) -> tuple[Array, Array]:
    """Weight and bias of a softmax over classes. Those without a row are never the likeliest.

    Their weight is 0, the mean of the others', and with a bias they get less than the rarest of those.
    """
    weight = np.zeros((n_classes, features.shape[1]), dtype=np.float32)
    bias = np.zeros(n_classes, dtype=np.float32)
    seen = np.unique(targets)
    if len(seen) > 1:
        regression = LogisticRegression(
            C=INVERSE_REGULARIZATION, max_iter=MAX_ITERATIONS, fit_intercept=has_bias
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(features, targets)
        weight[seen], bias[seen] = _softmax_rows(regression.coef_), _softmax_rows(regression.intercept_)
    unseen = np.setdiff1d(np.arange(n_classes), seen)
    bias[unseen] = has_bias * (bias.min() - math.log(len(targets) + 1))
    return weight, bias


def _softmax_rows(coefficients: Array) -> Array:
    """One row for each class; for two classes there is one row alone, for the second against the first."""
    if len(coefficients) > 1:
        return coefficients
    return np.concatenate([-coefficients, coefficients]) / 2
