"""The health check: what is wrong with a data set, the gravest first, and a score that sums it up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data.enough import wanted
from studio.data.findings import GRADES, Finding, Grade
from studio.data.looks import LIMITED, LIMITS, LOOKS, SLOW, Case, Tell
from studio.data.read import Table
from studio.data.view import view
from studio.plan import Task
from studio.words import Words, label

__all__ = ["STAGES", "Finding", "Health", "health", "limits", "renewed", "score", "stages", "wanted"]

COSTS: dict[Grade, int] = {"stop": 50, "warn": 10, "hint": 2, "open": 0}
STAGES: dict[str, Words] = {
    "read": label("Reading the rows", "正在读取各行"),
    "near": label("Looking for rows that are nearly the same", "正在查找几乎相同的行"),
    "leak": label("Comparing with the test set", "正在与测试集比对"),
    "languages": label("Looking at the languages", "正在识别语言"),
    "personal": label("Looking for personal data", "正在查找个人信息"),
    "html": label("Looking for HTML", "正在查找 HTML"),
    "mojibake": label("Looking for garbled characters", "正在查找乱码"),
}


@dataclass(frozen=True)
class Health:
    """How fit a data set is: a score of 0 to 100 (see `score`), and what was found, the gravest first.

    `whole` is False where near-duplicates have not been looked for yet.
    """

    score: int
    findings: tuple[Finding, ...]
    whole: bool = True


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Tells nobody."""


def score(findings: Sequence[Finding]) -> int:
    """100, less 50 for each finding that stops, 10 for each warning and 2 for each hint; never below 0. What could not be looked for costs nothing.

    How many rows a finding concerns counts through its grade: most are hints below 5 % of the rows and warnings from there on. Too few
    rows cost more, since all else hangs on them, so that a handful without a fault does not look healthy: 45 below a fifth of what the
    method wants, 25 below half of it where they are fewer than 50, which is where the chooser advises against training.
    """
    return max(0, 100 - sum(COSTS[finding.grade] if finding.cost is None else finding.cost for finding in findings))


def stages(
    table: Table,
    task: Task,
    columns: Mapping[str, str],
    *,
    lengths: Sequence[int] | None = None,
    max_length: int = 0,
    method: str = "",
    test: Sequence[Mapping[str, str]] = (),
    tell: Tell = quiet,
) -> Iterator[Health]:
    """What is wrong with a data set for a task: first without near-duplicates, which take longest, then whole.

    `columns` is role -> column. `lengths` are the tokens of each row's example (any number where a row makes none), None where
    nobody counted; `max_length` is their limit. `method` says how many examples are wanted, `test` are examples of a test set
    (role -> text) that must not stand in the table. `tell` hears the stage (a key of STAGES), how much of it is done and how much
    there is, and may raise to end the check. Raises BadData where a column is missing.
    """
    tell("read", 0, len(table.rows))
    case = Case(view(table, task, columns), lengths, max_length, method, test, tell)
    found = [finding for look in (*LIMITS, *LOOKS) for finding in look(case)]
    yield _summed_up(found, whole=False)
    joined = [finding for look in SLOW for finding in look(case)]
    kinds = {finding.kind for finding in joined}
    yield _summed_up([*joined, *(finding for finding in found if finding.kind not in kinds)], whole=True)


def limits(table: Table, task: Task, columns: Mapping[str, str], lengths: Sequence[int] | None, max_length: int, method: str) -> Health:
    """What is wrong with a data set for a method and a length alone: what `renewed` puts in the place of what was found for another.

    Arguments and errors as those of `stages`.
    """
    case = Case(view(table, task, columns), lengths, max_length, method, (), quiet)
    return _summed_up([finding for look in LIMITS for finding in look(case)], whole=False)


def renewed(before: Health, found: Health) -> Health:
    """The health of the same rows for another method or length: what was found `before`, with what `limits` found now."""
    return _summed_up([*found.findings, *(finding for finding in before.findings if finding.kind not in LIMITED)], before.whole)


def health(table: Table, task: Task, columns: Mapping[str, str], **told: Any) -> Health:
    """What is wrong with a data set for a task, near-duplicates and all; `told` is what `stages` may be told, and raises as it does."""
    *_, found = stages(table, task, columns, **told)
    return found


def _summed_up(found: Sequence[Finding], whole: bool) -> Health:
    order = sorted(found, key=lambda finding: (GRADES.index(finding.grade), -finding.count, finding.kind))
    return Health(score(order), tuple(order), whole)
