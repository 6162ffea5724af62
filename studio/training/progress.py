"""How far a run has come: its named parts in order, the one it is in, and the share of it that is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio import methods
from studio.errors import NotPossible
from studio.plan import Plan
from studio.runs import Status
from studio.training.time_left import EXTRA_PHASES, SHARED_STRETCHES

# The parts before and after training; between them stand the stages of the method.
PREPARE, EVALUATE = "prepare", "evaluate"
# What a run does in these parts, in order, by the stages of its status.
PREPARE_STEPS = (
    *("queue", "send", "machine", "install", "data", "fetch", "load", "alike", "openings"),
    *("before", "asking", "retention", "linear"),
)
EVALUATE_STEPS = ("after", "asking", "retention", "bring_back")
# What a stage does before its first step, by the stages of the status, which the estimate's stretches share.
PRELUDES = {"train": "bottom", "reward": "head"}
# The stretches of an estimate (studio.methods.workload) that belong to preparing. Those that the base and the
# result go through alike count half before training and half after it.
PREPARE_STRETCHES, EVALUATE_STRETCHES = ("start", "openings", "linear"), ("save",)
# Without an estimate training counts so many times as much as preparing or evaluating.
DEFAULT_TRAINING_WEIGHT = 8.0
# No part counts less than this share of the whole: it would not be seen to move.
MIN_WEIGHT = 0.03


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        parts: The names of its parts, in order.
        current: The index of the part that it is in; the number of parts where it has gone through all.
        share: The share of the whole that is done (0 to 1).
    """

    parts: tuple[str, ...]
    current: int
    share: float


def trained_stages(plan: Plan) -> tuple[str, ...]:
    """The stages that a run of this plan trains in, in order."""
    try:
        method = methods.get(plan.method.name)
    except NotPossible:  # its method is no longer in the registry
        return ("train",)
    return method.list_stages(plan.method.settings, plan.task)


def measure(plan: Plan, status: Status, stretches: Mapping[str, float], has_points: bool = False) -> Progress:
    """How far a run has come; while it runs, the share never falls.

    Args:
        plan: The plan of the run.
        status: Where it stands.
        stretches: Minutes of each stretch of the run by its estimate; empty without one.
        has_points: Whether training has begun: some steps are the same before it and after it.
    """
    parts = (PREPARE, *trained_stages(plan), EVALUATE)
    if status.state == "done":
        return Progress(parts, len(parts), 1.0)
    current = _find_part(parts, status, has_points)
    weights = _weigh_parts(parts, stretches)
    share_of_part = _share_of_part(parts[current], status, stretches)
    share = sum(weights[:current]) + share_of_part * weights[current]
    return Progress(parts, current, round(share, 6))


def _find_part(parts: Sequence[str], status: Status, has_points: bool) -> int:
    if status.stage in parts:
        return parts.index(status.stage)
    for part, prelude in PRELUDES.items():
        if status.stage == prelude and part in parts:
            return parts.index(part)
    is_after_training = status.stage in EVALUATE_STEPS and has_points
    return len(parts) - 1 if is_after_training else 0


def _weigh_parts(parts: Sequence[str], stretches: Mapping[str, float]) -> list[float]:
    """The share of the whole that each part takes; they add up to 1."""
    stages = parts[1:-1]
    if not stretches:
        weights = [1.0, *(DEFAULT_TRAINING_WEIGHT / len(stages) for _ in stages), 1.0]
    else:
        shared_minutes = _sum_minutes(stretches, SHARED_STRETCHES) / 2
        validation_minutes = stretches.get("check", 0.0) / len(stages)
        weights = [
            _sum_minutes(stretches, PREPARE_STRETCHES) + shared_minutes,
            *(_stage_minutes(stage, stretches) + validation_minutes for stage in stages),
            _sum_minutes(stretches, EVALUATE_STRETCHES) + shared_minutes,
        ]
    visible = [max(weight, MIN_WEIGHT * sum(weights)) for weight in weights]
    return [weight / sum(visible) for weight in visible]


def _sum_minutes(stretches: Mapping[str, float], names: Sequence[str]) -> float:
    return sum(stretches.get(name, 0.0) for name in names)


def _stage_minutes(stage: str, stretches: Mapping[str, float]) -> float:
    names = (stage, PRELUDES.get(stage, ""), *EXTRA_PHASES.get(stage, ()))
    return _sum_minutes(stretches, names)


def _share_of_part(part: str, status: Status, stretches: Mapping[str, float]) -> float:
    share_of_step = min(status.step / status.steps, 1.0) if status.steps else 0.0
    if part == PREPARE:
        return _share_of_steps(PREPARE_STEPS, status.stage, share_of_step)
    if part == EVALUATE:
        return _share_of_steps(EVALUATE_STEPS, status.stage, share_of_step)
    prelude_minutes = stretches.get(PRELUDES.get(part, ""), 0.0)
    prelude_share = prelude_minutes / _stage_minutes(part, stretches) if prelude_minutes else 0.0
    if status.stage == PRELUDES.get(part):
        return prelude_share * share_of_step
    return prelude_share + (1 - prelude_share) * share_of_step


def _share_of_steps(steps: Sequence[str], step: str, share_of_step: float) -> float:
    """The share of a part whose steps count alike; "queue" and "after" have no share of their own."""
    if step not in steps:
        return 0.0
    is_counted = step not in ("queue", "after")
    return (steps.index(step) + share_of_step * is_counted) / len(steps)
