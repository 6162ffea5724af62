"""What the studio ships as text: presets/*.yaml read into frozen cards, strictly."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from studio.errors import BadPlan
from studio.i18n import Message
from studio.plan import Task

_INSTALLED = Path(__file__).parent / "_shipped"
ROOT = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parent.parent
FOLDER = ROOT / "presets"
ASSETS = ROOT / "assets"

Card = TypeVar("Card", bound="CardModel")


class CardModel(BaseModel):
    """The manner of every card: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wheel(CardModel):
    """Where a model lies in a Python package: the studio's way to a model where no hub is in reach."""

    package: str
    version: str
    sha256: str
    bytes: int
    path: str
    kind: Literal["gguf", "safetensors"]
    note: Message


class ModelCard(CardModel):
    """A base model of the catalogue; `config` holds its shape numbers under the names transformers uses."""

    id: str
    name: str
    about: Message
    tasks: tuple[Task, ...]
    hub: str
    licence: str
    gated: bool
    config: dict[str, int | float | bool | str]
    wheel: Wheel | None = None


class MethodCard(CardModel):
    """One row of the comparison table, in words."""

    id: str
    order: int
    name: Message
    short: Message
    principle: Message
    updated: Message
    steps: dict[str, tuple[str, ...]]
    when: Message
    needs: Message
    tasks: tuple[Task, ...]


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


@lru_cache
def models() -> dict[str, ModelCard]:
    """The catalogue of base models by id, in the order of the file."""
    return {
        name: _parse_card(ModelCard, {"id": name, **raw}, FOLDER / "models.yaml", name)
        for name, raw in _read_yaml(FOLDER / "models.yaml").items()
    }


@lru_cache
def methods() -> dict[str, MethodCard]:
    """The ten method cards by name, in the order of the table."""
    cards = _read_folder("methods", MethodCard)
    return dict(sorted(cards.items(), key=lambda item: item[1].order))


@lru_cache
def samples() -> dict[str, SampleCard]:
    """The sample data sets by name."""
    return _read_folder("datasets", SampleCard)


def recipes() -> dict[str, Path]:
    """The ready plans by name."""
    return {path.stem: path for path in sorted((FOLDER / "recipes").glob("*.yaml"))}


def _read_folder(name: str, card_type: type[Card]) -> dict[str, Card]:
    return {
        path.stem: _parse_card(card_type, {"id": path.stem, **_read_yaml(path)}, path)
        for path in sorted((FOLDER / name).glob("*.yaml"))
    }


def _read_yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise BadPlan([f"{path}: expected keys and values, but got {type(content).__name__}"])
    return content


def _parse_card(card_type: type[Card], raw: dict[str, Any], path: Path, entry: str = "") -> Card:
    try:
        return card_type.model_validate(raw)
    except ValidationError as error:
        key_paths = [".".join(str(step) for step in (entry, *item["loc"]) if step) for item in error.errors()]
        problems = [
            f"{path}: {key_path}: {item['msg']}"
            for key_path, item in zip(key_paths, error.errors(), strict=True)
        ]
        raise BadPlan(problems) from None
