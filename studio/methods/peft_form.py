"""The form of PEFT's methods, read from its config classes and shipped as text: the page needs no PEFT.

`python -m studio.methods.peft_form` writes presets/peft.yaml again after an update of PEFT; labels and help
texts are in presets/peft_words.yaml.
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
from studio.i18n import Message, label, parse_yaml, register_label
from studio.methods.spec import Setting
from studio.presets import CardModel

FIELDS_FILE, CARDS_FILE = presets.FOLDER / "peft.yaml", presets.FOLDER / "peft_words.yaml"
FILE_HEADER = (
    "# The fields of PEFT's config classes that a person may set, with PEFT's own defaults and words "
    "(peft {version}).\n"
    "# Written by `python -m studio.methods.peft_form`; what is shown of them and why stands in "
    "peft_words.yaml.\n"
)
SETTING_KINDS: dict[object, Literal["int", "float", "bool", "str"]] = {
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
}
TYPE_SETTING = Setting(
    "type",
    label("PEFT method"),
    label(
        "All train a small part or a small addition. DoRA is the safest start; the others "
        "are smaller or specialised."
    ),
    default="dora",
    kind="choice",
)


class DefaultOverride(CardModel):
    """A default other than PEFT's, and why."""

    value: int | float | bool | str
    why: str


class FieldCard(CardModel):
    """The label and help of a field, and the range in which it may be set."""

    label: Message
    help: Message
    low: float = 0
    high: float = 0
    advanced: bool = True
    instead: DefaultOverride | None = None
    choices: dict[str, Message] = Field(default_factory=dict)


class TypeCard(CardModel):
    """The name of a method, and what makes PEFT's class this method.

    Args:
        config: the name of PEFT's config class.
        name: what it is called.
        source: its paper.
        fixed: fields that make the class this method.
        without: fields that are not offered, each with the reason.
    """

    config: str
    name: Message
    source: str
    fixed: dict[str, bool] = Field(default_factory=dict)
    without: dict[str, str] = Field(default_factory=dict)


class PeftCards(CardModel):
    """presets/peft_words.yaml."""

    types: dict[str, TypeCard]
    fields: dict[str, FieldCard]
    left_out: dict[str, str]

    def get_field(self, peft_type: str, field: str) -> FieldCard:
        """The card of a method's field: its own before that of all fields of the name."""
        return self.fields.get(f"{peft_type}.{field}") or self.fields[field]


class DeclaredField(CardModel):
    """A field as PEFT declares it; a choice lists its values. `default` is None where PEFT has none."""

    kind: Literal["int", "float", "bool", "str", "choice"]
    default: bool | int | float | str | None
    help: str
    choices: tuple[str, ...] = ()


@lru_cache
def load_cards() -> PeftCards:
    """The labels, ranges and reasons."""
    return PeftCards.model_validate(parse_yaml(CARDS_FILE.read_text(encoding="utf-8")))


@lru_cache
def load_fields() -> dict[str, dict[str, DeclaredField]]:
    """The shipped form: the fields of each method by name."""
    raw: dict[str, dict[str, Any]] = parse_yaml(FIELDS_FILE.read_text(encoding="utf-8"))
    return {
        peft_type: {name: DeclaredField.model_validate(field) for name, field in type_fields.items()}
        for peft_type, type_fields in raw.items()
    }


def build_settings() -> tuple[Setting, ...]:
    """The choice of the method, then each method's fields as settings METHOD_FIELD that apply to it alone."""
    type_cards = load_cards().types
    choices = tuple(
        (peft_type, register_label(type_card.name)) for peft_type, type_card in type_cards.items()
    )
    field_settings = [
        _build_setting(peft_type, name, field)
        for peft_type in type_cards
        for name, field in load_fields()[peft_type].items()
    ]
    return dataclasses.replace(TYPE_SETTING, choices=choices), *field_settings


def _build_setting(peft_type: str, name: str, field: DeclaredField) -> Setting:
    card = load_cards().get_field(peft_type, name)
    default = card.instead.value if card.instead else field.default
    return Setting(
        name=f"{peft_type}_{name}",
        label=register_label(card.label),
        help=register_label(card.help),
        default="" if default is None else default,
        kind=field.kind,
        low=card.low,
        high=card.high,
        choices=tuple((value, register_label(card.choices[value])) for value in field.choices),
        advanced=card.advanced,
        depends_on=("type", peft_type),
    )


def read_peft_fields() -> dict[str, dict[str, Any]]:
    """The form as the installed PEFT declares it.

    Raises:
        KeyError: for a field that presets/peft_words.yaml neither explains nor leaves out with a reason.
    """
    return {peft_type: _read_type_fields(peft_type, card) for peft_type, card in load_cards().types.items()}


def _read_type_fields(peft_type: str, type_card: TypeCard) -> dict[str, Any]:
    import peft  # noqa: PLC0415 - loads torch

    cards = load_cards()
    config_class = getattr(peft, type_card.config)
    type_hints = typing.get_type_hints(config_class)
    declared_fields = {}
    for field in dataclasses.fields(config_class):
        if field.name in type_card.without or field.name in cards.left_out:
            continue
        if field.name not in cards.fields and f"{peft_type}.{field.name}" not in cards.fields:
            raise KeyError(
                f"{type_card.config}.{field.name}: explain it in {CARDS_FILE.name}, "
                "or leave it out there with the reason"
            )
        declared_fields[field.name] = _describe_field(field, type_hints[field.name])
    return declared_fields


def _describe_field(field: Any, annotation: object) -> dict[str, Any]:
    default = field.default.value if isinstance(field.default, enum.Enum) else field.default
    description = {"default": default, "help": " ".join(field.metadata["help"].split())}
    union_types = [member for member in typing.get_args(annotation) if member is not type(None)]
    value_types = union_types or [annotation]
    for value_type in value_types:
        if isinstance(value_type, type) and issubclass(value_type, enum.Enum):
            return {"kind": "choice", **description, "choices": [member.value for member in value_type]}
    return {"kind": SETTING_KINDS[value_types[0]], **description}


def render_fields_file() -> str:
    """presets/peft.yaml as the installed PEFT has it."""
    header = FILE_HEADER.format(version=".".join(version("peft").split(".")[:2]))
    return header + yaml.safe_dump(read_peft_fields(), sort_keys=False, allow_unicode=True, width=140)


def main() -> int:
    """Write presets/peft.yaml again."""
    FIELDS_FILE.write_text(render_fields_file(), encoding="utf-8")
    sys.stdout.write(f"{FIELDS_FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
