"""How far a share that was counted on a sample may be from the true one."""

import math
from statistics import NormalDist


def wilson_interval(n_hits: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share, `n_hits` of `n` (Wilson 1927, "Probable inference").

    Args:
        n_hits: How often it held; a tie may count half.
        n: How often it was looked at, at least once.
        confidence: How often the interval holds the true share (0–1).

    Returns:
        The lower and the upper end, 0 to 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = n_hits / n
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    margin = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    return max(0.0, centre - margin), min(1.0, centre + margin)
