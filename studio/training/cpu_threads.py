"""Chooses how many CPU threads compute, by measuring: before the first step, and again when a run slows down.

torch's threads wait for each other by spinning. On a quiet machine that is fastest; when another program
takes a core, every operation waits for the thread that lost it, and a run can become twenty times slower
than with one thread fewer. How threads wait (OMP_WAIT_POLICY) can only be chosen before a process starts,
their number at any moment, and on two cores one thread was as fast as two that wait passively
(tests/bench/throughput.py --busy).
"""

import time
from collections import deque
from collections.abc import Callable
from statistics import median

# One measurement of one thread count (seconds): long enough for a few dozen operations of the size a step
# has.
BENCHMARK_SECONDS = 0.3
# A run counts as slowed down below this share of its best rate.
SLOWDOWN_SHARE = 0.6
# The full number of threads is used unless another number is this much faster.
REQUIRED_GAIN = 1.1
# A choice is measured again after so long: with signs of crowding, and without them while a core is idle
# (seconds).
RECHECK_CROWDED_SECONDS, RECHECK_REDUCED_SECONDS = 5.0, 20.0
RECENT_STEPS = 3


class ThreadTuner:
    """Follows the steps of one run and sets the number of threads.

    Args:
        max_threads: The most threads, one a core.
        set_threads: Sets the number of threads.
        benchmark: Runs for so many seconds and returns the rate at the present number of threads.
        clock: Seconds from any fixed moment.
    """

    def __init__(
        self,
        max_threads: int,
        set_threads: Callable[[int], None],
        benchmark: Callable[[float], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        candidates = {max_threads, max(1, max_threads - 1), max(1, max_threads // 2)}
        self.thread_counts = sorted(candidates, reverse=True)
        self.threads = max_threads
        self._set_threads, self._benchmark, self._clock = set_threads, benchmark, clock
        self._recent_rates: deque[float] = deque(maxlen=RECENT_STEPS)
        self._best_rate = 0.0
        self._chosen_at = clock()

    def choose(self) -> None:
        """Measure every thread count for a moment and use the fastest; one core is not measured."""
        if len(self.thread_counts) > 1:
            self.threads = self._fastest_thread_count()
            self._set_threads(self.threads)
        self._recent_rates.clear()
        self._best_rate = 0.0
        self._chosen_at = self._clock()

    def step(self, rate: float, crowded: bool) -> None:
        """Record one step, and choose again where it is time to.

        Args:
            rate: Tokens per second of the step.
            crowded: Whether the process got less of its cores than it asked for.
        """
        self._recent_rates.append(rate)
        recent_rate = median(self._recent_rates)
        self._best_rate = max(self._best_rate, recent_rate)
        has_enough_steps = len(self._recent_rates) == RECENT_STEPS
        is_slowed = has_enough_steps and recent_rate < SLOWDOWN_SHARE * self._best_rate
        if self._clock() - self._chosen_at > self._recheck_after(is_slowed, crowded):
            self.choose()

    def _fastest_thread_count(self) -> int:
        rates = {}
        for threads in self.thread_counts:
            self._set_threads(threads)
            rates[threads] = self._benchmark(BENCHMARK_SECONDS)
        rates[self.thread_counts[0]] *= REQUIRED_GAIN
        return max(rates, key=lambda threads: rates[threads])

    def _recheck_after(self, is_slowed: bool, crowded: bool) -> float:
        """Seconds after which the present choice is measured again."""
        uses_all_cores = self.threads == self.thread_counts[0]
        if is_slowed or (uses_all_cores and crowded):
            return RECHECK_CROWDED_SECONDS
        if not uses_all_cores:
            return RECHECK_REDUCED_SECONDS
        return float("inf")


def benchmark_matmul(seconds: float) -> float:
    """Forward passes per second through a small feed-forward block, with the threads that torch now uses."""
    import torch  # noqa: PLC0415 - the page's process never measures

    rows, up_projection, down_projection = torch.ones(512, 576), torch.ones(576, 1536), torch.ones(1536, 576)

    def forward() -> None:
        torch.nn.functional.silu(rows @ up_projection) @ down_projection

    with torch.no_grad():
        forward()  # starts or stops threads
        started_at, count, elapsed = time.perf_counter(), 0, 0.0
        while elapsed < seconds or count == 0:
            forward()
            count += 1
            elapsed = time.perf_counter() - started_at
    return count / elapsed
