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

from studio.estimate.allocator import EMPTY, PHASE, Outcome, least, replay
from studio.estimate.tally import Tally, counted

aten = torch.ops.aten
# One for the thread that goes forward, one for autograd's (bytes; cublasLt's default on cards before Hopper).
WORKSPACES = (8_519_680, 8_519_680)
# How memory is handed out: CUDA's caching allocator rounds to 512 bytes, the CPU's aligns to 64.
GRAIN = {"cuda": 512, "cpu": 64}
# Operations that draw a number by chance for each they give.
CHANCE = (aten.bernoulli_, aten.native_dropout)
HALF = (torch.bfloat16, torch.float16)


def _multiplied_out(scales: torch.Tensor, rows: int, columns: int, dtype: torch.dtype) -> torch.Tensor:
    """Memory for a matrix of (rows, columns) numbers."""
    return scales.new_empty((rows, columns), dtype=dtype)


# Stands for a 4-bit matrix multiplied out, under a name that a trace can tell from other operations.
unpack = torch.library.custom_op("studio::unpack", _multiplied_out, mutates_args=())
unpack.register_fake(_multiplied_out)
UNPACK = torch.ops.studio.unpack


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Scores and mixing of one attention: two products of rows x heads x tokens x tokens x width, also where half is masked."""
    rows, heads, tokens, width = query.shape
    return int(2 * 2 * rows * heads * tokens * key.shape[2] * width)


def _attention_back(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Five products where forward has two."""
    return int(_attention(query, key, value) * 2.5)


OWN_FLOP = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_back,
}
# What a CUDA kernel allocates for itself, out of sight of any dispatch mode (aten/src/ATen/native/cuda/SoftMax.cu: grad · output).
HIDDEN = {
    aten._softmax_backward_data: lambda given, out: given[0].numel() * given[0].element_size(),
    aten._safe_softmax: lambda given, out: out.numel() * (out.element_size() + 1),
}


class Trace(TorchDispatchMode):  # type: ignore[misc] # torch ships no types for it
    """Counts while it is entered; `device` is the one the step is meant for, "cuda" or "cpu".

    `during(name)` begins a phase, whose `Tally` is in `phases`. Storages belong to a part: "weights", "activations" …; `part` is the one
    that new storages get, but one whose last axis is `wide` long (the vocabulary) is among the "scores".
    """

    def __init__(self, device: str, wide: int = 0) -> None:
        super().__init__()
        self.device, self.wide, self.grain = device, wide, GRAIN[device]
        self.live: dict[int | str, tuple[int, str]] = {}
        self.now = 0
        self.parts: Counter[str] = Counter()
        self.part = "other"
        self.phases: dict[str, Tally] = {}
        self.events: list[tuple[Any, int]] = []
        self._tally = Tally()
        self._workspaces = 0

    @contextmanager
    def during(self, name: str, part: str) -> Iterator[Tally]:
        """Count into the tally of this name; new storages are of this part."""
        before = self._tally, self.part
        self._tally, self.part = self.phases.setdefault(name, Tally()), part
        self.events.append((name, PHASE))
        self._note()
        try:
            yield self._tally
        finally:
            self._tally, self.part = before

    def again(self) -> None:
        """Forget the work and the peaks so far, not what lives: a second step is counted as if it were the first."""
        self.phases.clear()

    def workspace(self) -> None:
        """On a card, what cuBLAS takes for each thread that multiplies, the first time it does."""
        if self.device == "cuda" and self._workspaces < len(WORKSPACES):
            self._workspaces += 1
            self.take(f"workspace {self._workspaces}", WORKSPACES[self._workspaces - 1], "frozen")

    def take(self, name: str, size: int, part: str = "other") -> None:
        """Count bytes that no tensor here stands for, under a name of their own."""
        size = -(-size // self.grain) * self.grain
        self.live[name] = size, part
        self.now += size
        self.parts[part] += size
        if size:
            self.events.append((name, size))
        self._note()

    def give_back(self, name: str) -> None:
        """Let go of what was taken under a name."""
        self._gone(name)

    def empty_cache(self) -> None:
        """What torch.cuda.empty_cache does, for the replay."""
        self.events.append(("", EMPTY))

    def replayed(self, capacity: int | None = None) -> Outcome:
        """What CUDA's allocator makes of all that was held and let go."""
        return replay(self.events, capacity)

    def least(self, free: Outcome) -> int:
        """The smallest card (bytes its allocator may reserve) on which the traced work goes through; `free` is its unbounded replay."""
        return least(self.events, free)

    def hold(self, values: Iterable[torch.Tensor], part: str) -> None:
        """Count tensors that are there already."""
        for value in values:
            self._see(value, part)

    def belongs(self, value: torch.Tensor, part: str) -> None:
        """Move a tensor's storage to another part."""
        key = value.untyped_storage()._cdata
        if key in self.live:
            size, old = self.live[key]
            self.parts[old] -= size
            self.parts[part] += size
            self.live[key] = size, part

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        made = [value for value in tree_leaves(out) if isinstance(value, torch.Tensor)]
        known = any(value.untyped_storage()._cdata in self.live for value in made)
        for value in made:
            self._see(value, "scores" if self.wide and value.dim() > 1 and value.shape[-1] == self.wide else self.part)
        name, tally = func._overloadpacket, self._tally
        if self.device == "cuda" and name in HIDDEN:
            self.take("hidden", HIDDEN[name](args, out))
            self.give_back("hidden")
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        if name in OWN_FLOP or name in flop_registry:
            work = float(OWN_FLOP[name](*args, **kwargs) if name in OWN_FLOP else flop_registry[name](*args, **kwargs, out_val=out))  # type: ignore[operator] # torch ships no types
            if given and given[0].dtype in HALF:
                tally.flop_16 += work
            else:
                tally.flop_32 += work
        if not known or func._schema.is_mutable:  # a view moves nothing
            tally.moved += sum(value.numel() * value.element_size() for value in [*given, *made])
            tally.operations += 1
            if name in CHANCE:
                tally.drawn += made[0].numel()
            elif name == UNPACK:
                tally.unpacked += made[0].numel()
        return out

    def _see(self, value: torch.Tensor, part: str) -> None:
        storage = value.untyped_storage()
        key = storage._cdata
        if key in self.live:
            return
        size = -(-storage.nbytes() // self.grain) * self.grain
        self.live[key] = size, part
        self.now += size
        self.parts[part] += size
        if size:
            self.events.append((key, size))
        weakref.finalize(storage, self._gone, key)
        self._note()

    def _gone(self, key: int | str) -> None:
        size, part = self.live.pop(key, (0, ""))
        self.now -= size
        self.parts[part] -= size
        if size:
            self.events.append((key, 0))

    def _note(self) -> None:
        if self.now > self._tally.peak:
            self._tally.peak, self._tally.parts = self.now, counted(self.parts)
