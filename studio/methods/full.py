"""Full fine-tuning: every parameter of the model may change."""

from typing import Any

from studio.i18n import label
from studio.methods import defaults
from studio.methods.cost_profile import full_training
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import full_model_io
from studio.models.shape import ModelShape
from studio.plan import Task

SETTINGS = (
    Setting(
        "weights_precision",
        label("Weights precision"),
        label(
            "16 bits take about half the memory. Default from a billion parameters on, on a "
            "GPU that supports bfloat16."
        ),
        default="auto",
        kind="choice",
        choices=(
            ("auto", label("Automatic: by model size and GPU")),
            ("float32", label("32 bits: exact")),
            ("bfloat16", label("16 bits: half the memory (bfloat16, stochastic rounding)")),
        ),
        advanced=True,
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """1e-5 to 5e-5 is usual (docs/methods.md); small models bear, and need, the upper end and more."""
    if task == "classify" and shape.encoder:
        return defaults.classifier_learning_rate("full", shape)
    return 5e-5 if shape.total() < 400e6 or task == "classify" else 1e-5


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """All parameters, a new head included where there are labels."""
    total = shape.total(num_labels)
    return ParameterCount(total, total)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """Nothing is frozen."""
    return model.requires_grad_(True)


def train(context: TrainingContext) -> Any:
    """Supervised training of everything."""
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch

    supervised.fit(context)
    return context.model


METHOD = Method(
    name="full",
    tasks=("chat", "complete", "classify"),
    settings=SETTINGS,
    exports=("merged",),
    weights="trained",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=lambda shape, settings: full_training(shape),
    attach=attach,
    train=train,
    save=full_model_io.save,
    load=full_model_io.load,
    merge=full_model_io.load,
)
