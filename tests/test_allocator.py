"""The replay of CUDA's caching allocator: what it reserves, what it gives back when it is short, and the smallest card that is enough."""

from studio.estimate import quote
from studio.estimate.allocator import MIB, least, replay
from studio.estimate.figures import PARTS, around
from studio.estimate.machines import places

# 100 MiB held and let go, then 60 MiB and 90 MiB: the free segment of 100 serves the first, and the second wants one of its own.
EVENTS = [("a", 100 * MIB), ("a", 0), ("b", 60 * MIB), ("c", 90 * MIB)]


def test_a_segment_that_is_free_serves_the_next_that_is_smaller():
    assert replay(EVENTS[:3]).reserved == 100 * MIB
    assert replay(EVENTS).reserved == 190 * MIB


def test_when_short_what_is_wholly_free_is_given_back_first():
    events = [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]
    assert replay(events).reserved == 220 * MIB
    found = replay(events, capacity=130 * MIB)
    assert (found.short, found.flushes, found.reserved) == (0, 1, 120 * MIB)
    assert replay(events, capacity=110 * MIB).short == 10 * MIB


def test_the_least_card_is_the_smallest_on_which_nothing_is_short():
    for events in (EVENTS, [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]):
        found = least(events, replay(events))
        assert replay(events, found).short == 0
        assert replay(events, found - max(3 * MIB, found // 50)).short > 0
    events = [("a", 100 * MIB), ("a", 0), ("c", 120 * MIB)]
    assert least(events, replay(events)) < 125 * MIB < 220 * MIB


def test_what_can_be_given_back_makes_a_run_tight_and_not_impossible():
    card = next(place for place in places().values() if place.kind == "card")
    room = card.usable_bytes / 1e9
    for need, spare, said in ((0.5, 0.0, "yes"), (0.95, 0.0, "tight"), (1.05, 0.1, "tight"), (1.05, 0.01, "no")):
        fits, why = quote._fit(around(need * room, 1.1), {next(iter(PARTS)): need * room * 1e9}, spare * room, card)
        assert fits == said
        assert (why is None) == (said != "no")
