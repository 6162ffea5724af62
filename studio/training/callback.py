"""The callback that writes points, progress and the best state into the run folder, and obeys a stop."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from studio import runs
from studio.errors import StudioError
from studio.estimate import history
from studio.evaluate.score_names import choosing_loss, share_right, without_parts
from studio.i18n import Message
from studio.methods.spec import Scores
from studio.models import device, ranks, trainable
from studio.runs import Run
from studio.training import checkpoints
from studio.training.caps import Budget
from studio.training.cpu_threads import ThreadTuner, benchmark_matmul
from studio.training.memory import memory_gb
from studio.training.pause import Pause
from studio.training.time_left import TimeLeft

STATUS_INTERVAL_SECONDS = 0.5
# A checkpoint is written before the last one is older than this, or than this share of the training, unless
# writing one takes more than this share of the time between two.
MAX_CHECKPOINT_SECONDS, MAX_CHECKPOINT_SHARE = 300.0, 0.1
MAX_SAVING_SHARE = 0.02
# A checkpoint holds what was learned with the optimizer's two averages; after the last step it is written
# as the best state and as the result.
CHECKPOINT_COPIES, RESULT_COPIES = 3, 2
# A run counts as stalled where it takes this many times as long as its slowest step, or the last validation
# and checkpoint together, and never sooner than this.
STALLED_STEPS, STALLED_VALIDATIONS, MIN_PATIENCE_SECONDS = 10, 5, 60.0
# A process that gets less than this share of its cores while it computes shares them with another program.
CROWDED_CPU_SHARE = 0.85
LOWER_RATE = Message("Lower the learning rate to a third, and start again.")
LOWER_RATE_IN_FLOAT16 = Message(
    "Lower the learning rate to a third, or choose another base model: this GPU computes in float16, which"
    " holds no number above 65,504."
)
# What is kept of a Trainer's log, and under which name: the loss, and in TRL's later stages what a reward
# model or the policy is judged by.
LOGGED_METRICS = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "accuracy": "accuracy",
    "rewards/accuracies": "accuracy",
    "margin": "margin",
    "rewards/margins": "margin",
    "reward": "reward",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "completion_length",
    "completions/clipped_ratio": "clipped_ratio",
    "frac_reward_zero_std": "zero_std_share",
}


class MonitorCallback(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Reports one stage of a training into the run, validates, stops when asked, and keeps the best state.

    Args:
        run: The run that is trained.
        stage: Which of the method's stages this is.
        model: The model that is trained; only its trainable parameters are saved.
        measure: Gives validation scores of the model as it is, `loss` among them; without it the last state
            is kept.
        pause: When the training pauses; None for never.
        budget: What the run may use; None for no cap.

    Attributes:
        step: Optimizer steps taken so far.
        steps: Optimizer steps in all.
        best_step: The step of the best validation; 0 where no step was better than the start.
        best_scores: The scores at that step.
        initial_scores: The scores before the first step.
        stopped: Whether the training ended because it was asked to stop, or reached a cap.
        reached_cap: Which cap has ended it, as a report has it; None where none has.
        paused: Whether it ended because a pause was due.
        stopped_early: Whether it ended because validations brought no progress.
        seconds_saved: What the steps that early stopping left out would have taken at this training's pace.
    """

    def __init__(
        self,
        run: Run,
        stage: str,
        model: Any,
        measure: Callable[[], Scores] | None,
        pause: Pause | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.run, self.stage, self.model, self.measure, self.pause = run, stage, model, measure, pause
        self.budget = budget
        self.training = run.plan.training
        self.folder = run.folder / "checkpoints" / stage
        self.step = self.steps = self.best_step = 0
        self.best_scores: Scores = {}
        self.initial_scores: Scores = {}
        self.stopped = self.stopped_early = self.paused = False
        self.reached_cap: dict[str, Any] | None = None
        self.seconds_saved = 0.0
        # Of the validations that the plan asks for; a stop brings one more, which does not count.
        self._checks_without_progress = 0
        self._records: Scores = {}
        self._last_merits: Scores = {}
        self._validation_steps: set[int] = set()
        self._validation_seconds = 0.0
        self._began_at = self._saved_at = self._save_started_at = time.monotonic()
        self._save_seconds = self._step_seconds = self._slowest_step_seconds = 0.0
        self._write_seconds = 0.0  # of what was learned
        self._status_written_at = 0.0
        self._training_started_at = self._step_started_at = self._step_cpu_started_at = 0.0
        self._step_metrics: dict[str, float] = {}
        self._tokens_seen = 0
        self._steps_to_measure = 0  # those since the clocks were started
        # Ranks keep the threads they began with: sums in another order would differ after a restart.
        self._tunes_threads = device.uses_cpu() and ranks.count() == 1
        self._thread_tuner = ThreadTuner(torch.get_num_threads(), torch.set_num_threads, benchmark_matmul)
        self._time_left = TimeLeft(history.load_estimate(run).get("stretches", {}), stage)

    def checkpoint(self) -> str | None:
        """The folder of the checkpoint to resume this stage from; None where it begins."""
        checkpoint_folder = checkpoints.choose(self.folder)
        if not checkpoint_folder:
            return None
        state = checkpoints.read_state(checkpoint_folder)
        self.best_step, self.best_scores = state["best_step"], state["best"]
        self.initial_scores = state.get("initial", {})
        self._checks_without_progress = state["without_progress"]
        self._records = state.get("records", {})  # an earlier studio saved neither
        self._last_merits = state.get("last_merits", {})
        return str(checkpoint_folder)

    def restore(self) -> None:
        """Put the parameters of the best validation back into the model."""
        if best_folder := self.find_best():
            trainable.restore(self.model, best_folder)

    def find_best(self) -> Path | None:
        """Where the state of the best validation lies; None where there was no validation."""
        best_folder = checkpoints.best_folder(self.folder, self.best_step)
        if not best_folder.is_dir():  # an earlier studio kept one alone, beside the checkpoints
            best_folder = self.folder
        return best_folder if self.best_scores else None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure the start and decide at which steps to validate.

        A training that goes on drops the points after the step that it goes on from.
        """
        self.step, self.steps = state.global_step, state.max_steps
        self._tokens_seen = int(state.num_input_tokens_seen)
        runs.rewind(self.run, self.stage, self.step)
        if self._tunes_threads:
            self._thread_tuner.choose()
        runs.set_status(self.run, "training", self.stage, step=self.step, steps=self.steps)
        if self.measure:
            interval = max(1, math.ceil(self.steps / self.training.eval_count))
            self._validation_steps = {*range(interval, self.steps + 1, interval), self.steps}
        if self.measure and not self.best_scores:
            self._measure_start()
        self._time_left.begin(self.step, self.steps)
        self._training_started_at = time.perf_counter()
        self._began_at = self._saved_at = time.monotonic()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell what early stopping has saved."""
        if self.stopped_early:
            seconds = time.perf_counter() - self._training_started_at
            self.seconds_saved = seconds * (self.steps / self.step - 1)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks, unless they run since an earlier step."""
        if self._steps_to_measure:
            return
        self._step_started_at, self._step_cpu_started_at = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure the step, validate and save a checkpoint when they are due, and stop when asked."""
        self.step = state.global_step
        if not self.measure:
            self.best_step = self.step
        self._steps_to_measure += 1
        if not self._is_measurement_due():
            control.should_log = False
            return
        self._measure_steps(state)
        self.reached_cap = self._find_reached_cap()
        if self.reached_cap or self.run.stop_file.exists():
            self.stopped = control.should_training_stop = True
        is_validation_step = self.step in self._validation_steps
        if is_validation_step or (self.stopped and self.measure):
            self._validate(state, control)
        if self._is_pause_due():
            self.paused = control.should_training_stop = True
        self._write_status()
        if self.stopped or self.paused or (self.step < self.steps and self._is_checkpoint_due()):
            control.should_save, self._save_started_at = True, time.monotonic()

    def _is_measurement_due(self) -> bool:
        """Whether to find out what the last steps took: one has to wait for a GPU, so not after each.

        Several ranks add up their losses, all in the same steps.
        """
        is_last = self.step in self._validation_steps or self.step >= self.steps
        if device.uses_cpu() or ranks.count() > 1 or is_last:
            return True
        return time.perf_counter() - self._step_started_at >= STATUS_INTERVAL_SECONDS

    def _is_checkpoint_due(self) -> bool:
        """Whether the last checkpoint would be too old after one more step, and saving is cheap."""
        age_seconds = time.monotonic() - self._saved_at
        training_seconds = time.monotonic() - self._began_at + self._seconds_left()
        max_age_seconds = min(MAX_CHECKPOINT_SECONDS, MAX_CHECKPOINT_SHARE * training_seconds)
        is_cheap = self._checkpoint_seconds() <= MAX_SAVING_SHARE * age_seconds
        return is_cheap and age_seconds + self._step_seconds >= max_age_seconds

    def _checkpoint_seconds(self) -> float:
        """How long a checkpoint takes: as the last one did; before the first, by what the best state took."""
        return self._save_seconds or CHECKPOINT_COPIES * self._write_seconds

    def _find_reached_cap(self) -> dict[str, Any] | None:
        """The cap that one more step would break; the last step has nothing behind it to spare."""
        if not self.budget or self.step >= self.steps:
            return None
        saving_seconds = self._checkpoint_seconds() + RESULT_COPIES * self._write_seconds
        return self.budget.find_reached(self._step_seconds + self._validation_seconds + saving_seconds)

    def _is_pause_due(self) -> bool:
        n_validations = sum(step <= self.step for step in self._validation_steps)
        return self.pause is not None and self.step < self.steps and self.pause.is_due(n_validations)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Complete a checkpoint with the state of this callback."""
        monitor_state = {
            "best_step": self.best_step,
            "best": self.best_scores,
            "initial": self.initial_scores,
            "without_progress": self._checks_without_progress,
            "records": self._records,
            "last_merits": self._last_merits,
        }
        checkpoints.complete(self.folder / f"checkpoint-{state.global_step}", monitor_state)
        checkpoints.remove_old_bests(self.folder, self.best_step)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - self._save_started_at

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Write a point: the training loss with what was measured during the step."""
        if not logs or "loss" not in logs:
            return
        _require_finite(float(logs["loss"]), state.global_step)
        metrics = {
            name: round(float(logs[key]), 8)
            for key, name in LOGGED_METRICS.items()
            # A gradient that float16 cannot hold is skipped (GradScaler), and its length is no number.
            if logs.get(key) is not None and math.isfinite(float(logs[key]))
        }
        epoch = state.epoch or 0
        runs.add_point(self.run, self.stage, state.global_step, epoch, **metrics, **self._step_metrics)

    def _measure_steps(self, state: Any) -> None:
        device.synchronize()
        n_steps, self._steps_to_measure = self._steps_to_measure, 0
        seconds = (time.perf_counter() - self._step_started_at) / n_steps
        self._step_seconds, self._slowest_step_seconds = seconds, max(seconds, self._slowest_step_seconds)
        cpu_seconds = (time.process_time() - self._step_cpu_started_at) / n_steps
        new_tokens = int(state.num_input_tokens_seen) - self._tokens_seen
        self._tokens_seen += new_tokens
        tokens = new_tokens / n_steps
        for _ in range(n_steps):
            self._time_left.add_step(seconds)
        threads = self._thread_tuner.threads
        self._step_metrics = {
            "tokens": self._tokens_seen,
            "tokens_per_second": round(tokens / seconds, 1),
            "memory_gb": round(memory_gb(), 3),
            "threads": threads,
        }
        if self._tunes_threads:
            is_crowded = cpu_seconds / (seconds * threads) < CROWDED_CPU_SHARE
            self._thread_tuner.step(tokens / seconds, crowded=is_crowded)

    def _measure_start(self) -> None:
        """Score the state before the first step, the first candidate for the best, and save it."""
        runs.rewind(self.run, self.stage, -1)
        self.initial_scores = self._measure_scores()
        self._count_progress(self.initial_scores)
        self._record(self.initial_scores, epoch=0.0, is_best=True)

    def _validate(self, state: Any, control: Any) -> None:
        scores = self._measure_scores()
        self._record(scores, state.epoch or 0.0, is_best=self._is_better(scores))
        if self.step in self._validation_steps:
            self._count_progress(scores)
            patience = self.training.early_stopping_patience
            if patience and self._checks_without_progress >= patience:
                self.stopped_early = control.should_training_stop = True

    def _measure_scores(self) -> Scores:
        """Validation scores of the model as it is."""
        assert self.measure is not None
        started_at = time.perf_counter()
        scores = self.measure()
        self._validation_seconds = time.perf_counter() - started_at
        _require_finite(scores["loss"], self.step)
        return scores

    def _record(self, scores: Scores, epoch: float, is_best: bool) -> None:
        """Write a point: the scores, and the step of the best state; then save the state if it is that one.

        What was measured is kept where the disk is too full for the state.
        """
        if is_best:
            self.best_scores, self.best_step = scores, self.step
        scores_in_point = as_point(scores)
        runs.add_point(self.run, self.stage, self.step, epoch, **scores_in_point, best_step=self.best_step)
        if is_best:
            started_at = time.monotonic()
            self._save_best()
            self._write_seconds = time.monotonic() - started_at

    def _save_best(self) -> None:
        """Save the best state beside those before it: a run that breaks off may go on from before it."""
        trainable.save(self.model, checkpoints.best_folder(self.folder, self.best_step))
        checkpoints.remove_old_bests(self.folder, self.best_step)

    def _is_better(self, scores: Scores) -> bool:
        """Whether a state beats the best so far: more right answers, or as good a share and a lower loss.

        Shares within one standard error of each other are as good (Breiman et al. 1984, "Classification and
        Regression Trees", the one-standard-error rule): on few examples the highest one is luck.
        """
        right, best_right = share_right(scores), share_right(self.best_scores)
        margin = standard_error(self.best_scores)
        record = max(best_right, self._records.get("right", best_right))
        is_as_good = right >= record - margin
        has_lower_loss = choosing_loss(scores) < choosing_loss(self.best_scores)
        return right > best_right + margin or (is_as_good and has_lower_loss)

    def _count_progress(self, scores: Scores) -> None:
        """Count a check without progress: neither loss nor share of right answers is better than at the last.

        Better than at the last check, not than ever: the first steps at the full rate often spoil a good
        start, and what comes later makes up for it (docs/methods.md#early-stopping).
        """
        merits = {"right": share_right(scores), "negative_loss": -choosing_loss(scores)}
        made_progress = any(merit > self._last_merits.get(name, -math.inf) for name, merit in merits.items())
        self._checks_without_progress = 0 if made_progress else self._checks_without_progress + 1
        self._last_merits = merits
        self._records = {"right": max(merits["right"], self._records.get("right", -math.inf))}

    def _write_status(self) -> None:
        now = time.monotonic()
        is_recent = now - self._status_written_at < STATUS_INTERVAL_SECONDS
        if is_recent and self.step < self.steps:
            return
        self._status_written_at = now
        if self.budget:
            self.budget.write_use(self.run)
        runs.set_status(
            self.run,
            "training",
            self.stage,
            step=self.step,
            steps=self.steps,
            seconds_left=round(self._seconds_left(), 1),
            patience=round(self._patience_seconds(), 1),
        )

    def _seconds_left(self) -> float:
        n_validations = sum(step > self.step for step in self._validation_steps)
        return self._time_left.seconds_left(self.step, n_validations, self._validation_seconds)

    def _patience_seconds(self) -> float:
        """How long the run may stay silent from here; as long as ever where no validation was timed yet."""
        if self.measure and not self._validation_seconds:
            return runs.PATIENCE_SECONDS
        at_validation = STALLED_VALIDATIONS * (self._validation_seconds + self._save_seconds)
        return max(MIN_PATIENCE_SECONDS, STALLED_STEPS * self._slowest_step_seconds + at_validation)


def standard_error(scores: Scores) -> float:
    """The standard error of the share of right answers; 0 where it is unknown of how many it is one."""
    right = share_right(scores)
    return math.sqrt(right * (1 - right) / scores["n_examples"]) if "n_examples" in scores else 0.0


def _require_finite(loss: float, step: int) -> None:
    """Raise StudioError where training has diverged and the loss is no longer a finite number."""
    if not math.isfinite(loss):
        raise StudioError(
            Message("At step {step} the loss stopped being a number: the steps were too big."),
            LOWER_RATE_IN_FLOAT16 if device.autocast_dtype() is torch.float16 else LOWER_RATE,
            step=step,
        )


def as_point(scores: Scores, split: str = "validation") -> dict[str, float]:
    """Scores under their names in a point: eval_loss … on the validation, test_loss … on the test split.

    Those of single labels, and of how many examples they are, stand in the report alone.
    """
    prefix = "test" if split == "test" else "eval"
    total_scores = {name: value for name, value in without_parts(scores).items() if not name.startswith("n_")}
    return {f"{prefix}_{name}": round(value, 6) for name, value in total_scores.items()}
