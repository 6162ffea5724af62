"""The numbers a method trains, kept in one safetensors file and put back: whatever was attached, the same way."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from studio.home import check_room

FILE = "trained.safetensors"


def save(model: Any, folder: Path) -> None:
    """Write what is being trained; raises OutOfRoom before the disk is full."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value.detach().contiguous() for name, value in model.named_parameters() if value.requires_grad}
    check_room(folder, sum(value.numel() * value.element_size() for value in kept.values()))
    draft = folder / f".{FILE}"
    save_file(kept, draft)
    draft.replace(folder / FILE)


def restore(model: Any, folder: Path) -> None:
    """Put the numbers of a folder back into the model they came from; without a file nothing happens."""
    path = folder / FILE
    if not path.is_file():
        return
    saved = load_file(path)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name in saved:
                value.copy_(saved[name])
