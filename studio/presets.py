"""What the studio ships as text: presets/*.yaml read into frozen cards, strictly."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from studio.errors import BadPlan
from studio.i18n import Message, parse_yaml, spell_number
from studio.plan import Task, Value

_INSTALLED = Path(__file__).parent / "_shipped"
ROOT = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parent.parent
FOLDER = ROOT / "presets"
ASSETS = ROOT / "assets"
# What a card leaves out of the comparison table and of the help page.
NOT_DESCRIBED = Message("Not described yet.")

Card = TypeVar("Card", bound="CardModel")
Content = TypeVar("Content")
# What of a base model decides which methods train it, beside its family (ModelShape.kinds).
ModelKind = Literal["experts", "state", "no_prefix", "uneven"]
# Question or fact -> the values under which something holds, any of them.
Condition = Mapping[str, tuple[str, ...]]


class CardModel(BaseModel):
    """The base of every card: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wheel(CardModel):
    """Where a model lies in a Python package: the studio's way to a model where no hub can be reached."""

    package: str
    version: str
    sha256: str
    bytes: int
    path: str
    kind: Literal["gguf", "safetensors"]
    note: Message


class KnownLanguages(CardModel):
    """The languages that a model was trained for, as codes of `language_id`, and who says so."""

    codes: tuple[str, ...]
    source: str


class ModelCard(CardModel):
    """A base model of the catalogue; `config` holds its sizes under the names transformers uses."""

    id: str
    name: str
    about: Message
    tasks: tuple[Task, ...]
    languages: KnownLanguages
    hub: str
    licence: str
    gated: bool
    config: dict[str, int | float | bool | str]
    wheel: Wheel | None = None


class SampleRun(CardModel):
    """What to try a method on, and how long that took where it was measured (seconds)."""

    sample: str
    seconds: float | None


class MethodPage(CardModel):
    """The help page of a method."""

    what: Message
    how: tuple[Message, ...]
    fits: tuple[Message, ...]
    fits_not: tuple[Message, ...]
    watch: Message
    source: Message
    sample_run: SampleRun = Field(alias="try")


class SettingHelp(CardModel):
    """The second level of a setting: the field's term, its formula, and what turning it does.

    `same_as` names a setting of another method, as METHOD.SETTING, which is explained in the same words.
    """

    exact: Message | None = None
    same_as: str = ""


class ReasonCard(CardModel):
    """Under these answers something speaks for a method, with so many points.

    It is said by `text`, or by one of the reasons that several methods share (presets/chooser.yaml), which
    then brings its own condition. `settings` are those that the plan then sets.
    """

    points: int
    shared: str = ""
    when: dict[str, tuple[str, ...]] = {}
    text: Message | None = None
    settings: dict[str, Value] = {}

    @model_validator(mode="after")
    def _check_text(self) -> "ReasonCard":
        if bool(self.shared) == bool(self.text):
            raise ValueError("expected either text or shared")
        return self


class RejectionCard(CardModel):
    """Why a method was not chosen under these answers, or one of the sentences that several methods share.

    `timed` adds how much longer the method would take.
    """

    shared: str = ""
    when: dict[str, tuple[str, ...]] = {}
    text: Message | None = None
    timed: bool = True

    @model_validator(mode="after")
    def _check_text(self) -> "RejectionCard":
        if bool(self.shared) == bool(self.text):
            raise ValueError("expected either text or shared")
        return self


class ChooserCard(CardModel):
    """What the guided chooser knows of a method; `wrong_data` is by the task of the data, or `any`."""

    reasons: tuple[ReasonCard, ...] = ()
    wrong_data: dict[Task | Literal["any"], Message] = {}
    rejections: tuple[RejectionCard, ...] = ()


class MinExamplesCard(CardModel):
    """How many examples a method wants at least for a result worth having, and why."""

    count: int
    why: Message


class IncompatibilityCard(CardModel):
    """Why something cannot work, and the nearest thing that does."""

    reason: Message
    alternative: Message


class TaskIncompatibility(IncompatibilityCard):
    """Why a method does not train these tasks."""

    tasks: tuple[Task, ...]


class FamilyIncompatibility(IncompatibilityCard):
    """Why a method does not train base models of these families (transformers' model_type) or these kinds."""

    families: tuple[str, ...] = ()
    kinds: tuple[ModelKind, ...] = ()


class MissingLibrary(IncompatibilityCard):
    """What is said where a library that a method needs is not installed; `{machine}` is filled in."""

    library: str


class ExportIncompatibility(IncompatibilityCard):
    """Why a method's result cannot be exported in this form."""

    form: str


class NotWithCard(CardModel):
    """What a method cannot be combined with."""

    tasks: tuple[TaskIncompatibility, ...] = ()
    families: tuple[FamilyIncompatibility, ...] = ()
    libraries: tuple[MissingLibrary, ...] = ()
    exports: tuple[ExportIncompatibility, ...] = ()
    apple_gpu: IncompatibilityCard | None = None


class MethodCard(CardModel):
    """Everything that is said about one method, in each language; what is left out costs that piece alone.

    `in_sentence` is the method's name inside a sentence. `help` is its page, `settings` the exact terms of
    its settings by their names, `drawing` the words of its drawing (assets/methods/) by the part of their
    data-w behind the dot.
    """

    id: str
    order: int
    name: Message
    tasks: tuple[Task, ...]
    in_sentence: Message | None = None
    short: Message = NOT_DESCRIBED
    principle: Message = NOT_DESCRIBED
    updated: Message = NOT_DESCRIBED
    steps: tuple[Message, ...] = ()
    when: Message = NOT_DESCRIBED
    needs: Message = NOT_DESCRIBED
    help: MethodPage | None = None
    settings: dict[str, SettingHelp] = {}
    drawing: dict[str, Message] = {}
    chooser: ChooserCard = ChooserCard()
    minimum_examples: dict[Task, MinExamplesCard] = {}
    not_with: NotWithCard = NotWithCard()

    @property
    def name_in_sentence(self) -> Message:
        """The method's name inside a sentence."""
        return self.in_sentence or self.name


class SampleCard(CardModel):
    """A sample data set written for this project."""

    id: str
    file: str
    task: Task
    columns: dict[str, str]
    name: Message
    about: Message
    rules: Message
    licence: str
    source: Message
    rows: int

    @property
    def path(self) -> Path:
        """The file with the rows."""
        return FOLDER / "datasets" / self.file


def models() -> dict[str, ModelCard]:
    """The catalogue of base models by id, in the order of the file."""
    return _read_models(FOLDER / "models.yaml")


def methods() -> dict[str, MethodCard]:
    """The method cards by name, in the order of the table."""
    return _read_methods(FOLDER)


def spelled_method_count(besides: int = 0) -> Message | int:
    """How many methods have a card, but for so many of them, as a sentence spells it; reads no card."""
    return spell_number(len(list((FOLDER / "methods").glob("*.yaml"))) - besides)


def samples() -> dict[str, SampleCard]:
    """The sample data sets by name."""
    return _read_samples(FOLDER)


def recipes() -> dict[str, Path]:
    """The ready plans by name."""
    return {path.stem: path for path in sorted((FOLDER / "recipes").glob("*.yaml"))}


def read_card(path: Path, content_type: type[Content]) -> Content:
    """The content of a YAML file as this type.

    Raises:
        BadPlan: The file is missing, is not valid YAML, or does not hold what the type says; each problem
        names
            the file and the key.
    """
    try:
        content = parse_yaml(read_text(path))
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    return _parse_card(content_type, content, path)


def read_text(path: Path) -> str:
    """The text of a file; raises BadPlan where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadPlan([f"{path}: there is no such file"]) from None


# The folder is an argument of what is cached, so that a test may put another in its place.


@lru_cache
def _read_models(path: Path) -> dict[str, ModelCard]:
    return {
        name: _parse_card(ModelCard, {"id": name, **raw}, path, name)
        for name, raw in _read_mapping(path).items()
    }


@lru_cache
def _read_methods(folder: Path) -> dict[str, MethodCard]:
    cards = _read_folder(folder / "methods", MethodCard)
    return dict(sorted(cards.items(), key=lambda item: item[1].order))


@lru_cache
def _read_samples(folder: Path) -> dict[str, SampleCard]:
    return _read_folder(folder / "datasets", SampleCard)


def _read_folder(folder: Path, card_type: type[Card]) -> dict[str, Card]:
    return {
        path.stem: _parse_card(card_type, {"id": path.stem, **_read_mapping(path)}, path)
        for path in sorted(folder.glob("*.yaml"))
    }


def _read_mapping(path: Path) -> dict[str, Any]:
    content = parse_yaml(read_text(path))
    if not isinstance(content, dict):
        raise BadPlan([f"{path}: expected keys and values, but got {type(content).__name__}"])
    return content


def _parse_card(content_type: type[Content], raw: object, path: Path, entry: str = "") -> Content:
    try:
        return TypeAdapter(content_type).validate_python(raw)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            key_path = ".".join(str(step) for step in (entry, *item["loc"]) if step != "")
            problems.append(f"{path}: {key_path}: {item['msg']}")
        raise BadPlan(problems) from None
