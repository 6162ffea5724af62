"""What a method is: its knobs in plain words, what it would need, how it is attached, trained, saved and loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from studio.data.prepare import Encoded
from studio.models.shape import ModelShape
from studio.plan import Plan, Task, Value
from studio.words import Words

Settings = Mapping[str, Value]


@dataclass(frozen=True)
class Knob:
    """One setting, explained once: screen, README and command line are generated from it.

    `name` is the field's term and the key in a plan; `label` and `help` are the plain words.
    """

    name: str
    label: Words
    help: Words
    default: Value
    kind: Literal["whole", "number", "choice", "switch"]
    low: float = 0
    high: float = 0
    choices: tuple[tuple[str, Words], ...] = ()

    def problem(self, value: object) -> str:
        """What is wrong with a value for this knob; empty when it is right."""
        if self.kind == "switch":
            return "" if isinstance(value, bool) else f"expected true or false, but got {value!r}"
        if self.kind == "choice":
            return (
                "" if value in [name for name, _ in self.choices] else f"expected one of {', '.join(dict(self.choices))}, but got {value!r}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.kind == "whole" and value != value // 1):
            return f"expected a {'whole ' if self.kind == 'whole' else ''}number, but got {value!r}"
        return "" if self.low <= value <= self.high else f"expected {self.low:g} to {self.high:g}, but got {value!r}"


@dataclass(frozen=True)
class Footprint:
    """What a method would touch: numbers it trains, and numbers in the model it leaves behind (base included)."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """The share of the numbers that are trained, 0 to 1."""
        return self.trainable / self.total


@dataclass(frozen=True)
class Job:
    """One training, ready to go: `callbacks` report and stop, `folder` takes checkpoints."""

    model: Any
    tokenizer: Any
    plan: Plan
    learning_rate: float
    train: list[Encoded]
    folder: Path
    callbacks: list[Any] = field(default_factory=list)


class Attach(Protocol):
    """Freeze or inject, so that what is left trainable is what the footprint counts."""

    def __call__(self, model: Any, settings: Settings, task: Task) -> Any:  # noqa: ANN401 - any torch model
        """The model with the method attached."""


@dataclass(frozen=True)
class Method:
    """One way to train. Everything that differs between methods is in here; an eleventh is one more of these.

    `trains_base` says that the base's own numbers change, which are then held in 32 bits while they do.
    """

    name: str
    tasks: tuple[Task, ...]
    knobs: tuple[Knob, ...]
    exports: tuple[str, ...]
    trains_base: bool
    learning_rate: Callable[[ModelShape, Task], float]
    footprint: Callable[[ModelShape, Settings, int], Footprint]
    attach: Attach
    train: Callable[[Job], None]
    save: Callable[[Any, Path, str], None]
    load: Callable[[Any, Path], Any]
    merge: Callable[[Any], Any]

    def settle(self, chosen: Settings) -> dict[str, Value]:
        """All settings: those chosen, and the defaults of the others."""
        return {knob.name: _typed(knob, chosen.get(knob.name, knob.default)) for knob in self.knobs}

    def problems(self, chosen: Settings) -> list[str]:
        """What is wrong with chosen settings, one sentence per key."""
        known = {knob.name: knob for knob in self.knobs}
        names = ", ".join(known) or "none"
        found = [f"{name}: is not a setting of {self.name} (it has: {names})" for name in chosen if name not in known]
        return found + [f"{name}: {said}" for name, value in chosen.items() if name in known and (said := known[name].problem(value))]


def _typed(knob: Knob, value: Value) -> Value:
    return int(value) if knob.kind == "whole" else float(value) if knob.kind == "number" else value
