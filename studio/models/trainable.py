"""Saves the parameters that are being trained to one safetensors file, and restores them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from studio.models import ranks, sharding
from studio.storage import require_disk_space

TRAINABLE_FILE = "trained.safetensors"


def save(model: Any, folder: Path) -> None:
    """Write the trainable parameters into a folder; raises OutOfDiskSpace before the disk is full.

    Of a model that is spread over the ranks each of them has to call it, and the first one writes.
    """
    tensors = dict(sharding.whole_parameters(model, trainable_only=True))
    if not ranks.is_first():
        return
    folder.mkdir(parents=True, exist_ok=True)
    require_disk_space(folder, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    draft = folder / f".{TRAINABLE_FILE}"
    save_file(tensors, draft)
    draft.replace(folder / TRAINABLE_FILE)


def restore(model: Any, folder: Path) -> None:
    """Copy a folder's saved parameters back into the model they came from; without a file nothing happens."""
    path = folder / TRAINABLE_FILE
    if not path.is_file():
        return
    saved = load_file(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in saved:
                parameter.copy_(sharding.spread_like(parameter, saved[name]))


@contextmanager
def without_adapter(model: Any) -> Iterator[None]:
    """Within, a PEFT model computes as its base; what is trainable stays so, whatever PEFT makes of it."""
    was_trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with model.disable_adapter():
            yield
    finally:
        for parameter, requires_grad in was_trainable:
            parameter.requires_grad_(requires_grad)
