"""What is said of a run that has ended because it reached a cap of its plan."""

from collections.abc import Mapping
from typing import Any

from studio.i18n import Message

# By the cap's name in a plan's training.
REACHED: dict[str, Message] = {
    "max_minutes": Message(
        "It stopped at its time cap: {used:.3g} of {limit:g} min. Its best state is kept."
    ),
    "max_money": Message(
        "It stopped at its money cap: {used:.3g} of {limit:g} {currency}. Its best state is kept."
    ),
    "max_watt_hours": Message(
        "It stopped at its energy cap: {used:.3g} of {limit:g} Wh. Its best state is kept."
    ),
}


def describe(report: Mapping[str, Any]) -> Message | None:
    """Which cap has ended a run, and at what figure; None where none has."""
    cap = report.get("cap")
    if not isinstance(cap, Mapping) or cap.get("name") not in REACHED:
        return None
    figures = {name: float(cap.get(name) or 0) for name in ("used", "limit")}
    return REACHED[cap["name"]].format(**figures, currency=str(cap.get("currency", "")))
