"""Where a run pauses on its way: it keeps its place, and what it makes of its validation rows is noted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.evaluate.predictions import Outcomes, Prediction, read_rows
from studio.runs import Run
from studio.storage import read_json, write_json

# What the run made of its validation rows when it paused, and how much of its training lay behind it.
STANDING_FILE = "standing.json"
# Its presence lets a run that never pauses note at its end what it makes of its validation rows.
CONTENDER_FILE = "contender"


@dataclass(frozen=True)
class Pause:
    """When a run pauses: after a validation, or when its time is up, whichever comes first.

    Attributes:
        after_validations: After how many of the validations that its plan asks for; 0 for never.
        after_seconds: Seconds from now on.
        started_at: The reading of the monotonic clock from which they count.
    """

    after_validations: int
    after_seconds: float
    started_at: float = field(default_factory=time.monotonic)

    def to_arguments(self) -> tuple[str, ...]:
        """The arguments of a worker that pauses so."""
        return (f"--pause-after={self.after_validations}", f"--pause-seconds={self.after_seconds}")

    def is_due(self, n_validations: int) -> bool:
        """Whether a run with so many validations behind it pauses now."""
        is_time_up = time.monotonic() - self.started_at >= self.after_seconds
        return is_time_up or 0 < self.after_validations <= n_validations


@dataclass(frozen=True)
class Standing:
    """A run at its last pause.

    Attributes:
        step, steps: How far its training was, and how far it goes (optimizer steps).
        outcomes: What its best state made of each validation row, by the row's index.
    """

    step: int
    steps: int
    outcomes: Outcomes

    @property
    def share(self) -> float:
        """How much of its training is behind it (0 to 1)."""
        return self.step / max(self.steps, 1)


def mark_contender(run: Run) -> None:
    """Let a run note at its end where it stands, so that it can be compared with others."""
    (run.folder / CONTENDER_FILE).touch()


def is_contender(run: Run) -> bool:
    """Whether a run notes at its end where it stands."""
    return (run.folder / CONTENDER_FILE).exists()


def write(run: Run, standing: Standing) -> None:
    """Note in a run's folder where it stands."""
    values = {"step": standing.step, "steps": standing.steps, "outcomes": standing.outcomes}
    write_json(run.folder / STANDING_FILE, values)


def read(run: Run) -> Standing | None:
    """Where a run stood at its last pause; None where it never paused or the note is damaged."""
    raw = read_json(run.folder / STANDING_FILE)
    try:
        outcomes: Outcomes = {int(row): dict(outcome) for row, outcome in raw["outcomes"].items()}
        return Standing(int(raw["step"]), int(raw["steps"]), outcomes)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_answers(run: Run) -> Sequence[Prediction]:
    """What a run that has paused made of its validation rows; none where it never paused."""
    standing = read(run)
    if not standing:
        return ()
    rows = read_rows(run.folder, "validation")
    return [
        Prediction(row, rows[row], outcome) for row, outcome in standing.outcomes.items() if row < len(rows)
    ]
