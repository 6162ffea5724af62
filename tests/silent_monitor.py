"""A monitor for trainings nobody looks at. Apart from ways.py, since transformers takes seconds to import."""

from transformers import TrainerCallback


class SilentMonitor(TrainerCallback):
    """A StageMonitor that reports to nobody, keeps no checkpoint and records only the losses."""

    def __init__(self):
        self.step = self.steps = self.best_step = 0
        self.stopped = self.stopped_early = False
        self.seconds_saved = 0.0
        self.losses, self.initial_scores = [], {}

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])

    def checkpoint(self):
        return None

    def restore(self):
        pass
