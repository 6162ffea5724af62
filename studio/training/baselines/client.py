"""Measures what needs no training, in a child process that reports its progress and can be ended."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from studio import processes
from studio.evaluate import baselines
from studio.evaluate.baselines import Baselines
from studio.i18n import Message
from studio.plan import Plan

ENDED_EARLY = Message("The process that measures what needs no training ended early: {why}")
TRY_AGAIN = Message("Close other programs and measure again, or choose a smaller base model.")
# What the page shows while the child works, by the stage that it reports.
STAGE_LABELS = {
    "data": Message("Reading the data"),
    "fetch": Message("Fetching the base model"),
    "load": Message("Loading the base model"),
    "linear": Message("Embedding the texts"),
    "base": Message("Asking the base model"),
    "choose": Message("Choosing examples for the prompt"),
    "few_shot": Message("Asking it with your examples in the prompt"),
}


class Progress(NamedTuple):
    """What is being done, and the share of it that is done (0 to 1)."""

    stage: str
    share: float


def measure(plan: Plan, again: bool = False) -> Iterator[Progress | Baselines]:
    """Measure the baselines of a plan, and keep them; what was measured before is not measured again.

    Closing the iterator ends the child process, and nothing is kept.

    Args:
        plan: The plan.
        again: Whether they are measured again.

    Yields:
        The progress, and at the end the baselines.

    Raises:
        StudioError: The data or the model cannot be used, or nothing in it could be judged.
    """
    stored = None if again else baselines.find(plan)
    if stored:
        yield stored
        return
    request = {"plan": plan.model_dump(mode="json")}
    with closing(
        processes.stream_replies(
            "studio.training.baselines.process", request, ENDED_EARLY, TRY_AGAIN, processes.WORKER
        )
    ) as replies:
        for reply in replies:
            if "baselines" in reply:
                measured = Baselines.from_json(reply["baselines"])
                baselines.keep(plan, measured)
                yield measured
            else:
                yield Progress(reply["stage"], reply["done"] / max(reply["of"], 1e-9))
