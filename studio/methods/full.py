"""Full fine-tuning: every number of the model may change."""

from typing import Any

from studio.methods import _whole
from studio.methods.base import Footprint, Job, Method, Settings
from studio.methods.touch import whole
from studio.models.shape import ModelShape
from studio.plan import Task


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """1e-5 to 5e-5 is usual (brief/mission.md); small models bear, and need, the upper end and more."""
    small = shape.total() < 400e6
    return (1e-4 if shape.total() < 50e6 else 5e-5) if task == "classify" else (5e-5 if small else 1e-5)


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """All parameters, the new head included where there are `labels`."""
    total = shape.total(labels)
    return Footprint(total, total)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """Nothing is frozen."""
    return model.requires_grad_(True)


def train(job: Job) -> Any:
    """Supervised training of everything."""
    from studio.methods import _supervised  # noqa: PLC0415 - loads torch

    _supervised.fit(job)
    return job.model


METHOD = Method(
    name="full",
    tasks=("chat", "complete", "classify"),
    knobs=(),
    exports=("merged",),
    weights="trained",
    learning_rate=learning_rate,
    footprint=footprint,
    touch=lambda shape, settings: whole(shape),
    attach=attach,
    train=train,
    save=_whole.save,
    load=_whole.load,
    merge=_whole.load,
)
