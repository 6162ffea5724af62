"""What the methods share whose result is a whole model: saved, loaded, and nothing left to merge."""

from pathlib import Path
from typing import Any


def save(model: Any, folder: Path, base_name: str) -> None:
    """Write the whole model."""
    model.save_pretrained(folder)


def load(base: Any, folder: Path) -> Any:
    """The saved model stands for itself; the base only says of which kind it is."""
    model = type(base).from_pretrained(
        folder, dtype=base.dtype, trust_remote_code=False, use_safetensors=True
    )
    return model.to(base.device).eval()
