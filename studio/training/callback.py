"""What a training tells its run folder: points, progress, validation, the best state, and whether it was asked to stop."""

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
from transformers import TrainerCallback

from studio import runs
from studio.errors import StudioError
from studio.estimate import history
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.models import trainable
from studio.runs import Run
from studio.storage import write_json
from studio.training.cpu_threads import ThreadTuner, benchmark_matmul

STATUS_INTERVAL_SECONDS = 0.5
# A CUDA context takes 0.1 to 0.6 GB (docs/estimator.md#max_context_bytes): bytes.
MAX_CONTEXT_BYTES = 700_000_000
# A state to go on from is kept at a validation, unless writing the last one took more than a twentieth of the time since.
MAX_SAVING_SHARE = 0.05
# From so many steps on a stage's own pace says how the rest of the run will go; its pace is the median of so many steps.
MIN_MEASURED_STEPS, RECENT_STEPS = 5, 9
# What a step of these stages does beside learning, by the names of an estimate's stretches.
EXTRA_PHASES = {"rl": ("write", "judge", "reference"), "dpo": ("reference",)}
# What is kept of a Trainer's log, and under which name: the loss, and in TRL's later stages what a reward model or practice is judged by.
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
    "completions/mean_length": "answer_length",
    "completions/clipped_ratio": "cut_share",
    "frac_reward_zero_std": "no_signal",
}
# What a checkpoint holds beside the model's, optimiser's and chance's state; written last, so that its presence means "complete".
MONITOR_STATE_FILE = "watch.json"


class MonitorCallback(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Stands beside the Trainer of one stage and writes down what happens; `measure` gives validation scores of the model as it is.

    Without `measure` the last state is the one that is kept.
    """

    def __init__(
        self, run: Run, stage: str, model: Any, measure: Callable[[], dict[str, float]] | None
    ) -> None:
        self.run, self.stage, self.model, self.measure, self.plan = run, stage, model, measure, run.plan
        self.folder = run.folder / "checkpoints" / stage
        self.step = self.steps = 0
        self.best_step, self.best_scores = 0, {"loss": math.inf}  # before anything was measured
        self.first: dict[str, float] = {}
        self.stopped = False
        self.early = False
        self._saved_at, self._save_seconds = time.monotonic(), 0.0
        self._checks_without_progress, self._lowest_loss = (
            0,
            math.inf,
        )  # of the validations a plan asks for; a stop brings one of its own
        self._thread_tuner = ThreadTuner(torch.get_num_threads(), torch.set_num_threads, benchmark_matmul)
        self._step_metrics: dict[str, float] = {}
        self._recent_step_seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._status_written_at = self._check_seconds = 0.0
        self._first_step = 0
        self._estimated_minutes = history.load_estimate(run).get("stretches", {})
        self._tokens_seen = 0

    def start(self) -> None:
        """Measure the state before the first step and keep it as the best so far."""
        assert self.measure is not None
        self.best_scores = self.first = self.measure()
        _require_finite(self.best_scores["loss"], 0)
        self._lowest_loss = self.best_scores["loss"]
        runs.rewind(self.run, self.stage, -1)
        runs.add_point(self.run, self.stage, 0, 0, **as_point(self.best_scores))
        trainable.save(self.model, self.folder)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Decide at which steps the validation loss is measured."""
        interval = max(1, -(-state.max_steps // self.plan.training.eval_count))
        self._validation_steps = (
            {*range(interval, state.max_steps + 1, interval), state.max_steps} if self.measure else set()
        )
        self.step = self._first_step = state.global_step
        runs.rewind(self.run, self.stage, self.step)
        self.steps, self._tokens_seen = state.max_steps, int(state.num_input_tokens_seen)
        if not torch.cuda.is_available():
            self._thread_tuner.choose()
        runs.set_status(self.run, "training", self.stage, step=self.step, steps=self.steps)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock of a step."""
        self._step_started_at, self._step_cpu_started_at = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure the step, validate when it is time, and stop when asked."""
        self.step = state.global_step
        self.best_step = self.best_step if self.measure else self.step
        seconds = time.perf_counter() - self._step_started_at
        tokens = int(state.num_input_tokens_seen) - self._tokens_seen
        self._tokens_seen = int(state.num_input_tokens_seen)
        self._recent_step_seconds.append(seconds)
        self._step_metrics = {
            "tokens": self._tokens_seen,
            "tokens_per_second": round(tokens / seconds, 1),
            "memory_gb": round(memory_gb(), 3),
            "threads": self._thread_tuner.threads,
        }
        if not torch.cuda.is_available():
            cpu_share = (time.process_time() - self._step_cpu_started_at) / (
                seconds * self._thread_tuner.threads
            )
            self._thread_tuner.step(tokens / seconds, crowded=cpu_share < 0.85)
        if self.run.stop_file.exists():
            self.stopped = control.should_training_stop = True
        if state.global_step in self._validation_steps or (self.stopped and self.measure):
            self._validate(state, control)
        self._write_status(state)
        now = time.monotonic()
        is_save_due = (
            state.global_step in self._validation_steps
            and self._save_seconds <= MAX_SAVING_SHARE * (now - self._saved_at)
        )
        if self.stopped or (is_save_due and state.global_step < state.max_steps):
            control.should_save, self._saved_at = True, now

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Complete a checkpoint with what this watch knows."""
        self._save_seconds = time.monotonic() - self._saved_at
        monitor_state = {
            "best_step": self.best_step,
            "best": self.best_scores,
            "without_progress": self._checks_without_progress,
            "lowest": self._lowest_loss,
        }
        write_json(self.folder / f"checkpoint-{state.global_step}" / MONITOR_STATE_FILE, monitor_state)

    def checkpoint(self) -> str | None:
        """The folder from which this stage goes on after a stop; None where it begins."""
        checkpoint_folder = last_checkpoint(self.folder)
        if not checkpoint_folder:
            return None
        monitor_state = json.loads((checkpoint_folder / MONITOR_STATE_FILE).read_text(encoding="utf-8"))
        self.best_step, self.best_scores = monitor_state["best_step"], monitor_state["best"]
        self._checks_without_progress, self._lowest_loss = (
            monitor_state["without_progress"],
            monitor_state.get("lowest", self.best_scores["loss"]),
        )  # an earlier studio kept the best alone
        return str(checkpoint_folder)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Write down the training loss with what was measured beside it."""
        if logs and "loss" in logs:
            _require_finite(float(logs["loss"]), state.global_step)
            metrics = {
                name: round(float(logs[key]), 8)
                for key, name in LOGGED_METRICS.items()
                if logs.get(key) is not None
            }
            runs.add_point(
                self.run, self.stage, state.global_step, state.epoch or 0, **metrics, **self._step_metrics
            )

    def restore(self) -> None:
        """Put the numbers of the best validation back into the model."""
        if math.isfinite(self.best_scores["loss"]):
            trainable.restore(self.model, self.folder)

    def _validate(self, state: Any, control: Any) -> None:
        assert self.measure is not None
        started_at = time.perf_counter()
        scores = self.measure()
        self._check_seconds = time.perf_counter() - started_at
        _require_finite(scores["loss"], state.global_step)
        runs.add_point(self.run, self.stage, state.global_step, state.epoch or 0, **as_point(scores))
        if scores["loss"] < self.best_scores["loss"]:
            self.best_scores, self.best_step = scores, state.global_step
            trainable.save(self.model, self.folder)
        if state.global_step not in self._validation_steps:
            return
        self._checks_without_progress = (
            0 if scores["loss"] < self._lowest_loss else self._checks_without_progress + 1
        )
        self._lowest_loss = min(self._lowest_loss, scores["loss"])
        if (
            self.plan.training.early_stopping_patience
            and self._checks_without_progress >= self.plan.training.early_stopping_patience
        ):
            self.early = control.should_training_stop = True

    def _write_status(self, state: Any) -> None:
        now = time.monotonic()
        if now - self._status_written_at < STATUS_INTERVAL_SECONDS and state.global_step < state.max_steps:
            return
        self._status_written_at = now
        n_validations = len([step for step in self._validation_steps if step > state.global_step])
        seconds_left = (
            (state.max_steps - state.global_step) * self._seconds_per_step(state)
            + n_validations * self._check_seconds
            + self._seconds_after_stage(state)
        )
        runs.set_status(
            self.run,
            "training",
            self.stage,
            step=state.global_step,
            steps=state.max_steps,
            seconds_left=round(seconds_left, 1),
        )

    def _seconds_per_step(self, state: Any) -> float:
        """Seconds a step: as estimated for the first few, which are slower than the rest, then the median of the last ones."""
        estimated_seconds = self._estimated_stage_seconds() / int(state.max_steps)
        return (
            estimated_seconds
            if estimated_seconds and self.step - self._first_step < MIN_MEASURED_STEPS
            else float(median(self._recent_step_seconds))
        )

    def _estimated_stage_seconds(self) -> float:
        """What all steps of this stage take by the estimate; 0 where there is none."""
        return 60 * sum(
            float(self._estimated_minutes.get(name, 0.0))
            for name in (self.stage, *EXTRA_PHASES.get(self.stage, ()))
        )

    def _seconds_after_stage(self, state: Any) -> float:
        """Seconds from the end of this stage to the end of the run: as estimated, times what this stage's own steps take more or less."""
        estimated_seconds = self._estimated_stage_seconds()
        if not estimated_seconds:
            return self._check_seconds
        later_stages = list(self._estimated_minutes)[list(self._estimated_minutes).index(self.stage) + 1 :]
        slowdown = self._seconds_per_step(state) * state.max_steps / estimated_seconds
        return (
            float(slowdown * 60 * sum(self._estimated_minutes[name] for name in later_stages))
            + self._check_seconds
        )


def _require_finite(loss: float, step: int) -> None:
    """Raise where training has run away and the loss is no number any more."""
    if not math.isfinite(loss):
        raise StudioError(
            Message("At step {step} the loss stopped being a number: the steps were too big."),
            Message("Lower the learning rate to a third, and start again."),
            step=step,
        )


def as_point(scores: dict[str, float], part: str = "validation") -> dict[str, float]:
    """Scores under the names of a point: eval_loss and the rest on the validation part, test_loss and the rest on the test part."""
    return {
        f"{'test' if part == 'test' else 'eval'}_{name}": round(value, 6) for name, value in scores.items()
    }


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a stage's folder."""
    complete = [path for path in folder.glob("checkpoint-*") if (path / MONITOR_STATE_FILE).is_file()]
    return max(complete, key=lambda path: int(path.name.split("-")[1]), default=None)


def memory_gb() -> float:
    """Memory in use now: the peak of the card where there is one, else what this process holds (GB, 10^9 bytes)."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 1e9
    return psutil.Process(os.getpid()).memory_info().rss / 1e9


def peak_memory_gb() -> float:
    """The most memory there ever was at once: on a card what its allocator reserved and its context, else this process's resident set (GB)."""
    if torch.cuda.is_available():
        free_bytes, total_bytes = torch.cuda.mem_get_info()
        context_bytes = min(
            max(total_bytes - free_bytes - torch.cuda.memory_reserved(), 0), MAX_CONTEXT_BYTES
        )  # other programs may hold some of the card too
        return float(torch.cuda.max_memory_reserved() + context_bytes) / 1e9
    return hardware.peak_resident_bytes() / 1e9
