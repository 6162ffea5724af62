"""Whether more labels still pay: the learning curve of the linear fit on the labels there are."""

import numpy as np
from numpy.typing import NDArray

from studio.evaluate.learning_curve import MIN_HELD_OUT, Projection, SizeResult, project
from studio.i18n import Message
from studio.models.linear_fit import LinearClassifier

# The shares of the labelled texts that are learned from, beside all that are not held out (0 to 1).
SHARES = (0.25, 0.5, 1.0)
HELD_OUT_SHARE, MAX_HELD_OUT = 0.3, 1_000
# Fewer labelled texts than this make no curve.
MIN_LABELLED = 80
SEED = 0
TOO_FEW_LABELS = Message("With {least} labels or more, a learning curve says whether further ones pay.")
MEASURED_ON_HARD = Message(
    "Measured on {n} labelled texts kept aside. Where these were chosen because they are hard, new texts are "
    "easier."
)


def measure(embeddings: NDArray[np.float32], labels: list[str]) -> tuple[list[SizeResult], Projection] | None:
    """What so many labels come to, and what more would bring; None where there are too few.

    Args:
        embeddings: The embeddings of the labelled texts.
        labels: Their labels.
    """
    n_held_out = min(MAX_HELD_OUT, int(HELD_OUT_SHARE * len(labels)))
    if len(labels) < MIN_LABELLED or n_held_out < MIN_HELD_OUT or len(set(labels)) < 2:
        return None
    order = np.random.default_rng(SEED).permutation(len(labels))
    held_out, learned = order[:n_held_out], order[n_held_out:]
    names = np.array(labels)
    results = []
    for share in SHARES:
        rows = learned[: round(share * len(learned))]
        if len(set(names[rows])) < 2:
            return None
        answers = LinearClassifier(embeddings[rows], [labels[row] for row in rows]).predict(
            embeddings[held_out]
        )
        errors = (np.array(answers) != names[held_out]).astype(float)
        results.append(SizeResult(len(rows), errors))
    return results, project(results)


def describe(measured: tuple[list[SizeResult], Projection] | None) -> list[Message]:
    """The curve in sentences: what each size came to, what more labels would bring, and on what it rests."""
    if measured is None:
        return [TOO_FEW_LABELS.format(least=MIN_LABELLED)]
    results, projection = measured
    sizes = [result.describe(projection.measure) for result in results]
    return [projection.describe(), *sizes, MEASURED_ON_HARD.format(n=len(results[-1].errors))]
