"""LoftQ's start of a LoRA on a 4-bit base: the pair begins as the best small correction of the rounding.

PEFT's own `replace_lora_weights_loftq` needs an NVIDIA or Intel card, and leaves out the scale of the pair.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from safetensors import safe_open
from transformers.pytorch_utils import Conv1D

# Power iterations of the randomised SVD; 4 leave the leading directions exact to a few per cent.
SVD_ITERATIONS = 4
INDEX_FILE = "model.safetensors.index.json"


def start_from_rounding_error(model: Any, folder: Path) -> None:
    """Begin each pair as the leading directions of what rounding took from its matrix.

    A·B is the best approximation of W − W₄ at its rank (Li et al. 2023, arXiv 2310.08659, with one step of
    their alternation, so that the base stays the 4-bit one that everybody else gets too).

    Args:
        model: a PEFT model with an untrained LoRA on a 4-bit base.
        folder: where the base's unrounded safetensors files are.
    """
    with ExitStack() as files, torch.no_grad():
        tensors = _open_tensors(folder, files)
        for name, module in _iter_pairs(model):
            base_layer = module.get_base_layer()
            base_weight = base_layer.weight
            rounded = bitsandbytes.functional.dequantize_4bit(base_weight.data, base_weight.quant_state)
            key = _find_key(name, tensors, model)
            original = tensors[key].get_tensor(key)
            if base_layer.source_cls is Conv1D:  # GPT-2's, whose files hold matrices the other way round
                original = original.T
            error = original.to(rounded.device, torch.float32) - rounded.float()
            left, singular_values, right = torch.svd_lowrank(error, module.r["default"], SVD_ITERATIONS)
            root = (singular_values / module.scaling["default"]).sqrt()
            module.lora_A["default"].weight.copy_((right * root).T)
            module.lora_B["default"].weight.copy_(left * root)


def _iter_pairs(model: Any) -> Iterator[tuple[str, Any]]:
    """The layers with a pair, by the name of their matrix in the base model."""
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            yield f"{name.removeprefix('base_model.model.')}.weight", module


def _open_tensors(folder: Path, files: ExitStack) -> dict[str, Any]:
    """The open file of each tensor in a folder, by the tensor's name."""
    index_path = folder / INDEX_FILE
    file_names = {"model.safetensors"}
    if index_path.is_file():
        file_names = set(json.loads(index_path.read_text(encoding="utf-8"))["weight_map"].values())
    tensors: dict[str, Any] = {}
    for file_name in sorted(file_names):
        file = files.enter_context(safe_open(folder / file_name, framework="pt"))
        tensors |= dict.fromkeys(file.keys(), file)
    return tensors


def _find_key(name: str, tensors: dict[str, Any], model: Any) -> str:
    """The name of a matrix in the files, which may have been saved without the head, or with one."""
    prefix = f"{model.get_base_model().base_model_prefix}."
    for key in (name, name.removeprefix(prefix), f"{prefix}{name}"):
        if key in tensors:
            return key
    raise KeyError(f"no tensor {name}")
