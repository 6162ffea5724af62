"""The parts of a torch model that methods work on, whatever its family calls them: blocks and embeddings."""

from typing import Any


def get_blocks(model: Any) -> Any:
    """The list of a model's transformer blocks, from the input to the output."""
    backbone = model.base_model
    return backbone.encoder.layer if hasattr(backbone, "encoder") else backbone.layers


def keep_lower_blocks(model: Any, n_blocks: int) -> None:
    """Cut a decoder off above its first blocks. Its last norm stays; saved and loaded, it is as short."""
    backbone = model.base_model
    backbone.layers = backbone.layers[:n_blocks]
    model.config.num_hidden_layers = n_blocks
    if getattr(model.config, "layer_types", None):  # the kind of attention of each block
        model.config.layer_types = model.config.layer_types[:n_blocks]


def get_embeddings(model: Any) -> Any:
    """The module that turns token ids into the first block's input."""
    return getattr(model.base_model, _embeddings_name(model))


def set_embeddings(model: Any, module: Any) -> None:
    """Replace the embeddings by another module."""
    setattr(model.base_model, _embeddings_name(model), module)


def _embeddings_name(model: Any) -> str:
    return "embeddings" if hasattr(model.base_model, "embeddings") else "embed_tokens"
