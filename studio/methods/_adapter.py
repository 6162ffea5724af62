"""What the methods built on PEFT share: an adapter is saved, loaded and merged in one way."""

from pathlib import Path
from typing import Any


def save(model: Any, folder: Path, hub: str) -> None:  # noqa: ANN401 - any torch model
    """Write the adapter; `hub` is the name under which anyone can fetch its base."""
    model.peft_config["default"].base_model_name_or_path = hub
    # No method changes the vocabulary; without this PEFT asks the hub about it.
    model.save_pretrained(folder, save_embedding_layers=False)


def load(base: Any, folder: Path) -> Any:  # noqa: ANN401 - any torch model
    """The adapter of a folder on a base model, whose modules it takes over."""
    from peft import PeftModel  # noqa: PLC0415 - loads torch

    return PeftModel.from_pretrained(base, folder).eval()


def merge(model: Any) -> Any:  # noqa: ANN401 - any torch model
    """The base with the change added into its own matrices."""
    return model.merge_and_unload()
