"""Rounds the matrices of a block to NF4 once, and leaves them in a file from which the block is read.

Each pass would round them anew, so it is done once, while a model is loaded, and one matrix at a time. The
file has no name: its space is free again when the process ends, however it ends.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from typing import Any

import bitsandbytes
import torch
from transformers.integrations.bitsandbytes import replace_with_bnb_linear

from studio.models.disk_offload import ReadParameter, read_into
from studio.storage import home, require_disk_space


class Nf4File:
    """The packed matrices of a model's blocks.

    Args:
        quantization_config: How they are rounded (transformers' BitsAndBytesConfig).
    """

    def __init__(self, quantization_config: Any) -> None:
        self._config = quantization_config
        self._file = tempfile.TemporaryFile(dir=home(), buffering=0)  # noqa: SIM115 - as long as the model
        self._unrounded: torch.Tensor | None = None

    def quantize_block(
        self, block: torch.nn.Module, read_parameters: Mapping[str, ReadParameter]
    ) -> dict[str, ReadParameter]:
        """Put 4-bit layers in place of a block's linear ones, and their packed weights into the file.

        Args:
            block: The block, with placeholders for its weights.
            read_parameters: Reads each of them, by their names in the block.

        Returns:
            What reads each of them now.
        """
        replace_with_bnb_linear(block, self._config.llm_int8_skip_modules, self._config)
        readers = dict(read_parameters)
        for path, layer in block.named_modules():
            if isinstance(layer, bitsandbytes.nn.Linear4bit):
                weight_name = f"{path}.weight"
                readers[weight_name] = self._quantize(layer, read_parameters[weight_name])
        return readers

    def _quantize(self, layer: Any, read: ReadParameter) -> ReadParameter:
        """Round a matrix and write it; the layer gets a placeholder. Its scales stay in memory."""
        self._unrounded = weight = read(self._unrounded)
        device = weight.device
        if layer.source_cls is not torch.nn.Linear:  # GPT-2 keeps its matrices the other way round
            weight = weight.T
        options = {name: value for name, value in vars(layer.weight).items() if name != "module"}
        packed = bitsandbytes.nn.Params4bit(weight, requires_grad=False, **options).to(device)
        require_disk_space(home(), packed.nbytes)
        offset, shape = self._file.tell(), packed.shape
        self._file.write(memoryview(packed.detach().cpu().contiguous().numpy()))
        build = partial(_build, options={**options, "quant_state": packed.quant_state, "bnb_quantized": True})
        layer.weight = build(torch.zeros((), dtype=torch.uint8, device=device).expand(shape))

        def read_packed(memory: torch.Tensor | None) -> torch.nn.Parameter:
            if memory is None or memory.shape != shape:
                memory = torch.empty(shape, dtype=torch.uint8, device=device)
            on_cpu = memory.data.cpu()  # the same memory where it is the processor's
            read_into(on_cpu, self._file, offset)
            return build(memory.data.copy_(on_cpu))

        return read_packed


def _build(packed: torch.Tensor, options: Mapping[str, Any]) -> torch.nn.Parameter:
    parameter: torch.nn.Parameter = bitsandbytes.nn.Params4bit(packed, requires_grad=False, **options)
    return parameter
