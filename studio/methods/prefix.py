"""Prefix tuning: learned vectors before the text in every layer steer a model that stays as it is."""

from typing import Any

from studio.errors import Problem
from studio.i18n import label
from studio.methods import defaults
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import peft_adapter
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task

# The projection is at most this wide: Li and Liang 2021 use 512 (tables) and 800 (summaries).
MAX_PROJECTION_WIDTH = 512
SETTINGS = (
    Setting(
        "virtual_tokens",
        label("Virtual tokens"),
        label(
            "Length of the learned prefix. 10–30 for short tasks, 100 for long ones. Each "
            "takes the place of a token the model could read."
        ),
        default=20,
        kind="int",
        low=1,
        high=512,
    ),
    Setting(
        "projection",
        label("Prefix projection"),
        label(
            "Learns the prefix through a small network, which is faster and steadier. The "
            "saved prefix is the same size."
        ),
        default=True,
        kind="bool",
        advanced=True,
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """3e-3 through the projection, less for classes on encoders and for 400 M parameters; without it 3e-2.

    Far above the 1e-4 usual elsewhere, with which prefixes learn nothing, yet not the 1e-2 that suits toy
    widths: at 1e-2 the projection of MiniLM (384 wide) and of SmolLM2 135M (576 wide) saturates, and the loss
    stays where it began or rises (measured: docs/methods.md#prefix-tuning).
    """
    if not settings["projection"]:
        return 3e-2
    if task == "classify" and shape.encoder:
        return defaults.classifier_learning_rate("prefix", shape)
    return 3e-3 if shape.total() < 400e6 else 1e-3


def prefix_widths(shape: ModelShape) -> tuple[int, int]:
    """What a virtual token adds to a layer's keys (and to its values), and the projection's width."""
    return shape.kv_width or shape.hidden, min(MAX_PROJECTION_WIDTH, shape.hidden)


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """Parameters of the prefix (Li and Liang 2021), and a new head where there are labels.

    With w the width of the keys: tokens · 2 · layers · w. Through a projection of width p:
    tokens · w + (w + 1) · p + (p + 1) · 2 · layers · w.
    """
    n_tokens = int(settings["virtual_tokens"])
    width, projection_width = prefix_widths(shape)
    output_width = 2 * shape.layers * width
    if not settings["projection"]:
        return peft_adapter.count_with_head(shape, num_labels, n_tokens * output_width)
    projection_parameters = (width + 1) * projection_width + (projection_width + 1) * output_width
    return peft_adapter.count_with_head(shape, num_labels, n_tokens * width + projection_parameters)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model behind an untrained prefix.

    The prefix already moves the answers a little: zero vectors could not be learned from.
    """
    from peft import PrefixTuningConfig, get_peft_model  # noqa: PLC0415 - loads torch

    shape = shapes.from_config(model.config.to_dict())
    _, projection_width = prefix_widths(shape)
    config = PrefixTuningConfig(
        num_virtual_tokens=int(settings["virtual_tokens"]),
        prefix_projection=bool(settings["projection"]),
        encoder_hidden_size=projection_width,
        modules_to_save=peft_adapter.head_modules(shape, task),
        task_type=peft_adapter.peft_task_type(task),
    )
    return get_peft_model(model, config)


def train(context: TrainingContext) -> Any:
    """Supervised training; afterwards the prefix that the projection makes is kept without it."""
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch

    supervised.fit(context, gradient_checkpointing=METHOD.supports_gradient_checkpointing)
    return finish(context.model)


def finish(model: Any) -> Any:
    """The model with the prefix alone, without the network that made it."""
    from studio.methods.training import prefix_vectors  # noqa: PLC0415 - loads torch

    return prefix_vectors.flatten_prefix_encoder(model)


def result_bytes(shape: ModelShape, settings: Settings, num_labels: int, bytes_per_parameter: int) -> float:
    """Keys and values of the virtual tokens in each layer, and a new head, in 32 bits; no projection."""
    kv_width, _ = prefix_widths(shape)
    prefix_values = int(settings["virtual_tokens"]) * 2 * shape.layers * kv_width
    head_parameters = shape.head(num_labels) if num_labels else 0
    return 4.0 * (prefix_values + head_parameters)


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Whether a model with a short context is left enough of it for the text."""
    if shape is None:
        return []
    return peft_adapter.check_virtual_tokens("virtual_tokens", int(settings["virtual_tokens"]), shape)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """A pass with keys and values before the text."""
    return CostProfile(virtual_tokens=int(settings["virtual_tokens"]), operations=2.0)


METHOD = Method(
    name="prefix",
    tasks=("chat", "complete", "classify"),
    settings=SETTINGS,
    exports=("adapter",),
    weights="frozen",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    attach=attach,
    train=train,
    save=peft_adapter.save,
    load=peft_adapter.load,
    merge=peft_adapter.merge,
    check=check,
    epoch_multiplier=2.0,
    finish=finish,
    result_bytes=result_bytes,
    supports_gradient_checkpointing=False,  # PEFT refuses prefixes under gradient checkpointing
)
