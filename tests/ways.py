"""Every method with every task it trains, and what is left of a finished training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from studio.methods import METHODS

if TYPE_CHECKING:
    from studio.methods.spec import TrainingContext

# A prefix steers a toy model a little, and UPFT teaches it nothing but its own openings: neither learns the
# toy answers by heart.
NOT_BY_HEART = ("prefix", "upft", "peft")
# Practised on and judged by known answers: no example shows an answer whose loss could be measured.
QUESTIONS_ALONE = ("rlhf", "prompts")
WAYS = [(method.name, task) for method in METHODS for task in method.tasks]


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
