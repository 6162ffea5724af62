"""The replay of CUDA's caching allocator: what it reserves and gives back, and the smallest GPU."""

from studio.estimate.tracing.allocator import MIB, find_min_capacity, replay_events

# 100 MiB allocated and released, then 60 MiB and 90 MiB: the free segment of 100 serves the first, and the
# second needs a segment of its own.
EVENTS = [("a", 100 * MIB), ("a", 0), ("b", 60 * MIB), ("c", 90 * MIB)]


def test_a_segment_that_is_free_serves_the_next_that_is_smaller():
    assert replay_events(EVENTS[:3]).peak_reserved == 100 * MIB
    assert replay_events(EVENTS).peak_reserved == 190 * MIB


def test_when_short_what_is_entirely_free_is_given_back_first():
    events = [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]
    assert replay_events(events).peak_reserved == 220 * MIB
    stats = replay_events(events, capacity=130 * MIB)
    assert (stats.shortfall, stats.flushes, stats.peak_reserved) == (0, 1, 120 * MIB)
    assert replay_events(events, capacity=110 * MIB).shortfall == 10 * MIB


def test_the_least_gpu_is_the_smallest_on_which_nothing_is_short():
    for events in (EVENTS, [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]):
        capacity = find_min_capacity(events, replay_events(events))
        assert replay_events(events, capacity).shortfall == 0
        assert replay_events(events, capacity - max(3 * MIB, capacity // 50)).shortfall > 0
    events = [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]
    assert find_min_capacity(events, replay_events(events)) < 125 * MIB < 220 * MIB
