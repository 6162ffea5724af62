"""What a method is: its knobs in plain words, what it would need, how it is attached, trained, saved and loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from studio.data.examples import Encoded, Example
from studio.errors import Problem
from studio.i18n import GOT_VALUE, Message
from studio.methods.cost_profile import CostProfile
from studio.methods.workload import Phase, Workload, build_supervised_phases
from studio.models.shape import ModelShape
from studio.plan import Plan, Task, Value
from studio.storage import read_json, write_json

Settings = Mapping[str, Value]
# Sentences on a run that goes on, in its folder.
NOTES_FILE = "notes.json"
EXPECTED_BOOL = Message("expected true or false, but got {got}")
EXPECTED_TEXT = Message("expected a text of at most {most:.0f} characters, but got {got}")
EXPECTED_CHOICE = Message("expected one of {names}, but got {got}")
EXPECTED_INT = Message("expected a whole number, but got {got}")
EXPECTED_NUMBER = Message("expected a number, but got {got}")
OUT_OF_RANGE = Message("expected {low:g} to {high:g}, but got {got}")
EMPTY_VALUE = Message("None", context="got")
UNKNOWN_SETTING = Message("is not a setting of {method} (it has: {mine})")
NO_SETTINGS = Message("none")
SETTING_NOT_APPLICABLE = Message("has a say only where {other} is {wanted}, but it is {got}")


@dataclass(frozen=True)
class Setting:
    """One setting, explained once: screen, README and command line are generated from it.

    `name` is the field's term and the key in a plan; `label` and `help` are the plain words. A text has at most `high` characters.
    `first` says that it stands in sight; the others wait behind "more settings". `only` names another knob, which comes before, and the
    value of it under which this one has a say.
    """

    name: str
    label: Message
    help: Message
    default: Value
    kind: Literal["int", "float", "choice", "bool", "str"]
    low: float = 0
    high: float = 0
    choices: tuple[tuple[str, Message], ...] = ()
    advanced: bool = False
    depends_on: tuple[str, str] | None = None

    def applies(self, chosen: Settings) -> bool:
        """Whether it has a say beside the other settings of its method."""
        return self.depends_on is None or chosen.get(self.depends_on[0]) == self.depends_on[1]

    def find_problem(self, value: object) -> Message | None:
        """What is wrong with a value for this knob; None when it is right."""
        got = EMPTY_VALUE if value is None else GOT_VALUE.format(value=f"{value!r:.80}")
        if self.kind == "bool":
            return None if isinstance(value, bool) else EXPECTED_BOOL.format(got=got)
        if self.kind == "str":
            return (
                None
                if isinstance(value, str) and len(value) <= self.high
                else EXPECTED_TEXT.format(most=self.high, got=got)
            )
        if self.kind == "choice":
            names = [name for name, _ in self.choices]
            return None if str(value) in names else EXPECTED_CHOICE.format(names=names, got=got)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (self.kind == "int" and value != value // 1)
        ):
            return (EXPECTED_INT if self.kind == "int" else EXPECTED_NUMBER).format(got=got)
        return (
            None
            if self.low <= value <= self.high
            else OUT_OF_RANGE.format(low=self.low, high=self.high, got=got)
        )


@dataclass(frozen=True)
class ParameterCount:
    """What a method would touch: numbers it trains, and numbers in the model it leaves behind (base included)."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """The share of the numbers that are trained, 0 to 1."""
        return self.trainable / self.total


class StopRequested(Exception):
    """The run was asked to stop while its method prepares; `Job.tell` raises it."""


class StageMonitor(Protocol):
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
class TrainingContext:
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
    create_monitor: Callable[[str, Any, Callable[[], Scores] | None], StageMonitor]
    measure: Callable[[Any, list[Encoded]], Scores]
    free_memory: Callable[[], int]
    examples: tuple[list[Example], list[Example]] = ((), ())  # type: ignore[assignment]
    test: list[Encoded] = field(default_factory=list)
    test_examples: list[Example] = field(default_factory=list)
    base_folder: Path = Path()
    report_progress: Callable[[str, int, int], None] = lambda stage, done, of: None
    notes: dict[str, Any] = field(default_factory=dict)

    def add_note(self, name: str, values: Any, *messages: Message) -> None:
        """Keep figures for the report, and sentences on them for whoever watches the run: both take the place of earlier ones of that name."""
        self.notes[name] = values
        stored_notes = read_json(self.folder / NOTES_FILE)
        if messages or name in stored_notes:
            write_json(
                self.folder / NOTES_FILE, {**stored_notes, name: [message.to_json() for message in messages]}
            )


def read_notes(folder: Path) -> list[Message]:
    """What methods have noted in a run's folder for people to read, in order; empty where there is nothing."""
    return [
        Message.from_json(message)
        for messages in read_json(folder / NOTES_FILE).values()
        for message in messages
    ]


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
    are tried out before a run (studio.methods.settings_check). `finish(model)` leaves of a trained model what `save` keeps; `train` has done so,
    and a training that broke off needs it. `follows(settings, task)` says what is trained beside the steps the plan counts, if anything.
    For the estimator: `touch` is how a learning pass differs from a plain one, `phases(settings, load)` what a run does beside or instead
    of plain supervised learning, `rehearse(model, settings)` the attached model as it stands during a step, `disk(shape, settings, labels, item)` the bytes of a result
    that is neither whole (`item` bytes a number) nor all that was trained; `recomputes` whether it bears gradient checkpointing.
    """

    name: str
    tasks: tuple[Task, ...]
    settings: tuple[Setting, ...]
    exports: tuple[str, ...]
    weights: Weights
    learning_rate: Callable[[ModelShape, Settings, Task], float]
    count_parameters: Callable[[ModelShape, Settings, int], ParameterCount]
    cost_profile: Callable[[ModelShape, Settings], CostProfile]
    attach: Attach
    train: Callable[[TrainingContext], Any]
    save: Callable[[Any, Path, str], None]
    load: Callable[[Any, Path], Any]
    merge: Callable[[Any, Path], Any]
    generate_rows: Callable[[TrainingContext], tuple[list[Encoded], list[Encoded]]] | None = None
    check: Callable[[Settings, ModelShape | None, Task], list[Problem]] = lambda settings, shape, task: []
    supports_resume: bool = True
    extra_file: Path | None = None
    epoch_multiplier: float = 1.0
    stages: tuple[str, ...] = ("train",)
    can_merge: Callable[[Settings], bool] = lambda settings: True
    needs_settings_check: bool = False
    finish: Callable[[Any], Any] = lambda model: model
    extra_stages_message: Callable[[Settings, Task], Message | None] = lambda settings, task: None
    prepare_for_tracing: Callable[[Any, Settings], Any] = lambda model, settings: model
    phases: Callable[[Settings, Workload], tuple[Phase, ...]] | None = None
    result_bytes: Callable[[ModelShape, Settings, int, int], float] | None = None
    supports_gradient_checkpointing: bool = True

    def resolve_settings(self, chosen: Settings) -> dict[str, Value]:
        """All settings that have a say: those chosen, and the defaults of the others."""
        resolved: dict[str, Value] = {}
        for setting in self.settings:
            if setting.applies(resolved):
                resolved[setting.name] = _cast_value(setting, chosen.get(setting.name, setting.default))
        return resolved

    def max_text_tokens(self, shape: ModelShape, settings: Settings, requested_tokens: int) -> int:
        """How many tokens of a text are read of `asked`; virtual tokens take up places of the model's."""
        return min(requested_tokens, shape.context - self.cost_profile(shape, settings).virtual_tokens)

    def build_phases(self, settings: Settings, workload: Workload) -> tuple[Phase, ...]:
        """The phases of a run under these settings, all of them given."""
        return (
            self.phases(settings, workload) if self.phases else build_supervised_phases(workload, self.name)
        )

    def export_formats(self, chosen: Settings) -> tuple[str, ...]:
        """The forms in which a result under these settings can be taken home."""
        return tuple(
            form for form in self.exports if form != "merged" or self.can_merge(self.resolve_settings(chosen))
        )

    def find_problems(self, chosen: Settings) -> list[Problem]:
        """What is wrong with chosen settings, one for each key."""
        settings_by_name = {setting.name: setting for setting in self.settings}
        resolved: dict[str, Value] = {
            setting.name: chosen.get(setting.name, setting.default)
            for setting in self.settings
            if not setting.depends_on
        }
        applicable_names = [setting.name for setting in self.settings if setting.applies(resolved)]
        problems = []
        for name, value in chosen.items():
            if name not in settings_by_name:
                problems.append(
                    Problem(
                        name, UNKNOWN_SETTING.format(method=self.name, mine=applicable_names or NO_SETTINGS)
                    )
                )
            elif message := settings_by_name[name].find_problem(value):
                problems.append(Problem(name, message))
            elif (
                (depends_on := settings_by_name[name].depends_on)
                and name not in applicable_names
                and not settings_by_name[depends_on[0]].find_problem(resolved[depends_on[0]])
            ):
                problems.append(
                    Problem(
                        name,
                        SETTING_NOT_APPLICABLE.format(
                            other=depends_on[0], wanted=depends_on[1], got=resolved[depends_on[0]]
                        ),
                    )
                )
        return problems


def _cast_value(setting: Setting, value: Value) -> Value:
    python_types: dict[str, type[int] | type[float] | type[str]] = {
        "int": int,
        "float": float,
        "choice": str,
    }
    return python_types[setting.kind](value) if setting.kind in python_types else value
