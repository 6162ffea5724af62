"""Every method with every task it trains, and what is left of a finished training."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from studio.methods import METHODS

if TYPE_CHECKING:
    from studio.methods.spec import TrainingContext

# A prefix steers a toy model a little, and UPFT teaches it nothing but its own openings: neither learns the
# toy answers by heart.
NOT_BY_HEART = ("prefix", "upft", "peft")
# Practised on and judged by known answers: no example shows an answer whose loss could be measured.
QUESTIONS_ALONE = ("rlhf", "prompts")
WAYS = [(method.name, task) for method in METHODS for task in method.tasks]


def mark_sample(ways: Sequence[tuple[str, str]]) -> list[Any]:
    """Ways for `parametrize`, of which CI tries each method once and each task at least once.

    A method is tried with the task that the methods before it have tried least; the other ways are marked
    exhaustive. What stands in the place of the task may be another thing to try each method with.
    """
    sample, n_tried = set(), Counter[str]()
    for method in dict.fromkeys(method for method, _ in ways):
        task = min((task for name, task in ways if name == method), key=n_tried.__getitem__)
        sample.add((method, task))
        n_tried[task] += 1
    missing = {task for _, task in ways} - n_tried.keys()
    sample |= {next(way for way in ways if way[1] == task) for task in missing}
    return [
        pytest.param(way, marks=() if way in sample else pytest.mark.exhaustive, id="-".join(way))
        for way in ways
    ]


class TrainedJob(NamedTuple):
    """A training that has ended.

    Args:
        job: the context it was trained in.
        before: the model's parameters before training, by name.
        trainable: names of the parameters that may change.
        model: the model that training returned.
        folder: where that model was saved.
    """

    job: "TrainingContext"
    before: dict[str, Any]
    trainable: set[str]
    model: Any
    folder: Path
