"""The health check: what is wrong with a data set, the gravest first, and a score that sums it up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data.quality.checks import (
    CHECKS,
    LIMIT_CHECKS,
    LIMIT_KINDS,
    SLOW_CHECKS,
    CheckContext,
    StageCallback,
)
from studio.data.quality.findings import GRADES, Finding, Grade, finding_to_json
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.quality.table_view import build_view
from studio.data.readers.read import Table
from studio.i18n import Message, label
from studio.plan import Task

__all__ = [
    "CHECK_STAGES",
    "Finding",
    "Health",
    "check_health",
    "check_in_stages",
    "check_method_limits",
    "compute_score",
    "get_min_examples",
    "replace_limits",
]

GRADE_COSTS: dict[Grade, int] = {"stop": 50, "warn": 10, "hint": 2, "open": 0}
CHECK_STAGES: dict[str, Message] = {
    "read": label("Reading the rows"),
    "near": label("Looking for rows that are nearly the same"),
    "leak": label("Comparing with the test set"),
    "languages": label("Looking at the languages"),
    "personal": label("Looking for personal data"),
    "html": label("Looking for HTML"),
    "mojibake": label("Looking for garbled characters"),
}


@dataclass(frozen=True)
class Health:
    """How fit a data set is: a score of 0 to 100 (see `score`), and what was found, the gravest first.

    `whole` is False where near-duplicates have not been looked for yet.
    """

    score: int
    findings: tuple[Finding, ...]
    whole: bool = True


def health_to_json(report: Health) -> dict[str, Any]:
    """A report as plain values for another process."""
    return {**vars(report), "findings": [finding_to_json(finding) for finding in report.findings]}


def ignore_stages(_stage: str, _done: int, _total: int) -> None:
    """Tells nobody."""


def compute_score(findings: Sequence[Finding]) -> int:
    """100, less 50 for each finding that stops, 10 for each warning and 2 for each hint; never below 0. What could not be looked for costs nothing.

    How many rows a finding concerns counts through its grade: most are hints below 5 % of the rows and warnings from there on. Too few
    rows cost more, since all else hangs on them, so that a handful without a fault does not look healthy: 45 below a fifth of what the
    method wants, 25 below half of it where they are fewer than 50, which is where the chooser advises against training.
    """
    return max(
        0,
        100
        - sum(GRADE_COSTS[finding.grade] if finding.cost is None else finding.cost for finding in findings),
    )


def check_in_stages(
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    *,
    lengths: Sequence[int] | None = None,
    max_length: int = 0,
    method: str = "",
    test: Sequence[Mapping[str, str]] = (),
    tell: StageCallback = ignore_stages,
) -> Iterator[Health]:
    """What is wrong with a data set for a task: first without near-duplicates, which take longest, then whole.

    `columns` is role -> column. `lengths` are the tokens of each row's example (any number where a row makes none), None where
    nobody counted; `max_length` is their limit. `method` says how many examples are wanted, `test` are examples of a test set
    (role -> text) that must not stand in the table. `tell` hears the stage (a key of STAGES), how much of it is done and how much
    there is, and may raise to end the check. Raises BadData where a column is missing.
    """
    tell("read", 0, len(table.rows))
    context = CheckContext(build_view(table, task, columns), lengths, max_length, method, test, tell)
    findings = [finding for run_check in (*LIMIT_CHECKS, *CHECKS) for finding in run_check(context)]
    yield _summarize(findings, is_complete=False)
    slow_findings = [finding for run_check in SLOW_CHECKS for finding in run_check(context)]
    kinds = {finding.kind for finding in slow_findings}
    yield _summarize(
        [*slow_findings, *(finding for finding in findings if finding.kind not in kinds)], is_complete=True
    )


def check_method_limits(
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    lengths: Sequence[int] | None,
    max_length: int,
    method: str,
) -> Health:
    """What is wrong with a data set for a method and a length alone: what `renewed` puts in the place of what was found for another.

    Arguments and errors as those of `stages`.
    """
    context = CheckContext(build_view(table, task, columns), lengths, max_length, method, (), ignore_stages)
    return _summarize(
        [finding for run_check in LIMIT_CHECKS for finding in run_check(context)], is_complete=False
    )


def replace_limits(previous: Health, limit_health: Health) -> Health:
    """The health of the same rows for another method or length: what was found `before`, with what `limits` found now."""
    return _summarize(
        [
            *limit_health.findings,
            *(finding for finding in previous.findings if finding.kind not in LIMIT_KINDS),
        ],
        previous.whole,
    )


def check_health(table: Table, task: Task, columns: Mapping[str, str], **options: Any) -> Health:
    """What is wrong with a data set for a task, near-duplicates and all; `told` is what `stages` may be told, and raises as it does."""
    *_, report = check_in_stages(table, task, columns, **options)
    return report


def _summarize(findings: Sequence[Finding], is_complete: bool) -> Health:
    ordered = sorted(
        findings, key=lambda finding: (GRADES.index(finding.grade), -finding.count, finding.kind)
    )
    return Health(compute_score(ordered), tuple(ordered), is_complete)
