"""The health check of a data set: its problems, the costliest first, and a score that sums them up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data.quality.checks import (
    CHECKS,
    LIMIT_CHECKS,
    LIMIT_KINDS,
    SLOW_CHECKS,
    Check,
    CheckContext,
    CheckOptions,
    ignore_stages,
)
from studio.data.quality.findings import GRADES, Finding, Grade, finding_from_json, finding_to_json
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.quality.table_view import build_view
from studio.data.readers.read import Table
from studio.i18n import Message, label
from studio.plan import Task

__all__ = [
    "CHECK_STAGES",
    "CheckOptions",
    "Finding",
    "Health",
    "check_health",
    "check_in_stages",
    "check_method_limits",
    "compute_score",
    "finding_cost",
    "get_min_examples",
    "health_from_json",
    "health_to_json",
    "ignore_stages",
    "replace_limits",
]

MAX_SCORE = 100
GRADE_COSTS: dict[Grade, int] = {"stop": 50, "warn": 10, "hint": 2, "open": 0}
CHECK_STAGES: dict[str, Message] = {
    "read": label("Reading rows"),
    "near": label("Looking for near-duplicates"),
    "surface": label("Looking for shortcuts in the pairs"),
    "leak": label("Comparing with the test set"),
    "languages": label("Detecting languages"),
    "personal": label("Looking for personal data"),
    "html": label("Looking for HTML"),
    "mojibake": label("Looking for garbled characters"),
    "line_ends": label("Looking for written-out line ends"),
    "quoted_mails": label("Looking for quoted mails"),
}
DEFAULT_OPTIONS = CheckOptions()


@dataclass(frozen=True)
class Health:
    """How fit a data set is for training.

    Attributes:
        score: 0 to 100, see `compute_score`.
        findings: The problems, those that take most points first.
        is_complete: False where near-duplicates have not been looked for yet.
    """

    score: int
    findings: tuple[Finding, ...]
    is_complete: bool = True


def health_to_json(report: Health) -> dict[str, Any]:
    """A report as plain values for another process."""
    return {**vars(report), "findings": [finding_to_json(finding) for finding in report.findings]}


def health_from_json(raw: Mapping[str, Any]) -> Health:
    """The report that `health_to_json` turned into plain values."""
    findings = tuple(finding_from_json(fields) for fields in raw["findings"])
    return Health(raw["score"], findings, raw["is_complete"])


def compute_score(findings: Sequence[Finding]) -> int:
    """100 less 50 for each finding that stops training, 10 for each warning, 2 for each hint; at least 0.

    What could not be checked costs nothing. How many rows a finding concerns counts through its grade: most
    are hints below 5 % of the rows and warnings from there on. Too few rows cost more, since everything else
    depends on them, so that a handful without a problem does not look healthy: 45 below a fifth of what the
    method wants, 25 below half of it where they are fewer than 50, which is where the chooser advises against
    training.
    """
    return max(0, MAX_SCORE - sum(finding_cost(finding) for finding in findings))


def finding_cost(finding: Finding) -> int:
    """The points that a finding takes from the score."""
    return GRADE_COSTS[finding.grade] if finding.cost is None else finding.cost


def check_in_stages(
    table: Table, task: Task, columns: Mapping[str, str], options: CheckOptions = DEFAULT_OPTIONS
) -> Iterator[Health]:
    """Check a data set for a task: first without near-duplicates, which take longest, then completely.

    Args:
        table: The rows.
        task: What a model is to learn from them.
        columns: Role -> column.
        options: The limits and the test set to check against, and the progress callback.

    Raises:
        BadData: A column is missing.
    """
    options.on_progress("read", 0, len(table.rows))
    context = CheckContext(build_view(table, task, columns), options)
    findings = _run(context, (*LIMIT_CHECKS, *CHECKS))
    yield _summarize(findings, is_complete=False)
    slow_findings = _run(context, SLOW_CHECKS)
    slow_kinds = {finding.kind for finding in slow_findings}
    quick_findings = [finding for finding in findings if finding.kind not in slow_kinds]
    yield _summarize([*slow_findings, *quick_findings], is_complete=True)


def check_method_limits(
    table: Table, task: Task, columns: Mapping[str, str], options: CheckOptions
) -> Health:
    """Check only what depends on the method and the token limit, for `replace_limits`.

    Arguments and errors are those of `check_in_stages`.
    """
    context = CheckContext(build_view(table, task, columns), options)
    return _summarize(_run(context, LIMIT_CHECKS), is_complete=False)


def replace_limits(previous: Health, limit_health: Health) -> Health:
    """The health of the same rows for another method or limit, whose findings are in `limit_health`."""
    unchanged = [finding for finding in previous.findings if finding.kind not in LIMIT_KINDS]
    return _summarize([*limit_health.findings, *unchanged], previous.is_complete)


def check_health(
    table: Table, task: Task, columns: Mapping[str, str], options: CheckOptions = DEFAULT_OPTIONS
) -> Health:
    """Check a data set completely; arguments and errors are those of `check_in_stages`."""
    *_, report = check_in_stages(table, task, columns, options)
    return report


def _run(context: CheckContext, checks: Sequence[Check]) -> list[Finding]:
    return [finding for run_check in checks for finding in run_check(context)]


def _summarize(findings: Sequence[Finding], is_complete: bool) -> Health:
    def severity(finding: Finding) -> tuple[int, int, int, str]:
        return -finding_cost(finding), GRADES.index(finding.grade), -finding.count, finding.kind

    ordered = sorted(findings, key=severity)
    return Health(compute_score(ordered), tuple(ordered), is_complete)
