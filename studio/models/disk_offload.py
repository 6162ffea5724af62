"""Leaves the weights of a model's blocks on the disk, and reads each block when a pass comes to it.

accelerate's disk offload is made for answering: it reads each matrix when it is needed, and computing waits.
Here a thread reads the next block while one computes, into memory that is there already, since new memory
takes longer to come by than its content. Training needs reentrant gradient checkpointing: the way back
computes each block once more, for which it is read again, and its graph is gone before the next block comes.
"""

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import AutoConfig

from studio.errors import NotPossible
from studio.i18n import Message
from studio.models import folder_files, layers

OTHER_FORM = Message("The model's files hold “{name}” in another form than the model needs it in.")
KEEP_IN_MEMORY = Message("Set training.disk_offload to false, or choose another model.")
# Arguments of `from_pretrained` that belong into the config.
CONFIG_KWARGS = ("num_labels", "id2label", "label2id")
# The formats of numbers that are read.
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# malloc.h: from how many bytes on a block of memory is the system's again once it is freed.
M_MMAP_THRESHOLD = -3
LARGE_BLOCK_BYTES = 4 << 20
# Reads a parameter, into the memory of an earlier one if there is one and it has the same size.
ReadParameter = Callable[[torch.Tensor | None], torch.nn.Parameter]
ChangeBlock = Callable[[torch.nn.Module, Mapping[str, ReadParameter]], Mapping[str, ReadParameter]]


@dataclass(frozen=True)
class _OffloadedParameter:
    """A parameter that lies on the disk, and what stands for it meanwhile: its shape, and no memory."""

    module: torch.nn.Module
    name: str
    placeholder: torch.nn.Parameter
    read: ReadParameter

    def put(self, parameter: torch.nn.Parameter) -> None:
        self.module._parameters[self.name] = parameter


class OffloadedBlocks:
    """The blocks of a model whose weights lie on the disk; at most two of them are in memory at once."""

    def __init__(self) -> None:
        self._blocks: list[list[_OffloadedParameter]] = []
        self._block_of_module: dict[torch.nn.Module, int] = {}
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-weights")
        # The block that is computed, the one that is read meanwhile, and memory that neither needs.
        self._current, self._weights = -1, list[torch.nn.Parameter]()
        self._ahead: tuple[int, Future[list[torch.nn.Parameter]]] | None = None
        self._spare: Sequence[torch.nn.Parameter] = ()

    def add(self, block: torch.nn.Module, read_parameters: Mapping[str, ReadParameter]) -> None:
        """Leave parameters of a block, by their names in it, on the disk.

        Args:
            block: The next block from the input.
            read_parameters: Reads each of them.
        """
        index = len(self._blocks)
        parameters = []
        for path, read in read_parameters.items():
            module_path, _, name = path.rpartition(".")
            module = block.get_submodule(module_path)
            parameters.append(_OffloadedParameter(module, name, module.get_parameter(name), read))
            self._block_of_module[module] = index
        self._blocks.append(parameters)

        def enter(part: torch.nn.Module, inputs: Any) -> None:
            if block.training:
                _require_no_graph()
            self.enter(index, block.training)

        # On its parts, as gradient checkpointing calls those again and not the hooks of the block itself.
        for part in block.children():
            part.register_forward_pre_hook(enter)

    def enter(self, index: int, goes_back: bool = False) -> None:
        """Have the weights of a block in memory, those of the block before let go, and the next one read.

        Args:
            index: The block.
            goes_back: Whether the pass comes back from the last block.
        """
        if index == self._current:
            return
        is_forward = index > self._current or (index, self._current) == (0, len(self._blocks) - 1)
        weights = self._take(index)
        for offloaded in self._blocks[self._current] if self._current >= 0 else ():
            offloaded.put(offloaded.placeholder)
        for offloaded, parameter in zip(self._blocks[index], weights, strict=True):
            offloaded.put(parameter)
        self._current, self._weights, self._spare = index, weights, self._spare or self._weights
        following = self._following(index, 1 if is_forward else -1, goes_back)
        if following != index:
            self._ahead = following, self._start_reading(following)

    def block_of(self, module: torch.nn.Module) -> int | None:
        """The block whose weights a module has; None where they are always in memory."""
        return self._block_of_module.get(module)

    def _take(self, index: int) -> list[torch.nn.Parameter]:
        if self._ahead and self._ahead[0] != index:
            self._spare = self._ahead[1].result()  # read in vain
            self._ahead = None
        reading = self._ahead[1] if self._ahead else self._start_reading(index)
        self._ahead = None
        return reading.result()

    def _start_reading(self, index: int) -> Future[list[torch.nn.Parameter]]:
        spare, self._spare = self._spare, ()
        return self._reader.submit(self._read, index, spare)

    def _read(self, index: int, spare: Sequence[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
        """Read a block, parameter by parameter into the memory of another block's."""
        blocks = self._blocks[index]
        reused = spare if len(spare) == len(blocks) else [None] * len(blocks)
        return [offloaded.read(memory) for offloaded, memory in zip(blocks, reused, strict=True)]

    def _following(self, index: int, direction: int, goes_back: bool) -> int:
        """The block that will be needed next: behind the last one on the way back, or the first again."""
        last = len(self._blocks) - 1
        if 0 <= index + direction <= last:
            return index + direction
        if direction < 0:
            return min(1, last)
        return max(last - 1, 0) if goes_back else 0


def _require_no_graph() -> None:
    """Raise where a graph would keep weights whose memory is soon another block's."""
    is_way_back = torch._C._current_graph_task_id() != -1
    if torch.is_grad_enabled() and not is_way_back:
        raise RuntimeError("weights on the disk can only be trained with reentrant gradient checkpointing")


def load(
    model_class: Any,
    folder: Path,
    load_kwargs: Mapping[str, Any],
    device: torch.device,
    change_block: ChangeBlock | None = None,
) -> Any:
    """A model of a folder whose blocks have their weights on the disk, as `offloaded_blocks`.

    Args:
        model_class: The class of transformers that loads it.
        folder: Where `config.json` and the safetensors files are.
        load_kwargs: Further arguments of `from_pretrained`, the `dtype` of the weights in memory among them.
        device: Where it computes.
        change_block: Puts other layers into a block; it gets what reads each parameter, and returns the same.

    Raises:
        NotPossible: The files hold the weights of a block in another form than the model.
    """
    _give_back_large_blocks()
    dtype: torch.dtype = load_kwargs["dtype"]
    with init_empty_weights(include_buffers=False):
        model = model_class.from_config(_read_config(folder, load_kwargs), dtype=dtype)
    blocks = layers.get_blocks(model)
    path_of_blocks = next(path for path, module in model.named_modules() if module is blocks)
    _fill_around_blocks(model, _load_lowest_block(model_class, folder, load_kwargs), path_of_blocks)
    tensors, reader, offloaded = _list_tensors(folder), _Reader(dtype, device), OffloadedBlocks()
    for index, block in enumerate(blocks):
        readers: Mapping[str, ReadParameter] = {
            name: partial(reader.read, _find_tensor(tensors, f"{path_of_blocks}.{index}.{name}", parameter))
            for name, parameter in block.named_parameters()
        }
        if change_block:
            readers = change_block(block, readers)
        _put_placeholders(block, device)
        offloaded.add(block, readers)
    model.offloaded_blocks = offloaded
    return model.to(device)


def _give_back_large_blocks() -> None:
    """Let glibc give large blocks of memory back to the system when they are freed.

    By itself it keeps those below 32 MB. Weights of one block after the other, and what is computed of them,
    leave gaps among them: a QLoRA of 1.7 B parameters came to hold 2.9 GB instead of 1.7.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def named_parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """The parameters of a model by their names in order, those on the disk read block by block."""
    offloaded: OffloadedBlocks | None = getattr(model, "offloaded_blocks", None)
    for name, parameter in sorted(model.named_parameters()):
        module_path, _, own_name = name.rpartition(".")
        module = model.get_submodule(module_path)
        block = offloaded.block_of(module) if offloaded else None
        if offloaded and block is not None:
            offloaded.enter(block)
            yield name, module.get_parameter(own_name)
        else:
            yield name, parameter


def _read_config(folder: Path, load_kwargs: Mapping[str, Any]) -> Any:
    labels = {name: load_kwargs[name] for name in CONFIG_KWARGS if name in load_kwargs}
    return AutoConfig.from_pretrained(folder, **labels)


def _load_lowest_block(model_class: Any, folder: Path, load_kwargs: Mapping[str, Any]) -> Any:
    """The model cut off above its first block, as transformers loads it: with its embeddings and its head."""
    config = _read_config(folder, load_kwargs)
    config.num_hidden_layers = 1
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:1]
    others = {name: value for name, value in load_kwargs.items() if name not in CONFIG_KWARGS}
    with _mapped_files_allowed(folder), _without_load_report():
        return model_class.from_pretrained(folder, config=config, **others)


def _fill_around_blocks(model: Any, loaded: Any, path_of_blocks: str) -> None:
    """Give a model without weights those of a loaded one, but for the blocks."""
    for path, parameter in loaded.named_parameters():
        if not path.startswith(f"{path_of_blocks}."):
            module_path, _, name = path.rpartition(".")
            model.get_submodule(module_path)._parameters[name] = parameter
    model.tie_weights()
    if hasattr(loaded, "generation_config"):
        model.generation_config = loaded.generation_config
    model.name_or_path = model.config.name_or_path = loaded.name_or_path


@dataclass(frozen=True)
class _StoredTensor:
    path: Path
    tensor: folder_files.Tensor


def _list_tensors(folder: Path) -> dict[str, _StoredTensor]:
    """The tensors of a folder's files by their names in them."""
    names, _ = folder_files.list_weight_files(folder)
    stored: dict[str, _StoredTensor] = {}
    for name in names:
        tensors = folder_files.read_tensors(folder / name)
        if not isinstance(tensors, folder_files.Finding):
            stored |= {key: _StoredTensor(folder / name, tensor) for key, tensor in tensors.items()}
    return stored


def _find_tensor(
    tensors: Mapping[str, _StoredTensor], name: str, parameter: torch.nn.Parameter
) -> _StoredTensor:
    """The stored tensor of a parameter; a file of the backbone alone leaves out the name of its place."""
    without_prefix = name.partition(".")[2]
    stored = tensors.get(name) or tensors.get(without_prefix)
    is_same = stored is not None and stored.tensor.shape == tuple(parameter.shape)
    if stored is None or not is_same or stored.tensor.number_format not in DTYPES:
        raise NotPossible(OTHER_FORM, KEEP_IN_MEMORY, name=name)
    return stored


def _put_placeholders(block: torch.nn.Module, device: torch.device) -> None:
    for module in block.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                number = torch.zeros((), dtype=parameter.dtype, device=device)
                module._parameters[name] = torch.nn.Parameter(number.expand(parameter.shape), False)


class _Reader:
    """Reads weights from safetensors files into memory of their own; what maps a file reads it too late.

    Args:
        dtype: The format in which they are wanted.
        device: Where they are wanted.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype, self._device = dtype, device
        self._staging = torch.empty(0, dtype=torch.uint8)

    def read(self, stored: _StoredTensor, memory: torch.Tensor | None = None) -> torch.nn.Parameter:
        """A stored weight, in the memory of an earlier one where there is one."""
        shape, dtype = stored.tensor.shape, DTYPES[stored.tensor.number_format]
        if memory is None or memory.shape != shape:
            memory = torch.empty(shape, dtype=self._dtype, device=self._device)
        with stored.path.open("rb", buffering=0) as file:
            if dtype is self._dtype and self._device.type == "cpu":
                read_into(memory.data, file, stored.tensor.offset)
            else:
                staged = self._stage(torch.Size(shape).numel() * dtype.itemsize)
                read_into(staged, file, stored.tensor.offset)
                memory.data.copy_(staged.view(dtype).view(shape))
        return torch.nn.Parameter(memory.data, requires_grad=False)

    def _stage(self, n_bytes: int) -> torch.Tensor:
        """Memory for a tensor as it is stored, which the next one takes too."""
        if self._staging.numel() < n_bytes:
            self._staging = torch.empty(n_bytes, dtype=torch.uint8)
        return self._staging[:n_bytes]


def read_into(tensor: torch.Tensor, file: Any, offset: int) -> None:
    """Fill a tensor in the machine's memory from a place in an unbuffered file."""
    unread = memoryview(tensor.view(-1).view(torch.uint8).numpy())
    file.seek(offset)
    while unread:
        n_read = file.readinto(unread)
        if not n_read:
            raise OSError(f"{file.name} ends at byte {file.tell()}, within a tensor")
        unread = unread[n_read:]


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Within, transformers does not list the weights of the other blocks as unexpected."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _mapped_files_allowed(folder: Path) -> Iterator[None]:
    """Within, a limit of this process's memory leaves room for the files that are mapped while it loads.

    They count as its data, though the system gives their memory back whenever it is short.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    higher = soft + n_bytes if hard == resource.RLIM_INFINITY else min(soft + n_bytes, hard)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (higher, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
