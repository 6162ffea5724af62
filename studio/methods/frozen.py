"""Frozen-layer fine-tuning: the top blocks and the head learn, everything below stays and is computed only once."""

from dataclasses import replace
from typing import Any

from studio.errors import Problem
from studio.methods import _whole, work
from studio.methods.base import Footprint, Job, Knob, Method, Settings
from studio.methods.touch import Touch
from studio.methods.work import Load, Phase
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import Words, label

TIED = Words(
    "This model uses one table to read words and to write them (tied embeddings), so its output layer stays frozen: training it would train the bottom as well.",
    "这个模型读词和写词共用一张表（共享嵌入 tied embeddings），所以输出层保持冻结：训练它就等于连最底层一起训练。",
)
KNOBS = (
    Knob(
        "blocks",
        label("How many of the top layers learn (unfrozen blocks)", "顶部有多少层参与学习（解冻的层数）"),
        label(
            "1 or 2 for a small change with little data, more for a bigger one. Fewer is quicker: what lies below is computed once and reused.",
            "小改动、数据少时取 1–2 层，改动大时取更多。层数越少越快：下面的层只计算一次，之后重复使用。",
        ),
        2,
        "whole",
        1,
        128,
    ),
    Knob(
        "reuse",
        label("Compute the frozen part once and reuse it (cached activations)", "冻结部分只算一次并重复使用（缓存激活）"),
        label(
            "Gives the same losses in less time; keeps 4 bytes × width for every token, in memory or on disk.",
            "损失相同、用时更少；每个 token 占用 4 字节 × 宽度，存放在内存或磁盘。",
        ),
        True,
        "switch",
        first=False,
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """Higher than for full fine-tuning, as only a few layers move (Howard and Ruder 2018 raise it towards the top layer)."""
    return 5e-4 if task == "classify" and shape.total() < 50e6 else 2e-4 if shape.total() < 400e6 else 5e-5


def head(shape: ModelShape, labels: int) -> int:
    """Numbers in the head that is trained: a new one with the pooler before it, or an untied language head.

    A tied language head is the embedding itself: training it would train the bottom of the model, so it stays frozen.
    """
    if labels:
        return shape.head(labels) + shape.pooler
    return 0 if shape.tied else shape.vocabulary * shape.hidden


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """Blocks · numbers in a block, and the head."""
    chosen = min(int(settings["blocks"]), shape.layers)  # more is refused before a run
    block = sum(linear.size for linear in shape.linears) + shape.block_other
    less = shape.first_block_less if chosen == shape.layers else 0
    return Footprint(chosen * block - less + head(shape, labels), shape.total(labels))


TOO_MANY = Words("the model has {layers} layers; expected at most so many, but got {got}", "模型只有 {layers} 层，不能超过它，实际是 {got}")


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """The model must have the layers that are to learn."""
    if shape and int(settings["blocks"]) > shape.layers:
        return [Problem("blocks", TOO_MANY.filled(layers=shape.layers, got=settings["blocks"]))]
    return []


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """Everything is frozen but the top blocks and the head; whether the language head is free shows in the config."""
    shape = shapes.of(model.config.to_dict())
    model.requires_grad_(False)
    for block in blocks(model)[-int(settings["blocks"]) :]:
        block.requires_grad_(True)
    inside = {id(value) for value in model.base_model.parameters()}
    if task == "classify":
        pooler = getattr(model.base_model, "pooler", None)
        if pooler is not None:
            pooler.requires_grad_(True)
    for value in model.parameters():
        if id(value) not in inside and (task == "classify" or not shape.tied):
            value.requires_grad_(True)
    return model


def blocks(model: Any) -> Any:
    """The list of a model's blocks, from the bottom up."""
    inner = model.base_model
    return inner.encoder.layer if hasattr(inner, "encoder") else inner.layers


def train(job: Job) -> Any:
    """Supervised training of the top, on the frozen part's output where that is reused."""
    from studio.methods import _bottom, _supervised  # noqa: PLC0415 - loads torch

    tied = job.plan.task != "classify" and shapes.of(job.model.config.to_dict()).tied
    job.note("tied_head", tied, *([TIED] if tied else []))
    if not job.settings["reuse"]:
        with _bottom.at_rest(job.model):
            _supervised.fit(job)
        return job.model
    with _bottom.reused(job) as fed:
        _supervised.fit(fed)
    return job.model


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """The top blocks learn; those below are run without a way back, or not at all."""
    blocks = min(int(settings["blocks"]), shape.layers)
    return Touch(learns=blocks, skipped=shape.layers - blocks if settings["reuse"] else 0)


def phases(settings: Settings, load: Load) -> tuple[Phase, ...]:
    """The bottom once over every example where its output is reused, then the top alone; before and after, the whole model is measured."""
    if not settings["reuse"]:
        return work.supervised(load, "frozen")
    parts = {phase.name: phase for phase in work.supervised(load, "frozen")}
    look, learn = parts["check"], parts["train"]
    judge = [replace(parts["verdict"], under="")] if "verdict" in parts else []
    shape, found = load.shape, work.texts(load)
    below = max(0.0, 1 - int(settings["blocks"]) / shape.layers)
    stored = load.count * sum(tokens for tokens, _ in found) / max(len(load.rows), 1)
    rows = work.portions([(tokens, 0) for tokens, _ in found], max(1, 4096 // max((tokens for tokens, _ in found), default=1)), load.count)
    return (
        replace(look, under="", rounds=look.rounds - load.checks),
        *judge,
        Phase("bottom", rows, blocks=below, head="none"),
        replace(look, rounds=load.checks, stored=stored),
        replace(learn, stored=stored),
    )


def rehearse(model: Any, settings: Settings) -> Any:
    """The model during a step: without its bottom, where that is run once beforehand."""
    from studio.methods import _bottom  # noqa: PLC0415 - loads torch

    return _bottom.without(model) if settings["reuse"] else model


METHOD = Method(
    name="frozen",
    tasks=("chat", "complete", "classify"),
    knobs=KNOBS,
    exports=("merged",),
    weights="trained",
    learning_rate=learning_rate,
    footprint=footprint,
    touch=touch,
    phases=phases,
    attach=attach,
    train=train,
    save=_whole.save,
    load=_whole.load,
    merge=_whole.load,
    check=check,
    rehearse=rehearse,
)
