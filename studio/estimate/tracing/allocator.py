"""A replay of PyTorch's caching allocator for CUDA: what a card must have free for a run of allocations, not only what lives at once.

After c10/cuda/CUDACachingAllocator.cpp in its default configuration: sizes are rounded to 512 bytes; small blocks come from segments of
2 MiB, middling ones from segments of 20 MiB, large ones from segments of their own; a block is split where enough of it is left, and
joined with its free neighbours when it is let go. Segments stay reserved until memory runs out; then those wholly free are given back.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

MIB = 2**20
MIN_BLOCK_SIZE = 512
# kSmallSize, kSmallBuffer, kMinLargeAlloc, kLargeBuffer, kRoundLarge.
SMALL_SIZE, SMALL_BUFFER, MIN_LARGE_ALLOC, LARGE_BUFFER, ROUND_LARGE = (
    MIB,
    2 * MIB,
    10 * MIB,
    20 * MIB,
    2 * MIB,
)
# Among the events these mark the beginning of a phase, and a call of torch.cuda.empty_cache.
PHASE, EMPTY_CACHE = -1, -2
AllocatorEvent = tuple[Hashable, int]


@dataclass
class AllocatorStats:
    """Peaks of bytes in blocks (`allocated`) and in segments (`reserved`), over all and by phase, and how often free segments were given back.

    `short` is 0 where everything fitted; else how many bytes the first request that could not be met was short of, in phase `short_in`.
    """

    peak_allocated: int = 0
    peak_reserved: int = 0
    peaks_by_phase: dict[str, tuple[int, int]] = field(default_factory=dict)
    flushes: int = 0
    shortfall: int = 0
    shortfall_phase: str = ""


class _Block:
    """A stretch of a segment, between its neighbours."""

    __slots__ = ("address", "following", "former", "free", "size", "small")

    def __init__(self, size: int, address: int, small: bool) -> None:
        self.size, self.address, self.small, self.free = size, address, small, True
        self.former: _Block | None = None
        self.following: _Block | None = None


class _Pool:
    """Free blocks of one kind, the smallest first and among equals the lowest."""

    def __init__(self) -> None:
        self.order: list[tuple[int, int]] = []
        self.blocks: dict[int, _Block] = {}

    def add(self, block: _Block) -> None:
        insort(self.order, (block.size, block.address))
        self.blocks[block.address] = block

    def remove(self, block: _Block) -> None:
        del self.order[bisect_left(self.order, (block.size, block.address))]
        del self.blocks[block.address]

    def best_fit(self, size: int) -> _Block | None:
        index = bisect_left(self.order, (size, -1))
        return self.blocks[self.order[index][1]] if index < len(self.order) else None


class Allocator:
    """The state of one card's allocator; `capacity` (bytes) is what it may reserve, None where nothing bounds it."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity, self.stats = capacity, AllocatorStats()
        self.allocated = self.reserved = 0
        self._pools = {True: _Pool(), False: _Pool()}
        self._blocks: dict[Hashable, _Block] = {}
        self._next_address, self._phase = 0, ""

    def begin_phase(self, phase: str) -> None:
        """Peaks from here on belong to this phase too."""
        self._phase = phase
        self._update_peaks()

    def allocate(self, key: Hashable, size: int) -> None:
        """Hand out `size` bytes under a key that is not in use."""
        rounded_size = max(MIN_BLOCK_SIZE, -(-size // MIN_BLOCK_SIZE) * MIN_BLOCK_SIZE)
        small = rounded_size <= SMALL_SIZE
        block = self._pools[small].best_fit(rounded_size)
        if block:
            self._pools[small].remove(block)
        else:
            block = self._new_segment(rounded_size, small)
        self._split(block, rounded_size)
        block.free = False
        self._blocks[key] = block
        self.allocated += block.size
        self._update_peaks()

    def release(self, key: Hashable) -> None:
        """Let go of what was handed out under a key; raises ValueError where nothing was."""
        block = self._blocks.pop(key, None)
        if block is None:
            raise ValueError(f"expected the key of something handed out, but got {key!r}")
        self.allocated -= block.size
        block.free = True
        pool = self._pools[block.small]
        former, following = block.former, block.following
        if former and former.free:
            pool.remove(former)
            block.address, block.size, block.former = former.address, former.size + block.size, former.former
            if block.former:
                block.former.following = block
        if following and following.free:
            pool.remove(following)
            block.size, block.following = block.size + following.size, following.following
            if block.following:
                block.following.former = block
        pool.add(block)

    def _new_segment(self, rounded_size: int, small: bool) -> _Block:
        size = (
            SMALL_BUFFER
            if small
            else LARGE_BUFFER
            if rounded_size < MIN_LARGE_ALLOC
            else -(-rounded_size // ROUND_LARGE) * ROUND_LARGE
        )
        if self.capacity is not None and self.reserved + size > self.capacity:
            self.empty_cache()
            self.stats.flushes += 1
            excess = self.reserved + size - self.capacity
            if excess > 0 and not self.stats.shortfall:
                self.stats.shortfall, self.stats.shortfall_phase = excess, self._phase
        block = _Block(size, self._next_address, small)
        self._next_address += size + ROUND_LARGE  # segments never touch
        self.reserved += size
        return block

    def _split(self, block: _Block, rounded_size: int) -> None:
        remainder = block.size - rounded_size
        if remainder < MIN_BLOCK_SIZE or (not block.small and remainder <= SMALL_SIZE):
            return
        tail = _Block(remainder, block.address + rounded_size, block.small)
        tail.former, tail.following = block, block.following
        if tail.following:
            tail.following.former = tail
        block.following, block.size = tail, rounded_size
        self._pools[block.small].add(tail)

    def empty_cache(self) -> None:
        """Give back the segments that are wholly free."""
        for pool in self._pools.values():
            for block in [
                block for block in pool.blocks.values() if not block.former and not block.following
            ]:
                pool.remove(block)
                self.reserved -= block.size

    def _update_peaks(self) -> None:
        stats = self.stats
        stats.peak_allocated, stats.peak_reserved = (
            max(stats.peak_allocated, self.allocated),
            max(stats.peak_reserved, self.reserved),
        )
        allocated, reserved = stats.peaks_by_phase.get(self._phase, (0, 0))
        stats.peaks_by_phase[self._phase] = max(allocated, self.allocated), max(reserved, self.reserved)


def replay_events(events: Iterable[AllocatorEvent], capacity: int | None = None) -> AllocatorStats:
    """Play events back: (key, bytes) takes, (key, 0) gives back, (name, PHASE) begins a phase, (…, EMPTY) gives free segments back."""
    allocator = Allocator(capacity)
    for key, size in events:
        if size > 0:
            allocator.allocate(key, size)
        elif size == PHASE:
            allocator.begin_phase(str(key))
        elif size == EMPTY_CACHE:
            allocator.empty_cache()
        else:
            allocator.release(key)
    return allocator.stats


def find_min_capacity(events: Sequence[AllocatorEvent], unbounded: AllocatorStats) -> int:
    """The smallest capacity (bytes, found to a hundredth) with which all that is asked for can be met, by giving back what is free when short.

    `free` is their replay where nothing bounds it.
    """
    low, high = unbounded.peak_allocated, unbounded.peak_reserved
    while high - low > max(ROUND_LARGE, high // 100):
        middle = (low + high) // 2
        if replay_events(events, middle).shortfall:
            low = middle
        else:
            high = middle
    return high
