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
from studio.presets import Strict
from studio.words import Words

Found = TypeVar("Found")
# An element of a drawing that holds words, by the key under which presets/drawings.yaml has them; a drawing's comments go nowhere.
SPOKEN = re.compile(r'(<(title|desc|text)\b[^<>]*?)\s+data-w="([^"]*)"([^<>]*>)[^<]*(</\2>)')
COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)


class Attempt(Strict):
    """What to try a method on, and how long that took where it was measured (seconds)."""

    sample: str
    seconds: float | None


class Page(Strict):
    """What there is to know of a method, in words."""

    what: Words
    how: tuple[Words, ...]
    fits: tuple[Words, ...]
    fits_not: tuple[Words, ...]
    watch: Words
    source: Words
    attempt: Attempt = Field(alias="try")


class Term(Strict):
    """An entry of the glossary: in plain words, and as the field defines it."""

    name: Words
    plain: Words
    exact: Words


class Curve(Strict):
    """What a measure of a run says, and what it looks like when all is well and when not."""

    plain: Words
    exact: Words
    good: Words
    bad: Words


class Second(Strict):
    """The second level of a setting: the field's term, its formula, and what turning it does."""

    exact: Words


@lru_cache
def pages() -> dict[str, Page]:
    """The pages by method, in the order of the table; raises BadPlan where a method has none."""
    return {name: _read(presets.FOLDER / "help" / f"{name}.yaml", Page) for name in presets.methods()}


@lru_cache
def glossary() -> dict[str, Term]:
    """The field's terms by key, in the order of the file."""
    return _read(presets.FOLDER / "glossary.yaml", dict[str, Term])


@lru_cache
def curves() -> dict[str, Curve]:
    """What the measures of a run say, by the name of the measure."""
    return _read(presets.FOLDER / "curves.yaml", dict[str, Curve])


@lru_cache
def exact() -> dict[str, Words]:
    """The exact sentence on every setting: METHOD.knob, and training.field for those of all methods."""
    return {key: found.exact for key, found in _read(presets.FOLDER / "knobs.yaml", dict[str, Second]).items()}


@lru_cache
def _drawn() -> dict[str, Words]:
    return _read(presets.FOLDER / "drawings.yaml", dict[str, Words])


@lru_cache
def drawing(name: str, lang: str) -> str:
    """The drawing of a method as SVG, its words in a language and escaped: safe to put into a page as it is.

    Raises BadPlan where there is no drawing, or a word of it is missing.
    """
    path = presets.ASSETS / "methods" / f"{name}.svg"
    if name not in presets.methods():
        raise BadPlan([f"{path}: {name!r} is no method"])
    return speak(_text(path), _drawn(), lang, path)


def speak(svg: str, words: Mapping[str, Words], lang: str, path: Path) -> str:
    """An SVG with the words of a language in the places that name them; `path` is told where one is missing (BadPlan)."""
    bare = COMMENT.sub("", svg)
    keys = [found[3] for found in SPOKEN.finditer(bare)]
    missing = [f"{path}: there are no words for data-w {key!r}" for key in keys if key not in words]
    if len(keys) != bare.count("data-w"):
        missing.append(f"{path}: expected data-w on a title, desc or text that holds nothing but words")
    if missing:
        raise BadPlan(missing)
    return SPOKEN.sub(lambda found: f"{found[1]}{found[4]}{html.escape(words[found[3]].say(lang))}{found[5]}", bare).strip()


def _read(path: Path, kind: type[Found]) -> Found:
    try:
        return TypeAdapter(kind).validate_python(yaml.safe_load(_text(path)))
    except ValidationError as error:
        raise BadPlan([f"{path}: {'.'.join(str(step) for step in found['loc'])}: {found['msg']}" for found in error.errors()]) from None
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadPlan([f"{path}: there is no such file"]) from None
