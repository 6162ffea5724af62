"""Every method with every task it trains, what is left of a training, and a watch for trainings nobody looks at."""

from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback

from studio.methods import METHODS
from studio.methods.spec import TrainingContext

# A prefix steers a toy model a little, and UPFT teaches it nothing but its own openings: neither learns the toy answers by heart.
NOT_BY_HEART = ("prefix", "upft", "peft")
WAYS = [(method.name, task) for method in METHODS for task in method.tasks]


class Taught(NamedTuple):
    """A job, its model's numbers before, the names of those that may change, what training made of it, and where that was saved."""

    job: TrainingContext
    before: dict[str, Any]
    learning: set[str]
    made: Any
    folder: Path


class Unwatched(TrainerCallback):
    """A watch that reports to nobody and keeps nothing but the losses."""

    def __init__(self):
        self.step = self.steps = self.best_step = 0
        self.stopped = self.early = False
        self.losses, self.first = [], {}

    def on_log(self, args, state, control, logs=None, **_):
        self.losses += [logs["loss"]] if logs and "loss" in logs else []

    def checkpoint(self):
        return None

    def start(self):
        self.first = {}

    def restore(self):
        pass
