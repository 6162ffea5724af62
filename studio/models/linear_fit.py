"""The linear fit of a classifier's head to embeddings, without torch.

It is where every training of a classifier starts, and what chooses the rows to label next.
"""

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

Array = NDArray[Any]
# Little regularization on features of unit length (docs/methods.md#linear-start).
INVERSE_REGULARIZATION = 30.0
# Several times what Banking77's 77 classes take (docs/methods.md#linear-start).
MAX_ITERATIONS = 300


def logistic_regression(has_bias: bool = True) -> LogisticRegression:
    """The regression that is fitted to classes."""
    return LogisticRegression(C=INVERSE_REGULARIZATION, max_iter=MAX_ITERATIONS, fit_intercept=has_bias)


class LinearClassifier:
    """A linear model that tells classes apart by embeddings of unit length.

    Args:
        embeddings: Rows x width.
        labels: The label of each row, at least two different ones.

    Attributes:
        names: The labels, in the order of the probabilities.
    """

    def __init__(self, embeddings: Array, labels: list[str]) -> None:
        self._regression = logistic_regression()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Of few labelled texts with many classes, which scikit-learn takes for numbers.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            self._regression.fit(embeddings, labels)
        self.names: list[str] = [str(name) for name in self._regression.classes_]

    def predict_probabilities(self, embeddings: Array) -> Array:
        """The probability of each label, rows x labels."""
        return np.asarray(self._regression.predict_proba(embeddings))

    def predict(self, embeddings: Array) -> list[str]:
        """The likeliest label of each row."""
        return [str(name) for name in self._regression.predict(embeddings)]


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
        regression = logistic_regression(has_bias)
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
