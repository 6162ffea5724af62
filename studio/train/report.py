"""What a training tells its run folder: points, progress, validation, the best state, and whether it was asked to stop."""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from studio import runs
from studio.errors import StudioError
from studio.home import check_room
from studio.runs import Run
from studio.train.pace import Pace, probe
from studio.words import Words

BEST = "best.safetensors"
STATUS_SECONDS = 0.5


class Watch(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Stands beside the Trainer and writes down what happens; `measure` gives the validation scores of the model as it is."""

    def __init__(self, run: Run, model: Any, measure: Callable[[], dict[str, float]], first: dict[str, float]) -> None:  # noqa: ANN401
        self.run, self.model, self.measure, self.plan = run, model, measure, run.plan
        self.step = self.steps = 0
        self.best_step, self.best = 0, {**first, "loss": math.inf}
        self.stopped = False
        self.early = False
        self._without_progress = 0
        self._pace = Pace(torch.get_num_threads(), torch.set_num_threads, probe)
        self._measured: dict[str, float] = {}
        self._step_seconds = self._check_seconds = 0.0
        self._wrote = 0.0
        self._tokens = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Decide at which steps the validation loss is measured."""
        every = max(1, -(-state.max_steps // self.plan.training.evaluations))
        self._checks = {*range(every, state.max_steps + 1, every), state.max_steps}
        self.steps = state.max_steps
        if not torch.cuda.is_available():
            self._pace.choose()
        runs.set_status(self.run, "training", "train", steps=self.steps)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Start the clock of a step."""
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Measure the step, validate when it is time, and stop when asked."""
        self.step = state.global_step
        seconds = time.perf_counter() - self._began
        tokens = int(state.num_input_tokens_seen) - self._tokens
        self._tokens = int(state.num_input_tokens_seen)
        self._step_seconds = 0.8 * self._step_seconds + 0.2 * seconds if self._step_seconds else seconds
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
        if state.global_step in self._checks or self.stopped:
            self._check(state, control)
        self._tell(state)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:  # noqa: ANN401
        """Write down the training loss with what was measured beside it."""
        if logs and "loss" in logs:
            _check_number(float(logs["loss"]), state.global_step)
            kept = {name: round(float(logs[name]), 8) for name in ("loss", "learning_rate", "grad_norm") if name in logs}
            runs.add_point(self.run, "train", state.global_step, state.epoch or 0, **kept, **self._measured)

    def restore(self) -> None:
        """Put the numbers of the best validation back into the model."""
        path = self.run.folder / "checkpoints" / BEST
        if path.is_file():
            saved = load_file(path)
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    if name in saved:
                        parameter.copy_(saved[name])

    def _check(self, state: Any, control: Any) -> None:  # noqa: ANN401
        began = time.perf_counter()
        scores = self.measure()
        self._check_seconds = time.perf_counter() - began
        _check_number(scores["loss"], state.global_step)
        runs.add_point(self.run, "train", state.global_step, state.epoch or 0, **as_point(scores))
        if scores["loss"] < self.best["loss"]:
            self.best, self.best_step, self._without_progress = scores, state.global_step, 0
            save_trained(self.model, self.run.folder / "checkpoints")
            return
        self._without_progress += 1
        if self.plan.training.patience and self._without_progress >= self.plan.training.patience:
            self.early = control.should_training_stop = True

    def _tell(self, state: Any) -> None:  # noqa: ANN401
        now = time.monotonic()
        if now - self._wrote < STATUS_SECONDS and state.global_step < state.max_steps:
            return
        self._wrote = now
        checks = len([step for step in self._checks if step > state.global_step])
        left = (state.max_steps - state.global_step) * self._step_seconds + checks * self._check_seconds
        runs.set_status(self.run, "training", "train", step=state.global_step, steps=state.max_steps, seconds_left=round(left, 1))


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


def as_point(scores: dict[str, float]) -> dict[str, float]:
    """Validation scores under the names of a point: eval_loss and the rest."""
    return {f"eval_{name}": round(value, 6) for name, value in scores.items()}


def save_trained(model: Any, folder: Path) -> None:  # noqa: ANN401 - any torch model
    """Keep the numbers that are being trained in one safetensors file; raises OutOfRoom before the disk is full."""
    folder.mkdir(exist_ok=True)
    kept = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters() if parameter.requires_grad}
    check_room(folder, sum(value.numel() * value.element_size() for value in kept.values()))
    draft = folder / f".{BEST}"
    save_file(kept, draft)
    draft.replace(folder / BEST)


def memory_gb() -> float:
    """Memory in use now: the peak of the card where there is one, else what this process holds (GB, 10^9 bytes)."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 1e9
    return psutil.Process(os.getpid()).memory_info().rss / 1e9
