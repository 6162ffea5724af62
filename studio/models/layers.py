"""The parts of a torch model that methods work on, whatever its family calls them: blocks and embeddings."""

from typing import Any


def get_blocks(model: Any) -> Any:
    """The list of a model's transformer blocks, from the input to the output."""
    backbone = model.base_model
    return backbone.encoder.layer if hasattr(backbone, "encoder") else backbone.layers


def get_embeddings(model: Any) -> Any:
    """The module that turns token ids into the first block's input."""
    return getattr(model.base_model, _embeddings_name(model))


def set_embeddings(model: Any, module: Any) -> None:
    """Replace the embeddings by another module."""
    setattr(model.base_model, _embeddings_name(model), module)


def _embeddings_name(model: Any) -> str:
    return "embeddings" if hasattr(model.base_model, "embeddings") else "embed_tokens"
