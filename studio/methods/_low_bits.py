"""Weights in few bits: rounded while training, held as whole numbers times a scale, and packed into a file that others read too.

Weights alone are rounded, never what flows between the layers: what a file then holds is all there is to the rounding, so a reader that
multiplies it out gets exactly the trained model, and the format is the common one for such weights (compressed-tensors, "pack-quantized").
"""

import copy
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.torch import save_file
from torchao.quantization import IntxWeightOnlyConfig, PerGroup, quantize_
from torchao.quantization.qat import FakeQuantizedLinear, QATConfig
from torchao.quantization.quantize_.workflows import IntxUnpackedToInt8Tensor

from studio.models import load


class Rounded(torch.nn.Linear):  # type: ignore[misc] # torch ships no types
    """A linear layer whose every weight is a whole number times the `scale` of its group (rows x groups)."""

    def __init__(self, found: Any) -> None:
        """Round the weights of a fake-quantised layer exactly as it rounds them on each pass."""
        super().__init__(found.in_features, found.out_features, found.bias is not None, device="meta")
        kind = found.weight_fake_quantizer.config
        self.bits, self.group = int(str(kind.dtype).removeprefix("torch.int")), int(kind.group_size)
        held = IntxUnpackedToInt8Tensor.from_hp(found.weight.detach().float(), (1, self.group), kind.dtype)
        # The saved file holds scales in the format of the saved weights; the weights must be multiples of exactly those.
        scale = held.scale.to(load.dtype()).float()
        dense = held.qdata.float() * scale.repeat_interleave(self.group, dim=1)
        self.weight = torch.nn.Parameter(dense.to(found.weight.dtype), found.weight.requires_grad)
        self.bias = found.bias
        self.register_buffer("scale", scale.to(found.weight.dtype), persistent=False)

    def whole(self) -> torch.Tensor:
        """The whole numbers (int8, rows x columns). Rounding undoes that their products with the scales may be held in 16 bits."""
        scale = self.scale.float().repeat_interleave(self.group, dim=1)
        return (self.weight.detach().float() / scale).round().to(torch.int8)


def prepare(model: Any, names: tuple[str, ...], bits: int, group: int) -> Any:
    """Let the linear layers of these names within a block round their weights on each pass; the rounding is still switched off."""
    chosen = IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"), granularity=PerGroup(group))
    quantize_(model, QATConfig(chosen, step="prepare"), filter_fn=lambda module, path: _inside(module, path, names))
    return switch(model, on=False)


def _inside(module: Any, path: str, names: tuple[str, ...]) -> bool:
    """Whether a module is a linear layer of a block: its path ends in the block's number and one of the names."""
    ends = [path.removesuffix(f".{name}") for name in names if path.endswith(f".{name}")]
    return isinstance(module, torch.nn.Linear) and any(end.rpartition(".")[2].isdigit() for end in ends)


def switch(model: Any, on: bool) -> Any:
    """Turn the rounding on or off; off, the model computes as if nothing had been attached."""
    for module in model.modules():
        if isinstance(module, FakeQuantizedLinear):
            module.weight_fake_quantizer.enabled = on
    return model


def convert(model: Any) -> Any:
    """Put low-bit layers in the place of those that round as they go, in the same model; the answers stay what they were."""
    for path, module in list(model.named_modules()):
        if isinstance(module, FakeQuantizedLinear):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, Rounded(module))
    return model


def put_back(model: Any, base: Any) -> None:
    """Give a model the numbers of another with the same layers."""
    found = dict(base.named_parameters())
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(found[name])


def _layers(model: Any) -> dict[str, Any]:
    """The low-bit layers by name, also those of a model that has not been converted yet."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Rounded | FakeQuantizedLinear)}


def _low(layer: Any) -> Rounded:
    return layer if isinstance(layer, Rounded) else Rounded(layer)


def tensors(model: Any) -> dict[str, torch.Tensor]:
    """What a packed file holds: whole numbers side by side in 32-bit words, their scales and shapes, and everything else as it is.

    A tied head is written once, as the embedding it is.
    """
    layers = _layers(model)
    twice = dict(model.named_parameters(remove_duplicate=False)).keys() - dict(model.named_parameters()).keys()
    left_out = twice | {f"{name}.weight" for name in layers}
    found = {name: value.contiguous() for name, value in model.state_dict().items() if name not in left_out}
    for name, module in layers.items():
        layer = _low(module)
        found[f"{name}.weight_packed"] = pack_to_int32(layer.whole(), layer.bits)
        found[f"{name}.weight_scale"] = layer.scale.contiguous()
        found[f"{name}.weight_shape"] = torch.tensor(layer.weight.shape)
    return found


def sizes(model: Any) -> tuple[int, int]:
    """Bytes of a model on disk, without names: in full precision as the studio saves it, and packed."""
    item = load.dtype().itemsize
    full = sum(value.numel() for value in model.parameters()) * item
    packed = sum(value.numel() * (item if value.is_floating_point() else value.element_size()) for value in tensors(model).values())
    return full, packed


def save(model: Any, folder: Path) -> None:
    """Write the packed weights and a config by which transformers and others know how to read them."""
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = str(model.dtype).removeprefix("torch.")
    config.quantization_config = _scheme(model)
    config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
    save_file(tensors(model), folder / "model.safetensors", metadata={"format": "pt"})


def _scheme(model: Any) -> dict[str, Any]:
    """The rounding in the words of compressed-tensors.

    `dequantize` lets transformers multiply out while loading: its other way, on the first question, cannot open ModernBERT (5.23).
    """
    low = _layers(model)
    one = _low(next(iter(low.values())))
    weights = {"num_bits": one.bits, "type": "int", "symmetric": True, "strategy": "group", "group_size": one.group, "dynamic": False}
    rest = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and name not in low]
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}},
        "ignore": rest,
        "dequantize": True,
    }
