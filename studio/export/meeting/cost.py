"""What a run was estimated to cost and what it cost, and the prices known for a break-even."""

from collections.abc import Mapping
from typing import Any

from studio.estimate import history
from studio.estimate.types import Range
from studio.export.meeting import messages
from studio.export.meeting.sections import Cell, Figure, Section, Table
from studio.i18n import Message
from studio.runs import Run

Report = Mapping[str, Any]


def describe_cost(run: Run, report: Report) -> Section:
    """Estimated and actual time, memory and money."""
    estimate = history.load_estimate(run)
    money = actual_money(estimate, report)
    unit = messages.MONEY_IN.format(currency=estimate.get("currency", ""))
    rows = [
        _row(messages.MINUTES, estimate.get("minutes"), history.actual_minutes(report), messages.TENTHS),
        _row(messages.MEMORY, estimate.get("memory_gb"), report.get("peak_memory_gb"), messages.TENTHS),
        _row(unit, estimate.get("money"), money, messages.CENTS),
    ]
    sentences = [] if estimate else [messages.NO_ESTIMATE]
    if money is None:
        sentences.append(messages.NO_PRICE)
    sentences += history.explain_differences(estimate, report)
    shown_rows = [row for row in rows if any(row[1:])]
    return Section(messages.COST_HEADING, sentences, Table(messages.COST_HEADS, shown_rows))


def _row(
    name: Message, estimated: Mapping[str, float] | None, actual: float | None, template: Message
) -> list[Cell]:
    """A line of the table; what is not known stays empty."""
    cells: list[Cell] = [name, "", ""]
    if estimated:
        span = Range(**estimated)
        low, high = (template.format(value=value) for value in (span.low, span.high))
        cells[1] = Figure(messages.SPAN.format(low=low, high=high), (span.low, span.high))
    if actual is not None:
        cells[2] = Figure(template.format(value=actual), (actual,))
    return cells


def actual_money(estimate: Mapping[str, Any], report: Report) -> float | None:
    """What the machine charged for the run; None where no price was known."""
    return history.billed_money(estimate, history.actual_minutes(report))


def known_prices(run: Run, report: Report) -> dict[str, Any]:
    """What a break-even can start from: the machine's price an hour, what the run cost, and the currency.

    Prices that nobody has noted are None: they are typed in on the page. Those of the machine are as of the
    run's start.
    """
    estimate = history.load_estimate(run)
    per_hour = (estimate.get("price") or {}).get("per_hour")
    return {
        "per_hour": per_hour,
        "training": actual_money(estimate, report),
        "currency": estimate.get("currency", "") if per_hour is not None else "",
    }
