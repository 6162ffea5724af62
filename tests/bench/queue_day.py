"""Simulates a day of the queue: who waits how long when so many people share one machine, or several.

`python tests/bench/queue_day.py --users 10 1000 --machines 1 4`: each person starts one run on a working day. Which run
may start is decided by the studio's own rule, `studio.training.queue.find_wait`; arrivals, durations and memory are
drawn from a seed.
"""

import argparse
import heapq
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from studio.runs import Run
from studio.training import queue

# What the page estimates for the samples on 2 cores with the default settings: minutes (low, high) and the most
# memory (GB). A third of the runs classify, as in the list of samples the first.
KINDS = (
    (2 / 6, 0.25, 2.0, 1.3),
    (1 / 6, 2.0, 17.0, 5.0),
    (1 / 6, 3.0, 21.0, 5.9),
    (1 / 6, 4.0, 28.0, 10.3),
    (1 / 6, 6.0, 43.0, 4.8),
)
# Runs are started between 8 and 20 o'clock; this many per hour of 24, most before and after lunch.
HOURLY = dict(zip(range(8, 20), (2, 5, 9, 10, 6, 5, 9, 10, 8, 5, 2, 1), strict=True))
MINUTES_OF_DAY = 24 * 60.0
# 80 % of a normal distribution lie within so many standard deviations.
Z_OF_80_PERCENT = 1.2816


@dataclass(frozen=True)
class Arrival:
    """A run somebody starts: when (minutes since midnight), how long it trains, what it needs."""

    minute: float
    duration: float
    memory_gb: float


@dataclass
class Day:
    """What became of the runs of a day on one machine."""

    waits: list[float]
    longest_queue: int
    busy_minutes: float
    last_end: float


def draw_arrivals(n_runs: int, rng: random.Random) -> list[Arrival]:
    """Independent starts over the working day, in their order."""
    hours, weights = list(HOURLY), list(HOURLY.values())
    arrivals = []
    for hour in rng.choices(hours, weights, k=n_runs):
        (_, low, high, memory_gb), *_ = rng.choices(KINDS, [kind[0] for kind in KINDS])
        middle, spread = math.log(low * high) / 2, math.log(high / low) / 2 / Z_OF_80_PERCENT
        arrivals.append(Arrival(60 * (hour + rng.random()), rng.lognormvariate(middle, spread), memory_gb))
    return sorted(arrivals, key=lambda arrival: arrival.minute)


def simulate(arrivals: list[Arrival], memory_gb: float) -> Day:
    """Let one machine work through the runs, as its waiting processes would decide."""
    needs: dict[str, float] = {}
    queue._needed_gb = lambda run: needs[run.id]
    queue._free_gb = lambda active: memory_gb - sum(needs[run.id] for run in active)
    queue.find_name = lambda run: run.id
    active: dict[Run, float] = {}
    waiting: list[tuple[Run, Arrival]] = []
    ends: list[tuple[float, str, Run]] = []
    day, pending = Day([], 0, 0.0, 0.0), list(reversed(arrivals))
    while pending or ends:
        next_end = ends[0][0] if ends else math.inf
        if pending and pending[-1].minute < next_end:
            arrival = pending.pop()
            now, run = arrival.minute, Run(f"{len(needs):032x}", Path())
            needs[run.id] = arrival.memory_gb
            waiting.append((run, arrival))
        else:
            now, _, ended = heapq.heappop(ends)
            del active[ended]
        while waiting:
            run, arrival = waiting[0]
            # The head of the queue is the only one that may begin: all others wait behind it.
            if queue.find_wait(run, queue.Queue(tuple(active), (run,))):
                break
            waiting.pop(0)
            active[run] = now + arrival.duration
            heapq.heappush(ends, (now + arrival.duration, run.id, run))
            day.waits.append(now - arrival.minute)
            day.busy_minutes += arrival.duration
            day.last_end = max(day.last_end, now + arrival.duration)
        day.longest_queue = max(day.longest_queue, len(waiting))
    return day


def describe(n_users: int, n_machines: int, days: list[Day], n_slots: int) -> str:
    """One line of the table."""
    waits = sorted(wait for day in days for wait in day.waits)
    busy = sum(day.busy_minutes for day in days) / (n_machines * n_slots * (20 - 8) * 60)
    late = sum(day.last_end > MINUTES_OF_DAY for day in days)
    return (
        f"| {n_users:,} | {n_machines:,} | {busy:.0%} | {median(waits):.0f} min | {waits[int(0.95 * len(waits))]:.0f} min "
        f"| {waits[-1] / 60:.1f} h | {max(day.longest_queue for day in days):,} | {late:,} |"
    )


def main() -> None:
    """Simulate the days that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, nargs="+", default=[10, 1000, 100_000])
    parser.add_argument("--machines", type=int, nargs="+", default=[1])
    parser.add_argument("--slots", type=int, default=1, help="STUDIO_MAX_RUNS of each machine")
    parser.add_argument("--memory", type=float, default=12.0, help="free memory of each machine (GB)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    queue.max_runs = lambda: options.slots
    print(
        "| runs a day | machines | busy 8–20 h | median wait | 95 % wait less than | longest | queue | not done by midnight |"
    )
    for n_users in options.users:
        for n_machines in options.machines:
            rng = random.Random(options.seed)
            arrivals = draw_arrivals(n_users, rng)
            # Each machine is a home with a queue of its own, which its people always use.
            shares: list[list[Arrival]] = [[] for _ in range(n_machines)]
            for arrival in arrivals:
                rng.choice(shares).append(arrival)
            days = [simulate(share, options.memory) for share in shares if share]
            print(describe(n_users, n_machines, days, options.slots), flush=True)


if __name__ == "__main__":
    main()
