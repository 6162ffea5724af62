"""Weights in few bits: rounded while training, then packed into a file of integers and scales.

Weights alone are rounded, never activations: the file then holds all there is to the rounding, so a reader
that dequantizes it gets exactly the trained model. The format is the common one for such weights
(compressed-tensors, "pack-quantized").
"""

import copy
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.torch import save_file
from torchao.quantization import IntxWeightOnlyConfig, PerGroup, quantize_
from torchao.quantization.qat import FakeQuantizedLinear, QATConfig

from studio.models import device


def _round(
    weight: torch.Tensor, bits: int, group_size: int, scale_dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights as integers times the scale of their group: groups x group_size, and groups x 1, in 32 bits.

    The largest weight of a group lies half a step above the largest integer, where it may be cut. Below the
    smallest lies one only where a scale is too small for the format of the saved scales.
    """
    highest = 2 ** (bits - 1) - 1
    least = max(torch.finfo(torch.float32).smallest_normal, _smallest(scale_dtype))
    groups = weight.float().reshape(-1, group_size)
    most = torch.maximum(-groups.amin(1, keepdim=True), groups.amax(1, keepdim=True))
    scales = (most / (highest + 0.5)).clamp_(min=least).to(scale_dtype).float()
    return (groups * (1.0 / scales)).round_().clamp_(-highest - 1, highest), scales


def _smallest(dtype: torch.dtype) -> float:
    info = torch.finfo(dtype)
    return float(info.smallest_normal * info.eps)


class _RoundGroups(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """Weights rounded as torchao's IntxFakeQuantizer rounds them, of which only the scales are kept.

    A weight that is cut gets no gradient. All others get theirs unchanged (straight-through estimator, Bengio
    et al. 2013).
    """

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, bits: int, group_size: int, scale_dtype: torch.dtype
    ) -> torch.Tensor:
        ctx.highest = 2 ** (bits - 1) - 1
        integers, scales = _round(weight, bits, group_size, scale_dtype)
        ctx.save_for_backward(weight, scales)
        return integers.mul_(scales).view_as(weight).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        weight, scales = ctx.saved_tensors
        integers = (weight.reshape(len(scales), -1) * (1.0 / scales)).round_()
        # 1 for integers up to the highest, 0 above: quicker than a mask of booleans.
        is_kept = integers.sub_(ctx.highest + 1).clamp_(-1, 0).neg_()
        return is_kept.view_as(gradient).mul_(gradient), None, None, None


class GroupRounding(torch.nn.Module):  # type: ignore[misc] # torch ships no types
    """Rounds weights in groups on each pass, in a third of torchao's time (tests/bench/rounding.py).

    The scales are those that the saved file will hold, in the format of saved weights: so what is trained is
    what is saved.

    Args:
        config: torchao's config of the rounding.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, self.enabled = config, True
        self.bits = int(str(config.dtype).removeprefix("torch.int"))
        self.scale_dtype = device.weights_dtype()

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights as integers times the scale of their group; unchanged while it is not enabled."""
        if not self.enabled:
            return weight
        return _RoundGroups.apply(weight, self.bits, self.config.group_size, self.scale_dtype)


class RoundedLinear(torch.nn.Linear):  # type: ignore[misc] # torch ships no types
    """A linear layer whose weights are integers times the `scale` of their group (rows x groups)."""

    def __init__(self, fake_quantized: Any) -> None:
        """Round the weights of a fake-quantized layer exactly as it rounds them on each pass."""
        has_bias = fake_quantized.bias is not None
        super().__init__(fake_quantized.in_features, fake_quantized.out_features, has_bias, device="meta")
        rounding, weight = fake_quantized.weight_fake_quantizer, fake_quantized.weight
        self.bits, self.group_size = rounding.bits, int(rounding.config.group_size)
        integers, scales = _round(weight.detach(), self.bits, self.group_size, rounding.scale_dtype)
        rounded_weight = (integers.to(torch.int8) * scales).view_as(weight)  # a file knows no -0 either
        self.weight = torch.nn.Parameter(rounded_weight.to(weight.dtype), weight.requires_grad)
        self.bias = fake_quantized.bias
        self.register_buffer("scale", scales.view(self.out_features, -1), persistent=False)

    def int_weights(self) -> torch.Tensor:
        """The integers (int8, rows x columns).

        Rounding undoes that their products with the scales may be held in 16 bits.
        """
        scale = self.scale.repeat_interleave(self.group_size, dim=1)
        return (self.weight.detach().float() / scale).round().to(torch.int8)


def prepare(model: Any, linear_names: tuple[str, ...], bits: int, group_size: int) -> Any:
    """Let linear layers of the blocks round their weights on each pass; the rounding is still off.

    Args:
        model: the model, changed in place.
        linear_names: the layers' paths within a block.
        bits: bits of a weight.
        group_size: weights that share a scale.
    """
    weight_config = IntxWeightOnlyConfig(
        weight_dtype=getattr(torch, f"int{bits}"), granularity=PerGroup(group_size)
    )
    quantize_(
        model,
        QATConfig(weight_config, step="prepare"),
        filter_fn=lambda module, path: _is_block_linear(module, path, linear_names),
    )
    for module in model.modules():
        if isinstance(module, FakeQuantizedLinear):
            module.weight_fake_quantizer = GroupRounding(module.weight_fake_quantizer.config)
    return set_rounding(model, enabled=False)


def _is_block_linear(module: Any, path: str, linear_names: tuple[str, ...]) -> bool:
    """Whether a module is a linear layer of a block: its path ends in an index and one of the names."""
    if not isinstance(module, torch.nn.Linear):
        return False
    block_paths = [path.removesuffix(f".{name}") for name in linear_names if path.endswith(f".{name}")]
    return any(block_path.rpartition(".")[2].isdigit() for block_path in block_paths)


def set_rounding(model: Any, enabled: bool) -> Any:
    """Turn the rounding on or off; with it off the model computes as if nothing had been attached."""
    for module in model.modules():
        if isinstance(module, FakeQuantizedLinear):
            module.weight_fake_quantizer.enabled = enabled
    return model


def convert(model: Any) -> Any:
    """Replace fake-quantized layers by low-bit ones in the same model; the answers stay the same."""
    for path, module in list(model.named_modules()):
        if isinstance(module, FakeQuantizedLinear):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, RoundedLinear(module))
    return model


def copy_parameters(model: Any, base: Any) -> None:
    """Copy the parameters of another model with the same layers."""
    base_parameters = dict(base.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(base_parameters[name])


def _quantized_layers(model: Any) -> dict[str, Any]:
    """The low-bit layers by name, also those of a model that has not been converted yet."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, RoundedLinear | FakeQuantizedLinear)
    }


def _to_rounded(layer: Any) -> RoundedLinear:
    return layer if isinstance(layer, RoundedLinear) else RoundedLinear(layer)


def packed_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The tensors of a packed file: integers in 32-bit words, their scales and shapes, and all else as it is.

    A tied head is written once, as the embedding.
    """
    layers = _quantized_layers(model)
    all_names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    tied_names = all_names - {name for name, _ in model.named_parameters()}
    skipped_names = tied_names | {f"{name}.weight" for name in layers}
    packed = {}
    for name, value in model.state_dict().items():
        if name not in skipped_names:
            packed[name] = value.contiguous()
    for name, module in layers.items():
        layer = _to_rounded(module)
        packed[f"{name}.weight_packed"] = pack_to_int32(layer.int_weights(), layer.bits)
        packed[f"{name}.weight_scale"] = layer.scale.to(layer.weight.dtype).contiguous()
        packed[f"{name}.weight_shape"] = torch.tensor(layer.weight.shape)
    return packed


def disk_sizes(model: Any) -> tuple[int, int]:
    """Bytes of a model's tensors on disk: in full precision as the studio saves it, and packed."""
    itemsize = device.weights_dtype().itemsize
    full_bytes = sum(value.numel() for value in model.parameters()) * itemsize
    packed_bytes = 0
    for value in packed_tensors(model).values():
        packed_bytes += value.numel() * (itemsize if value.is_floating_point() else value.element_size())
    return full_bytes, packed_bytes


def save(model: Any, folder: Path) -> None:
    """Write the packed weights and a config from which transformers and others know how to read them."""
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = str(model.dtype).removeprefix("torch.")
    config.quantization_config = _quantization_config(model)
    config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
    save_file(packed_tensors(model), folder / "model.safetensors", metadata={"format": "pt"})


def _quantization_config(model: Any) -> dict[str, Any]:
    """The rounding in the terms of compressed-tensors.

    `dequantize` lets transformers dequantize while loading: its other way, in the first forward pass, cannot
    open ModernBERT (5.23).
    """
    layers = _quantized_layers(model)
    first_layer = _to_rounded(next(iter(layers.values())))
    weights = {
        "num_bits": first_layer.bits,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": first_layer.group_size,
        "dynamic": False,
    }
    unquantized_names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name not in layers
    ]
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": None,
                "output_activations": None,
            }
        },
        "ignore": unquantized_names,
        "dequantize": True,
    }
