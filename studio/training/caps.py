"""The caps of a plan: time, money or energy, measured while the run trains."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from studio.errors import NotPossible
from studio.estimate.estimate_one import minutes_before_start, watt_hours_of_minutes
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message
from studio.plan import Plan, Training
from studio.runs import Run
from studio.storage import read_json, write_json

CAP_NAMES = ("max_minutes", "max_money", "max_watt_hours")
# What a run has used so far, for when it goes on after a stop or a failure.
USE_FILE = "use.json"
# What is left to do takes up to this many times as long as when it was measured (up to 1.3 on toys), and the
# reports as many seconds more.
RESERVE_FACTOR, REPORT_SECONDS = 1.3, 1.0
NO_PRICE = Message("The plan caps money at {limit:g}, but no price is known for this machine.")
NO_PRICE_HINT = Message(
    "Cap the time instead, or write the price per hour into `machines.yaml` in the studio's home:"
    " machines: here: price: {{per_hour: 0.10}}."
)
NO_POWER = Message("The plan caps energy at {limit:g} Wh, but the power of this machine is not known.")
NO_POWER_HINT = Message("Cap the time instead.")


@dataclass
class Budget:
    """What a run may use, and what it has used.

    Attributes:
        training: The plan's training, with its caps.
        machine: The machine, with its price and power.
        started_at: The reading of the monotonic clock from which the time counts.
        seconds_before: What the run had used before it was broken off and went on.
        evaluation_seconds: What evaluating the base took, with its general questions: evaluating the result
            takes about as long.
    """

    training: Training
    machine: Machine
    started_at: float = field(default_factory=time.monotonic)
    seconds_before: float = 0.0
    evaluation_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """What the run has used so far."""
        return self.seconds_before + time.monotonic() - self.started_at

    def write_use(self, run: Run) -> None:
        """Note what the run has used: if it is broken off now, it counts on from there."""
        use = {"seconds": round(self.seconds, 1), "evaluation_seconds": round(self.evaluation_seconds, 1)}
        write_json(run.folder / USE_FILE, use)

    def find_reached(self, reserve_seconds: float) -> dict[str, Any] | None:
        """The cap that the run would pass before its end if it did not stop now; None where it has room.

        Args:
            reserve_seconds: What one more step would take, with what saving the best state takes.

        Returns:
            For the report: the cap's `name`, its `limit`, what was `used`, and the `currency`.
        """
        minutes = self.seconds / 60
        measured_seconds = reserve_seconds + self.evaluation_seconds
        minutes_at_end = minutes + (RESERVE_FACTOR * measured_seconds + REPORT_SECONDS) / 60
        for name, limit in list_caps(self.training).items():
            if _measure_use(name, self.machine, minutes_at_end) > limit:
                used = _measure_use(name, self.machine, minutes)
                return {"name": name, "limit": limit, "used": used, "currency": self.machine.currency}
        return None


def list_caps(training: Training) -> dict[str, float]:
    """The caps that a plan sets, by name."""
    caps = {name: getattr(training, name) for name in CAP_NAMES}
    return {name: limit for name, limit in caps.items() if limit is not None}


def create_budget(run: Run) -> Budget | None:
    """The budget of a run that starts or goes on now; None where its plan sets no cap.

    Raises:
        NotPossible: A cap cannot be measured on this machine.
    """
    plan = run.plan
    if not list_caps(plan.training):
        return None
    machine = catalogue.with_own_cards(catalogue.local_machine(), plan.training.num_gpus)
    require_measurable(plan, machine)
    use = read_json(run.folder / USE_FILE)
    return Budget(
        plan.training,
        machine,
        started_at=time.monotonic(),
        seconds_before=read_seconds(use.get("seconds")),
        evaluation_seconds=read_seconds(use.get("evaluation_seconds")),
    )


def used_minutes(run: Run) -> float:
    """How long a run has trained so far, by its own clock: its caps count on from there."""
    return read_seconds(read_json(run.folder / USE_FILE).get("seconds")) / 60


def read_seconds(value: object) -> float:
    """Seconds from a file; 0 where the file holds none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return max(0.0, float(value))


def forget_use(run: Run) -> None:
    """Let a run that has reached its cap have the cap once more if somebody resumes it."""
    (run.folder / USE_FILE).unlink(missing_ok=True)


def require_measurable(plan: Plan, machine: Machine) -> None:
    """Raise NotPossible where a plan caps what cannot be measured: no price or power is known."""
    training = plan.training
    if training.max_money is not None and machine.price_per_hour is None:
        raise NotPossible(NO_PRICE, NO_PRICE_HINT, limit=training.max_money)
    if training.max_watt_hours is not None and machine.watts is None:
        raise NotPossible(NO_POWER, NO_POWER_HINT, limit=training.max_watt_hours)


def _measure_use(name: str, machine: Machine, minutes: float) -> float:
    """What running for so many minutes uses, in the unit of the cap; a machine's start-up is paid too."""
    if name == "max_minutes":
        return minutes
    if name == "max_money":
        paid_minutes = minutes_before_start(machine) + minutes
        return catalogue.cost_of_minutes(machine, paid_minutes) or 0.0
    return watt_hours_of_minutes(machine, minutes) or 0.0
