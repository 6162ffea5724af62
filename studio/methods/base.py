"""What a method is: its knobs in plain words, what it would need, how it is attached, trained, saved and loaded."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from studio.data.prepare import Encoded, Example
from studio.errors import Problem
from studio.home import read_json, write_json
from studio.methods.touch import Touch
from studio.methods.work import Load, Phase, supervised
from studio.models.shape import ModelShape
from studio.plan import Plan, Task, Value
from studio.words import Words

Settings = Mapping[str, Value]
# Sentences on a run that goes on, in its folder.
SAID = "notes.json"
SWITCH = Words("expected true or false, but got {got}", "应为开或关（true / false），实际是{got}")
TEXT = Words("expected a text of at most {most:.0f} characters, but got {got}", "应为不超过 {most:.0f} 个字符的文本，实际是{got}")
CHOICE = Words("expected one of {names}, but got {got}", "应为 {names} 之一，实际是{got}")
WHOLE = Words("expected a whole number, but got {got}", "应为整数，实际是{got}")
NUMBER = Words("expected a number, but got {got}", "应为数字，实际是{got}")
RANGE = Words("expected {low:g} to {high:g}, but got {got}", "应在 {low:g} 到 {high:g} 之间，实际是{got}")
EMPTY = Words("None", "空的")
NO_SETTING = Words("is not a setting of {method} (it has: {mine})", "不是 {method} 的设置（可用的有：{mine}）")
NONE = Words("none", "无")
NO_SAY = Words("has a say only where {other} is {wanted}, but it is {got}", "只在 {other} 为 {wanted} 时起作用，而现在是 {got}")


@dataclass(frozen=True)
class Knob:
    """One setting, explained once: screen, README and command line are generated from it.

    `name` is the field's term and the key in a plan; `label` and `help` are the plain words. A text has at most `high` characters.
    `first` says that it stands in sight; the others wait behind "more settings". `only` names another knob, which comes before, and the
    value of it under which this one has a say.
    """

    name: str
    label: Words
    help: Words
    default: Value
    kind: Literal["whole", "number", "choice", "switch", "text"]
    low: float = 0
    high: float = 0
    choices: tuple[tuple[str, Words], ...] = ()
    first: bool = True
    only: tuple[str, str] | None = None

    def applies(self, chosen: Settings) -> bool:
        """Whether it has a say beside the other settings of its method."""
        return self.only is None or chosen.get(self.only[0]) == self.only[1]

    def problem(self, value: object) -> Words | None:
        """What is wrong with a value for this knob; None when it is right."""
        got = EMPTY if value is None else Words(f"{value!r:.80}", f" {value!r:.80}")
        if self.kind == "switch":
            return None if isinstance(value, bool) else SWITCH.filled(got=got)
        if self.kind == "text":
            return None if isinstance(value, str) and len(value) <= self.high else TEXT.filled(most=self.high, got=got)
        if self.kind == "choice":
            names = [name for name, _ in self.choices]
            return None if str(value) in names else CHOICE.filled(names=names, got=got)
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.kind == "whole" and value != value // 1):
            return (WHOLE if self.kind == "whole" else NUMBER).filled(got=got)
        return None if self.low <= value <= self.high else RANGE.filled(low=self.low, high=self.high, got=got)


@dataclass(frozen=True)
class Footprint:
    """What a method would touch: numbers it trains, and numbers in the model it leaves behind (base included)."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """The share of the numbers that are trained, 0 to 1."""
        return self.trainable / self.total


class Halt(Exception):
    """The run was asked to stop while its method prepares; `Job.tell` raises it."""


class Watch(Protocol):
    """A callback that reports one stage of a training into the run, stops it when asked and keeps its best state."""

    step: int
    steps: int
    best_step: int
    first: dict[str, float]
    stopped: bool
    early: bool

    def checkpoint(self) -> str | None:
        """The folder from which this stage goes on after a stop; None where it begins."""

    def start(self) -> None:
        """Measure the state before the first step and keep it as the best so far."""

    def restore(self) -> None:
        """Put the numbers of the best validation back into the model."""


Scores = dict[str, float]


@dataclass(frozen=True)
class Job:
    """One training, ready to go.

    `plan` has every training setting filled in, `settings` every knob of the method. `train` and `validation` are encoded, `examples` are
    the same two parts as words; `test` and `tested` are the part that only the last verdict sees, encoded and as words, empty where there
    is none. `folder` is the run's, `base` the folder of the base's weights. `watch(stage, model, measure)` makes the
    callback of a stage; `measure(model, rows)` gives scores, `loss` among them, lower is better. `free_memory()` is
    what could be taken now (bytes), in a container no more than its limit leaves. `tell(stage, done, of)`
    shows progress outside a Trainer and raises where the run was asked to stop. What a method writes into `notes` goes into the report;
    `note` does so and tells people at once.
    """

    model: Any
    tokenizer: Any
    plan: Plan
    settings: Settings
    train: list[Encoded]
    validation: list[Encoded]
    folder: Path
    watch: Callable[[str, Any, Callable[[], Scores] | None], Watch]
    measure: Callable[[Any, list[Encoded]], Scores]
    free_memory: Callable[[], int]
    examples: tuple[list[Example], list[Example]] = ((), ())  # type: ignore[assignment]
    test: list[Encoded] = field(default_factory=list)
    tested: list[Example] = field(default_factory=list)
    base: Path = Path()
    tell: Callable[[str, int, int], None] = lambda stage, done, of: None
    notes: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, figures: Any, *said: Words) -> None:
        """Keep figures for the report, and sentences on them for whoever watches the run: both take the place of earlier ones of that name."""
        self.notes[name] = figures
        kept = read_json(self.folder / SAID)
        if said or name in kept:
            write_json(self.folder / SAID, {**kept, name: [asdict(one) for one in said]})


def said(folder: Path) -> list[Words]:
    """What methods have noted in a run's folder for people to read, in order; empty where there is nothing."""
    return [Words(**one) for those in read_json(folder / SAID).values() for one in those]


class Attach(Protocol):
    """Freeze or inject, so that what is left trainable is what the footprint counts."""

    def __call__(self, model: Any, settings: Settings, task: Task) -> Any:
        """The model with the method attached."""


Weights = Literal["trained", "frozen", "nf4"]


@dataclass(frozen=True)
class Method:
    """One way to train. Everything that differs between methods is in here; an eleventh is one more of these.

    `weights` says how the base is held: "trained" (its own numbers change, in 32 bits while they do), "frozen", or "nf4" (frozen, in
    4 bits). `train` returns the model that was made, usually `job.model`. `load(base, folder)` gives the tuned model on a base held as
    `weights` says and takes its modules over; `merge(base, folder)` gives an ordinary model with the change in its own matrices.
    `rows(job)` makes training and validation rows where the model itself writes them; `resumes` says whether a stopped training goes on
    exactly where it was, `beside` a file of code that must lie beside an adapter for PEFT to read it, `patience` how many times as long
    as others it needs to be trained. `merges(settings)` says whether what is learned can become part of the base's own matrices, where
    `exports` names that form; `refusable` that the library behind the method may refuse settings which are each in range, so that they
    are tried out before a run (studio.methods.trial). `finish(model)` leaves of a trained model what `save` keeps; `train` has done so,
    and a training that broke off needs it. `follows(settings, task)` says what is trained beside the steps the plan counts, if anything.
    For the estimator: `touch` is how a learning pass differs from a plain one, `phases(settings, load)` what a run does beside or instead
    of plain supervised learning, `rehearse(model, settings)` the attached model as it stands during a step, `disk(shape, settings, labels, item)` the bytes of a result
    that is neither whole (`item` bytes a number) nor all that was trained; `recomputes` whether it bears gradient checkpointing.
    """

    name: str
    tasks: tuple[Task, ...]
    knobs: tuple[Knob, ...]
    exports: tuple[str, ...]
    weights: Weights
    learning_rate: Callable[[ModelShape, Settings, Task], float]
    footprint: Callable[[ModelShape, Settings, int], Footprint]
    touch: Callable[[ModelShape, Settings], Touch]
    attach: Attach
    train: Callable[[Job], Any]
    save: Callable[[Any, Path, str], None]
    load: Callable[[Any, Path], Any]
    merge: Callable[[Any, Path], Any]
    rows: Callable[[Job], tuple[list[Encoded], list[Encoded]]] | None = None
    check: Callable[[Settings, ModelShape | None, Task], list[Problem]] = lambda settings, shape, task: []
    resumes: bool = True
    beside: Path | None = None
    patience: float = 1.0
    stages: tuple[str, ...] = ("train",)
    merges: Callable[[Settings], bool] = lambda settings: True
    refusable: bool = False
    finish: Callable[[Any], Any] = lambda model: model
    follows: Callable[[Settings, Task], Words | None] = lambda settings, task: None
    rehearse: Callable[[Any, Settings], Any] = lambda model, settings: model
    phases: Callable[[Settings, Load], tuple[Phase, ...]] | None = None
    disk: Callable[[ModelShape, Settings, int, int], float] | None = None
    recomputes: bool = True

    def settle(self, chosen: Settings) -> dict[str, Value]:
        """All settings that have a say: those chosen, and the defaults of the others."""
        found: dict[str, Value] = {}
        for knob in self.knobs:
            if knob.applies(found):
                found[knob.name] = _typed(knob, chosen.get(knob.name, knob.default))
        return found

    def room(self, shape: ModelShape, settings: Settings, asked: int) -> int:
        """How many tokens of a text are read of `asked`; virtual tokens take up places of the model's."""
        return min(asked, shape.context - self.touch(shape, settings).virtual)

    def work(self, settings: Settings, load: Load) -> tuple[Phase, ...]:
        """The phases of a run under these settings, all of them given."""
        return self.phases(settings, load) if self.phases else supervised(load, self.name)

    def forms(self, chosen: Settings) -> tuple[str, ...]:
        """The forms in which a result under these settings can be taken home."""
        return tuple(form for form in self.exports if form != "merged" or self.merges(self.settle(chosen)))

    def problems(self, chosen: Settings) -> list[Problem]:
        """What is wrong with chosen settings, one for each key."""
        known = {knob.name: knob for knob in self.knobs}
        settled: dict[str, Value] = {knob.name: chosen.get(knob.name, knob.default) for knob in self.knobs if not knob.only}
        mine = [knob.name for knob in self.knobs if knob.applies(settled)]
        found = []
        for name, value in chosen.items():
            if name not in known:
                found.append(Problem(name, NO_SETTING.filled(method=self.name, mine=mine or NONE)))
            elif said := known[name].problem(value):
                found.append(Problem(name, said))
            elif (only := known[name].only) and name not in mine and not known[only[0]].problem(settled[only[0]]):
                found.append(Problem(name, NO_SAY.filled(other=only[0], wanted=only[1], got=settled[only[0]])))
        return found


def _typed(knob: Knob, value: Value) -> Value:
    kinds: dict[str, type[int] | type[float] | type[str]] = {"whole": int, "number": float, "choice": str}
    return kinds[knob.kind](value) if knob.kind in kinds else value
