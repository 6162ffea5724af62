"""How many threads compute: chosen by measuring steps, and again when a run slows down.

torch's threads wait for each other by spinning. On a quiet machine that is fastest; when another program takes a core, every
step waits for the thread that lost it, and one thread fewer is faster. The threads' manner of waiting (OMP_WAIT_POLICY) can only
be chosen before a process starts, their number at any step, and on two cores one thread was as fast as two that wait passively.
"""

import time
from collections import deque
from collections.abc import Callable
from statistics import median

# Steps measured for one choice, of which the first is dropped: it pays for starting or stopping threads.
TRIAL = 3
# A run counts as slowed down below this share of the chosen pace, and a rival must win by this much.
SLOW, WIN = 0.75, 1.08
# While fewer threads compute than there are, the machine is tried again after this many seconds: it may be quiet by now.
AGAIN_SECONDS = 45.0


class Pace:
    """Watches the steps of one run; `use` sets the number of threads, `most` is the number of cores."""

    def __init__(self, most: int, use: Callable[[int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._choices = sorted({max(1, most), max(1, most - 1)}, reverse=True)
        self._use, self._clock = use, clock
        self._rates: dict[int, float] = {}
        self._trial: list[int] = []
        self._recent: deque[float] = deque(maxlen=TRIAL)
        self._decided_at = clock()
        self.threads = self._choices[0]
        self._reference = 0.0

    def step(self, rate: float, crowded: bool) -> None:
        """Take note of one step: its tokens per second, and whether the process got less of the cores than it asked for."""
        self._recent.append(rate)
        if len(self._recent) < TRIAL or len(self._choices) < 2:
            return
        pace = median(list(self._recent)[1:])
        if self._trial:
            self._rates[self.threads] = pace
            self._trial.pop(0)
            self._go(self._trial[0]) if self._trial else self._decide()
            return
        self._reference = max(self._reference, pace) if self._reference else pace
        slowed = pace < SLOW * self._reference
        full = self.threads == self._choices[0]
        waited = self._clock() - self._decided_at
        if (full and (crowded or slowed) and waited > AGAIN_SECONDS / 9) or (not full and waited > AGAIN_SECONDS):
            self._trial = [self.threads, *[choice for choice in self._choices if choice != self.threads]]
            self._go(self.threads)

    def _go(self, threads: int) -> None:
        self.threads = threads
        self._use(threads)
        self._recent.clear()

    def _decide(self) -> None:
        most = self._choices[0]
        best = max(self._rates, key=lambda choice: self._rates[choice] * (WIN if choice == most else 1.0))
        self._reference = self._rates[best]
        self._rates = {}
        self._decided_at = self._clock()
        self._go(best)
