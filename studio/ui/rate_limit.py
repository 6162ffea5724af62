"""How much may happen in a minute: of requests, of wrong passcodes, of log-ins."""

import threading
import time
from collections import defaultdict

MINUTE_SECONDS = 60.0


class RateLimit:
    """Counts what happens in the present minute, by key.

    Args:
        most: How much may happen in a minute.
    """

    def __init__(self, most: int) -> None:
        self.most, self._minute, self._lock = most, 0, threading.Lock()
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, key: str) -> None:
        """Count one more."""
        with self._lock:
            self._start_minute()
            self._counts[key] += 1

    def is_reached(self, key: str) -> bool:
        """Whether no more is allowed in this minute."""
        with self._lock:
            self._start_minute()
            return self._counts.get(key, 0) >= self.most

    def _start_minute(self) -> None:
        minute = int(time.time() // MINUTE_SECONDS)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
