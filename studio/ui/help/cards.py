"""The help cards: a method's page and its drawing, the exact terms of every setting, the glossary, and what a curve says."""

import html
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from studio import presets
from studio.errors import BadPlan
from studio.i18n import Message
from studio.presets import CardModel

CardT = TypeVar("CardT")
# An element of a drawing that holds words, by the key under which presets/drawings.yaml has them; a drawing's comments go nowhere.
TEXT_ELEMENT = re.compile(r'(<(title|desc|text)\b[^<>]*?)\s+data-w="([^"]*)"([^<>]*>)[^<]*(</\2>)')
COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)


class SampleRun(CardModel):
    """What to try a method on, and how long that took where it was measured (seconds)."""

    sample: str
    seconds: float | None


class MethodPage(CardModel):
    """What there is to know of a method, in words."""

    what: Message
    how: tuple[Message, ...]
    fits: tuple[Message, ...]
    fits_not: tuple[Message, ...]
    watch: Message
    source: Message
    attempt: SampleRun = Field(alias="try")


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


class SettingHelp(CardModel):
    """The second level of a setting: the field's term, its formula, and what turning it does."""

    exact: Message


@lru_cache
def pages() -> dict[str, MethodPage]:
    """The pages by method, in the order of the table; raises BadPlan where a method has none."""
    return {
        name: _read_card(presets.FOLDER / "help" / f"{name}.yaml", MethodPage) for name in presets.methods()
    }


@lru_cache
def glossary() -> dict[str, GlossaryTerm]:
    """The field's terms by key, in the order of the file."""
    return _read_card(presets.FOLDER / "glossary.yaml", dict[str, GlossaryTerm])


@lru_cache
def curves() -> dict[str, CurveHelp]:
    """What the measures of a run say, by the name of the measure."""
    return _read_card(presets.FOLDER / "curves.yaml", dict[str, CurveHelp])


@lru_cache
def exact_terms() -> dict[str, Message]:
    """The exact sentence on every setting: METHOD.knob, and training.field for those of all methods."""
    return {
        key: setting.exact
        for key, setting in _read_card(presets.FOLDER / "knobs.yaml", dict[str, SettingHelp]).items()
    }


@lru_cache
def _drawing_texts() -> dict[str, Message]:
    return _read_card(presets.FOLDER / "drawings.yaml", dict[str, Message])


@lru_cache
def drawing(name: str, lang: str) -> str:
    """The drawing of a method as SVG, its words in a language and escaped: safe to put into a page as it is.

    Raises BadPlan where there is no drawing, or a word of it is missing.
    """
    path = presets.ASSETS / "methods" / f"{name}.svg"
    if name not in presets.methods():
        raise BadPlan([f"{path}: {name!r} is no method"])
    return fill_svg_text(_read_text(path), _drawing_texts(), lang, path)


def fill_svg_text(svg: str, texts: Mapping[str, Message], lang: str, path: Path) -> str:
    """An SVG with the words of a language in the places that name them; `path` is told where one is missing (BadPlan)."""
    uncommented = COMMENT.sub("", svg)
    keys = [match[3] for match in TEXT_ELEMENT.finditer(uncommented)]
    problems = [f"{path}: there are no words for data-w {key!r}" for key in keys if key not in texts]
    if len(keys) != uncommented.count("data-w"):
        problems.append(f"{path}: expected data-w on a title, desc or text that holds nothing but words")
    if problems:
        raise BadPlan(problems)
    return TEXT_ELEMENT.sub(
        lambda match: f"{match[1]}{match[4]}{html.escape(texts[match[3]].render(lang))}{match[5]}",
        uncommented,
    ).strip()


def _read_card(path: Path, card_type: type[CardT]) -> CardT:
    try:
        return TypeAdapter(card_type).validate_python(yaml.safe_load(_read_text(path)))
    except ValidationError as error:
        raise BadPlan(
            [
                f"{path}: {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
                for problem in error.errors()
            ]
        ) from None
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadPlan([f"{path}: there is no such file"]) from None
