"""The chooser's words, read from presets/chooser.yaml, and how amounts and names are put into them."""

from dataclasses import replace

from pydantic import Field

from studio import presets
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.types import Range, currency_sign
from studio.i18n import Message
from studio.presets import CardModel

TEXTS_FILE = presets.FOLDER / "chooser.yaml"


class QuestionTexts(CardModel):
    """A question, why it is asked, its choices, and each choice as it stands inside a sentence."""

    text: Message
    why: Message
    choices: dict[str, Message]
    short: dict[str, Message]


class ConditionalText(CardModel):
    """A sentence that several methods share, and the answers under which it holds."""

    when: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    text: Message


class AdviceTexts(CardModel):
    """Why training is not the answer, and what to do instead."""

    why: Message
    instead: Message


class ChooserTexts(CardModel):
    """presets/chooser.yaml."""

    questions: dict[str, QuestionTexts]
    reasons: dict[str, ConditionalText]
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
    exclusions: dict[str, Message]
    wrong_data: dict[str, Message]
    rejections: dict[str, ConditionalText]
    advice: dict[str, AdviceTexts]
    notes: dict[str, Message]
    prompts: dict[str, Message]
    example: dict[str, Message]
    blanks: dict[str, dict[str, Message]]
    terminal: dict[str, Message]


TEXTS = presets.read_card(TEXTS_FILE, ChooserTexts)


def fill_sentence(sentence: Message, **values: object) -> Message:
    """A sentence with its values: a capital at its start, and in Chinese a space where scripts meet."""
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
    if minutes < 90:
        unit, unit_minutes = "minutes", 1
    elif minutes < 48 * 60:
        unit, unit_minutes = "hours", 60
    else:
        unit, unit_minutes = "days", 24 * 60
    return TEXTS.times[unit].format(count=f"{minutes / unit_minutes:.0f}")


def format_price(amount: Range, currency: str) -> Message:
    """About what something costs; less than a cent is stated as such."""
    sign = currency_sign(currency)
    if amount.likely < 0.01:
        return TEXTS.prices["under"].format(amount=f"{sign}0.01")
    return TEXTS.prices["about"].format(amount=f"{sign}{amount.likely:,.2f}")
