"""Trains as one of several ranks: the first one monitors and decides, the others follow it."""

from typing import Any

from transformers import TrainerCallback

from studio import methods
from studio.methods.spec import Scores
from studio.models import fetch, ranks
from studio.runs import Run
from studio.training import setup as run_setup
from studio.training.callback import MonitorCallback


class LeadingMonitor(MonitorCallback):
    """The first rank's monitor, which tells the others what it has decided."""

    def checkpoint(self) -> str | None:
        """The checkpoint that every rank goes on from."""
        path: str | None = ranks.say(super().checkpoint())
        return path

    def on_step_end(self, args: Any, state: Any, control: Any, **values: Any) -> None:
        """As ever, and tell the other ranks whether to stop and whether to save."""
        super().on_step_end(args, state, control, **values)
        ranks.say((control.should_training_stop, control.should_save))

    def on_save(self, args: Any, state: Any, control: Any, **values: Any) -> None:
        """Complete a checkpoint once each rank has written its part."""
        ranks.wait_for_all()
        super().on_save(args, state, control, **values)


class FollowingMonitor(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """The monitor of any other rank, which measures and writes nothing and does as the first one does."""

    def __init__(self) -> None:
        self.step = self.steps = self.best_step = 0
        self.initial_scores: Scores = {}
        self.stopped = self.stopped_early = self.paused = False
        self.reached_cap: dict[str, Any] | None = None
        self.seconds_saved = 0.0

    def checkpoint(self) -> str | None:
        """The checkpoint that every rank goes on from."""
        path: str | None = ranks.say(None)
        return path

    def restore(self) -> None:
        """The first rank alone needs the best state."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop and save when the first rank does."""
        control.should_training_stop, control.should_save = ranks.say(None)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell the first rank that this one's part is written."""
        ranks.wait_for_all()


def follow(run: Run) -> None:
    """Train as one of the other ranks.

    Args:
        run: The run in a folder of this rank's own, whose checkpoints alone are those of the run: nothing
            else that is written there is kept.
    """
    method = methods.get(run.plan.method.name)
    prepared = run_setup.prepare_data(run, run.plan)
    ranks.wait_for_all()  # the first one fetches the model
    fetched = fetch.fetch(run.plan.model)
    context, _ = run_setup.load_context(run, method, fetched, prepared.splits, lambda *_: FollowingMonitor())
    method.train(context)
