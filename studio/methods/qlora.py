"""QLoRA: a LoRA on a base held in 4 bits, so that a large model fits into little memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.i18n import label
from studio.methods import lora
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, Setting, Settings
from studio.methods.training import peft_adapter
from studio.models.shape import ModelShape
from studio.plan import Task

INIT_LORA_WEIGHTS = Setting(
    "init_lora_weights",
    label("LoRA start"),
    label(
        "LoftQ starts a little closer to the unrounded model. Whether that helps after "
        "training was not measured."
    ),
    default="default",
    kind="choice",
    choices=(
        ("default", label("No change (LoRA’s default)")),
        ("loftq", label("Corrects the rounding (LoftQ)")),
    ),
    advanced=True,
)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA, which LoftQ begins as a correction of the base's rounding."""
    folder = Path(model.name_or_path)
    attached = lora.attach(model, settings, task)
    has_weights = model.device.type != "meta"
    if settings["init_lora_weights"] == "loftq" and has_weights:
        from studio.methods.training import loftq  # noqa: PLC0415 - loads torch

        loftq.start_from_rounding_error(attached, folder)
    return attached


def merge(base: Any, folder: Any) -> Any:
    """The dequantized base with the change added: exactly what was trained, in an ordinary model.

    Merging into the 4-bit weights would round the change away (docs/methods.md: 0.39 against 2e-6).
    """
    merged = peft_adapter.merge(base.dequantize(), folder)
    merged._weight_conversions = None  # transformers would try to write it in 4 bits again
    return merged


def supports_disk_offload(settings: Settings, shape: ModelShape | None) -> bool:
    """As LoRA, but for LoftQ, which compares every weight with its rounded form before the first step."""
    return lora.supports_disk_offload(settings, shape) and settings["init_lora_weights"] == "default"


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """As LoRA, with every matrix dequantized in each direction.

    PEFT's layers copy the output of a 4-bit matrix, the studio's do not.
    """
    lora_profile = lora.cost_profile(shape, settings)
    n_linears = shape.per_block(lambda linear: 1)
    n_weights = shape.per_block(lambda linear: linear.n_in * linear.n_out)
    copied_outputs = 0.0 if lora.is_plain(settings) else shape.per_block(lambda linear: linear.n_out)
    return replace(
        lora_profile,
        memory_traffic=lora_profile.memory_traffic + 2.0 * copied_outputs,
        weight_traffic=lora_profile.weight_traffic + 1.1 * n_weights,
        weight_traffic_backward=lora_profile.weight_traffic_backward + 1.1 * n_weights,
        dequantized_params=n_weights,
        operations=lora_profile.operations + 2.0 * n_linears,
        operations_backward=lora_profile.operations_backward + 1.0 * n_linears,
    )


METHOD = Method(
    name="qlora",
    tasks=("chat", "complete", "classify"),
    settings=(*lora.METHOD.settings, INIT_LORA_WEIGHTS),
    exports=("adapter", "merged"),
    weights="nf4",
    learning_rate=peft_adapter.learning_rate,
    count_parameters=lora.count_parameters,
    cost_profile=cost_profile,
    attach=attach,
    train=lora.train,
    save=peft_adapter.save,
    load=peft_adapter.load,
    merge=merge,
    supports_disk_offload=supports_disk_offload,
)
