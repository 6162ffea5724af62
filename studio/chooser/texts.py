"""The chooser's words, read from presets/wizard.yaml, and how amounts and names are put into them."""

from dataclasses import replace

import yaml
from pydantic import ValidationError

from studio import presets
from studio.errors import BadPlan
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.types import Range
from studio.i18n import Message
from studio.presets import CardModel

TEXTS_FILE = presets.FOLDER / "wizard.yaml"
CURRENCY_SIGNS = {"USD": "$", "CNY": "¥"}


class QuestionTexts(CardModel):
    """A question, why it is asked, its choices, and each choice as it stands inside a sentence."""

    asked: Message
    why: Message
    choices: dict[str, Message]
    short: dict[str, Message]


class AdviceTexts(CardModel):
    """Why training is not the answer, and what to do instead."""

    why: Message
    instead: Message


class ChooserTexts(CardModel):
    """presets/wizard.yaml."""

    questions: dict[str, QuestionTexts]
    names: dict[str, Message]
    rules: dict[str, Message]
    enough: Message
    nearly: Message
    under: Message
    fits: Message
    tight: Message
    open: Message
    cost: Message
    this_machine: Message
    slower: Message
    prices: dict[str, Message]
    times: dict[str, Message]
    shut: dict[str, Message]
    lost: dict[str, Message]
    advice: dict[str, AdviceTexts]
    notes: dict[str, Message]
    prompts: dict[str, Message]
    example: dict[str, Message]
    blanks: dict[str, dict[str, Message]]
    terminal: dict[str, Message]


def _load_texts() -> ChooserTexts:
    try:
        return ChooserTexts.model_validate(yaml.safe_load(TEXTS_FILE.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise BadPlan(
            [f"{TEXTS_FILE}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        ) from None


TEXTS = _load_texts()


def fill_sentence(sentence: Message, **values: object) -> Message:
    """A sentence with its values filled in: a capital at its beginning, and in Chinese a space where scripts meet."""
    return replace(sentence.format(**values), style="sentence")


def machine_name(machine: Machine) -> Message:
    """A machine inside a sentence."""
    return TEXTS.this_machine if machine.id == LOCAL_ID else Message(machine.name)


def model_name(name: str) -> Message:
    """A base model inside a sentence."""
    card = presets.models().get(name)
    title = card.name if card else name.rstrip("/").split("/")[-1]
    return Message(title)


def format_gb(amount: float) -> str:
    """A size in GB with one digit, never 0.0."""
    return f"{max(amount, 0.1):.1f}"


def format_duration(minutes: float) -> Message:
    """About how long something takes, in one unit."""
    if minutes < 1.5:
        return TEXTS.times["moment"]
    unit, size = ("minutes", 1) if minutes < 90 else ("hours", 60) if minutes < 48 * 60 else ("days", 24 * 60)
    return TEXTS.times[unit].format(count=f"{minutes / size:.0f}")


def format_price(amount: Range, currency: str) -> Message:
    """About what something costs; less than a cent is said to be so."""
    sign = CURRENCY_SIGNS.get(currency, f"{currency} ")
    if amount.likely < 0.01:
        return TEXTS.prices["under"].format(amount=f"{sign}0.01")
    return TEXTS.prices["about"].format(amount=f"{sign}{amount.likely:,.2f}")
