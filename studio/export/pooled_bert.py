"""Writes a classifier on the mean of the tokens as an ordinary BERT, which opens without a class of ours.

BERT's own classifier reads the output of the last layer for [CLS] through a pooler. One more layer puts the
normalised mean there: its attention is uniform (query and key are zero), its value matrix is so large a
multiple of the identity that what was at [CLS] vanishes beside the mean, and its norm scales the sum back.
The pooler multiplies by so small a number that its tanh is linear, and the classifier by the inverse.
"""

import json
from pathlib import Path
from typing import Any

from studio.models import shape

# Powers of two, by which multiplying rounds nothing. The residual at [CLS] weighs 2^-20 = 1e-6 of the mean;
# at 2^-12 tanh is off by a third of (2^-12 · 10)² = 2e-6 where the norm gives 10.
VALUE_SCALE = 2.0**20
POOLER_SCALE = 2.0**-12


def write_as_bert(folder: Path) -> None:
    """Rewrite the model in a folder, in place; any other than a classifier on the mean stays as it is."""
    config = shape.read_config(folder)
    if config.get("architectures") != ["PooledClassifier"]:
        return
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 - loads torch

    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["classifier.weight"] /= POOLER_SCALE
    layer_index = config["num_hidden_layers"]
    tensors |= _mean_layer(f"bert.encoder.layer.{layer_index}", config, tensors["classifier.weight"])
    tensors |= _scaled_identity("bert.pooler.dense", POOLER_SCALE, tensors["classifier.weight"])
    save_file(tensors, path, metadata={"format": "pt"})
    config |= {"architectures": ["BertForSequenceClassification"], "num_hidden_layers": layer_index + 1}
    del config["pooling"]
    if "quantization_config" in config:
        config["quantization_config"]["ignore"] += _linear_names(tensors, layer_index)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _mean_layer(name: str, config: dict[str, Any], like: Any) -> dict[str, Any]:
    """The tensors of the layer that puts the normalised mean of the tokens at every position."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    tensors: dict[str, Any] = {}
    for module in ("attention.self.query", "attention.self.key"):
        tensors |= _scaled_identity(f"{name}.{module}", 0.0, like)
    tensors |= _scaled_identity(f"{name}.attention.self.value", VALUE_SCALE, like)
    tensors |= _scaled_identity(f"{name}.attention.output.dense", 1.0, like)
    for module, shape_of_weight in (
        ("intermediate.dense", (inner, hidden)),
        ("output.dense", (hidden, inner)),
    ):
        tensors[f"{name}.{module}.weight"] = like.new_zeros(shape_of_weight)
        tensors[f"{name}.{module}.bias"] = like.new_zeros(shape_of_weight[0])
    for module in ("attention.output.LayerNorm", "output.LayerNorm"):
        tensors[f"{name}.{module}.weight"] = like.new_ones(hidden)
        tensors[f"{name}.{module}.bias"] = like.new_zeros(hidden)
    return tensors


def _scaled_identity(name: str, scale: float, like: Any) -> dict[str, Any]:
    """A square layer that multiplies by `scale`, in the width and the format of a classifier's weight."""
    width = like.shape[1]
    weight = like.new_zeros(width, width)
    weight.fill_diagonal_(scale)
    return {f"{name}.weight": weight, f"{name}.bias": like.new_zeros(width)}


def _linear_names(tensors: dict[str, Any], layer_index: int) -> list[str]:
    """The linear layers that a packed model holds in full precision besides those of the trained model."""
    prefix = f"bert.encoder.layer.{layer_index}."
    in_layer = [
        name.removesuffix(".weight")
        for name in tensors
        if name.startswith(prefix) and name.endswith(".weight")
    ]
    return [*in_layer, "bert.pooler.dense"]
