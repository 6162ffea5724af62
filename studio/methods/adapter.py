"""Bottleneck adapters: small networks between the layers learn, and the model around them stays as it is."""

import re
from pathlib import Path
from typing import Any

from studio.methods import _adapter
from studio.methods.base import Footprint, Knob, Method, Settings
from studio.methods.touch import Touch
from studio.models import shape as shapes
from studio.models.shape import Linear, ModelShape
from studio.plan import Task
from studio.words import label

KNOBS = (
    Knob(
        "size",
        label("How much the adapters can hold (bottleneck size)", "适配器能学多少（瓶颈宽度 bottleneck size）"),
        label(
            "The width of each small network's narrow middle: 16 for a little change, 64 for most tasks, 256 for much.",
            "每个小网络中间窄层的宽度：小改动 16，多数任务 64，大改动 256。",
        ),
        64,
        "whole",
        1,
        1024,
    ),
    Knob(
        "placement",
        label("Where the adapters stand (placement)", "适配器放在哪里（placement）"),
        label(
            "After attention and after feed-forward learns most (Houlsby et al. 2019); after feed-forward alone is half the size (Pfeiffer et al. 2020).",
            "注意力和前馈之后都放，学得最多（Houlsby 等 2019）；只放在前馈之后，体积减半（Pfeiffer 等 2020）。",
        ),
        "houlsby",
        "choice",
        choices=(
            ("houlsby", label("After attention and after feed-forward (Houlsby)", "注意力之后和前馈之后（Houlsby）")),
            ("pfeiffer", label("After feed-forward only (Pfeiffer)", "仅前馈之后（Pfeiffer）")),
        ),
    ),
    Knob(
        "dropout",
        label("Protection against learning by heart (dropout)", "防止死记硬背（dropout）"),
        label(
            "The share of an adapter's input that is left out at random in each step.",
            "每步随机忽略的适配器输入比例。",
        ),
        0.0,
        "number",
        0,
        0.5,
        first=False,
    ),
)


def targets(shape: ModelShape, placement: str) -> list[Linear]:
    """The matrices an adapter stands behind: the last of the attention part, and the last of the feed-forward part."""
    parts = ("attention", "feed_forward") if placement == "houlsby" else ("feed_forward",)
    return [[linear for linear in shape.linears if linear.part == part][-1] for part in parts]


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """layers · Σ (2 · size · width + size + width) (Houlsby et al. 2019), and a new head where there are `labels`."""
    size = int(settings["size"])
    places = targets(shape, str(settings["placement"]))
    added = shape.layers * sum(2 * size * linear.n_out + size + linear.n_out for linear in places)
    head = shape.head(labels) if labels else 0
    return Footprint(added + head, shape.total(labels) + added + head)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with adapters that let everything pass as it is."""
    from peft import get_peft_model  # noqa: PLC0415 - loads torch

    from studio.methods._bottleneck import BottleneckConfig  # noqa: PLC0415

    shape = shapes.of(model.config.to_dict())
    names = "|".join(re.escape(linear.name) for linear in targets(shape, str(settings["placement"])))
    config = BottleneckConfig(
        size=int(settings["size"]),
        dropout=float(settings["dropout"]),
        target_modules=rf".*\.\d+\.({names})",
        modules_to_save=_adapter.heads(shape, task),
        task_type=_adapter.kind(task),
    )
    return get_peft_model(model, config)


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """Two small matrices and a bend behind each place."""
    places = targets(shape, str(settings["placement"]))
    width = sum(linear.n_out for linear in places)
    return Touch(
        beside=2.0 * int(settings["size"]) * width,
        kept=1.05 * width,
        moved=5.3 * width,
        moved_back=8.3 * width,
        operations=4.0 * len(places),
        operations_back=6.5 * len(places),
    )


def load(base: Any, folder: Path) -> Any:
    """The adapters of a folder on a base model, whose modules they take over."""
    from studio.methods import _bottleneck  # noqa: F401, PLC0415 - makes PEFT know the type

    return _adapter.load(base, folder)


METHOD = Method(
    name="adapter",
    tasks=("chat", "complete", "classify"),
    knobs=KNOBS,
    exports=("adapter",),
    weights="frozen",
    learning_rate=_adapter.learning_rate,
    footprint=footprint,
    touch=touch,
    attach=attach,
    train=_adapter.train,
    save=_adapter.save,
    load=load,
    merge=_adapter.merge,
    beside=Path(__file__).with_name("_bottleneck.py"),
)
