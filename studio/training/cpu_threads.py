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
BENCHMARK_SECONDS = 0.3
# A run counts as slowed down below this share of its best pace; the full number of threads wins unless another is this much faster.
SLOWDOWN_SHARE, REQUIRED_GAIN = 0.6, 1.1
# How long a choice stands before it is doubted: with signs of crowding, and, while a core lies idle, without (seconds).
RECHECK_CROWDED_SECONDS, RECHECK_REDUCED_SECONDS = 5.0, 20.0
RECENT_STEPS = 3


class ThreadTuner:
    """Watches the steps of one run. `use` sets the number of threads, `probe` measures the pace with it, `most` is the number of cores."""

    def __init__(
        self,
        max_threads: int,
        set_threads: Callable[[int], None],
        benchmark: Callable[[float], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.thread_counts = sorted(
            {max_threads, max(1, max_threads - 1), max(1, max_threads // 2)}, reverse=True
        )
        self.threads = max_threads
        self._set_threads, self._benchmark, self._clock = set_threads, benchmark, clock
        self._recent_rates: deque[float] = deque(maxlen=RECENT_STEPS)
        self._best_rate = 0.0
        self._chosen_at = clock()

    def choose(self) -> None:
        """Measure every choice for a moment and take the fastest."""
        if len(self.thread_counts) > 1:
            rates = {}
            for threads in self.thread_counts:
                self._set_threads(threads)
                rates[threads] = self._benchmark(BENCHMARK_SECONDS) * (
                    REQUIRED_GAIN if threads == self.thread_counts[0] else 1.0
                )
            self.threads = max(rates, key=lambda threads: rates[threads])
            self._set_threads(self.threads)
        self._recent_rates.clear()
        self._best_rate = 0.0
        self._chosen_at = self._clock()

    def step(self, rate: float, crowded: bool) -> None:
        """Take note of one step: its tokens per second, and whether the process got less of the cores than it asked for."""
        self._recent_rates.append(rate)
        recent_rate = median(self._recent_rates)
        self._best_rate = max(self._best_rate, recent_rate)
        is_slowed = len(self._recent_rates) == RECENT_STEPS and recent_rate < SLOWDOWN_SHARE * self._best_rate
        seconds_since_choice = self._clock() - self._chosen_at
        at_full_threads = self.threads == self.thread_counts[0]
        if seconds_since_choice > (
            RECHECK_CROWDED_SECONDS
            if is_slowed or (at_full_threads and crowded)
            else RECHECK_REDUCED_SECONDS
            if not at_full_threads
            else float("inf")
        ):
            self.choose()


def benchmark_matmul(seconds: float) -> float:
    """Operations per second of a feed-forward block of a small model, forward, with as many threads as torch now uses."""
    import torch  # noqa: PLC0415 - the page's process never measures

    rows, up_projection, down_projection = torch.ones(512, 576), torch.ones(576, 1536), torch.ones(1536, 576)
    with torch.no_grad():
        torch.nn.functional.silu(rows @ up_projection) @ down_projection  # starts or stops threads
        started_at, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started_at) < seconds or count == 0:
            torch.nn.functional.silu(rows @ up_projection) @ down_projection
            count += 1
    return count / elapsed
