"""An interval for a share that holds however often one looks, and when it decides between two sides.

A confidence sequence: with `CONFIDENCE` the true share lies in all intervals at once, after each vote, so a
vote may be watched and stopped whenever one likes. It is Robbins' mixture with a uniform prior: the
likelihood of the votes averaged over all shares, divided by that at a share p, is a martingale where p is
true, and exceeds 1/α once with a probability of at most α (Ville 1939; Robbins 1970, "Statistical methods
related to the law of the iterated logarithm", Ann. Math. Stat. 41). A fixed-sample interval looked at after
each of 1,000 votes would be wrong far more often.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

CONFIDENCE = 0.95
LOG_LIMIT = -math.log(1 - CONFIDENCE)
# Extrapolation ends here: nobody gives so many votes.
MAX_EXTRAPOLATED = 2_000


class Preference(NamedTuple):
    """What a sequence of preferences says.

    Attributes:
        n, n_second: Preferences, and how many of them are for the second side.
        low, high: The interval of the share for the second side.
        decided_after: The number of preferences after which the interval first excluded one half; None
            where it does not.
    """

    n: int
    n_second: int
    low: float
    high: float
    decided_after: int | None


def log_evidence(share: Any, n_hits: Any, n_misses: Any) -> Any:
    """How much the votes speak against a true share, as the logarithm of the mixture martingale.

    log B(1 + hits, 1 + misses) - hits · log p - misses · log(1 - p); arrays are taken elementwise.
    """
    from scipy import special  # noqa: PLC0415 - the page opens half a second sooner without it

    mixture = special.betaln(1 + n_hits, 1 + n_misses)
    return mixture - special.xlogy(n_hits, share) - special.xlog1py(n_misses, -share)


def interval(n_hits: int, n_misses: int) -> tuple[float, float]:
    """The shares against which the votes so far do not speak enough: (0, 1) without votes."""
    from scipy import optimize  # noqa: PLC0415 - the page opens half a second sooner without it

    total = n_hits + n_misses
    if not total:
        return 0.0, 1.0
    mean = n_hits / total

    def excess(share: float) -> float:
        return float(log_evidence(share, n_hits, n_misses)) - LOG_LIMIT

    tiny = 1e-12
    low = optimize.brentq(excess, tiny, mean) if n_hits else 0.0
    high = optimize.brentq(excess, mean, 1 - tiny) if n_misses else 1.0
    return float(low), float(high)


def follow(preferences: Sequence[bool]) -> Preference:
    """Follow preferences one by one (True for the second side).

    The interval only shrinks: what was excluded once stays so, which the guarantee allows.
    """
    low, high, n_second, decided_after = 0.0, 1.0, 0, None
    for n, is_second in enumerate(preferences, 1):
        n_second += is_second
        new_low, new_high = interval(n_second, n - n_second)
        if max(low, new_low) <= min(high, new_high):
            low, high = max(low, new_low), min(high, new_high)
        if decided_after is None and not low <= 0.5 <= high:
            decided_after = n
    return Preference(len(preferences), n_second, low, high, decided_after)


def more_needed(n_hits: int, n_misses: int) -> int | None:
    """How many more preferences would decide if they fell as those so far; None where about none would."""
    total = n_hits + n_misses
    for more in range(1, MAX_EXTRAPOLATED + 1):
        factor = (total + more) / total if total else 1.0
        if log_evidence(0.5, n_hits * factor, n_misses * factor) >= LOG_LIMIT:
            return more
    return None
