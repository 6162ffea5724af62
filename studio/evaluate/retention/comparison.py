"""What a model forgot: its right and wrong answers to the same items before and after training, compared."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from studio.evaluate.retention.suites import ALL_SUITES, SUITE_NAMES

# How often a run that forgot nothing may be said to have forgotten something, over all comparisons together
# (Bonferroni 1936).
FALSE_ALARM_RATE = 0.05
N_COMPARISONS = len(SUITE_NAMES) + 1


class SuiteChange(TypedDict):
    """What became of one suite.

    `before` and `after` are shares of right answers (0 to 1), `n` the items, `low` and `high` the ends of an
    interval of the change; below 0 at both ends means forgotten.
    """

    before: float
    after: float
    n: int
    low: float
    high: float


def compare(
    before: Mapping[str, Sequence[bool]], after: Mapping[str, Sequence[bool]]
) -> dict[str, SuiteChange]:
    """Compare each suite, and all of them together as ALL_SUITES; empty without any.

    Args:
        before: For each suite whether the base is right on each item.
        after: The same of the tuned model, on the same items.
    """
    if not before:
        return {}
    changes = {name: _compare_items(hits, after[name]) for name, hits in before.items()}
    changes[ALL_SUITES] = _compare_items(
        [hit for hits in before.values() for hit in hits],
        [hit for name in before for hit in after[name]],
    )
    return changes


def _compare_items(before: Sequence[bool], after: Sequence[bool]) -> SuiteChange:
    """Compare the answers to the same items.

    Of the items that changed, half would have got better by chance (McNemar 1947). The interval is the exact
    one of that share (Clopper and Pearson 1934), times the share of items that changed: it lies below 0
    where the exact test, asked for losses alone, finds fewer gains than chance.
    """
    from scipy import stats  # noqa: PLC0415 - slow to load

    n = len(before)
    n_gained = sum(now and not then for then, now in zip(before, after, strict=True))
    n_lost = sum(then and not now for then, now in zip(before, after, strict=True))
    n_changed = n_gained + n_lost
    low = high = 0.0
    if n_changed:
        confidence = 1 - 2 * FALSE_ALARM_RATE / N_COMPARISONS
        interval = stats.binomtest(n_gained, n_changed).proportion_ci(confidence)
        low, high = ((2 * end - 1) * n_changed / n for end in (interval.low, interval.high))
    return SuiteChange(before=sum(before) / n, after=sum(after) / n, n=n, low=low, high=high)


def is_forgotten(change: SuiteChange) -> bool:
    """Whether a suite fell by more than chance explains."""
    return change["high"] < 0
