"""What a run's model forgot, in sentences and rows that the page and the command line share."""

from collections.abc import Mapping
from typing import Any

from studio.evaluate.retention import comparison, suites
from studio.evaluate.retention.comparison import SuiteChange
from studio.evaluate.verdict_messages import FORGOT
from studio.i18n import Message
from studio.plan import Plan

SUITE_FALL = Message("{name} {before} → {after} of {n}")
FORGOT_NOTHING = Message(
    "It forgot nothing that {n} general questions show: {before} were right before, {after} are now."
)
AGAINST_FORGETTING = Message("Against forgetting, change one at a time: {remedies}.")
FEWER_EPOCHS = Message("{epochs:g} epochs instead of {now:g}")
LOWER_LEARNING_RATE = Message("a learning rate of {rate:g} instead of {now:g}")
MORE_REPLAY = Message("20% general examples mixed in (replay)")
GENTLER_METHOD = Message("PEFT with “LoRA on feed-forward only (MLP)” or OFT")
REPLAY_SHARE = 0.2


def describe_retention(plan: Plan, report: Mapping[str, Any]) -> list[Message]:
    """What the model forgot and what helps, or that it forgot nothing; empty where it was not asked."""
    changes = read_retention(report)
    if not changes:
        return []
    fallen = {name: change for name, change in changes.items() if comparison.is_forgotten(change)}
    if not fallen:
        before, after, n = _count_right(changes[suites.ALL_SUITES])
        return [FORGOT_NOTHING.format(before=before, after=after, n=n)]
    remedies = _list_remedies(plan, report)
    return [
        FORGOT.format(suites=[_describe_fall(name, change) for name, change in fallen.items()]),
        AGAINST_FORGETTING.format(remedies=remedies),
    ]


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


def _list_remedies(plan: Plan, report: Mapping[str, Any]) -> list[Message]:
    """What would make a run forget less, with its own figures."""
    training = report.get("training") or {}
    epochs, rate = training.get("epochs"), training.get("learning_rate")
    remedies = []
    if epochs and epochs > 1:
        remedies.append(FEWER_EPOCHS.format(epochs=epochs / 2, now=epochs))
    if rate:
        remedies.append(LOWER_LEARNING_RATE.format(rate=rate / 3, now=rate))
    if plan.task == "chat" and plan.training.replay_share < REPLAY_SHARE:
        remedies.append(MORE_REPLAY)
    return [*remedies, GENTLER_METHOD]
