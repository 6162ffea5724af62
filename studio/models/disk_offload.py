"""Leaves the weights of a model's blocks on the disk, and reads each block when a pass comes to it.

accelerate's disk offload is made for answering: it reads each matrix when it is needed, and computing waits.
Its index of the files and its reader are used; a thread reads the next block while one computes. Training
needs gradient checkpointing: then the way back computes each block once more, for which it is read again, and
no graph holds the weights of more than one block.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from accelerate.hooks import remove_hook_from_module
from transformers import AutoConfig

from studio.models import folder_files, layers
from studio.storage import home

# The formats that are read from a file at once; accelerate reads all others.
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
ReadParameter = Callable[[], torch.nn.Parameter]


@dataclass(frozen=True)
class _OffloadedParameter:
    """A parameter that lies on the disk, and what stands for it meanwhile: its shape, and no memory."""

    module: torch.nn.Module
    name: str
    placeholder: torch.nn.Parameter
    read: ReadParameter

    def put(self, parameter: torch.nn.Parameter) -> None:
        # A new parameter, not new data in the old one: a graph may still hold that one for its way back.
        self.module._parameters[self.name] = parameter


class OffloadedBlocks:
    """The blocks of a model whose weights lie on the disk; at most two of them are in memory at once."""

    def __init__(self) -> None:
        self._blocks: list[list[_OffloadedParameter]] = []
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-weights")
        self._ahead: tuple[int, Future[list[torch.nn.Parameter]]] | None = None
        self._current = -1
        self._block_of_module: dict[torch.nn.Module, int] = {}

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
            placeholder = module.get_parameter(name)
            parameters.append(_OffloadedParameter(module, name, placeholder, read))
            self._block_of_module[module] = index
        self._blocks.append(parameters)
        # On its parts, as gradient checkpointing calls those again and not the hooks of the block itself.
        for part in block.children():
            part.register_forward_pre_hook(lambda module, inputs: self.enter(index))

    def enter(self, index: int) -> None:
        """Have the weights of a block in memory, those of the block before let go, and the next one read."""
        if index == self._current:
            return
        direction = 1 if index > self._current or (index, self._current) == (0, len(self._blocks) - 1) else -1
        parameters = self._take(index)
        self._release()
        for offloaded, parameter in zip(self._blocks[index], parameters, strict=True):
            offloaded.put(parameter)
        self._current = index
        following = self._following(index, direction)
        if following != index:
            self._ahead = following, self._reader.submit(self._read, following)

    def block_of(self, module: torch.nn.Module) -> int | None:
        """The block whose weights a module has; None where they are always in memory."""
        return self._block_of_module.get(module)

    def _take(self, index: int) -> list[torch.nn.Parameter]:
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[0] == index:
            return ahead[1].result()
        if ahead:
            ahead[1].result()  # memory for two blocks: the one that was read in vain goes first
            del ahead
        return self._reader.submit(self._read, index).result()

    def _read(self, index: int) -> list[torch.nn.Parameter]:
        return [offloaded.read() for offloaded in self._blocks[index]]

    def _release(self) -> None:
        if self._current >= 0:
            for offloaded in self._blocks[self._current]:
                offloaded.put(offloaded.placeholder)

    def _following(self, index: int, direction: int) -> int:
        """The block that will be needed next: behind the last one on the way back, or the first again."""
        last = len(self._blocks) - 1
        if 0 <= index + direction <= last:
            return index + direction
        if direction < 0:
            return min(1, last)
        return max(last - 1, 0) if torch.is_grad_enabled() else 0


def load(model_class: Any, folder: Path, load_kwargs: Mapping[str, Any], device: torch.device) -> Any:
    """A model of a folder whose blocks have their weights on the disk, as `offloaded_blocks`.

    Args:
        model_class: The class of transformers that loads it.
        folder: Where `config.json` and the safetensors files are.
        load_kwargs: Further arguments of `from_pretrained`, the `dtype` of the weights in memory among them.
        device: Where it computes.
    """
    device_map = _build_device_map(model_class, folder, load_kwargs, device)
    # Weights whose form in the files is another one than in the model are written there once.
    converted = tempfile.TemporaryDirectory(prefix="weights-", dir=home())
    with _mapped_files_allowed(folder):
        model = model_class.from_pretrained(
            folder, device_map=device_map, offload_folder=converted.name, **load_kwargs
        )
    weights = _find_weights(model)
    remove_hook_from_module(model, recurse=True)
    del model.hf_device_map
    offloaded = OffloadedBlocks()
    names = {module: name for name, module in model.named_modules()}
    for block in layers.get_blocks(model):
        on_disk = [name for name, parameter in block.named_parameters() if parameter.is_meta]
        _put_placeholders(block, device)
        offloaded.add(
            block,
            {name: partial(_read_parameter, weights, f"{names[block]}.{name}", device) for name in on_disk},
        )
    model.offloaded_blocks, model.converted_weights = offloaded, converted
    return model


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


def _build_device_map(
    model_class: Any, folder: Path, load_kwargs: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """Where the parts of a model are: those of its blocks on the disk, all others on the device."""
    with torch.device("meta"):
        model = model_class.from_config(AutoConfig.from_pretrained(folder), dtype=load_kwargs["dtype"])
    blocks = set(layers.get_blocks(model))
    device_map: dict[str, Any] = {}

    def place(module: torch.nn.Module, path: str) -> None:
        parts = {f"{path}.{name}".lstrip("."): part for name, part in module.named_children()}
        if module in blocks:
            device_map.update(dict.fromkeys(parts, "disk"))
        elif blocks.isdisjoint(module.modules()):
            device_map[path] = str(device)
            return
        else:
            for part_path, part in parts.items():
                place(part, part_path)
        own_names = [name for name, _ in module.named_parameters(recurse=False)]
        device_map.update({f"{path}.{name}".lstrip("."): str(device) for name in own_names})

    place(model, "")
    return device_map


def _find_weights(model: torch.nn.Module) -> Any:
    """accelerate's reader of the weights on the disk, by their names in the model; None without any."""
    for module in model.modules():
        weights_map = getattr(getattr(module, "_hf_hook", None), "weights_map", None)
        if weights_map is not None:
            return weights_map.dataset
    return None


def _put_placeholders(block: torch.nn.Module, device: torch.device) -> None:
    for module in block.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                number = torch.zeros((), dtype=parameter.dtype, device=device)
                module._parameters[name] = torch.nn.Parameter(number.expand(parameter.shape), False)


def _read_parameter(weights: Any, name: str, device: torch.device) -> torch.nn.Parameter:
    """Read a weight into memory of its own: what maps the file would read it only when computing with it."""
    entry = weights.index[name]
    path = entry.get("safetensors_file")
    tensor = _read_header(Path(path)).get(entry["weight_name"]) if path else None
    if tensor and tensor.number_format in DTYPES:
        value = _read_tensor(Path(path), tensor).to(device, getattr(torch, entry["dtype"]))
    else:
        value = weights[name].to(device, copy=True)
    return torch.nn.Parameter(value, requires_grad=False)


@lru_cache(maxsize=256)
def _read_header(path: Path) -> Mapping[str, folder_files.Tensor]:
    tensors = folder_files.read_tensors(path)
    return {} if isinstance(tensors, folder_files.Finding) else tensors


def _read_tensor(path: Path, tensor: folder_files.Tensor) -> torch.Tensor:
    value = torch.empty(tensor.shape, dtype=DTYPES[tensor.number_format])
    unread = memoryview(value.view(-1).view(torch.uint8).numpy())
    with path.open("rb", buffering=0) as file:
        file.seek(tensor.offset)
        while unread:
            n_read = file.readinto(unread)
            if not n_read:
                raise OSError(f"{path} ends at byte {file.tell()}, within a tensor")
            unread = unread[n_read:]
    return value


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
