"""Saving and loading for the methods whose result is a whole model, with nothing to merge."""

from pathlib import Path
from typing import Any


def save(model: Any, folder: Path, base_name: str) -> None:
    """Write the whole model."""
    model.save_pretrained(folder)


def load(base: Any, folder: Path) -> Any:
    """The saved model; the base only gives its class, format and device."""
    model = type(base).from_pretrained(
        folder, dtype=base.dtype, trust_remote_code=False, use_safetensors=True
    )
    return model.to(base.device).eval()
