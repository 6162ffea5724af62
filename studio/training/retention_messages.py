"""What a run's model forgot, in sentences and rows that the page and the command line share."""

from collections.abc import Mapping
from typing import Any

from studio.evaluate.retention import comparison, suites
from studio.evaluate.retention.comparison import SuiteChange
from studio.evaluate.verdict_messages import FORGOT
from studio.i18n import Message

SUITE_FALL = Message("{name} {before} → {after} of {n}")
FORGOT_NOTHING = Message(
    "It forgot nothing that {n} general questions show: {before} were right before, {after} are now."
)


def describe_retention(report: Mapping[str, Any]) -> list[Message]:
    """What the model forgot, or that it forgot nothing; empty where it was not asked."""
    changes = read_retention(report)
    if not changes:
        return []
    fallen = {name: change for name, change in changes.items() if comparison.is_forgotten(change)}
    if not fallen:
        before, after, n = _count_right(changes[suites.ALL_SUITES])
        return [FORGOT_NOTHING.format(before=before, after=after, n=n)]
    return [FORGOT.format(suites=[_describe_fall(name, change) for name, change in fallen.items()])]


def read_retention(report: Mapping[str, Any]) -> dict[str, SuiteChange]:
    """What became of each suite of general questions; empty where the report does not say."""
    return dict(report.get("retention") or {})


def retention_rows(report: Mapping[str, Any]) -> list[tuple[Message, str, str, str]]:
    """For each suite its name, right answers before and after, and the interval of the change."""
    rows = []
    for name, change in read_retention(report).items():
        before, after, n = _count_right(change)
        interval = f"{change['low'] * n:+.0f} … {change['high'] * n:+.0f}"
        rows.append((suites.suite_name(name), f"{before} / {n}", f"{after} / {n}", interval))
    return rows


def _describe_fall(name: str, change: SuiteChange) -> Message:
    before, after, n = _count_right(change)
    return SUITE_FALL.format(name=suites.suite_name(name), before=before, after=after, n=n)


def _count_right(change: SuiteChange) -> tuple[int, int, int]:
    """Right answers before and after, and questions."""
    n = change["n"]
    return round(change["before"] * n), round(change["after"] * n), n
