"""What rules a method out whatever speaks for it: the kind of data, memory, the number of examples, time and money."""

import math
from dataclasses import dataclass
from typing import Literal

from studio.data.enough import wanted
from studio.estimate.figures import PARTS, Estimate
from studio.estimate.machines import Place
from studio.methods import fits
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.wizard import texts
from studio.wizard.answers import AMOUNTS, Answers, short
from studio.wizard.texts import WORDS, said
from studio.words import Words

Kind = Literal["data", "refused", "room", "few", "budget"]
# The most minutes and dollars of each budget. An evening is four hours, a few dollars are ten, days are three; where a price is known in
# dollars it counts, else the time.
LIMITS: dict[str, tuple[float, float]] = {"free": (60, 0), "small": (240, 10), "large": (3 * 24 * 60, 500), "any": (math.inf, math.inf)}


@dataclass(frozen=True)
class Shut:
    """Why a method is out, in one line."""

    kind: Kind
    line: Words


def out(name: str, task: Task, answers: Answers, place: Place, shape: ModelShape | None, found: Estimate | None) -> Shut | None:
    """What rules a method out; None where nothing does. `found` is its estimate, None where there is none."""
    told = short(answers)
    if task not in fits.tasks(name):
        return Shut("data", said(_unread(name, task), **told))
    if refused := fits.refusal(name, task, shape):
        return Shut("refused", refused.why)
    if found and found.fits == "no" and found.room_gb is not None:
        return Shut(
            "room", said(WORDS.shut["room"], over=texts.gigabytes(over(found)), place=texts.place(place), part=PARTS[found.largest])
        )
    least = wanted(name, task)[0]
    if least > AMOUNTS[answers["many"]][1]:
        return Shut("few", said(WORDS.shut["few"], wanted=f"{least:,}", **told))
    line = found and beyond(found, place, answers["budget"])
    return Shut("budget", line) if line else None


def over(found: Estimate) -> float:
    """By how many GB a method does not fit."""
    return found.memory_gb.likely - found.room_gb if found.memory_gb and found.room_gb is not None else 0.0


def beyond(found: Estimate, place: Place, budget: str) -> Words | None:
    """What takes too long or costs too much for a budget; None where nothing does, or where nobody knows."""
    minutes, dollars = LIMITS[budget]
    allowed = WORDS.questions["budget"].short[budget]
    cost = found.money.likely if found.money and found.currency == "USD" else 0.0
    if found.money and cost > dollars:
        return said(WORDS.shut["money"], price=texts.price(found.money, found.currency), place=texts.place(place), budget=allowed)
    # Money that is not in dollars is money all the same.
    if found.money and found.money.likely and found.currency != "USD" and not dollars:
        return said(WORDS.shut["money"], price=texts.price(found.money, found.currency), place=texts.place(place), budget=allowed)
    if not cost and found.minutes and found.minutes.likely > minutes:
        return said(WORDS.shut["time"], time=texts.lasting(found.minutes.likely), place=texts.place(place), budget=allowed)
    return None


def _unread(name: str, task: Task) -> Words:
    """Why a method cannot learn from the data of a task."""
    if name == "upft":
        return WORDS.shut["upft_pairs" if task == "prefer" else "upft"]
    if name == "rlhf":
        return WORDS.shut["rlhf"]
    return WORDS.shut["examples_pairs" if task == "prefer" else "examples_questions"]
