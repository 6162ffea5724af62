"""Follows one training step on meta tensors and counts every block of memory and every operation exactly.

Meta tensors have shapes and no contents. A dispatch mode sees each operation on them, and a weak reference
tells when a storage is released, so what is counted is what the same step allocates on a real device.
Sources: torch.utils.flop_counter for the arithmetic of each operation. torch.distributed._tools.mem_tracker
does the same for whole modules, but not for frozen ones. See docs/estimator.md#traced-step.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from studio.estimate.op_counts import OpCounts, nonzero_parts
from studio.estimate.tracing.allocator import (
    EMPTY_CACHE,
    PHASE,
    AllocatorEvent,
    AllocatorStats,
    find_min_capacity,
    replay_events,
)

aten = torch.ops.aten
# What cuBLAS takes for the thread of the forward pass, and for autograd's (bytes; cublasLt's default on GPUs
# before Hopper; docs/estimator.md#workspace_bytes).
WORKSPACE_BYTES = (8_519_680, 8_519_680)
# Allocations are multiples of so many bytes: CUDA's caching allocator rounds to 512, the CPU's aligns to 64.
ALIGNMENT = {"cuda": 512, "cpu": 64}
# Operations that draw a random number for each number they return.
RANDOM_OPS = (aten.bernoulli_, aten.native_dropout)
HALF_DTYPES = (torch.bfloat16, torch.float16)


def _allocate_matrix(scales: torch.Tensor, rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """Return an uninitialised matrix of shape (rows, columns)."""
    return scales.new_empty((rows, columns), dtype=dtype)


# Stands for the dequantization of a 4-bit matrix, under a name that a trace can tell from other operations.
unpack = torch.library.custom_op("studio::unpack", _allocate_matrix, mutates_args=())
unpack.register_fake(_allocate_matrix)
UNPACK = torch.ops.studio.unpack


def _allocate_grouped_product(
    rows: torch.Tensor, matrices: torch.Tensor, group_ends: torch.Tensor
) -> torch.Tensor:
    """Return an uninitialised product: rows by the matrices of their groups, or the matrix of each group."""
    if matrices.dim() == 3:
        return rows.new_empty((rows.shape[0], matrices.shape[2]))
    return rows.new_empty((len(group_ends), rows.shape[0], matrices.shape[1]))


# Stands for torch's _grouped_mm, the product with experts, which on meta tensors takes bfloat16 alone.
grouped_mm = torch.library.custom_op("studio::grouped_mm", _allocate_grouped_product, mutates_args=())
grouped_mm.register_fake(_allocate_grouped_product)


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Return the FLOP of scores and mixing of one attention.

    These are two products of rows x heads x tokens x tokens x width, also where a mask hides half of them.
    """
    rows, heads, tokens, width = query.shape
    return int(2 * 2 * rows * heads * tokens * key.shape[2] * width)


def _attention_backward_flop(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Return the FLOP of the backward pass: five products where the forward pass has two."""
    return int(_attention_flop(query, key, value) * 2.5)


def _grouped_flop(rows: Any, matrices: Any, *_: Any, **__: Any) -> int:
    """Return the FLOP of a product in groups: each number of the left side meets a row of the right one."""
    return int(2 * rows.numel() * matrices.shape[-1])


def _skips_future(causal_argument: int, count: Callable[..., int]) -> Callable[..., int]:
    """Return a count of a GPU's kernel, which skips what a token may not see: half of all pairs.

    Args:
        causal_argument: The place of `is_causal` among the kernel's arguments.
        count: Counts all pairs.
    """

    def count_seen(*args: Any, **kwargs: Any) -> int:
        is_causal = kwargs.get("is_causal", False) or args[causal_argument : causal_argument + 1] == (True,)
        return count(*args) // 2 if is_causal else count(*args)

    return count_seen


# torch counts attention on a GPU itself, but up to 2.11 refuses queries that share keys among heads.
CUSTOM_FLOP: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flop,
    aten._scaled_dot_product_flash_attention: _skips_future(4, _attention_flop),
    aten._scaled_dot_product_flash_attention_backward: _skips_future(11, _attention_backward_flop),
    aten._scaled_dot_product_efficient_attention: _skips_future(6, _attention_flop),
    aten._scaled_dot_product_efficient_attention_backward: _skips_future(11, _attention_backward_flop),
    aten._grouped_mm: _grouped_flop,
    # torch counts no product that is added in place, as the studio's LoRA layers add theirs.
    aten.addmm_: flop_registry[aten.addmm],
    torch.ops.studio.grouped_mm: _grouped_flop,
}
# What a CUDA kernel allocates for itself, which no dispatch mode sees (aten/src/ATen/native/cuda/SoftMax.cu:
# gradient · output; docs/estimator.md#hidden_allocations).
HIDDEN_ALLOCATIONS = {
    aten._softmax_backward_data: lambda inputs, out: inputs[0].numel() * inputs[0].element_size(),
    aten._safe_softmax: lambda inputs, out: out.numel() * (out.element_size() + 1),
}


class Trace(TorchDispatchMode):  # type: ignore[misc] # torch ships no types for it
    """Counts while it is entered.

    Storages belong to a part: "weights", "activations" and so on. A new storage belongs to `current_part`,
    but one whose last dimension is the vocabulary belongs to the "scores".

    Args:
        device: The device that the step is meant for, "cuda" or "cpu".
        vocab_size: Size of the vocabulary; 0 to tell no scores.

    Attributes:
        phases: The counts of each phase by its name (`record_phase`).
        events: Every allocation and release, for the replay of the allocator.
        live_bytes: What is allocated now.
        parts: What is allocated now, by part (bytes).
    """

    def __init__(self, device: str, vocab_size: int = 0) -> None:
        super().__init__()
        self.device = device
        self.vocab_size = vocab_size
        self.alignment = ALIGNMENT[device]
        self.live_storages: dict[int | str, tuple[int, str]] = {}
        self.live_bytes = 0
        self.parts: Counter[str] = Counter()
        self.current_part = "other"
        self.phases: dict[str, OpCounts] = {}
        self.events: list[AllocatorEvent] = []
        self._counts = OpCounts()
        self._n_workspaces = 0

    @contextmanager
    def record_phase(self, name: str, part: str) -> Iterator[OpCounts]:
        """Count into the phase of this name, and put new storages into this part."""
        previous = self._counts, self.current_part
        self._counts, self.current_part = self.phases.setdefault(name, OpCounts()), part
        self.events.append((name, PHASE))
        self._update_peak()
        try:
            yield self._counts
        finally:
            self._counts, self.current_part = previous

    def reset_phases(self) -> None:
        """Forget work and peaks, not what is allocated, so that a second step is counted like a first."""
        self.phases.clear()

    def add_workspace(self) -> None:
        """Allocate what cuBLAS takes on a GPU for each thread that multiplies, the first time it does."""
        if self.device != "cuda" or self._n_workspaces == len(WORKSPACE_BYTES):
            return
        size = WORKSPACE_BYTES[self._n_workspaces]
        self._n_workspaces += 1
        self.allocate(f"workspace {self._n_workspaces}", size, "frozen")

    def allocate(self, name: str, size: int, part: str = "other") -> None:
        """Count bytes that no tensor stands for, under a name that `release` takes."""
        self._add_storage(name, size, part)
        self._update_peak()

    def release(self, name: str) -> None:
        """Release what was allocated under a name."""
        self._on_released(name)

    def empty_cache(self) -> None:
        """Note a call of torch.cuda.empty_cache, for the replay."""
        self.events.append(("", EMPTY_CACHE))

    def replay_allocator(self, capacity: int | None = None) -> AllocatorStats:
        """Return what CUDA's allocator makes of all allocations and releases.

        Args:
            capacity: What it may reserve (bytes); None for no limit.
        """
        return replay_events(self.events, capacity)

    def min_capacity(self, unbounded: AllocatorStats) -> int:
        """Return the smallest capacity (bytes that the allocator may reserve) on which the work succeeds.

        Args:
            unbounded: The replay without a limit.
        """
        return find_min_capacity(self.events, unbounded)

    def track(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        """Count tensors that exist already."""
        for tensor in tensors:
            self._track_storage(tensor, part)

    def move_to_part(self, tensor: torch.Tensor, part: str) -> None:
        """Move a tensor's storage to another part."""
        key = tensor.untyped_storage()._cdata
        if key not in self.live_storages:
            return
        size, old_part = self.live_storages[key]
        self.parts[old_part] -= size
        self.parts[part] += size
        self.live_storages[key] = size, part

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        op = func._overloadpacket
        inputs = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)]
        outputs = [tensor for tensor in tree_leaves(out) if isinstance(tensor, torch.Tensor)]
        is_view = any(tensor.untyped_storage()._cdata in self.live_storages for tensor in outputs)
        for tensor in outputs:
            self._track_storage(tensor, self._part_of_output(tensor))
        if self.device == "cuda" and op in HIDDEN_ALLOCATIONS:
            self.allocate("hidden", HIDDEN_ALLOCATIONS[op](args, out))
            self.release("hidden")
        self._count_flop(op, args, kwargs, out, inputs)
        if not is_view or func._schema.is_mutable:  # a view moves nothing
            self._count_work(op, inputs, outputs)
        return out

    def _part_of_output(self, tensor: torch.Tensor) -> str:
        is_scores = self.vocab_size and tensor.dim() > 1 and tensor.shape[-1] == self.vocab_size
        return "scores" if is_scores else self.current_part

    def _count_flop(self, op: Any, args: Any, kwargs: Any, out: Any, inputs: list[torch.Tensor]) -> None:
        if op in CUSTOM_FLOP:
            flop = float(CUSTOM_FLOP[op](*args, **kwargs))
        elif op in flop_registry:
            flop = float(flop_registry[op](*args, **kwargs, out_val=out))
        else:
            return
        if inputs and inputs[0].dtype in HALF_DTYPES:
            self._counts.flop_16 += flop
        else:
            self._counts.flop_32 += flop

    def _count_work(self, op: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        counts = self._counts
        moved_bytes = sum(tensor.numel() * tensor.element_size() for tensor in (*inputs, *outputs))
        counts.moved += moved_bytes
        if op in CUSTOM_FLOP or op in flop_registry:
            counts.moved_by_products += moved_bytes
        counts.operations += 1
        if op in RANDOM_OPS:
            counts.drawn += outputs[0].numel()
        elif op == UNPACK:
            counts.unpacked += outputs[0].numel()

    def _track_storage(self, tensor: torch.Tensor, part: str) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live_storages:
            return
        self._add_storage(key, storage.nbytes(), part)
        weakref.finalize(storage, self._on_released, key)
        self._update_peak()

    def _add_storage(self, key: int | str, size: int, part: str) -> None:
        size = -(-size // self.alignment) * self.alignment
        self.live_storages[key] = size, part
        self.live_bytes += size
        self.parts[part] += size
        if size:
            self.events.append((key, size))

    def _on_released(self, key: int | str) -> None:
        size, part = self.live_storages.pop(key, (0, ""))
        self.live_bytes -= size
        self.parts[part] -= size
        if size:
            self.events.append((key, 0))

    def _update_peak(self) -> None:
        if self.live_bytes > self._counts.peak:
            self._counts.peak = self.live_bytes
            self._counts.parts = nonzero_parts(self.parts)
