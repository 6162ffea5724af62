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
from studio.estimate import hardware, record
from studio.home import write_json
from studio.models import trained
from studio.runs import Run
from studio.train.pace import Pace, probe
from studio.words import Words

STATUS_SECONDS = 0.5
# A CUDA context takes 0.1 to 0.6 GB (design/estimator.md, 2.4): bytes.
MOST_CONTEXT = 700_000_000
# A state to go on from is kept at a validation, unless writing the last one took more than a twentieth of the time since.
SAVING_SHARE = 0.05
# From so many steps on a stage's own pace says how the rest of the run will go; its pace is the median of so many steps.
SURE_AFTER, RECENT = 5, 9
# What a step of these stages does beside learning, by the names of an estimate's stretches.
BESIDE = {"rl": ("write", "judge", "reference"), "dpo": ("reference",)}
# What is kept of a Trainer's log, and under which name: the loss, and in TRL's later stages what a reward model or practice is judged by.
LOGGED = {
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
WATCHED = "watch.json"


class Watch(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Stands beside the Trainer of one stage and writes down what happens; `measure` gives validation scores of the model as it is.

    Without `measure` the last state is the one that is kept.
    """

    def __init__(self, run: Run, stage: str, model: Any, measure: Callable[[], dict[str, float]] | None) -> None:
        self.run, self.stage, self.model, self.measure, self.plan = run, stage, model, measure, run.plan
        self.folder = run.folder / "checkpoints" / stage
        self.step = self.steps = 0
        self.best_step, self.best = 0, {"loss": math.inf}  # before anything was measured
        self.first: dict[str, float] = {}
        self.stopped = False
        self.early = False
        self._saved, self._save_seconds = time.monotonic(), 0.0
        self._without_progress, self._lowest = 0, math.inf  # of the validations a plan asks for; a stop brings one of its own
        self._pace = Pace(torch.get_num_threads(), torch.set_num_threads, probe)
        self._measured: dict[str, float] = {}
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._wrote = self._check_seconds = 0.0
        self._first_step = 0
        self._told = record.foretold(run).get("stretches", {})
        self._tokens = 0

    def start(self) -> None:
        """Measure the state before the first step and keep it as the best so far."""
        assert self.measure is not None
        self.best = self.first = self.measure()
        _check_number(self.best["loss"], 0)
        self._lowest = self.best["loss"]
        runs.rewind(self.run, self.stage, -1)
        runs.add_point(self.run, self.stage, 0, 0, **as_point(self.best))
        trained.save(self.model, self.folder)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Decide at which steps the validation loss is measured."""
        every = max(1, -(-state.max_steps // self.plan.training.evaluations))
        self._checks = {*range(every, state.max_steps + 1, every), state.max_steps} if self.measure else set()
        self.step = self._first_step = state.global_step
        runs.rewind(self.run, self.stage, self.step)
        self.steps, self._tokens = state.max_steps, int(state.num_input_tokens_seen)
        if not torch.cuda.is_available():
            self._pace.choose()
        runs.set_status(self.run, "training", self.stage, step=self.step, steps=self.steps)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock of a step."""
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure the step, validate when it is time, and stop when asked."""
        self.step = state.global_step
        self.best_step = self.best_step if self.measure else self.step
        seconds = time.perf_counter() - self._began
        tokens = int(state.num_input_tokens_seen) - self._tokens
        self._tokens = int(state.num_input_tokens_seen)
        self._recent.append(seconds)
        self._measured = {
            "tokens": self._tokens,
            "tokens_per_second": round(tokens / seconds, 1),
            "memory_gb": round(memory_gb(), 3),
            "threads": self._pace.threads,
        }
        if not torch.cuda.is_available():
            share = (time.process_time() - self._cpu_began) / (seconds * self._pace.threads)
            self._pace.step(tokens / seconds, crowded=share < 0.85)
        if self.run.stop_file.exists():
            self.stopped = control.should_training_stop = True
        if state.global_step in self._checks or (self.stopped and self.measure):
            self._check(state, control)
        self._tell(state)
        now = time.monotonic()
        due = state.global_step in self._checks and self._save_seconds <= SAVING_SHARE * (now - self._saved)
        if self.stopped or (due and state.global_step < state.max_steps):
            control.should_save, self._saved = True, now

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Complete a checkpoint with what this watch knows."""
        self._save_seconds = time.monotonic() - self._saved
        known = {"best_step": self.best_step, "best": self.best, "without_progress": self._without_progress, "lowest": self._lowest}
        write_json(self.folder / f"checkpoint-{state.global_step}" / WATCHED, known)

    def checkpoint(self) -> str | None:
        """The folder from which this stage goes on after a stop; None where it begins."""
        found = last_checkpoint(self.folder)
        if not found:
            return None
        known = json.loads((found / WATCHED).read_text(encoding="utf-8"))
        self.best_step, self.best = known["best_step"], known["best"]
        self._without_progress, self._lowest = (
            known["without_progress"],
            known.get("lowest", self.best["loss"]),
        )  # an earlier studio kept the best alone
        return str(found)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Write down the training loss with what was measured beside it."""
        if logs and "loss" in logs:
            _check_number(float(logs["loss"]), state.global_step)
            kept = {name: round(float(logs[said]), 8) for said, name in LOGGED.items() if logs.get(said) is not None}
            runs.add_point(self.run, self.stage, state.global_step, state.epoch or 0, **kept, **self._measured)

    def restore(self) -> None:
        """Put the numbers of the best validation back into the model."""
        if math.isfinite(self.best["loss"]):
            trained.restore(self.model, self.folder)

    def _check(self, state: Any, control: Any) -> None:
        assert self.measure is not None
        began = time.perf_counter()
        scores = self.measure()
        self._check_seconds = time.perf_counter() - began
        _check_number(scores["loss"], state.global_step)
        runs.add_point(self.run, self.stage, state.global_step, state.epoch or 0, **as_point(scores))
        if scores["loss"] < self.best["loss"]:
            self.best, self.best_step = scores, state.global_step
            trained.save(self.model, self.folder)
        if state.global_step not in self._checks:
            return
        self._without_progress = 0 if scores["loss"] < self._lowest else self._without_progress + 1
        self._lowest = min(self._lowest, scores["loss"])
        if self.plan.training.patience and self._without_progress >= self.plan.training.patience:
            self.early = control.should_training_stop = True

    def _tell(self, state: Any) -> None:
        now = time.monotonic()
        if now - self._wrote < STATUS_SECONDS and state.global_step < state.max_steps:
            return
        self._wrote = now
        checks = len([step for step in self._checks if step > state.global_step])
        left = (state.max_steps - state.global_step) * self._pace_of_steps(state) + checks * self._check_seconds + self._later(state)
        runs.set_status(self.run, "training", self.stage, step=state.global_step, steps=state.max_steps, seconds_left=round(left, 1))

    def _pace_of_steps(self, state: Any) -> float:
        """Seconds a step: as estimated for the first few, which are slower than the rest, then the median of the last ones."""
        told = self._stage_seconds() / int(state.max_steps)
        return told if told and self.step - self._first_step < SURE_AFTER else float(median(self._recent))

    def _stage_seconds(self) -> float:
        """What all steps of this stage take by the estimate; 0 where there is none."""
        return 60 * sum(float(self._told.get(name, 0.0)) for name in (self.stage, *BESIDE.get(self.stage, ())))

    def _later(self, state: Any) -> float:
        """Seconds from the end of this stage to the end of the run: as estimated, times what this stage's own steps take more or less."""
        mine = self._stage_seconds()
        if not mine:
            return self._check_seconds
        after = list(self._told)[list(self._told).index(self.stage) + 1 :]
        slower = self._pace_of_steps(state) * state.max_steps / mine
        return float(slower * 60 * sum(self._told[name] for name in after)) + self._check_seconds


def _check_number(loss: float, step: int) -> None:
    """Raise where training has run away and the loss is no number any more."""
    if not math.isfinite(loss):
        raise StudioError(
            Words(
                "At step {step} the loss stopped being a number: the steps were too big.", "第 {step} 步的损失不再是数字：步子迈得太大。"
            ),
            Words("Lower the learning rate to a third, and start again.", "请把学习率降到三分之一，然后重新开始。"),
            step=step,
        )


def as_point(scores: dict[str, float], part: str = "validation") -> dict[str, float]:
    """Scores under the names of a point: eval_loss and the rest on the validation part, test_loss and the rest on the test part."""
    return {f"{'test' if part == 'test' else 'eval'}_{name}": round(value, 6) for name, value in scores.items()}


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a stage's folder."""
    found = [path for path in folder.glob("checkpoint-*") if (path / WATCHED).is_file()]
    return max(found, key=lambda path: int(path.name.split("-")[1]), default=None)


def memory_gb() -> float:
    """Memory in use now: the peak of the card where there is one, else what this process holds (GB, 10^9 bytes)."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 1e9
    return psutil.Process(os.getpid()).memory_info().rss / 1e9


def peak_memory_gb() -> float:
    """The most memory there ever was at once: on a card what its allocator reserved and its context, else this process's resident set (GB)."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        context = min(max(total - free - torch.cuda.memory_reserved(), 0), MOST_CONTEXT)  # other programs may hold some of the card too
        return float(torch.cuda.max_memory_reserved() + context) / 1e9
    return hardware.peak_resident() / 1e9
