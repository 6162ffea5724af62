"""The help cards: drawings of methods, the exact terms of settings, the glossary, and what a curve says."""

import html
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from studio import presets
from studio.errors import BadPlan
from studio.i18n import Message
from studio.presets import CardModel, SettingHelp

# An element of a drawing that holds words, with their key; a drawing's comments go nowhere.
TEXT_ELEMENT = re.compile(r'(<(title|desc|text)\b[^<>]*?)\s+data-w="([^"]*)"([^<>]*>)[^<]*(</\2>)')
COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
TRAINING = "training"


class GlossaryTerm(CardModel):
    """An entry of the glossary: in plain words, and as the field defines it."""

    name: Message
    plain: Message
    exact: Message


class CurveHelp(CardModel):
    """What a measure of a run says, and what it looks like when all is well and when not."""

    plain: Message
    exact: Message
    good: Message
    bad: Message


def glossary() -> dict[str, GlossaryTerm]:
    """The field's terms by key, in the order of the file."""
    return _read_glossary(presets.FOLDER)


def curves() -> dict[str, CurveHelp]:
    """What the measures of a run say, by the name of the measure."""
    return _read_curves(presets.FOLDER)


def exact_term(key: str) -> Message | None:
    """The exact sentence on a setting; None where there is none.

    `key` is METHOD.SETTING for a method's own, training.FIELD for those that every method has.
    """
    setting = _find_setting(key)
    if setting and setting.same_as:
        setting = _find_setting(setting.same_as)
    return setting.exact if setting else None


def _find_setting(key: str) -> SettingHelp | None:
    owner, _, name = key.partition(".")
    if owner == TRAINING:
        return _read_training(presets.FOLDER).get(name)
    card = presets.methods().get(owner)
    return card.settings.get(name) if card else None


def drawing(name: str, lang: str) -> str:
    """The drawing of a method as SVG, its words in a language and escaped: safe to put into a page as it is.

    Raises:
        BadPlan: There is no such method or drawing, or a word of it is missing.
    """
    path = presets.ASSETS / "methods" / f"{name}.svg"
    card = presets.methods().get(name)
    if not card:
        raise BadPlan([f"{path}: {name!r} is no method"])
    texts = _read_drawing_texts(presets.FOLDER) | {
        f"{name}.{key}": text for key, text in card.drawing.items()
    }
    return fill_svg_text(presets.read_text(path), texts, lang, path)


def fill_svg_text(svg: str, texts: Mapping[str, Message], lang: str, path: Path) -> str:
    """An SVG with the words of a language in the places that name them.

    Raises:
        BadPlan: A word is missing, or a place holds something else than words; the message names `path`.
    """
    uncommented = COMMENT.sub("", svg)
    keys = [match[3] for match in TEXT_ELEMENT.finditer(uncommented)]
    problems = [f"{path}: there are no words for data-w {key!r}" for key in keys if key not in texts]
    if len(keys) != uncommented.count("data-w"):
        problems.append(f"{path}: expected data-w on a title, desc or text that holds nothing but words")
    if problems:
        raise BadPlan(problems)

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{match[4]}{html.escape(texts[match[3]].render(lang))}{match[5]}"

    return TEXT_ELEMENT.sub(fill, uncommented).strip()


# The folder is an argument of what is cached, so that a test may put another in its place.


@lru_cache
def _read_glossary(folder: Path) -> dict[str, GlossaryTerm]:
    return presets.read_card(folder / "glossary.yaml", dict[str, GlossaryTerm])


@lru_cache
def _read_curves(folder: Path) -> dict[str, CurveHelp]:
    return presets.read_card(folder / "curves.yaml", dict[str, CurveHelp])


@lru_cache
def _read_training(folder: Path) -> dict[str, SettingHelp]:
    return presets.read_card(folder / "training.yaml", dict[str, SettingHelp])


@lru_cache
def _read_drawing_texts(folder: Path) -> dict[str, Message]:
    return presets.read_card(folder / "drawings.yaml", dict[str, Message])
