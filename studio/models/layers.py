"""The parts of a torch model that methods work on, whatever its family calls them: its blocks."""

from typing import Any

# Where a backbone has its blocks: BERT and its like, DistilBERT, GPT-2, OPT, MPT, all others.
BLOCK_PATHS = (
    *(("encoder", "layer"), ("transformer", "layer"), ("h",)),
    *(("decoder", "layers"), ("blocks",), ("layers",)),
)


def get_blocks(model: Any) -> Any:
    """The list of a model's transformer blocks, from the input to the output."""
    backbone = model.base_model
    for path in BLOCK_PATHS:
        blocks = backbone
        for name in path:
            blocks = getattr(blocks, name, None)
        if blocks is not None:
            return blocks
    raise AttributeError(f"{type(backbone).__name__} has no list of blocks under a known name")


def is_norm(module: Any) -> bool:
    """Whether a module is a norm, by the name of its class."""
    return type(module).__name__.endswith(("Norm", "Norm1P"))


def keep_lower_blocks(model: Any, n_blocks: int) -> None:
    """Cut a decoder off above its first blocks. Its last norm stays; saved and loaded, it is as short."""
    blocks = get_blocks(model)
    del blocks[n_blocks:]
    model.config.num_hidden_layers = n_blocks
    if getattr(model.config, "layer_types", None):  # the kind of attention of each block
        model.config.layer_types = model.config.layer_types[:n_blocks]
