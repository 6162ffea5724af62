"""Frozen-layer fine-tuning: the top blocks and the head are trained; what is below is computed only once."""

from dataclasses import replace
from typing import Any

from studio.errors import Problem
from studio.i18n import Message, label
from studio.methods import defaults
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import full_model_io
from studio.methods.workload import (
    CACHE_BATCH_TOKENS,
    Phase,
    Workload,
    build_micro_batches,
    build_supervised_phases,
    supervised_lengths,
)
from studio.models import layers
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task

TIED_HEAD_NOTE = Message(
    "This model uses one table to read words and to write them (tied embeddings), so its output layer stays "
    "frozen: training it would train the bottom as well."
)
SETTINGS = (
    Setting(
        "blocks",
        label("Unfrozen blocks"),
        label(
            "How many top layers are trained. 1 or 2 for small changes and little data, more for larger "
            "ones. Fewer is faster. 0: for labels, the linear model alone, in seconds."
        ),
        default=2,
        kind="int",
        low=0,
        high=128,
    ),
    Setting(
        "reuse",
        label("Cached activations"),
        label(
            "Computes the frozen layers once and reuses them. Same result, less time; takes 4 "
            "bytes × width per token."
        ),
        default=True,
        kind="bool",
        advanced=True,
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """Higher than for full fine-tuning, as only a few layers move.

    Howard and Ruder 2018 raise it towards the top layer.
    """
    if task == "classify" and shape.encoder:
        return defaults.classifier_learning_rate("frozen", shape)
    return 2e-4 if shape.total() < 400e6 else 5e-5


def count_head_parameters(shape: ModelShape, num_labels: int) -> int:
    """Parameters of the trained head: a new one with the pooler before it, or an untied language head.

    A tied language head is the embedding itself: training it would train the bottom of the model, so it stays
    frozen.
    """
    if num_labels:
        return shape.head(num_labels) + shape.pooler
    return 0 if shape.tied else shape.vocabulary * shape.hidden + shape.head_bias


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """Trained blocks · parameters of a block, and the head."""
    n_blocks = min(int(settings["blocks"]), shape.layers)  # more are refused before a run
    if not n_blocks:
        return ParameterCount(shape.head(num_labels), shape.total(num_labels))
    trainable = shape.top_blocks(n_blocks) + count_head_parameters(shape, num_labels)
    return ParameterCount(trainable, shape.total(num_labels))


NO_BLOCK = Message("a model that writes text needs at least 1 layer that learns, but got {got}")
TOO_MANY_BLOCKS = Message("the model has {layers} layers; expected at most so many, but got {got}")


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Whether the model has the layers that are to be trained, and whether there is anything to train."""
    if not settings["blocks"] and task != "classify":
        return [Problem("blocks", NO_BLOCK.format(got=settings["blocks"]))]
    if shape and int(settings["blocks"]) > shape.layers:
        return [Problem("blocks", TOO_MANY_BLOCKS.format(layers=shape.layers, got=settings["blocks"]))]
    return []


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """Freeze everything but the top blocks and the head, where that is not tied."""
    shape = shapes.from_config(model.config.to_dict())
    model.requires_grad_(False)
    n_blocks, blocks = int(settings["blocks"]), layers.get_blocks(model)
    for block in blocks[len(blocks) - n_blocks :]:
        block.requires_grad_(True)
    pooler = getattr(model.base_model, "pooler", None)
    if n_blocks and task == "classify" and pooler is not None:
        pooler.requires_grad_(True)
    if task == "classify" or not shape.tied:
        backbone_ids = {id(parameter) for parameter in model.base_model.parameters()}
        for parameter in model.parameters():
            if id(parameter) not in backbone_ids:
                parameter.requires_grad_(True)
    return model


def takes_steps(settings: Settings) -> bool:
    """Whether a block learns; the linear model is fitted at once."""
    return bool(settings["blocks"])


def train(context: TrainingContext) -> Any:
    """Supervised training of the top, on the cached output of the frozen part where that is reused.

    Without a block that learns, the head stays as it was fitted to the embeddings: the linear model.
    """
    if not takes_steps(context.settings):
        context.create_monitor("train", context.model, None)
        context.add_note("linear_head", True)
        return context.model
    from studio.methods.training import activation_cache, supervised  # noqa: PLC0415 - loads torch

    tied = context.plan.task != "classify" and shapes.from_config(context.model.config.to_dict()).tied
    messages = [TIED_HEAD_NOTE] if tied else []
    context.add_note("tied_head", tied, *messages)
    if not context.settings["reuse"]:
        with activation_cache.frozen_in_eval_mode(context.model):
            supervised.fit(context)
        return context.model
    with activation_cache.cached_activations(context) as cached_context:
        supervised.fit(cached_context)
    return context.model


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """The top blocks are trained; those below are run without a backward pass, or not at all."""
    n_blocks = min(int(settings["blocks"]), shape.layers)
    cached_blocks = shape.layers - n_blocks if settings["reuse"] else 0
    return CostProfile(trainable_blocks=n_blocks, cached_blocks=cached_blocks)


def phases(settings: Settings, workload: Workload) -> tuple[Phase, ...]:
    """With a cache the bottom runs once over every example, then the top alone.

    Before and after the training the whole model is measured; the linear model is fitted and measured alone.
    """
    supervised_phases = build_supervised_phases(workload, "frozen")
    if settings["blocks"] and not settings["reuse"]:
        return supervised_phases
    phases_by_name = {phase.name: phase for phase in supervised_phases}
    validation_phase, train_phase = phases_by_name["check"], phases_by_name["train"]
    test_phases = [replace(phase, method="") for phase in supervised_phases if phase.name == "verdict"]
    linear_phases = [phase for phase in supervised_phases if phase.name == "linear"]
    answer_phases = [phase for phase in supervised_phases if phase.name == "ask"]
    n_outer_passes = validation_phase.passes - workload.n_evaluations
    outer_phases = (
        replace(validation_phase, method="", passes=n_outer_passes),
        *test_phases,
        *linear_phases,
    )
    if not settings["blocks"]:
        return outer_phases

    lengths = [tokens for tokens, _ in supervised_lengths(workload)]
    cached_tokens = workload.n_read * sum(lengths) / max(len(workload.rows), 1)
    cache_batch_size = max(1, CACHE_BATCH_TOKENS // max(lengths, default=1))
    cache_phase = Phase(
        "bottom",
        build_micro_batches([(tokens, 0) for tokens in lengths], cache_batch_size, workload.n_read),
        block_share=max(0.0, 1 - int(settings["blocks"]) / workload.shape.layers),
        head="none",
    )
    return (
        *outer_phases,
        cache_phase,
        replace(validation_phase, passes=workload.n_evaluations, cached_tokens=cached_tokens),
        replace(train_phase, cached_tokens=cached_tokens),
        *answer_phases,
    )


def prepare_for_tracing(model: Any, settings: Settings) -> Any:
    """The model during a step: without its bottom where that is run once beforehand."""
    from studio.methods.training import activation_cache  # noqa: PLC0415 - loads torch

    if not settings["reuse"]:
        return model
    return activation_cache.without_frozen_blocks(model)


METHOD = Method(
    name="frozen",
    tasks=("chat", "complete", "classify"),
    settings=SETTINGS,
    exports=("merged",),
    weights="trained",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    phases=phases,
    attach=attach,
    train=train,
    takes_steps=takes_steps,
    save=full_model_io.save,
    load=full_model_io.load,
    merge=full_model_io.load,
    check=check,
    prepare_for_tracing=prepare_for_tracing,
)
