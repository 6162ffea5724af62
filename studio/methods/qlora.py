"""QLoRA: a LoRA on a base held in 4 bits, so that a large model fits into little memory."""

from dataclasses import replace
from typing import Any

from studio.methods import _adapter, lora
from studio.methods.base import Method, Settings
from studio.methods.touch import Touch
from studio.models.shape import ModelShape


def merge(base: Any, folder: Any) -> Any:
    """The 4-bit base unpacked to whole numbers, with the change added: exactly what was trained, in an ordinary model.

    Merging into the 4-bit numbers would round the change away (design/methods.md, section 6: 0.39 against 2e-6).
    """
    whole = _adapter.merge(base.dequantize(), folder)
    whole._weight_conversions = None  # transformers would try to write it in 4 bits again
    return whole


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """As LoRA, and every matrix is multiplied out on the way there and back; PEFT copies what a 4-bit matrix gives."""
    beside, count = lora.touch(shape, settings), len(shape.linears)
    size, outputs = sum(linear.n_in * linear.n_out for linear in shape.linears), sum(linear.n_out for linear in shape.linears)
    return replace(
        beside,
        moved=beside.moved + 2.0 * outputs,
        remade=beside.remade + 1.1 * size,
        remade_back=beside.remade_back + 1.1 * size,
        unpacked=float(size),
        operations=beside.operations + 2.0 * count,
        operations_back=beside.operations_back + 1.0 * count,
    )


METHOD = Method(
    name="qlora",
    tasks=("chat", "complete", "classify"),
    knobs=lora.KNOBS,
    exports=("adapter", "merged"),
    weights="nf4",
    learning_rate=_adapter.learning_rate,
    footprint=lora.footprint,
    touch=touch,
    attach=lora.attach,
    train=_adapter.train,
    save=_adapter.save,
    load=_adapter.load,
    merge=merge,
)
