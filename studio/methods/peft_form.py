"""The form of PEFT's methods: its fields are read from PEFT's own config classes and shipped as text, so that the page needs no PEFT.

`python -m studio.methods.peft_form` writes presets/peft.yaml anew, after a new PEFT; the words stand in presets/peft_words.yaml.
"""

import dataclasses
import enum
import sys
import typing
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal

import yaml
from pydantic import Field

from studio import presets
from studio.methods.base import Knob
from studio.presets import Strict
from studio.words import Words, label

FORM, WORDS = presets.FOLDER / "peft.yaml", presets.FOLDER / "peft_words.yaml"
HEAD = """# The fields of PEFT's config classes that a person may set, with PEFT's own defaults and words (peft {version}).
# Written by `python -m studio.methods.peft_form`; what is shown of them and why stands in peft_words.yaml.
"""
KINDS: dict[object, Literal["whole", "number", "switch", "text"]] = {int: "whole", float: "number", bool: "switch", str: "text"}
TYPE = Knob(
    "type",
    label("Which method of the family", "选择哪种方法"),
    label(
        "All train a small part of the model or a small addition to it. DoRA is the safest start; the others are smaller or special.",
        "它们都只训练模型的一小部分，或外加的一个小模块。先试 DoRA 最稳妥，其余的更小，或各有所长。",
    ),
    "dora",
    "choice",
)


class Instead(Strict):
    """A default other than PEFT's, and why."""

    value: int | float | bool | str
    why: str


class FieldWords(Strict):
    """What is said of a field, and the range in which it may be set."""

    label: Words
    help: Words
    low: float = 0
    high: float = 0
    first: bool = False
    instead: Instead | None = None
    choices: dict[str, Words] = Field(default_factory=dict)


class TypeWords(Strict):
    """What is said of a method, and what makes PEFT's class this method."""

    config: str
    name: Words
    source: str
    fixed: dict[str, bool] = Field(default_factory=dict)
    without: dict[str, str] = Field(default_factory=dict)


class AllWords(Strict):
    """presets/peft_words.yaml."""

    types: dict[str, TypeWords]
    fields: dict[str, FieldWords]
    left_out: dict[str, str]

    def of(self, kind: str, field: str) -> FieldWords:
        """The words of a method's field: its own before those of all fields of the name."""
        return self.fields.get(f"{kind}.{field}") or self.fields[field]


class Declared(Strict):
    """A field as PEFT declares it; a choice lists its values, `default` is None where PEFT has none."""

    kind: Literal["whole", "number", "switch", "text", "choice"]
    default: bool | int | float | str | None
    help: str
    choices: tuple[str, ...] = ()


@lru_cache
def words() -> AllWords:
    """The words, ranges and reasons."""
    return AllWords.model_validate(yaml.safe_load(WORDS.read_text(encoding="utf-8")))


@lru_cache
def fields() -> dict[str, dict[str, Declared]]:
    """The shipped form: the fields of each method by name."""
    raw: dict[str, dict[str, Any]] = yaml.safe_load(FORM.read_text(encoding="utf-8"))
    return {kind: {name: Declared.model_validate(found) for name, found in those.items()} for kind, those in raw.items()}


def knobs() -> tuple[Knob, ...]:
    """The choice of the method, then every method's fields as knobs named METHOD_FIELD, each shown for its method alone."""
    said = words().types
    choices = tuple((kind, label(about.name.en, about.name.zh)) for kind, about in said.items())
    rest = [_knob(kind, name, field) for kind in said for name, field in fields()[kind].items()]
    return dataclasses.replace(TYPE, choices=choices), *rest


def _knob(kind: str, name: str, field: Declared) -> Knob:
    said = words().of(kind, name)
    default = said.instead.value if said.instead else field.default
    return Knob(
        f"{kind}_{name}",
        label(said.label.en, said.label.zh),
        label(said.help.en, said.help.zh),
        "" if default is None else default,
        field.kind,
        said.low,
        said.high,
        tuple((value, label(said.choices[value].en, said.choices[value].zh)) for value in field.choices),
        said.first,
        ("type", kind),
    )


def read_peft() -> dict[str, dict[str, Any]]:
    """The form as the installed PEFT declares it; raises KeyError for a field nobody has explained or left out with a reason."""
    import peft  # noqa: PLC0415 - loads torch

    found: dict[str, dict[str, Any]] = {}
    for kind, about in words().types.items():
        config = getattr(peft, about.config)
        kinds = typing.get_type_hints(config)
        found[kind] = {}
        for field in dataclasses.fields(config):
            if field.name in about.without or field.name in words().left_out:
                continue
            if field.name not in words().fields and f"{kind}.{field.name}" not in words().fields:
                raise KeyError(f"{about.config}.{field.name}: explain it in {WORDS.name}, or leave it out there with the reason")
            found[kind][field.name] = _declared(field, kinds[field.name])
    return found


def _declared(field: Any, kind: object) -> dict[str, Any]:
    default = field.default.value if isinstance(field.default, enum.Enum) else field.default
    about = {"default": default, "help": " ".join(field.metadata["help"].split())}
    inner = [part for part in typing.get_args(kind) if part is not type(None)] or [kind]
    choice = next((part for part in inner if isinstance(part, type) and issubclass(part, enum.Enum)), None)
    if choice:
        return {"kind": "choice", **about, "choices": [value.value for value in choice]}
    return {"kind": KINDS[inner[0]], **about}


def written() -> str:
    """presets/peft.yaml as the installed PEFT has it."""
    head = HEAD.format(version=".".join(version("peft").split(".")[:2]))
    return head + yaml.safe_dump(read_peft(), sort_keys=False, allow_unicode=True, width=140)


def main() -> int:
    """Write the form anew."""
    FORM.write_text(written(), encoding="utf-8")
    sys.stdout.write(f"{FORM}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
