"""Follow one training step of tensors without numbers: every block of memory, every operation's arithmetic and traffic, exactly.

Meta tensors have shapes and no contents. A dispatch mode sees each operation on them and a weak reference tells when a storage is let
go, so that what is counted is what the same step allocates on a real device. Sources: torch.utils.flop_counter for the arithmetic of
each operation; torch.distributed._tools.mem_tracker does the like for whole modules, but not for frozen ones.
"""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
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
    AllocatorStats,
    find_min_capacity,
    replay_events,
)

aten = torch.ops.aten
# One for the thread that goes forward, one for autograd's (bytes; cublasLt's default on cards before Hopper).
WORKSPACE_BYTES = (8_519_680, 8_519_680)
# How memory is handed out: CUDA's caching allocator rounds to 512 bytes, the CPU's aligns to 64.
ALIGNMENT = {"cuda": 512, "cpu": 64}
# Operations that draw a number by chance for each they give.
RANDOM_OPS = (aten.bernoulli_, aten.native_dropout)
HALF_DTYPES = (torch.bfloat16, torch.float16)


def _allocate_matrix(scales: torch.Tensor, rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """Memory for a matrix of (rows, columns) numbers."""
    return scales.new_empty((rows, columns), dtype=dtype)


# Stands for a 4-bit matrix multiplied out, under a name that a trace can tell from other operations.
unpack = torch.library.custom_op("studio::unpack", _allocate_matrix, mutates_args=())
unpack.register_fake(_allocate_matrix)
UNPACK = torch.ops.studio.unpack


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Scores and mixing of one attention: two products of rows x heads x tokens x tokens x width, also where half is masked."""
    rows, heads, tokens, width = query.shape
    return int(2 * 2 * rows * heads * tokens * key.shape[2] * width)


def _attention_backward_flop(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Five products where forward has two."""
    return int(_attention_flop(query, key, value) * 2.5)


CUSTOM_FLOP = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flop,
}
# What a CUDA kernel allocates for itself, out of sight of any dispatch mode (aten/src/ATen/native/cuda/SoftMax.cu: grad · output).
HIDDEN_ALLOCATIONS = {
    aten._softmax_backward_data: lambda inputs, out: inputs[0].numel() * inputs[0].element_size(),
    aten._safe_softmax: lambda inputs, out: out.numel() * (out.element_size() + 1),
}


class Trace(TorchDispatchMode):  # type: ignore[misc] # torch ships no types for it
    """Counts while it is entered; `device` is the one the step is meant for, "cuda" or "cpu".

    `during(name)` begins a phase, whose `Tally` is in `phases`. Storages belong to a part: "weights", "activations" …; `part` is the one
    that new storages get, but one whose last axis is `wide` long (the vocabulary) is among the "scores".
    """

    def __init__(self, device: str, vocab_size: int = 0) -> None:
        super().__init__()
        self.device, self.vocab_size, self.alignment = device, vocab_size, ALIGNMENT[device]
        self.live_storages: dict[int | str, tuple[int, str]] = {}
        self.live_bytes = 0
        self.parts: Counter[str] = Counter()
        self.current_part = "other"
        self.phases: dict[str, OpCounts] = {}
        self.events: list[tuple[Any, int]] = []
        self._counts = OpCounts()
        self._n_workspaces = 0

    @contextmanager
    def record_phase(self, name: str, part: str) -> Iterator[OpCounts]:
        """Count into the tally of this name; new storages are of this part."""
        previous = self._counts, self.current_part
        self._counts, self.current_part = self.phases.setdefault(name, OpCounts()), part
        self.events.append((name, PHASE))
        self._update_peak()
        try:
            yield self._counts
        finally:
            self._counts, self.current_part = previous

    def reset_phases(self) -> None:
        """Forget the work and the peaks so far, not what lives: a second step is counted as if it were the first."""
        self.phases.clear()

    def add_workspace(self) -> None:
        """On a card, what cuBLAS takes for each thread that multiplies, the first time it does."""
        if self.device == "cuda" and self._n_workspaces < len(WORKSPACE_BYTES):
            self._n_workspaces += 1
            self.allocate(
                f"workspace {self._n_workspaces}", WORKSPACE_BYTES[self._n_workspaces - 1], "frozen"
            )

    def allocate(self, name: str, size: int, part: str = "other") -> None:
        """Count bytes that no tensor here stands for, under a name of their own."""
        size = -(-size // self.alignment) * self.alignment
        self.live_storages[name] = size, part
        self.live_bytes += size
        self.parts[part] += size
        if size:
            self.events.append((name, size))
        self._update_peak()

    def release(self, name: str) -> None:
        """Let go of what was taken under a name."""
        self._on_released(name)

    def empty_cache(self) -> None:
        """What torch.cuda.empty_cache does, for the replay."""
        self.events.append(("", EMPTY_CACHE))

    def replay_allocator(self, capacity: int | None = None) -> AllocatorStats:
        """What CUDA's allocator makes of all that was held and let go."""
        return replay_events(self.events, capacity)

    def min_capacity(self, unbounded: AllocatorStats) -> int:
        """The smallest card (bytes its allocator may reserve) on which the traced work goes through; `free` is its unbounded replay."""
        return find_min_capacity(self.events, unbounded)

    def track(self, tensors: Iterable[torch.Tensor], part: str) -> None:
        """Count tensors that are there already."""
        for tensor in tensors:
            self._track_storage(tensor, part)

    def move_to_part(self, tensor: torch.Tensor, part: str) -> None:
        """Move a tensor's storage to another part."""
        key = tensor.untyped_storage()._cdata
        if key in self.live_storages:
            size, old_part = self.live_storages[key]
            self.parts[old_part] -= size
            self.parts[part] += size
            self.live_storages[key] = size, part

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        outputs = [tensor for tensor in tree_leaves(out) if isinstance(tensor, torch.Tensor)]
        is_tracked = any(tensor.untyped_storage()._cdata in self.live_storages for tensor in outputs)
        for tensor in outputs:
            self._track_storage(
                tensor,
                "scores"
                if self.vocab_size and tensor.dim() > 1 and tensor.shape[-1] == self.vocab_size
                else self.current_part,
            )
        op, counts = func._overloadpacket, self._counts
        if self.device == "cuda" and op in HIDDEN_ALLOCATIONS:
            self.allocate("hidden", HIDDEN_ALLOCATIONS[op](args, out))
            self.release("hidden")
        inputs = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)]
        if op in CUSTOM_FLOP or op in flop_registry:
            if op in CUSTOM_FLOP:
                flop = float(CUSTOM_FLOP[op](*args, **kwargs))  # type: ignore[operator] # torch ships no types
            else:
                flop = float(flop_registry[op](*args, **kwargs, out_val=out))
            if inputs and inputs[0].dtype in HALF_DTYPES:
                counts.flop_16 += flop
            else:
                counts.flop_32 += flop
        if not is_tracked or func._schema.is_mutable:  # a view moves nothing
            counts.moved += sum(tensor.numel() * tensor.element_size() for tensor in [*inputs, *outputs])
            counts.operations += 1
            if op in RANDOM_OPS:
                counts.drawn += outputs[0].numel()
            elif op == UNPACK:
                counts.unpacked += outputs[0].numel()
        return out

    def _track_storage(self, tensor: torch.Tensor, part: str) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live_storages:
            return
        size = -(-storage.nbytes() // self.alignment) * self.alignment
        self.live_storages[key] = size, part
        self.live_bytes += size
        self.parts[part] += size
        if size:
            self.events.append((key, size))
        weakref.finalize(storage, self._on_released, key)
        self._update_peak()

    def _on_released(self, key: int | str) -> None:
        size, part = self.live_storages.pop(key, (0, ""))
        self.live_bytes -= size
        self.parts[part] -= size
        if size:
            self.events.append((key, 0))

    def _update_peak(self) -> None:
        if self.live_bytes > self._counts.peak:
            self._counts.peak, self._counts.parts = self.live_bytes, nonzero_parts(self.parts)
