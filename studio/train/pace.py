"""How many threads compute: chosen by measuring, before the first step and again when a run slows down.

torch's threads wait for each other by spinning. On a quiet machine that is fastest; when another program takes a core, every
operation waits for the thread that lost it, and a run can become twenty times slower than with one thread fewer. The threads' manner
of waiting (OMP_WAIT_POLICY) can only be chosen before a process starts, their number at any moment, and on two cores one thread was as
fast as two that wait passively (tests/bench/throughput.py --busy).
"""

import time
from collections import deque
from collections.abc import Callable
from statistics import median

# One measurement of one choice (seconds): long enough for a few dozen operations of the size a step has.
PROBE_SECONDS = 0.3
# A run counts as slowed down below this share of its best pace; the full number of threads wins unless another is this much faster.
SLOW, WIN = 0.6, 1.1
# How long a choice stands before it is doubted: with signs of crowding, and, while a core lies idle, without (seconds).
DOUBT_SECONDS, AGAIN_SECONDS = 5.0, 20.0
RECENT = 3


class Pace:
    """Watches the steps of one run. `use` sets the number of threads, `probe` measures the pace with it, `most` is the number of cores."""

    def __init__(
        self, most: int, use: Callable[[int], None], probe: Callable[[float], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.choices = sorted({most, max(1, most - 1), max(1, most // 2)}, reverse=True)
        self.threads = most
        self._use, self._probe, self._clock = use, probe, clock
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._best = 0.0
        self._chosen_at = clock()

    def choose(self) -> None:
        """Measure every choice for a moment and take the fastest."""
        if len(self.choices) > 1:
            rates = {}
            for threads in self.choices:
                self._use(threads)
                rates[threads] = self._probe(PROBE_SECONDS) * (WIN if threads == self.choices[0] else 1.0)
            self.threads = max(rates, key=lambda threads: rates[threads])
            self._use(self.threads)
        self._recent.clear()
        self._best = 0.0
        self._chosen_at = self._clock()

    def step(self, rate: float, crowded: bool) -> None:
        """Take note of one step: its tokens per second, and whether the process got less of the cores than it asked for."""
        self._recent.append(rate)
        pace = median(self._recent)
        self._best = max(self._best, pace)
        slowed = len(self._recent) == RECENT and pace < SLOW * self._best
        waited = self._clock() - self._chosen_at
        full = self.threads == self.choices[0]
        if waited > (DOUBT_SECONDS if slowed or (full and crowded) else AGAIN_SECONDS if not full else float("inf")):
            self.choose()


def probe(seconds: float) -> float:
    """Operations per second of a feed-forward block of a small model, forward, with as many threads as torch now uses."""
    import torch  # noqa: PLC0415 - the page's process never measures

    rows, wide, back = torch.ones(512, 576), torch.ones(576, 1536), torch.ones(1536, 576)
    with torch.no_grad():
        torch.nn.functional.silu(rows @ wide) @ back  # starts or stops threads
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds or count == 0:
            torch.nn.functional.silu(rows @ wide) @ back
            count += 1
    return count / spent
