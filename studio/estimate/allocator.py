"""A replay of PyTorch's caching allocator for CUDA: what a card must have free for a run of allocations, not only what lives at once.

After c10/cuda/CUDACachingAllocator.cpp in its default configuration: sizes are rounded to 512 bytes; small blocks come from segments of
2 MiB, middling ones from segments of 20 MiB, large ones from segments of their own; a block is split where enough of it is left, and
joined with its free neighbours when it is let go. Segments stay reserved until memory runs out; then those wholly free are given back.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

MIB = 2**20
ROUND = 512
# kSmallSize, kSmallBuffer, kMinLargeAlloc, kLargeBuffer, kRoundLarge.
SMALL, SMALL_SEGMENT, MIDDLING, MIDDLING_SEGMENT, LARGE_ROUND = MIB, 2 * MIB, 10 * MIB, 20 * MIB, 2 * MIB
# Among the events these mark the beginning of a phase, and a call of torch.cuda.empty_cache.
PHASE, EMPTY = -1, -2
Event = tuple[Hashable, int]


@dataclass
class Outcome:
    """Peaks of bytes in blocks (`allocated`) and in segments (`reserved`), over all and by phase, and how often free segments were given back.

    `short` is 0 where everything fitted; else how many bytes the first request that could not be met was short of, in phase `short_in`.
    """

    allocated: int = 0
    reserved: int = 0
    by_phase: dict[str, tuple[int, int]] = field(default_factory=dict)
    flushes: int = 0
    short: int = 0
    short_in: str = ""


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

    def best(self, size: int) -> _Block | None:
        place = bisect_left(self.order, (size, -1))
        return self.blocks[self.order[place][1]] if place < len(self.order) else None


class Allocator:
    """The state of one card's allocator; `capacity` (bytes) is what it may reserve, None where nothing bounds it."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity, self.outcome = capacity, Outcome()
        self.allocated = self.reserved = 0
        self._pools = {True: _Pool(), False: _Pool()}
        self._held: dict[Hashable, _Block] = {}
        self._end, self._phase = 0, ""

    def begin(self, phase: str) -> None:
        """Peaks from here on belong to this phase too."""
        self._phase = phase
        self._note()

    def take(self, key: Hashable, size: int) -> None:
        """Hand out `size` bytes under a key that is not in use."""
        wanted = max(ROUND, -(-size // ROUND) * ROUND)
        small = wanted <= SMALL
        block = self._pools[small].best(wanted)
        if block:
            self._pools[small].remove(block)
        else:
            block = self._segment(wanted, small)
        self._split(block, wanted)
        block.free = False
        self._held[key] = block
        self.allocated += block.size
        self._note()

    def give_back(self, key: Hashable) -> None:
        """Let go of what was handed out under a key; raises ValueError where nothing was."""
        block = self._held.pop(key, None)
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

    def _segment(self, wanted: int, small: bool) -> _Block:
        size = SMALL_SEGMENT if small else MIDDLING_SEGMENT if wanted < MIDDLING else -(-wanted // LARGE_ROUND) * LARGE_ROUND
        if self.capacity is not None and self.reserved + size > self.capacity:
            self.empty()
            self.outcome.flushes += 1
            over = self.reserved + size - self.capacity
            if over > 0 and not self.outcome.short:
                self.outcome.short, self.outcome.short_in = over, self._phase
        block = _Block(size, self._end, small)
        self._end += size + LARGE_ROUND  # segments never touch
        self.reserved += size
        return block

    def _split(self, block: _Block, wanted: int) -> None:
        rest = block.size - wanted
        if rest < ROUND or (not block.small and rest <= SMALL):
            return
        other = _Block(rest, block.address + wanted, block.small)
        other.former, other.following = block, block.following
        if other.following:
            other.following.former = other
        block.following, block.size = other, wanted
        self._pools[block.small].add(other)

    def empty(self) -> None:
        """Give back the segments that are wholly free."""
        for pool in self._pools.values():
            for block in [block for block in pool.blocks.values() if not block.former and not block.following]:
                pool.remove(block)
                self.reserved -= block.size

    def _note(self) -> None:
        found = self.outcome
        found.allocated, found.reserved = max(found.allocated, self.allocated), max(found.reserved, self.reserved)
        allocated, reserved = found.by_phase.get(self._phase, (0, 0))
        found.by_phase[self._phase] = max(allocated, self.allocated), max(reserved, self.reserved)


def replay(events: Iterable[Event], capacity: int | None = None) -> Outcome:
    """Play events back: (key, bytes) takes, (key, 0) gives back, (name, PHASE) begins a phase, (…, EMPTY) gives free segments back."""
    allocator = Allocator(capacity)
    for key, size in events:
        if size > 0:
            allocator.take(key, size)
        elif size == PHASE:
            allocator.begin(str(key))
        elif size == EMPTY:
            allocator.empty()
        else:
            allocator.give_back(key)
    return allocator.outcome


def least(events: Sequence[Event], free: Outcome) -> int:
    """The smallest capacity (bytes, found to a hundredth) with which all that is asked for can be met, by giving back what is free when short.

    `free` is their replay where nothing bounds it.
    """
    low, high = free.allocated, free.reserved
    while high - low > max(LARGE_ROUND, high // 100):
        middle = (low + high) // 2
        if replay(events, middle).short:
            low = middle
        else:
            high = middle
    return high
