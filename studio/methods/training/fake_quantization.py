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
from torchao.quantization.quantize_.workflows import IntxUnpackedToInt8Tensor

from studio.models import device


class _RoundGroups(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """Weights rounded as torchao's IntxFakeQuantizer rounds them, of which only the scales are kept.

    The largest weight of a group lies half a step above the largest integer, where it may be cut; then it
    gets no gradient. All others get theirs unchanged (straight-through estimator, Bengio et al. 2013).
    """

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, bits: int, group_size: int) -> torch.Tensor:
        ctx.highest = 2 ** (bits - 1) - 1
        groups = weight.reshape(-1, group_size)
        most = torch.maximum(-groups.amin(1, keepdim=True), groups.amax(1, keepdim=True))
        scales = (most / (ctx.highest + 0.5)).clamp_(min=torch.finfo(weight.dtype).smallest_normal)
        ctx.save_for_backward(weight, scales)
        integers = (groups * (1.0 / scales)).round_().clamp_(max=ctx.highest)
        return integers.mul_(scales).view_as(weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        weight, scales = ctx.saved_tensors
        integers = (weight.reshape(len(scales), -1) * (1.0 / scales)).round_()
        # 1 for integers up to the highest, 0 above: quicker than a mask of booleans.
        is_kept = integers.sub_(ctx.highest + 1).clamp_(-1, 0).neg_()
        return is_kept.view_as(gradient).mul_(gradient), None, None


class GroupRounding(torch.nn.Module):  # type: ignore[misc] # torch ships no types
    """Rounds weights in groups on each pass, in a third of torchao's time (tests/bench/rounding.py).

    Args:
        config: torchao's config of the rounding.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, self.enabled = config, True
        self.bits = int(str(config.dtype).removeprefix("torch.int"))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights as integers times the scale of their group; unchanged while it is not enabled."""
        if not self.enabled:
            return weight
        return _RoundGroups.apply(weight, self.bits, self.config.group_size)


class RoundedLinear(torch.nn.Linear):  # type: ignore[misc] # torch ships no types
    """A linear layer whose weights are integers times the `scale` of their group (rows x groups)."""

    def __init__(self, fake_quantized: Any) -> None:
        """Round the weights of a fake-quantized layer exactly as it rounds them on each pass."""
        has_bias = fake_quantized.bias is not None
        super().__init__(fake_quantized.in_features, fake_quantized.out_features, has_bias, device="meta")
        quantizer_config = fake_quantized.weight_fake_quantizer.config
        self.bits = fake_quantized.weight_fake_quantizer.bits
        self.group_size = int(quantizer_config.group_size)
        weight = fake_quantized.weight
        quantized = IntxUnpackedToInt8Tensor.from_hp(
            weight.detach().float(), (1, self.group_size), quantizer_config.dtype
        )
        # The saved file holds scales in the dtype of the saved weights, which must be multiples of exactly
        # those.
        scale = quantized.scale.to(device.weights_dtype()).float()
        rounded_weight = quantized.qdata.float() * scale.repeat_interleave(self.group_size, dim=1)
        self.weight = torch.nn.Parameter(rounded_weight.to(weight.dtype), weight.requires_grad)
        self.bias = fake_quantized.bias
        self.register_buffer("scale", scale.to(weight.dtype), persistent=False)

    def int_weights(self) -> torch.Tensor:
        """The integers (int8, rows x columns).

        Rounding undoes that their products with the scales may be held in 16 bits.
        """
        scale = self.scale.float().repeat_interleave(self.group_size, dim=1)
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
        packed[f"{name}.weight_scale"] = layer.scale.contiguous()
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
