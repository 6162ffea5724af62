"""What rules a method out whatever speaks for it: its data, memory, too few examples, time and money."""

import math
from dataclasses import dataclass
from typing import Literal

from studio import presets
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
# The most minutes and dollars of each budget. An evening is four hours, a few dollars are ten, days are
# three; where a price is known in dollars it counts, else the time.
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


def find_exclusion(
    name: str,
    task: Task,
    answers: Answers,
    machine: Machine,
    shape: ModelShape | None,
    estimate: Estimate | None,
) -> Exclusion | None:
    """What rules a method out; None where nothing does. `estimate` is None where there is none."""
    values = short_texts(answers)
    if task not in compatibility.supported_tasks(name):
        return Exclusion("data", fill_sentence(_wrong_data(name, task), **values))
    refusal = compatibility.find_incompatibility(name, task, shape)
    if refusal:
        return Exclusion("refused", refusal.reason)
    if estimate and estimate.fits == "no" and estimate.why_not and estimate.missing_gb <= 0:
        return Exclusion("refused", estimate.why_not)
    if estimate and estimate.fits == "no" and estimate.room_gb is not None:
        message = fill_sentence(
            TEXTS.exclusions["room"],
            over=texts.format_gb(estimate.missing_gb),
            place=texts.machine_name(machine),
            part=MEMORY_PARTS[estimate.largest_part],
        )
        return Exclusion("room", message)
    min_examples = get_min_examples(name, task)[0]
    if min_examples > AMOUNT_RANGES[answers["many"]][1]:
        message = fill_sentence(TEXTS.exclusions["few"], wanted=f"{min_examples:,}", **values)
        return Exclusion("few", message)
    budget_message = over_budget(estimate, machine, answers["budget"]) if estimate else None
    return Exclusion("budget", budget_message) if budget_message else None


def over_budget(estimate: Estimate, machine: Machine, budget: str) -> Message | None:
    """What takes too long or costs too much for a budget; None where nothing does, or where nobody knows."""
    max_minutes, max_dollars = BUDGET_LIMITS[budget]
    money, minutes = estimate.money, estimate.minutes
    values = {"place": texts.machine_name(machine), "budget": TEXTS.questions["budget"].short[budget]}
    dollars = money.likely if money and estimate.currency == "USD" else 0.0
    # Money that is not in dollars is money all the same.
    costs_other_money = money and money.likely and estimate.currency != "USD"
    if money and (dollars > max_dollars or (costs_other_money and not max_dollars)):
        price = texts.format_price(money, estimate.currency)
        return fill_sentence(TEXTS.exclusions["money"], price=price, **values)
    if not dollars and minutes and minutes.likely > max_minutes:
        time = texts.format_duration(minutes.likely)
        return fill_sentence(TEXTS.exclusions["time"], time=time, **values)
    return None


def _wrong_data(name: str, task: Task) -> Message:
    """Why a method cannot learn from the data of a task: by its card, else what is said of any method."""
    card_texts = presets.methods()[name].chooser.wrong_data
    shared_texts = TEXTS.wrong_data
    return card_texts.get(task) or card_texts.get("any") or shared_texts.get(task) or shared_texts["any"]
