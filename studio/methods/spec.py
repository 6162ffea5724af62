"""What a method is: its settings and needs, and how it is attached, trained, saved and loaded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from studio.data.examples import Encoded, Example
from studio.data.targets import RatingScale
from studio.errors import Problem
from studio.evaluate.predictions import Measured
from studio.i18n import GOT_VALUE, Message
from studio.methods.cost_profile import CostProfile
from studio.methods.workload import (
    Phase,
    RowTokens,
    Workload,
    build_retention_phases,
    build_supervised_phases,
    leaves_room,
)
from studio.models.shape import ModelShape
from studio.plan import Plan, Task, Value
from studio.storage import read_json, write_json

Settings = Mapping[str, Value]
Scores = dict[str, float]
# Messages about a run that goes on, kept in its folder.
NOTES_FILE = "notes.json"
DAMAGED_NOTES = Message("notes.json in the run's folder is damaged: what the method noted is not shown.")
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
SET_TWICE = Message("is another name of {name}, which is set as well; keep one of the two")


@dataclass(frozen=True)
class Setting:
    """One setting, explained once: the page, the README and the command line are generated from it.

    Args:
        name: the field's own term, and the key in a plan.
        label: what it is, in plain words.
        help: what turning it does, in plain words.
        default: its value where a plan leaves it out.
        kind: the type of its value.
        low: the smallest number.
        high: the largest number; for a text the most characters.
        choices: the values of a choice, each with its label.
        advanced: whether it waits behind "more settings" instead of being in sight.
        depends_on: the name of an earlier setting, and the value of it under which this one applies; None
            where it always applies.
        used_with: the values of other settings, or of the "task", under which alone it has an effect. A plan
            may name it under others too: it is ignored there, and the page leaves it out.
        aliases: other names under which a plan may give it: those of earlier studios, and those of PEFT.
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
    used_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    aliases: tuple[str, ...] = ()

    def has_effect(self, chosen: Settings, task: Task) -> bool:
        """Whether it does anything with these values of the method's other settings, for a task."""
        values = {**chosen, "task": task}
        is_used = all(str(values.get(name)) in wanted for name, wanted in self.used_with.items())
        return is_used and self.applies(chosen)

    @property
    def controlling_names(self) -> set[str]:
        """The settings on whose values it depends whether this one has an effect."""
        names = set(self.used_with) - {"task"}
        return names | {self.depends_on[0]} if self.depends_on else names

    def applies(self, chosen: Settings) -> bool:
        """Whether it applies with these values of the method's other settings."""
        if self.depends_on is None:
            return True
        name, value = self.depends_on
        return chosen.get(name) == value

    def find_problem(self, value: object) -> Message | None:
        """What is wrong with a value for this setting; None where it is right."""
        got = EMPTY_VALUE if value is None else GOT_VALUE.format(value=f"{value!r:.80}")
        if self.kind == "bool":
            return None if isinstance(value, bool) else EXPECTED_BOOL.format(got=got)
        if self.kind == "str":
            is_short_text = isinstance(value, str) and len(value) <= self.high
            return None if is_short_text else EXPECTED_TEXT.format(most=self.high, got=got)
        if self.kind == "choice":
            names = [name for name, _ in self.choices]
            return None if str(value) in names else EXPECTED_CHOICE.format(names=names, got=got)
        expected = EXPECTED_INT if self.kind == "int" else EXPECTED_NUMBER
        if isinstance(value, bool) or not isinstance(value, int | float):
            return expected.format(got=got)
        if self.kind == "int" and value != value // 1:
            return expected.format(got=got)
        if not self.low <= value <= self.high:
            return OUT_OF_RANGE.format(low=self.low, high=self.high, got=got)
        return None

    def cast(self, value: Value) -> Value:
        """A value as Python's type of this setting's kind."""
        if self.kind == "int":
            return int(value)
        if self.kind == "float":
            return float(value)
        if self.kind == "choice":
            return str(value)
        return value


@dataclass(frozen=True)
class ParameterCount:
    """How many parameters a method trains, and how many the model it leaves behind has (base included)."""

    trainable: int
    total: int

    @property
    def share(self) -> float:
        """The trained share of the parameters, 0 to 1."""
        return self.trainable / self.total


class StopRequested(Exception):
    """The run was asked to stop while its method prepares; `TrainingContext.report_progress` raises it."""


class StageMonitor(Protocol):
    """A callback that reports one stage of a training, stops it when asked and keeps its best state."""

    step: int
    steps: int
    best_step: int
    initial_scores: Scores
    stopped: bool
    reached_cap: dict[str, Any] | None
    stopped_early: bool
    paused: bool
    seconds_saved: float

    def checkpoint(self) -> str | None:
        """The folder from which this stage goes on after a stop; None where it starts anew."""

    def restore(self) -> None:
        """Put the parameters of the best validation back into the model."""


CreateMonitor = Callable[[str, Any, Callable[[], Scores] | None], StageMonitor]


@dataclass(frozen=True)
class TrainingContext:
    """One training, ready to go.

    Args:
        model: the base model with the method attached.
        tokenizer: the base model's tokenizer.
        plan: the plan with every training setting filled in.
        settings: every setting of the method that applies.
        train: encoded training examples.
        validation: encoded validation examples.
        folder: the run's folder.
        create_monitor: makes the callback of a stage from its name, the model, and what measures the model
            (None where the stage does so itself).
        measure_rows: gives the scores of a model on encoded examples, `loss` among them (lower is better),
            and its outcome for each.
        free_memory: gives the bytes that could be allocated now; in a container no more than its limit
            leaves.
        examples: training and validation examples as text.
        test: encoded examples for the test after training; empty where there are none.
        test_examples: the same as text.
        base_folder: the folder of the base's weights.
        is_sharded: whether the ranks train it together with a share of the weights each (FSDP): `model` is
            then whole, for the first rank to evaluate, and lies in main memory meanwhile.
        packs_texts: whether the texts of a micro batch are packed where they can be
            (studio.data.packed_texts).
        scale: how the numbers were standardized that the texts are to get; None where they get labels.
        report_progress: shows progress outside a Trainer, as a stage, units done and units in all. It raises
            StopRequested where the run was asked to stop.
        notes: what a method writes here goes into the report; `add_note` does so and shows it at once.
    """

    model: Any
    tokenizer: Any
    plan: Plan
    settings: Settings
    train: list[Encoded]
    validation: list[Encoded]
    folder: Path
    create_monitor: CreateMonitor
    measure_rows: Callable[[Any, list[Encoded]], Measured]
    free_memory: Callable[[], int]
    examples: tuple[list[Example], list[Example]] = field(default_factory=lambda: ([], []))
    test: list[Encoded] = field(default_factory=list)
    test_examples: list[Example] = field(default_factory=list)
    base_folder: Path = Path()
    is_sharded: bool = False
    packs_texts: bool = False
    scale: RatingScale | None = None
    report_progress: Callable[[str, int, int], None] = lambda stage, done, total: None
    notes: dict[str, Any] = field(default_factory=dict)

    def measure(self, model: Any, rows: list[Encoded]) -> Scores:
        """The scores of a model on encoded examples."""
        return self.measure_rows(model, rows).scores

    def add_note(self, name: str, values: Any, *messages: Message) -> None:
        """Note values for the report, and messages for people; both replace earlier ones of the name."""
        self.notes[name] = values
        path = self.folder / NOTES_FILE
        stored_notes = read_json(path)
        if messages or name in stored_notes:
            stored_notes[name] = [message.to_json() for message in messages]
            write_json(path, stored_notes)


def read_notes(folder: Path) -> list[Message]:
    """The messages methods have noted in a run's folder, in order; empty where there are none."""
    try:
        return [
            Message.from_json(message)
            for messages in read_json(folder / NOTES_FILE).values()
            for message in messages
        ]
    except (TypeError, AttributeError, KeyError):
        return [DAMAGED_NOTES]


class Attach(Protocol):
    """Freezes parameters or adds some, so that exactly those of the parameter count are trainable."""

    def __call__(self, model: Any, settings: Settings, task: Task) -> Any:
        """The model with the method attached."""


Weights = Literal["trained", "frozen", "nf4"]


@dataclass(frozen=True)
class Method:
    """One way to train: everything that differs between methods. One more method is one more of these.

    Args:
        name: its key in a plan.
        tasks: the tasks it trains.
        settings: its settings, those they depend on first.
        exports: the forms in which a result can be taken home.
        weights: how the base is held: "trained" (its own parameters change, in 32 bits while they do),
            "frozen", or "nf4" (frozen, in 4 bits).
        learning_rate: the default learning rate.
        count_parameters: parameters for a model's shape, settings and number of labels (0 without a head).
        cost_profile: how a training pass differs from a plain one.
        attach: adds the method to a base model.
        train: trains a context's model and returns the trained one, usually `context.model`.
        save: writes a trained model into a folder; the text is the base's name for others to find it.
        load: the trained model on a base held as `weights` says, whose modules it takes over.
        merge: an ordinary model with the change in its own matrices.
        generate_rows: makes training and validation rows where the model itself writes them.
        check: problems between settings that are each right, the shape (None where it is not known yet) and
            the task.
        supports_resume: whether a stopped training goes on exactly where it was.
        extra_file: a file of code that must be next to an adapter for PEFT to read it.
        epoch_multiplier: how many times as long as other methods it needs to be trained.
        stages: the names of its stages.
        active_stages: the stages that a run goes through, in order; None for all of `stages`.
        takes_steps: whether anything is trained step by step; else epochs and learning rate mean nothing.
        can_merge: whether what is learned can become part of the base's own matrices, where `exports` names
            that form.
        needs_settings_check: whether the library behind it may refuse settings that are each in range, so
            that they are tried before a run (studio.methods.settings_check).
        finish: leaves of a trained model what `save` keeps. `train` has done so; a training that broke off
            needs it.
        extra_stages_message: what is trained besides the steps the plan counts; None for nothing.
        automatic_values: the values that settings left at 0 will take, by their names.
        fits: whether a run learns from an example of so many tokens, or leaves it out as too long.
        prepare_for_tracing: the attached model as it is during a step, for the estimator.
        phases: what a run does besides or instead of plain supervised training; None for that alone.
        result_bytes: the bytes of a result that is neither the whole model nor all that was trained; the last
            argument is the bytes of a parameter.
        supports_gradient_checkpointing: whether it works with gradient checkpointing.
        supports_disk_offload: whether its settings let the weights of the blocks stay on the disk, the shape
            (None where it is not known yet) beside them.
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
    active_stages: Callable[[Settings, Task], tuple[str, ...]] | None = None
    takes_steps: Callable[[Settings], bool] = lambda settings: True
    can_merge: Callable[[Settings], bool] = lambda settings: True
    needs_settings_check: bool = False
    finish: Callable[[Any], Any] = lambda model: model
    extra_stages_message: Callable[[Settings, Task], Message | None] = lambda settings, task: None
    automatic_values: Callable[[Settings, Workload], dict[str, Value]] = lambda settings, load: {}
    fits: Callable[[Settings, Workload, RowTokens], bool] = leaves_room
    prepare_for_tracing: Callable[[Any, Settings], Any] = lambda model, settings: model
    phases: Callable[[Settings, Workload], tuple[Phase, ...]] | None = None
    result_bytes: Callable[[ModelShape, Settings, int, int], float] | None = None
    supports_gradient_checkpointing: bool = True
    supports_disk_offload: Callable[[Settings, ModelShape | None], bool] = lambda settings, shape: False
    # Whether the stages after the first have settings of their own, so that the training fields hold for the
    # first alone.
    has_stage_settings: bool = False

    def rename_aliases(self, chosen: Settings) -> dict[str, Value]:
        """Chosen settings under the names of today; a name of today wins over its aliases."""
        renamed = dict(chosen)
        for setting in self.settings:
            for alias in setting.aliases:
                if alias in renamed:
                    value = renamed.pop(alias)
                    renamed.setdefault(setting.name, value)
        return renamed

    def resolve_settings(self, chosen: Settings) -> dict[str, Value]:
        """Every setting that applies: those chosen, under any name, and the defaults of the others."""
        values = self.rename_aliases(chosen)
        resolved: dict[str, Value] = {}
        for setting in self.settings:
            if setting.applies(resolved):
                resolved[setting.name] = setting.cast(values.get(setting.name, setting.default))
        return resolved

    def list_stages(self, chosen: Settings, task: Task) -> tuple[str, ...]:
        """The stages that a run under these settings goes through, in order."""
        if not self.active_stages:
            return self.stages
        return self.active_stages(self.resolve_settings(chosen), task)

    def max_text_tokens(self, shape: ModelShape, settings: Settings, requested_tokens: int) -> int:
        """How many of the requested tokens of a text are read; virtual tokens take up context."""
        return min(requested_tokens, shape.context - self.cost_profile(shape, settings).virtual_tokens)

    def build_phases(self, settings: Settings, workload: Workload) -> tuple[Phase, ...]:
        """The phases of a run under resolved settings."""
        return self._build_own_phases(settings, workload) + build_retention_phases(workload, self.name)

    def _build_own_phases(self, settings: Settings, workload: Workload) -> tuple[Phase, ...]:
        if self.phases:
            return self.phases(settings, workload)
        # Behind virtual tokens a classifier's head is fitted anew.
        has_virtual_tokens = self.cost_profile(workload.shape, settings).virtual_tokens > 0
        return build_supervised_phases(workload, self.name, linear_passes=2 if has_virtual_tokens else 1)

    def export_formats(self, chosen: Settings) -> tuple[str, ...]:
        """The forms in which a result under these settings can be taken home."""
        if self.can_merge(self.resolve_settings(chosen)):
            return self.exports
        return tuple(form for form in self.exports if form != "merged")

    def find_problems(self, chosen: Settings) -> list[Problem]:
        """What is wrong with chosen settings, at most one problem for each key as it was written."""
        return list(self._iterate_problems(chosen))

    def _iterate_problems(self, chosen: Settings) -> Iterator[Problem]:
        settings_by_key = {
            key: setting for setting in self.settings for key in (setting.name, *setting.aliases)
        }
        values = self.rename_aliases(chosen)
        independent = {
            setting.name: values.get(setting.name, setting.default)
            for setting in self.settings
            if not setting.depends_on
        }
        for key, value in chosen.items():
            setting = settings_by_key.get(key)
            if setting is None:
                names = [setting.name for setting in self.settings if setting.applies(independent)]
                yield Problem(key, UNKNOWN_SETTING.format(method=self.name, mine=names or NO_SETTINGS))
            elif key != (first_key := _first_key(setting, chosen)):
                yield Problem(key, SET_TWICE.format(name=first_key))
            elif message := setting.find_problem(value) or self._find_inapplicable(setting, independent):
                yield Problem(key, message)

    def _find_inapplicable(self, setting: Setting, independent: Settings) -> Message | None:
        """Why a setting does not apply; None where it does, or where the setting it depends on is wrong."""
        if setting.depends_on is None or setting.applies(independent):
            return None
        name, wanted = setting.depends_on
        parent = next(other for other in self.settings if other.name == name)
        if parent.find_problem(independent[name]):
            return None
        return SETTING_NOT_APPLICABLE.format(other=name, wanted=wanted, got=independent[name])


def _first_key(setting: Setting, chosen: Settings) -> str:
    """The key under which a chosen setting is read; the others say the same."""
    return next(key for key in (setting.name, *setting.aliases) if key in chosen)
