"""One line of `tests/bench/remote.py`, printed by the tests that it runs."""

import os

from studio.launchers.record import Record


def print_times(place: str, saved: Record, seconds: float) -> None:
    """Print when the first event and the result of a run elsewhere were here, where a bench asks."""
    if os.environ.get("STUDIO_BENCH"):
        first = saved.first_event_seconds
        print(f"\nbench {place}: first event after {first:.1f} s, result after {seconds:.0f} s")
