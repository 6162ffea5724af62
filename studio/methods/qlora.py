"""QLoRA: a LoRA on a base held in 4 bits, so that a large model fits into little memory."""

from typing import Any

from studio.methods import _adapter, lora
from studio.methods.base import Method


def merge(base: Any, folder: Any) -> Any:
    """The 4-bit base unpacked to whole numbers, with the change added: exactly what was trained, in an ordinary model.

    Merging into the 4-bit numbers would round the change away (design/methods.md, section 6: 0.39 against 2e-6).
    """
    whole = _adapter.merge(base.dequantize(), folder)
    whole._weight_conversions = None  # transformers would try to write it in 4 bits again
    return whole


METHOD = Method(
    name="qlora",
    tasks=("chat", "complete", "classify"),
    knobs=lora.KNOBS,
    exports=("adapter", "merged"),
    weights="nf4",
    learning_rate=_adapter.learning_rate,
    footprint=lora.footprint,
    attach=lora.attach,
    train=_adapter.train,
    save=_adapter.save,
    load=_adapter.load,
    merge=merge,
)
