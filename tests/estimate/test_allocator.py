"""The replay of CUDA's caching allocator: what it reserves, what it gives back when it is short, and the smallest card that is enough."""

from studio.estimate import estimate_one
from studio.estimate.machines.catalogue import load_machines
from studio.estimate.tracing.allocator import MIB, find_min_capacity, replay_events
from studio.estimate.types import MEMORY_PARTS, range_around

# 100 MiB held and let go, then 60 MiB and 90 MiB: the free segment of 100 serves the first, and the second wants one of its own.
EVENTS = [("a", 100 * MIB), ("a", 0), ("b", 60 * MIB), ("c", 90 * MIB)]


def test_a_segment_that_is_free_serves_the_next_that_is_smaller():
    assert replay_events(EVENTS[:3]).peak_reserved == 100 * MIB
    assert replay_events(EVENTS).peak_reserved == 190 * MIB


def test_when_short_what_is_wholly_free_is_given_back_first():
    events = [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]
    assert replay_events(events).peak_reserved == 220 * MIB
    found = replay_events(events, capacity=130 * MIB)
    assert (found.shortfall, found.flushes, found.peak_reserved) == (0, 1, 120 * MIB)
    assert replay_events(events, capacity=110 * MIB).shortfall == 10 * MIB


def test_the_least_card_is_the_smallest_on_which_nothing_is_short():
    for events in (EVENTS, [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]):
        found = find_min_capacity(events, replay_events(events))
        assert replay_events(events, found).shortfall == 0
        assert replay_events(events, found - max(3 * MIB, found // 50)).shortfall > 0
    events = [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]
    assert find_min_capacity(events, replay_events(events)) < 125 * MIB < 220 * MIB


def test_what_can_be_given_back_makes_a_run_tight_and_not_impossible():
    card = next(place for place in load_machines().values() if place.kind == "card")
    room = card.usable_bytes / 1e9
    for need, spare, said in (
        (0.5, 0.0, "yes"),
        (0.95, 0.0, "tight"),
        (1.05, 0.1, "tight"),
        (1.05, 0.01, "no"),
    ):
        fits, why = estimate_one._check_fit(
            range_around(need * room, 1.1), {next(iter(MEMORY_PARTS)): need * room * 1e9}, spare * room, card
        )
        assert fits == said
        assert (why is None) == (said != "no")
