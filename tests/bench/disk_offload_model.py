"""Writes a model of a real shape with random weights, part by part: for trials with models larger than the memory.

python tests/bench/disk_offload_model.py smollm2-1.7b FOLDER
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from studio import presets
from studio.models import fetch, layers

TOKENIZER_OF = "smollm2-135m"


def write_model(card_id: str, folder: Path) -> int:
    """Write config, tokenizer and weights in bfloat16, a block at a time; returns the bytes of the weights."""
    folder.mkdir(parents=True)
    card = presets.models()[card_id]
    config = AutoConfig.for_model(**card.config)
    tokenizer_folder = fetch.fetch(TOKENIZER_OF).folder
    for path in tokenizer_folder.iterdir():
        if path.suffix in (".json", ".jinja", ".txt") and "safetensors" not in path.name:
            shutil.copy(path, folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    torch.manual_seed(0)
    block_prefix = next(name for name, module in model.named_modules() if module is layers.get_blocks(model))
    parts: dict[str, list[tuple[str, torch.Size]]] = {}
    for name, parameter in model.named_parameters():
        part = (
            name.removeprefix(f"{block_prefix}.").split(".")[0] if name.startswith(block_prefix) else "rest"
        )
        parts.setdefault(part, []).append((name, parameter.shape))
    weight_map, size = {}, 0
    for number, entries in enumerate(parts.values(), start=1):
        file_name = f"model-{number:05}-of-{len(parts):05}.safetensors"
        tensors = {
            name: torch.ones(shape, dtype=torch.bfloat16)
            if len(shape) == 1
            else (torch.randn(shape) * config.initializer_range).bfloat16()
            for name, shape in entries
        }
        save_file(tensors, folder / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file_name)
        size += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return size


if __name__ == "__main__":
    print(f"{write_model(sys.argv[1], Path(sys.argv[2])) / 1e9:.2f} GB")
