"""Messages: English where a sentence is used, other languages in `studio/locales/`, rendered at the edge."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import core_schema

# The same safe loader, several times as fast where PyYAML was built with libyaml.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LOCALES = Path(__file__).parent / "locales"
# What a locale file says of its language itself, beside the groups of translations.
ABOUT = "about"
# Chinese sets a space between its characters and Latin letters or digits; what is filled in may be either.
SCRIPT_BOUNDARY = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9$¥])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])")
_LABELS: dict[str, "Message"] = {}


def languages() -> tuple[str, ...]:
    """The available languages: English, in which messages are written, and one for each file of
    `studio/locales/`.
    """
    return ("en", *sorted(path.stem for path in LOCALES.glob("*.yaml")))


@dataclass(frozen=True)
class Message:
    """One sentence: its English text, which is its id in the catalogues, and the values filled in on
    rendering.

    Attributes:
        text: The English sentence. `{name}` marks a value, `{name:row|rows}` the word that goes with a count.
        values: Values by name; a value may be a message, or a function that is called on rendering.
        translations: Translations that a card or an older file brings along, by language; they take
            precedence over the catalogue.
        context: Tells apart two messages with the same English and different translations.
        style: "sentence" begins with a capital (and sets spaces between scripts where the language does),
            "clause" drops the full stop to stand within another sentence.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    translations: Mapping[str, str] = field(default_factory=dict, hash=False)
    context: str = ""
    style: str = ""

    @property
    def id(self) -> str:
        """The key under which a catalogue holds its translation."""
        return f"{self.context}|{self.text}" if self.context else self.text

    def render(self, language: str = "en", **values: object) -> str:
        """The sentence in `language` with its values filled in; English where it is not translated."""
        template = self.text
        if language != "en":
            template = self.translations.get(language, catalogue(language).get(self.id, self.text))
        filled = {name: format_value(value, language) for name, value in {**self.values, **values}.items()}
        return self._styled(template.format(**filled) if filled else template, language)

    def format(self, **values: object) -> "Message":
        """The same message with these values; nothing is rendered yet."""
        return replace(self, values={**self.values, **values})

    def to_json(self) -> dict[str, Any]:
        """The message as plain values for a file or another process; `from_json` reads it back."""
        parts: dict[str, Any] = {
            "values": {name: _value_to_json(value) for name, value in self.values.items()},
            "translations": dict(self.translations),
            "context": self.context,
            "style": self.style,
        }
        return {"text": self.text, **{name: part for name, part in parts.items() if part}}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Message":
        """A message from `to_json`, or from `{en: …, zh: …}` as files of earlier versions hold it."""
        if "text" not in raw:
            return cls.from_card({name: str(text) for name, text in raw.items()})
        values = {name: _value_from_json(value) for name, value in raw.get("values", {}).items()}
        texts = {name: str(raw.get(name, "")) for name in ("context", "style")}
        return cls(str(raw["text"]), values, dict(raw.get("translations", {})), **texts)

    @classmethod
    def from_card(cls, texts: Mapping[str, str]) -> "Message":
        """A message from a card's `{en: …, zh: …}`, which brings its translations along."""
        return cls(
            texts["en"], translations={name: text for name, text in texts.items() if name != "en" and text}
        )

    def _styled(self, text: str, language: str) -> str:
        if self.style == "clause":
            return text.rstrip(".。")
        if self.style == "sentence":
            text = text[:1].upper() + text[1:]
            return SCRIPT_BOUNDARY.sub(" ", text) if about(language).get("space_between_scripts") else text
        return text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A card's `{en: …, zh: …}` becomes a message; what has no English is refused."""
        texts = core_schema.dict_schema(core_schema.str_schema(), core_schema.str_schema())
        card = core_schema.no_info_after_validator_function(cls._from_checked_card, texts)
        return core_schema.union_schema([core_schema.is_instance_schema(cls), card])

    @classmethod
    def _from_checked_card(cls, texts: dict[str, str]) -> "Message":
        if "en" not in texts or not set(texts) <= set(languages()):
            raise ValueError(
                f"expected a text for each of {', '.join(languages())}, but got {', '.join(texts) or 'none'}"
            )
        return cls.from_card(texts)


# The blank between two sentences; none in Chinese.
SENTENCE_SEPARATOR = Message(" ", context="sentences")
# A value that was entered, inside "expected …, but got …".
GOT_VALUE = Message("{value}", context="got")


def join_messages(messages: Sequence[Message | str], separator: Message | str) -> Message:
    """One message made of several; the separator between them may be a message that is translated, too."""
    values = {f"item_{index}": message for index, message in enumerate(messages)}
    return Message("{separator}".join(f"{{{name}}}" for name in values), {**values, "separator": separator})


def join_sentences(sentences: Iterable[str], language: str) -> str:
    """Rendered sentences as one text, empty ones left out, separated as the language does (no blank in
    Chinese).
    """
    separator, text = SENTENCE_SEPARATOR.render(language), ""
    for sentence in filter(None, sentences):
        if text:
            is_english = text.endswith((".", "!", "?"))  # not translated
            text += " " if is_english else separator
        text += sentence
    return text


def format_value(value: object, language: str) -> object:
    """A value as it goes into a sentence.

    Messages rendered, lists joined by the language's comma, ints as Plural.
    """
    if callable(value):
        value = value()
    if isinstance(value, tuple | list):
        return str(about(language).get("list_separator", ", ")).join(
            str(format_value(item, language)) for item in value
        )
    if isinstance(value, Message):
        return value.render(language)
    return Plural(value) if type(value) is int else value


# Small numbers as a sentence spells them; Chinese takes the form that stands before a measure word.
NUMBER_WORDS = (
    Message("no", context="number"),
    Message("one", context="number"),
    Message("two", context="number"),
    Message("three", context="number"),
    Message("four", context="number"),
    Message("five", context="number"),
    Message("six", context="number"),
    Message("seven", context="number"),
    Message("eight", context="number"),
    Message("nine", context="number"),
    Message("ten", context="number"),
    Message("eleven", context="number"),
    Message("twelve", context="number"),
    Message("thirteen", context="number"),
    Message("fourteen", context="number"),
    Message("fifteen", context="number"),
    Message("sixteen", context="number"),
    Message("seventeen", context="number"),
    Message("eighteen", context="number"),
    Message("nineteen", context="number"),
    Message("twenty", context="number"),
)


def spell_number(number: int) -> Message | int:
    """A number of at most twenty as a word, any other in digits."""
    return NUMBER_WORDS[number] if 0 <= number < len(NUMBER_WORDS) else number


class Plural(int):
    """An int that chooses between two words.

    The format "row|rows" gives `row` for 1 and `rows` for any other.
    """

    def __format__(self, spec: str) -> str:
        """The number in the format, or the word."""
        singular, separator, plural = spec.partition("|")
        if separator:
            return singular if self == 1 else plural
        return super().__format__(spec)


def parse_yaml(text: str) -> Any:
    """What a text in YAML says; raises yaml.YAMLError where it is none."""
    return yaml.load(text, Loader=_YAML_LOADER)  # noqa: S506 - safe in C or Python


@lru_cache
def _locale(language: str, folder: Path) -> Mapping[str, Any]:
    path = folder / f"{language}.yaml"
    if not path.is_file():
        return {}
    content = parse_yaml(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def about(language: str) -> Mapping[str, Any]:
    """What a locale file says of its language: name, list_separator, sentence_separator."""
    return dict(_locale(language, LOCALES).get(ABOUT, {}))


def next_language_name(language: str) -> str:
    """What the language after this one calls itself, for the button that changes to it."""
    names = languages()
    following = names[(names.index(language) + 1) % len(names)]
    return str(about(following).get("name", "English"))


@lru_cache
def _catalogue(language: str, folder: Path) -> Mapping[str, str]:
    groups = [group for name, group in _locale(language, folder).items() if name != ABOUT]
    return {text: translation for group in groups for text, translation in group.items()}


def catalogue(language: str) -> Mapping[str, str]:
    """All translations of a language by the id of their message."""
    return _catalogue(language, LOCALES)


def label(text: str, context: str = "") -> Message:
    """A message for a fixed label; registered, so that the page sends all labels to the browser once."""
    return register_label(Message(text, context=context))


def register_label(message: Message) -> Message:
    """Register a message, such as a card's name, as a fixed label of the page."""
    _LABELS[label_key(message)] = message
    return message


def label_key(message: Message) -> str:
    """The name under which the browser looks a label up."""
    return "w" + hashlib.sha256(message.id.encode()).hexdigest()[:12]


def labels(language: str) -> dict[str, str]:
    """Every registered label in one language, by its key."""
    return {key: message.render(language) for key, message in _LABELS.items()}


def _value_to_json(value: object) -> Any:
    if callable(value):
        value = value()
    if isinstance(value, Message):
        return {"message": value.to_json()}
    if isinstance(value, tuple | list):
        return [_value_to_json(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _value_from_json(value: Any) -> Any:
    if isinstance(value, Mapping) and "message" in value:
        return Message.from_json(value["message"])
    if isinstance(value, list):
        return [_value_from_json(item) for item in value]
    return value
