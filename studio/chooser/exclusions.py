"""What rules a method out whatever speaks for it: the kind of data, memory, the number of examples, time and money."""

import math
from dataclasses import dataclass
from typing import Literal

from studio.chooser import texts
from studio.chooser.answers import AMOUNT_RANGES, Answers, short_texts
from studio.chooser.texts import TEXTS, fill_sentence
from studio.data.quality.minimum_examples import get_min_examples
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import MEMORY_PARTS, Estimate
from studio.i18n import Message
from studio.methods import compatibility
from studio.models.shape import ModelShape
from studio.plan import Task

ExclusionKind = Literal["data", "refused", "room", "few", "budget"]
# The most minutes and dollars of each budget. An evening is four hours, a few dollars are ten, days are three; where a price is known in
# dollars it counts, else the time.
BUDGET_LIMITS: dict[str, tuple[float, float]] = {
    "free": (60, 0),
    "small": (240, 10),
    "large": (3 * 24 * 60, 500),
    "any": (math.inf, math.inf),
}


@dataclass(frozen=True)
class Exclusion:
    """Why a method is out, in one line."""

    kind: ExclusionKind
    message: Message


def exclusion(
    name: str,
    task: Task,
    answers: Answers,
    machine: Machine,
    shape: ModelShape | None,
    estimate: Estimate | None,
) -> Exclusion | None:
    """What rules a method out; None where nothing does. `found` is its estimate, None where there is none."""
    values = short_texts(answers)
    if task not in compatibility.supported_tasks(name):
        return Exclusion("data", fill_sentence(_unsupported_task(name, task), **values))
    if refusal := compatibility.find_incompatibility(name, task, shape):
        return Exclusion("refused", refusal.reason)
    if estimate and estimate.fits == "no" and estimate.room_gb is not None:
        return Exclusion(
            "room",
            fill_sentence(
                TEXTS.shut["room"],
                over=texts.format_gb(missing_gb(estimate)),
                place=texts.machine_name(machine),
                part=MEMORY_PARTS[estimate.largest_part],
            ),
        )
    min_examples = get_min_examples(name, task)[0]
    if min_examples > AMOUNT_RANGES[answers["many"]][1]:
        return Exclusion("few", fill_sentence(TEXTS.shut["few"], wanted=f"{min_examples:,}", **values))
    budget_message = estimate and over_budget(estimate, machine, answers["budget"])
    return Exclusion("budget", budget_message) if budget_message else None


def missing_gb(estimate: Estimate) -> float:
    """By how many GB a method does not fit."""
    return (
        estimate.memory_gb.likely - estimate.room_gb
        if estimate.memory_gb and estimate.room_gb is not None
        else 0.0
    )


def over_budget(estimate: Estimate, machine: Machine, budget: str) -> Message | None:
    """What takes too long or costs too much for a budget; None where nothing does, or where nobody knows."""
    minutes, dollars = BUDGET_LIMITS[budget]
    budget_text = TEXTS.questions["budget"].short[budget]
    cost = estimate.money.likely if estimate.money and estimate.currency == "USD" else 0.0
    if estimate.money and cost > dollars:
        return fill_sentence(
            TEXTS.shut["money"],
            price=texts.format_price(estimate.money, estimate.currency),
            place=texts.machine_name(machine),
            budget=budget_text,
        )
    # Money that is not in dollars is money all the same.
    if estimate.money and estimate.money.likely and estimate.currency != "USD" and not dollars:
        return fill_sentence(
            TEXTS.shut["money"],
            price=texts.format_price(estimate.money, estimate.currency),
            place=texts.machine_name(machine),
            budget=budget_text,
        )
    if not cost and estimate.minutes and estimate.minutes.likely > minutes:
        return fill_sentence(
            TEXTS.shut["time"],
            time=texts.format_duration(estimate.minutes.likely),
            place=texts.machine_name(machine),
            budget=budget_text,
        )
    return None


def _unsupported_task(name: str, task: Task) -> Message:
    """Why a method cannot learn from the data of a task."""
    if name == "upft":
        return TEXTS.shut["upft_pairs" if task == "prefer" else "upft"]
    if name == "rlhf":
        return TEXTS.shut["rlhf"]
    return TEXTS.shut["examples_pairs" if task == "prefer" else "examples_questions"]
