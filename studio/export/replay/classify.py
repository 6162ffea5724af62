"""What the logits of a classifier say, whatever runtime they come from."""

from collections.abc import Sequence
from typing import Any

import torch

from studio.data.targets import LABEL_THRESHOLD
from studio.evaluate.predictions import Outcome


def classify(logits: Sequence[float], report: Any) -> Outcome:
    """What the logits of a classifier say, as predictions have it.

    Args:
        logits: The logits of one text.
        report: The run's report.
    """
    problem_type, labels = report.get("problem_type"), report["labels"]
    if problem_type == "regression":
        return {"value": logits[0]}
    if problem_type == "multi_label_classification":
        likely = torch.tensor(logits).sigmoid().tolist()
        return {"labels": [label for label, p in zip(labels, likely, strict=True) if p >= LABEL_THRESHOLD]}
    return {"label": labels[max(range(len(logits)), key=logits.__getitem__)]}
