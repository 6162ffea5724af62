"""Predicts how long a run still takes: as estimated at first, and from its own steps as soon as it can."""

from collections import deque
from collections.abc import Mapping
from statistics import median

# From so many steps on a stage's own pace says how the run goes on; the pace is the median of so many steps.
MIN_MEASURED_STEPS, RECENT_STEPS = 5, 9
# What base and result go through alike: half of each such stretch comes before training, half after it.
SHARED_STRETCHES = ("verdict", "ask", "retention")
# What a step of these stages does beside learning, by the names of the estimate's stretches.
EXTRA_PHASES = {"rl": ("write", "judge", "reference"), "dpo": ("reference",), "kto": ("reference",)}


class TimeLeft:
    """The seconds left of a run, seen from within one of its stages.

    Args:
        estimated_minutes: Minutes of each stretch of the run, in order, by the estimate; empty without one.
        stage: The stage whose steps are counted.
    """

    def __init__(self, estimated_minutes: Mapping[str, float], stage: str) -> None:
        self._estimated_minutes = dict(estimated_minutes)
        self._stage = stage
        self._recent_seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._first_step = self._n_steps = 0

    def begin(self, step: int, n_steps: int) -> None:
        """The stage starts at `step` (above 0 where it goes on after a stop) of `n_steps`."""
        self._first_step, self._n_steps = step, n_steps

    def add_step(self, seconds: float) -> None:
        """Record what a step has taken."""
        self._recent_seconds.append(seconds)

    def seconds_left(self, step: int, n_validations: int, validation_seconds: float) -> float:
        """Seconds from after `step` to the end of the run.

        Args:
            step: The last step that has ended.
            n_validations: Validations that are still to come in this stage.
            validation_seconds: What one takes.
        """
        seconds_per_step = self._seconds_per_step(step)
        in_this_stage = (self._n_steps - step) * seconds_per_step + n_validations * validation_seconds
        # The result is measured as it is validated, where no test is told apart.
        measuring_seconds = 0.0 if "verdict" in self._estimated_minutes else validation_seconds
        return in_this_stage + self._seconds_after_stage(seconds_per_step) + measuring_seconds

    def _seconds_per_step(self, step: int) -> float:
        """As estimated for the first few steps, which are slower; then the median of the last ones."""
        estimated_seconds = self._estimated_stage_seconds() / self._n_steps
        if estimated_seconds and step - self._first_step < MIN_MEASURED_STEPS:
            return estimated_seconds
        return float(median(self._recent_seconds))

    def _estimated_stage_seconds(self) -> float:
        """What all steps of this stage take by the estimate; 0 without one."""
        stretches = (self._stage, *EXTRA_PHASES.get(self._stage, ()))
        return 60 * sum(self._estimated_minutes.get(name, 0.0) for name in stretches)

    def _seconds_after_stage(self, seconds_per_step: float) -> float:
        """As estimated, scaled by how much slower or faster than estimated this stage's own steps are."""
        estimated_seconds = self._estimated_stage_seconds()
        if not estimated_seconds:
            return 0.0
        slowdown = seconds_per_step * self._n_steps / estimated_seconds
        stretches = list(self._estimated_minutes)
        later_stretches = stretches[stretches.index(self._stage) + 1 :]
        own_minutes = sum(
            self._estimated_minutes[name]
            for name in later_stretches
            if name not in (*SHARED_STRETCHES, "check")  # validations are counted by their own time
        )
        shared_minutes = sum(self._estimated_minutes.get(name, 0.0) for name in SHARED_STRETCHES)
        return slowdown * 60 * (own_minutes + shared_minutes / 2)
