"""Trains as one of several ranks: the first one monitors and decides, the others follow it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from studio import methods, runs
from studio.errors import explain, is_known
from studio.methods.spec import Scores
from studio.models import fetch, ranks, sharding, trainable
from studio.runs import Run
from studio.training import setup as run_setup
from studio.training.callback import MonitorCallback

# What all ranks of a model that is spread over them have to do together.
MEASURE, SAVE_BEST = "measure", "save_best"


class LeadingMonitor(MonitorCallback):
    """The first rank's monitor, which tells the others what it has decided."""

    def checkpoint(self) -> str | None:
        """The checkpoint that every rank goes on from."""
        path: str | None = ranks.say(super().checkpoint())
        return path

    def restore(self) -> None:
        """As ever; ranks that hold a part of the model each put theirs back."""
        if sharding.is_sharded(self.model):
            ranks.say(self.find_best())
        super().restore()

    def on_train_begin(self, args: Any, state: Any, control: Any, **values: Any) -> None:
        """As ever; the other ranks wait for it."""
        super().on_train_begin(args, state, control, **values)
        ranks.say(None)

    def on_step_end(self, args: Any, state: Any, control: Any, **values: Any) -> None:
        """As ever, and tell the other ranks whether to stop and whether to save."""
        super().on_step_end(args, state, control, **values)
        ranks.say((control.should_training_stop, control.should_save))

    def on_save(self, args: Any, state: Any, control: Any, **values: Any) -> None:
        """Complete a checkpoint once each rank has written its part."""
        ranks.wait_for_all()
        super().on_save(args, state, control, **values)

    def _measure_scores(self) -> Scores:
        self._call_all(MEASURE)
        return super()._measure_scores()

    def _save_best(self) -> None:
        self._call_all(SAVE_BEST)
        super()._save_best()

    def _call_all(self, task: str) -> None:
        """Have the other ranks do a part of what this one does next, if each holds a part of the model."""
        if sharding.is_sharded(self.model):
            ranks.say(task)


class FollowingMonitor(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """The monitor of any other rank, which decides and writes nothing and does as the first one does.

    Args:
        folder: Where the checkpoints of the stage are.
        model: What is trained.
        measure: Measures it; what comes out is the first rank's to judge.
    """

    def __init__(self, folder: Path, model: Any, measure: Callable[[], Scores] | None) -> None:
        self.folder, self.model, self.measure = folder, model, measure
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
        """Put this rank's part of the best state back; the first rank alone needs that of a whole model."""
        if sharding.is_sharded(self.model) and (best_folder := ranks.say(None)):
            trainable.restore(self.model, best_folder)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take part in measuring the start."""
        self._assist()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop and save when the first rank does."""
        control.should_training_stop, control.should_save = self._assist()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell the first rank that this one's part is written."""
        ranks.wait_for_all()

    def _assist(self) -> Any:
        """Do this rank's part of what the first one does, until that one goes on: what it has decided."""
        while isinstance(reply := ranks.say(None), str):
            if reply == SAVE_BEST:
                trainable.save(self.model, self.folder)
            elif self.measure:
                self.measure()
        return reply


def follow(run: Run) -> None:
    """Train as one of the other ranks.

    Args:
        run: The run in a folder of this rank's own, whose checkpoints alone are those of the run: nothing
            else that is written there is kept.
    """
    method = methods.get(run.plan.method.name)
    ranks.wait_for_all()  # the first one splits the data and fetches the model
    prepared = run_setup.prepare_data(run, run.plan)
    fetched = fetch.fetch(run.plan.model)

    def create_monitor(stage: str, model: Any, measure: Callable[[], Scores] | None) -> FollowingMonitor:
        return FollowingMonitor(run.folder / "checkpoints" / stage, model, measure)

    context, _ = run_setup.load_context(run, method, fetched, prepared.splits, create_monitor)
    method.train(context)


def follow_in_own_home(run: Run) -> None:
    """Train beside the first rank, in a home of its own: only what it writes of checkpoints is the run's."""
    with tempfile.TemporaryDirectory(prefix="studio-rank-") as home:
        os.environ["STUDIO_HOME"] = home
        own_folder = runs.folder() / run.id
        own_folder.mkdir()
        for name in ("data", "checkpoints", "base"):
            (own_folder / name).symlink_to(run.folder / name)
        models = run.folder.parents[1] / "models"
        models.mkdir(exist_ok=True)
        (Path(home) / "models").symlink_to(models)  # what the first rank has fetched is not fetched again
        for name in ("plan.yaml", "format.json", "estimate.json", "status.json"):
            if (run.folder / name).is_file():
                shutil.copyfile(run.folder / name, own_folder / name)
        (own_folder / "metrics.jsonl").touch()
        os.chdir(own_folder)
        try:
            follow(runs.get(run.id))
        except Exception as error:
            if is_known(error):
                ranks.write_failure(run.folder, explain(error))
            raise RuntimeError(f"{error!r:.500}") from None
        finally:
            os.chdir("/")
