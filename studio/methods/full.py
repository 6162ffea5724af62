"""Full fine-tuning: every number of the model may change."""

from pathlib import Path
from typing import Any

from studio.methods.base import Footprint, Job, Method, Settings
from studio.models.shape import ModelShape
from studio.plan import Task


def learning_rate(shape: ModelShape, task: Task) -> float:
    """1e-5 to 5e-5 is usual (brief/mission.md); small models bear, and need, the upper end and more."""
    small = shape.total() < 400e6
    return (1e-4 if shape.total() < 50e6 else 5e-5) if task == "classify" else (5e-5 if small else 1e-5)


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """All parameters, the new head included where there are `labels`."""
    total = shape.total(labels)
    return Footprint(total, total)


def attach(model: Any, settings: Settings, task: Task) -> Any:  # noqa: ANN401 - any torch model
    """Nothing is frozen."""
    return model.requires_grad_(True)


def train(job: Job) -> None:
    """Supervised training of everything."""
    from studio.methods import _supervised  # noqa: PLC0415 - loads torch

    _supervised.fit(job)


def save(model: Any, folder: Path, hub: str) -> None:  # noqa: ANN401 - any torch model
    """Write the whole model."""
    model.save_pretrained(folder)


def load(base: Any, folder: Path) -> Any:  # noqa: ANN401 - any torch model
    """The saved model stands for itself; the base only says of which kind it is."""
    model = type(base).from_pretrained(folder, dtype=base.dtype, trust_remote_code=False, use_safetensors=True)
    return model.to(base.device).eval()


def merge(model: Any) -> Any:  # noqa: ANN401 - any torch model
    """There is nothing to merge: the model is whole."""
    return model


METHOD = Method(
    name="full",
    tasks=("chat", "classify"),
    knobs=(),
    exports=("merged",),
    trains_base=True,
    learning_rate=learning_rate,
    footprint=footprint,
    attach=attach,
    train=train,
    save=save,
    load=load,
    merge=merge,
)
