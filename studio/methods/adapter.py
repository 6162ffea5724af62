"""Bottleneck adapters: small networks between the layers learn, and the model around them stays as it is."""

import re
from pathlib import Path
from typing import Any

from studio.i18n import label
from studio.methods import defaults
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, ParameterCount, Setting, Settings
from studio.methods.training import peft_adapter
from studio.models import shape as shapes
from studio.models.shape import Linear, ModelShape
from studio.plan import Task

SETTINGS = (
    Setting(
        "size",
        label("Bottleneck size"),
        label(
            "Width of each adapter’s narrow middle. 16 for small changes, 64 for most tasks, "
            "256 for large ones."
        ),
        default=64,
        kind="int",
        low=1,
        high=1024,
    ),
    Setting(
        "placement",
        label("Placement"),
        label(
            "Where the adapters sit. After both layers learns most (Houlsby et al. 2019); "
            "after feed-forward only is half the size (Pfeiffer et al. 2020)."
        ),
        default="houlsby",
        kind="choice",
        choices=(
            ("houlsby", label("After attention and after feed-forward (Houlsby)")),
            ("pfeiffer", label("After feed-forward only (Pfeiffer)")),
        ),
    ),
    Setting(
        "dropout",
        label("Dropout"),
        label("Share of an adapter’s input dropped at random in each step, against memorizing."),
        default=0.0,
        kind="float",
        low=0,
        high=0.5,
        advanced=True,
    ),
)


def target_linears(shape: ModelShape, placement: str) -> list[Linear]:
    """The matrices that adapters follow: the last of the attention part and of the feed-forward part.

    Behind experts it is all of their part: what it gives is the sum of what the experts of a token give.
    """
    last_by_part = {linear.part: linear for linear in shape.linears}
    if shape.experts.count:
        last_by_part["feed_forward"] = Linear(
            shape.experts.path, shape.hidden, shape.hidden, False, "feed_forward"
        )
    parts = ("attention", "feed_forward") if placement == "houlsby" else ("feed_forward",)
    return [last_by_part[part] for part in parts]


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """As a LoRA's; a classifier on an encoder bears more."""
    if task == "classify" and shape.encoder:
        return defaults.classifier_learning_rate("adapter", shape)
    return peft_adapter.learning_rate(shape, settings, task)


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """layers · Σ (2 · size · width + size + width) (Houlsby et al. 2019), and a new head with labels."""
    size = int(settings["size"])
    widths = [linear.n_out for linear in target_linears(shape, str(settings["placement"]))]
    block_parameters = sum(2 * size * width + size + width for width in widths)
    return peft_adapter.count_with_head(shape, num_labels, shape.layers * block_parameters)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with adapters that let everything pass as it is."""
    from peft import get_peft_model  # noqa: PLC0415 - loads torch

    from studio.methods.training.bottleneck import BottleneckConfig  # noqa: PLC0415

    shape = shapes.from_config(model.config.to_dict())
    linears = target_linears(shape, str(settings["placement"]))
    names = "|".join(re.escape(linear.name) for linear in linears)
    config = BottleneckConfig(
        size=int(settings["size"]),
        dropout=float(settings["dropout"]),
        target_modules=rf".*\.\d+\.({names})",
        modules_to_save=peft_adapter.head_modules(shape, task),
        task_type=peft_adapter.peft_task_type(task),
    )
    return get_peft_model(model, config)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """Two small matrices and a ReLU after each target."""
    linears = target_linears(shape, str(settings["placement"]))
    width = sum(linear.n_out for linear in linears)
    return CostProfile(
        adapter_params=2.0 * int(settings["size"]) * width,
        saved_activations=1.05 * width,
        memory_traffic=5.3 * width,
        memory_traffic_backward=8.3 * width,
        operations=4.0 * len(linears),
        operations_backward=6.5 * len(linears),
    )


def load(base: Any, folder: Path) -> Any:
    """The adapters in a folder on a base model, whose modules they take over."""
    from studio.methods.training import bottleneck  # noqa: F401, PLC0415 - makes PEFT know the type

    return peft_adapter.load(base, folder)


METHOD = Method(
    name="adapter",
    tasks=("chat", "complete", "classify"),
    settings=SETTINGS,
    exports=("adapter",),
    weights="frozen",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    attach=attach,
    train=peft_adapter.train,
    save=peft_adapter.save,
    load=load,
    merge=peft_adapter.merge,
    extra_file=Path(__file__).parent / "training" / "bottleneck.py",
)
