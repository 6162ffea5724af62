"""Prefix tuning: learned vectors stand before the text in every layer and steer a model that itself stays as it is."""

from typing import Any

from studio.errors import Problem
from studio.methods import _adapter
from studio.methods.base import Footprint, Job, Knob, Method, Settings
from studio.methods.touch import Touch
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import label

# The projection is at most this wide: Li and Liang 2021 use 512 (tables) and 800 (summaries).
WIDEST = 512
KNOBS = (
    Knob(
        "virtual_tokens",
        label("How long the learned prefix is (virtual tokens)", "学习到的前缀有多长（虚拟 token）"),
        label(
            "10 to 30 suit short tasks, 100 long ones. Every one of them takes the place of a token the model could read.",
            "短任务取 10–30，长任务取 100。每个虚拟 token 都会占用一个可读 token 的位置。",
        ),
        20,
        "whole",
        1,
        512,
    ),
    Knob(
        "projection",
        label("Learn through a small network (prefix projection)", "通过小网络学习（前缀投影）"),
        label(
            "Without it prefixes learn slowly and unsteadily. It is a training aid: the saved prefix is the same size either way.",
            "不用它，前缀学得又慢又不稳。它只在训练时使用：保存的前缀大小不变。",
        ),
        True,
        "switch",
        first=False,
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """3e-3 through the projection, a third of that for models of 400 M numbers and more; without the projection 3e-2.

    Far above the 1e-4 usual elsewhere, with which prefixes learn nothing, yet not the 1e-2 that suits toy widths: at 1e-2 the projection of
    MiniLM (384 wide) and of SmolLM2 135M (576 wide) saturates and the loss stays where it began or rises (measured: note of issue 3).
    """
    return 3e-2 if not settings["projection"] else 3e-3 if shape.total() < 400e6 else 1e-3


def widths(shape: ModelShape) -> tuple[int, int]:
    """Numbers a virtual token adds per layer to the keys (as to the values), and the width of the projection."""
    value = next((linear.n_out for linear in shape.linears if linear.name == "self_attn.v_proj"), shape.hidden)
    return value, min(WIDEST, shape.hidden)


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """tokens · 2 · layers · width of the keys; with projection tokens · w + (w + 1) · p + (p + 1) · 2 · layers · w (Li and Liang 2021)."""
    tokens, (width, inner) = int(settings["virtual_tokens"]), widths(shape)
    out = 2 * shape.layers * width
    added = tokens * width + (width + 1) * inner + (inner + 1) * out if settings["projection"] else tokens * out
    head = shape.head(labels) if labels else 0
    return Footprint(added + head, shape.total(labels) + added + head)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model behind an untrained prefix, which already moves its answers a little: vectors that are nothing cannot be learned from."""
    from peft import PrefixTuningConfig, get_peft_model  # noqa: PLC0415 - loads torch

    shape = shapes.of(model.config.to_dict())
    config = PrefixTuningConfig(
        num_virtual_tokens=int(settings["virtual_tokens"]),
        prefix_projection=bool(settings["projection"]),
        encoder_hidden_size=widths(shape)[1],
        modules_to_save=_adapter.heads(shape, task),
        task_type=_adapter.kind(task),
    )
    return get_peft_model(model, config)


def train(job: Job) -> Any:
    """Supervised training; afterwards the projection has done its work, and the prefix it makes is kept alone."""
    from studio.methods import _supervised  # noqa: PLC0415 - loads torch

    _supervised.fit(job, recompute=METHOD.recomputes)
    return finish(job.model)


def finish(model: Any) -> Any:
    """The model with the prefix alone, without the network that made it."""
    from studio.methods import _prefix  # noqa: PLC0415 - loads torch

    return _prefix.flattened(model)


def disk(shape: ModelShape, settings: Settings, labels: int, item: int) -> float:
    """Keys and values of each virtual word in each block, and a new head, in 32 bits: the network that made them is thrown away."""
    return 4.0 * (int(settings["virtual_tokens"]) * 2 * shape.layers * widths(shape)[0] + (shape.head(labels) if labels else 0))


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Whether a model that reads little is left enough room for the text."""
    return _adapter.crowded("virtual_tokens", int(settings["virtual_tokens"]), shape) if shape else []


METHOD = Method(
    name="prefix",
    tasks=("chat", "complete", "classify"),
    knobs=KNOBS,
    exports=("adapter",),
    weights="frozen",
    learning_rate=learning_rate,
    footprint=footprint,
    touch=lambda shape, settings: Touch(virtual=int(settings["virtual_tokens"]), operations=2.0),
    attach=attach,
    train=train,
    save=_adapter.save,
    load=_adapter.load,
    merge=_adapter.merge,
    check=check,
    patience=2.0,
    finish=finish,
    disk=disk,
    recomputes=False,  # PEFT refuses prefixes under gradient checkpointing
)
