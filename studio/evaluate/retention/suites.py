"""The suites that show what a model forgot, read from presets/retention/, and which items a run is asked."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from studio import presets
from studio.data.quality import language_id
from studio.i18n import Message
from studio.presets import CardModel

Language = Literal["en", "zh"]
# In the order in which they are asked and shown.
SUITE_NAMES = (
    "knowledge",
    "common_sense",
    "instruction_following",
    "arithmetic",
    "json",
    "safe_refusal",
    "over_refusal",
    "other_language",
)
# Beside the suites: all of their items taken together.
ALL_SUITES, ALL_SUITES_NAME = "all", Message("everything together")
OTHER_LANGUAGE: dict[Language, Language] = {"en": "zh", "zh": "en"}


class Item(CardModel):
    """A question with one right answer and others that are wrong."""

    question: str
    right: str
    wrong: tuple[str, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers, the right one first."""
        return (self.right, *self.wrong)


class Suite(CardModel):
    """The items of one ability in both languages, and what the ability is called inside a sentence."""

    name: Message
    english: tuple[Item, ...]
    chinese: tuple[Item, ...]

    def in_language(self, language: Language) -> tuple[Item, ...]:
        """The items in one language."""
        return {"en": self.english, "zh": self.chinese}[language]


@lru_cache
def load_suites() -> dict[str, Suite]:
    """The suites by name, in the order of SUITE_NAMES.

    Raises:
        BadPlan: A file is missing or does not hold what it should.
    """
    folder = presets.FOLDER / "retention"
    return {name: presets.read_card(folder / f"{name}.yaml", Suite) for name in SUITE_NAMES}


def suite_name(name: str) -> Message:
    """What a suite is called inside a sentence; ALL_SUITES has a name too."""
    return ALL_SUITES_NAME if name == ALL_SUITES else load_suites()[name].name


def detect_language(texts: Sequence[str]) -> Language:
    """The language that a run is asked in: Chinese where most of its texts are, else English."""
    return "zh" if language_id.detect_mix(texts).main == "zh" else "en"


def choose_items(language: Language, items_per_suite: int) -> dict[str, tuple[Item, ...]]:
    """So many items of each suite, evenly spaced and always the same; all where there are no more.

    Args:
        language: The language of the data; the suite of the other language is asked in the other one.
        items_per_suite: How many items of each suite, at least 1.
    """
    chosen = {}
    for name, suite in load_suites().items():
        is_other = name == "other_language"
        items = suite.in_language(OTHER_LANGUAGE[language] if is_other else language)
        n_items = min(items_per_suite, len(items))
        chosen[name] = tuple(items[index * len(items) // n_items] for index in range(n_items))
    return chosen
