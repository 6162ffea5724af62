"""The one mechanism for every sentence a person reads: English and Chinese side by side, where the sentence is used."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LANGUAGES = ("en", "zh")
_LABELS: dict[str, "Words"] = {}


@dataclass(frozen=True)
class Words:
    """One sentence in each language; `{name}` marks what is filled in when it is said, `{name:row|rows}` the word that goes with a count.

    Chinese falls back to English.
    """

    en: str
    zh: str = ""

    def say(self, language: str = "en", **values: object) -> str:
        """The sentence in `language` ("en" or "zh") with its values filled in."""
        text = self.zh if language == "zh" and self.zh else self.en
        return text.format(**{name: spoken(value, language) for name, value in values.items()}) if values else text

    def filled(self, **values: object) -> "Words":
        """These words with their values filled in, still in both languages."""
        return Words(self.say("en", **values), self.say("zh", **values) if self.zh else "")

    @classmethod
    def of(cls, card: Mapping[str, str]) -> "Words":
        """Words from a card's `{en: …, zh: …}`."""
        return cls(card["en"], card.get("zh", ""))


def joined(sentences: Iterable[str], language: str) -> str:
    """Sentences one after the other, the empty ones left out: a blank between them in English, none in Chinese."""
    return ("" if language == "zh" else " ").join(filter(None, sentences))


def spoken(value: object, language: str) -> object:
    """A value as it is put into a sentence: Words in its language, a tuple or list joined by its comma, everything else as it is."""
    if isinstance(value, tuple | list):
        return ("、" if language == "zh" else ", ").join(str(spoken(item, language)) for item in value)
    if isinstance(value, Words):
        return value.say(language)
    return Count(value) if type(value) is int else value


class Count(int):
    """A whole number that knows which of two words goes with it: the format "row|rows" says row of one, and rows of any other."""

    def __format__(self, wanted: str) -> str:
        """The number in the format, or the word."""
        one, between, many = wanted.partition("|")
        return (one if self == 1 else many) if between else super().__format__(wanted)


def label(en: str, zh: str = "") -> Words:
    """Words for a fixed label of the page; registered so that the page can hand every label to the browser once."""
    words = Words(en, zh)
    _LABELS[key(words)] = words
    return words


def key(words: Words) -> str:
    """The name under which the browser looks a label up."""
    return "w" + hashlib.sha256(words.en.encode()).hexdigest()[:12]


def labels(language: str) -> dict[str, str]:
    """Every registered label in one language, by its key."""
    return {name: words.say(language) for name, words in _LABELS.items()}
