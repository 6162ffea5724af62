"""Stands in for the worker of a bake-off: every contender answers as many rows rightly as a test says."""

import json

from studio import runs
from studio.training import pause
from studio.training.pause import Standing

EVAL_COUNT, STEPS, N_ROWS = 10, 100, 40


class Trainer:
    """In place of a worker: notes each turn, and what a contender made of the validation rows.

    Args:
        right: How many of the validation rows each method gets right.
        minutes: How long all of a contender's training takes.
    """

    def __init__(self, right, minutes=10.0):
        self.right, self.minutes = right, minutes
        self.turns = []

    def __call__(self, run, until):
        """Train a run up to a pause, as conductor.TrainUntil does."""
        name = run.plan.method.name
        before = pause.read(run).step if pause.read(run) else 0
        step = STEPS * until.after_validations // EVAL_COUNT if until.after_validations else STEPS
        step = min(step, before + int(STEPS * until.after_seconds / 60 / self.minutes))
        self.turns.append((name, step))
        self.write(run, self.right[name], step)
        return (step - before) / STEPS * self.minutes

    def write(self, run, n_right, step):
        """What a worker leaves behind when it pauses or ends."""
        (run.folder / "data").mkdir(exist_ok=True)
        rows = [{"text": f"text {row}", "label": "a"} for row in range(N_ROWS)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (run.folder / "data" / "validation.jsonl").write_text(lines, encoding="utf-8")
        outcomes = {row: {"label": "a" if row < n_right else "b"} for row in range(N_ROWS)}
        pause.write(run, Standing(step, STEPS, outcomes))
        runs.set_status(run, "done" if step == STEPS else "stopped", step=step, steps=STEPS)
