"""A model whose parameters are spread over the ranks of a training, a share of each on every one (FSDP).

transformers reads and wraps such a model itself: each rank reads its share of the files, and a block is whole
on a GPU only while it computes. The whole model is elsewhere: in main memory, or on the GPU that evaluates.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.distributed import DistributedConfig

from studio.models import device, layers, ranks


def is_sharded(model: Any) -> bool:
    """Whether a model is spread over the ranks."""
    return isinstance(model, FSDPModule)


def shard(full_model: Any, folder: Path) -> Any:
    """A model spread over the ranks, with the parameters that the first one's whole model has, in 32 bits.

    Every rank has to call it.

    Args:
        full_model: The whole model; of the other ranks' only the shape and the names count.
        folder: Its base's folder.
    """
    blocks = layers.get_blocks(full_model)
    block_list = next(name for name, module in full_model.named_modules() if module is blocks)
    distributed_config = DistributedConfig(
        fsdp_size=ranks.count(),
        fsdp_plan={f"{block_list}.*": "free_full_weight"},
        fsdp_mixed_precision=device.autocast_dtype() is torch.bfloat16,
    )
    config = copy.deepcopy(full_model.config)
    # From here some families count positions; the tokenizer's came later (load.base_model).
    config.pad_token_id = type(config).from_pretrained(folder).pad_token_id
    model = type(full_model).from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        distributed_config=distributed_config,
        ignore_mismatched_sizes=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    model.config.pad_token_id = full_model.config.pad_token_id
    full_parameters = dict(full_model.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            whole_parameter = full_parameters[name].detach().float()
            # Of these, the first rank's counts.
            parameter.copy_(distribute_tensor(whole_parameter, parameter.device_mesh, parameter.placements))
    return model


def gather(model: Any, full_model: Any) -> None:
    """Put a spread model's parameters into the first rank's whole model, and let go of them.

    Every rank has to call it; the spread model is of no use afterwards.
    """
    full_parameters = dict(full_model.named_parameters())
    with torch.no_grad():
        for name, gathered in whole_parameters(model):
            if ranks.is_first():
                full_parameters[name].copy_(gathered)
    for parameter in model.parameters():
        storage = parameter.to_local().untyped_storage()
        if storage.resizable():  # in main memory it may be a view of a file
            storage.resize_(0)


def whole_parameters(model: Any, trainable_only: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters of a model by name, each whole, one after the other.

    Of a spread model every rank has to ask for all of them; they come in main memory.
    """
    reshard(model)
    for name, parameter in model.named_parameters():
        if not trainable_only or parameter.requires_grad:
            held = parameter.detach()
            yield name, held.full_tensor().cpu() if isinstance(held, DTensor) else held.contiguous()


def spread_like(parameter: torch.Tensor, whole_tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that each rank has whole, spread over them as a parameter is."""
    if not isinstance(parameter, DTensor):
        return whole_tensor
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(whole_tensor, mesh, placements, src_data_rank=None)


def reshard(model: Any) -> None:
    """Let go of what was collected to compute with: a pass without gradients keeps the head's."""
    for module in model.modules():
        if is_sharded(module):
            module.reshard()
