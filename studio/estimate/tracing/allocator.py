"""A replay of PyTorch's caching allocator for CUDA: what a GPU must have free for a sequence of allocations.

That is more than what is live at once. It follows c10/cuda/CUDACachingAllocator.cpp in its default
configuration: sizes are rounded up to 512 bytes; small blocks come from segments of 2 MiB, medium ones from
segments of 20 MiB, large ones from segments of their own; a block is split where enough of it remains, and
merged with its free neighbours when it is released. Segments stay reserved until memory runs out; then those
that are entirely free are given back. See docs/estimator.md#traced-step.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

MIB = 2**20
MIN_BLOCK_SIZE = 512
# kSmallSize, kSmallBuffer, kMinLargeAlloc, kLargeBuffer and kRoundLarge of CUDACachingAllocator.cpp.
SMALL_SIZE = MIB
SMALL_BUFFER = 2 * MIB
MIN_LARGE_ALLOC = 10 * MIB
LARGE_BUFFER = 20 * MIB
ROUND_LARGE = 2 * MIB
# What happened: (key, bytes) allocates and (key, 0) releases; instead of bytes, PHASE marks the beginning of
# the phase whose name is the key, and EMPTY_CACHE a call of torch.cuda.empty_cache.
AllocatorEvent = tuple[Hashable, int]
PHASE, EMPTY_CACHE = -1, -2


@dataclass
class AllocatorStats:
    """What a replay found.

    Attributes:
        peak_allocated: The most bytes in blocks.
        peak_reserved: The most bytes in segments.
        peaks_by_phase: Both of them by phase.
        flushes: How often free segments were given back because memory was short.
        shortfall: How many bytes were missing for the first request that could not be met; 0 where all
            could.
        shortfall_phase: The phase of that request.
    """

    peak_allocated: int = 0
    peak_reserved: int = 0
    peaks_by_phase: dict[str, tuple[int, int]] = field(default_factory=dict)
    flushes: int = 0
    shortfall: int = 0
    shortfall_phase: str = ""


class _Block:
    """A range of a segment, between its neighbours."""

    __slots__ = ("address", "is_free", "is_small", "next", "previous", "size")

    def __init__(self, size: int, address: int, is_small: bool) -> None:
        self.size, self.address = size, address
        self.is_small, self.is_free = is_small, True
        self.previous: _Block | None = None
        self.next: _Block | None = None


class _Pool:
    """Free blocks of one kind, the smallest first, and those of equal size by address."""

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
    """The state of one GPU's allocator.

    Args:
        capacity: What it may reserve (bytes); None for no limit.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.stats = AllocatorStats()
        self.allocated = 0
        self.reserved = 0
        self._small_pool, self._large_pool = _Pool(), _Pool()
        self._blocks: dict[Hashable, _Block] = {}
        self._next_address = 0
        self._phase = ""

    def begin_phase(self, phase: str) -> None:
        """Count peaks from here on as this phase's too."""
        self._phase = phase
        self._update_peaks()

    def allocate(self, key: Hashable, size: int) -> None:
        """Allocate `size` bytes under a key that is not in use."""
        rounded_size = max(MIN_BLOCK_SIZE, _round_up(size, MIN_BLOCK_SIZE))
        is_small = rounded_size <= SMALL_SIZE
        pool = self._pool(is_small)
        block = pool.best_fit(rounded_size)
        if block:
            pool.remove(block)
        else:
            block = self._new_segment(rounded_size, is_small)
        self._split(block, rounded_size)
        block.is_free = False
        self._blocks[key] = block
        self.allocated += block.size
        self._update_peaks()

    def release(self, key: Hashable) -> None:
        """Release what was allocated under a key.

        Raises:
            ValueError: If nothing is allocated under this key.
        """
        block = self._blocks.pop(key, None)
        if block is None:
            raise ValueError(f"expected the key of something handed out, but got {key!r}")
        self.allocated -= block.size
        block.is_free = True
        self._merge_with_neighbours(block)
        self._pool(block.is_small).add(block)

    def _pool(self, is_small: bool) -> _Pool:
        return self._small_pool if is_small else self._large_pool

    def _merge_with_neighbours(self, block: _Block) -> None:
        pool = self._pool(block.is_small)
        previous, following = block.previous, block.next
        if previous and previous.is_free:
            pool.remove(previous)
            block.address = previous.address
            block.size += previous.size
            block.previous = previous.previous
            if block.previous:
                block.previous.next = block
        if following and following.is_free:
            pool.remove(following)
            block.size += following.size
            block.next = following.next
            if block.next:
                block.next.previous = block

    def _new_segment(self, rounded_size: int, is_small: bool) -> _Block:
        size = _segment_size(rounded_size, is_small)
        if self.capacity is not None and self.reserved + size > self.capacity:
            self.empty_cache()
            self.stats.flushes += 1
            excess = self.reserved + size - self.capacity
            if excess > 0 and not self.stats.shortfall:
                self.stats.shortfall, self.stats.shortfall_phase = excess, self._phase
        block = _Block(size, self._next_address, is_small)
        self._next_address += size + ROUND_LARGE  # segments never touch
        self.reserved += size
        return block

    def _split(self, block: _Block, rounded_size: int) -> None:
        """Shorten a block to a size where enough of it remains for others."""
        remainder = block.size - rounded_size
        if remainder < MIN_BLOCK_SIZE or (not block.is_small and remainder <= SMALL_SIZE):
            return
        tail = _Block(remainder, block.address + rounded_size, block.is_small)
        tail.previous, tail.next = block, block.next
        if tail.next:
            tail.next.previous = tail
        block.next, block.size = tail, rounded_size
        self._pool(block.is_small).add(tail)

    def empty_cache(self) -> None:
        """Give back the segments that are entirely free."""
        for pool in (self._small_pool, self._large_pool):
            segments = [block for block in pool.blocks.values() if not block.previous and not block.next]
            for segment in segments:
                pool.remove(segment)
                self.reserved -= segment.size

    def _update_peaks(self) -> None:
        stats = self.stats
        stats.peak_allocated = max(stats.peak_allocated, self.allocated)
        stats.peak_reserved = max(stats.peak_reserved, self.reserved)
        allocated, reserved = stats.peaks_by_phase.get(self._phase, (0, 0))
        stats.peaks_by_phase[self._phase] = max(allocated, self.allocated), max(reserved, self.reserved)


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _segment_size(rounded_size: int, is_small: bool) -> int:
    """Return the size of a new segment for a block."""
    if is_small:
        return SMALL_BUFFER
    if rounded_size < MIN_LARGE_ALLOC:
        return LARGE_BUFFER
    return _round_up(rounded_size, ROUND_LARGE)


def replay_events(events: Iterable[AllocatorEvent], capacity: int | None = None) -> AllocatorStats:
    """Return what the allocator makes of events.

    Args:
        events: What happened, in order.
        capacity: What the allocator may reserve (bytes); None for no limit.
    """
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
    """Return the smallest capacity with which every request can be met, by giving back what is free.

    Args:
        events: What happened, in order.
        unbounded: Their replay without a limit.

    Returns:
        Bytes, to a hundredth or to ROUND_LARGE, whichever is more.
    """
    low, high = unbounded.peak_allocated, unbounded.peak_reserved
    while high - low > max(ROUND_LARGE, high // 100):
        middle = (low + high) // 2
        if replay_events(events, middle).shortfall:
            low = middle
        else:
            high = middle
    return high
