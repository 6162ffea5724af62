"""The chooser's words, read from presets/wizard.yaml, and how amounts and names are put into them."""

import re

import yaml
from pydantic import ValidationError

from studio import presets
from studio.errors import BadPlan
from studio.estimate.figures import Range
from studio.estimate.machines import HERE, Place
from studio.presets import Strict
from studio.words import Words

FILE = presets.FOLDER / "wizard.yaml"
SIGNS = {"USD": "$", "CNY": "¥"}
# Chinese sets a space between its characters and Latin letters or digits; what is filled in may be either.
_SEAMS = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9$¥])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])")


class QuestionWords(Strict):
    """A question, why it is asked, its choices, and each choice as it stands inside a sentence."""

    asked: Words
    why: Words
    choices: dict[str, Words]
    short: dict[str, Words]


class AdviceWords(Strict):
    """Why training is not the answer, and what to do instead."""

    why: Words
    instead: Words


class AllWords(Strict):
    """presets/wizard.yaml."""

    questions: dict[str, QuestionWords]
    names: dict[str, Words]
    rules: dict[str, Words]
    enough: Words
    nearly: Words
    under: Words
    fits: Words
    tight: Words
    open: Words
    cost: Words
    this_machine: Words
    slower: Words
    prices: dict[str, Words]
    times: dict[str, Words]
    shut: dict[str, Words]
    lost: dict[str, Words]
    advice: dict[str, AdviceWords]
    notes: dict[str, Words]
    prompts: dict[str, Words]
    example: dict[str, Words]
    blanks: dict[str, dict[str, Words]]
    terminal: dict[str, Words]


def _read() -> AllWords:
    try:
        return AllWords.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise BadPlan([f"{FILE}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]) from None


WORDS = _read()


def said(sentence: Words, **values: object) -> Words:
    """A sentence with its values filled in: a capital at its beginning, and in Chinese a space where scripts meet."""
    filled = sentence.filled(**values)
    return Words(filled.en[:1].upper() + filled.en[1:], _SEAMS.sub(" ", filled.zh))


def place(where: Place) -> Words:
    """A machine inside a sentence."""
    return WORDS.this_machine if where.id == HERE else Words(where.name, where.name)


def model(name: str) -> Words:
    """A base model inside a sentence."""
    card = presets.models().get(name)
    found = card.name if card else name.rstrip("/").split("/")[-1]
    return Words(found, found)


def gigabytes(amount: float) -> str:
    """A size in GB with one digit, never 0.0."""
    return f"{max(amount, 0.1):.1f}"


def lasting(minutes: float) -> Words:
    """About how long something takes, in one unit."""
    if minutes < 1.5:
        return WORDS.times["moment"]
    unit, size = ("minutes", 1) if minutes < 90 else ("hours", 60) if minutes < 48 * 60 else ("days", 24 * 60)
    return WORDS.times[unit].filled(count=f"{minutes / size:.0f}")


def price(amount: Range, currency: str) -> Words:
    """About what something costs; less than a cent is said to be so."""
    sign = SIGNS.get(currency, f"{currency} ")
    if amount.likely < 0.01:
        return WORDS.prices["under"].filled(amount=f"{sign}0.01")
    return WORDS.prices["about"].filled(amount=f"{sign}{amount.likely:,.2f}")
