"""The risks that a run's own figures show, and no others."""

from collections.abc import Iterator, Mapping
from typing import Any

from studio import presets, runs
from studio.evaluate import cap_messages
from studio.evaluate.predictions import Answered
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.export.meeting import messages
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run
from studio.training import report_messages

Report = Mapping[str, Any]
# Licences that allow any use.
PERMISSIVE_LICENCES = ("Apache-2.0", "MIT")


def find_risks(run: Run, answered: Answered | None, result: Verdict | None) -> tuple[Message, ...]:
    """What may go wrong, as far as the run's folder shows it."""
    report = runs.report(run)
    broke_off = [messages.RISK_BROKE_OFF] if runs.status(run).state == "failed" else []
    return (
        *_risks_of_evidence(report, answered, result),
        *broke_off,
        *_risks_of_training(report),
        *_risks_of_licences(run.plan, report),
    )


def _risks_of_evidence(
    report: Report, answered: Answered | None, result: Verdict | None
) -> Iterator[Message]:
    if not result:
        yield messages.RISK_NO_VERDICT
    elif not result.n:
        yield messages.RISK_NOTHING_HELD_OUT
    elif result.n < MIN_ROWS:
        yield messages.RISK_FEW_ROWS.format(n=result.n)
    # Practice keeps its last state.
    if result and result.split == "validation" and result.measure != "reward":
        yield messages.RISK_VALIDATION
    if answered and not report["data"].get("test_name"):
        yield messages.RISK_SAME_SOURCE
    if not report.get("retention"):
        yield messages.RISK_NOT_MEASURED


def _risks_of_training(report: Report) -> Iterator[Message]:
    data = report["data"]
    n_left_out = data.get("incomplete", 0) + data.get("damaged", 0)
    if n_left_out:
        yield messages.RISK_LEFT_OUT.format(count=n_left_out, rows=data["rows"])
    if truncation := report_messages.describe_truncation(report):
        yield truncation
    if kept_start := report_messages.describe_kept_start(report):
        yield kept_start
    if report.get("stopped"):
        yield cap_messages.describe(report) or messages.RISK_STOPPED


def _risks_of_licences(plan: Plan, report: Report) -> Iterator[Message]:
    card = presets.models().get(plan.model)
    if not card:
        yield messages.RISK_BASE_LICENCE_UNKNOWN
    elif card.licence not in PERMISSIVE_LICENCES:
        yield messages.RISK_BASE_LICENCE.format(licence=card.licence)
    if not report["data"].get("licence"):
        yield messages.RISK_DATA_LICENCE_UNKNOWN
