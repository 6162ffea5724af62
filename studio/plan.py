"""The plan: a frozen, validated description of one run, to and from YAML."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from studio.errors import BadPlan

Task = Literal["chat", "complete", "classify", "prefer", "prompts"]
Value = bool | int | float | str

# What each task needs to know about the columns of a data set; the first role is what the model reads.
ROLES: dict[Task, tuple[str, ...]] = {
    "chat": ("prompt", "response"),
    "complete": ("text",),
    "classify": ("text", "label"),
    "prefer": ("prompt", "chosen", "rejected"),
    "prompts": ("prompt",),
}
# One column that holds whole conversations, as a list of messages, stands for the usual roles.
INSTEAD: dict[Task, tuple[str, ...]] = {"chat": ("messages",)}
# What a task may know beside: known answers to questions are checked against, never trained on.
BESIDE: dict[Task, tuple[str, ...]] = {"prompts": ("answer",)}


def roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles in use for a task with these columns, the needed ones first."""
    instead = INSTEAD.get(task, ())
    if instead and set(instead) <= set(columns):
        return instead
    return ROLES[task] + tuple(role for role in BESIDE.get(task, ()) if columns.get(role))


class Part(BaseModel):
    """The manner of every part of a plan: it cannot change, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Part):
    """Where the examples are and which column plays which role."""

    source: str = Field(min_length=1, description="sample:NAME, dataset:ID, or a file (relative to the plan's own folder)")
    columns: dict[str, str] = Field(default_factory=dict, description="role -> column; guessed when left out")
    validation_share: float = Field(0.1, ge=0.02, le=0.5, description="share of the examples kept aside to check on")


class MethodChoice(Part):
    """Which of the ten methods, and its settings; a setting left out takes its default."""

    name: str
    settings: dict[str, Value] = Field(default_factory=dict)


class Training(Part):
    """How long, how fast and in what portions the method trains."""

    epochs: float | None = Field(None, gt=0, le=100, description="how often every example is seen; by the amount of data when left out")
    batch_size: int | None = Field(None, ge=1, le=1024, description="examples per step; by the amount of data when left out")
    accumulate: int = Field(1, ge=1, le=1024, description="portions a step is computed in, to save memory")
    learning_rate: float | None = Field(None, gt=0, le=1, description="the method's own default when left out")
    max_length: int = Field(512, ge=8, le=131072, description="tokens per example; longer ones are cut")
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_share: float = Field(0.05, ge=0, le=0.5)
    weight_decay: float = Field(0.0, ge=0, le=1)
    evaluations: int = Field(6, ge=1, le=200, description="how often the validation loss is measured")
    patience: int = Field(0, ge=0, le=200, description="stop after this many validations without progress; 0 = never")
    recompute: bool | None = Field(
        None, description="keep fewer intermediate results and compute them again; by the model's size when left out"
    )
    seed: int = Field(42, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _portions(self) -> "Training":
        if self.batch_size and self.batch_size % self.accumulate:
            raise ValueError(f"a number of portions that divides batch_size {self.batch_size}")
        return self


class Plan(Part):
    """One run, described whole: the page edits it, the estimator prices it, the worker executes it."""

    name: str = Field("Untitled", min_length=1, max_length=120)
    task: Task
    model: str = Field(min_length=1, max_length=500, description="a catalogue id, a hub id, or a folder")
    data: Data
    method: MethodChoice
    training: Training = Training()
    where: Literal["local"] = "local"


Check = Callable[[Mapping[str, Any]], list[str]]


def problems(raw: object) -> list[str]:
    """Everything wrong with the structure of a plan, one sentence per key, empty when it is right."""
    if not isinstance(raw, Mapping):
        return [f"expected keys and values such as `task: chat`, but got {type(raw).__name__}"]
    try:
        Plan.model_validate(raw)
    except ValidationError as error:
        # A value that fits none of several types is told once, under its key: pydantic adds the type to the place.
        places = {_place(item): _sentence(item) for item in reversed(error.errors())}
        found = [f"{place}: {said}" for place, said in reversed(places.items())]
    else:
        found = []
    task, columns = raw.get("task"), (raw.get("data") or {}).get("columns") if isinstance(raw.get("data"), Mapping) else None
    if isinstance(columns, Mapping) and (task := next((name for name in get_args(Task) if name == task), None)):
        known = ROLES[task] + INSTEAD.get(task, ()) + BESIDE.get(task, ())
        found += [f"data.columns.{role}: the task {task} has the roles {', '.join(known)}" for role in columns if role not in known]
        if columns:
            found += [f"data.columns.{role}: is missing; name the column" for role in roles(task, columns) if role not in columns]
    return found


def parse(raw: object, origin: str, also: tuple[Check, ...] = ()) -> Plan:
    """A checked plan from plain values.

    `origin` names the file in messages; `also` are further checks, such as the method's own settings.
    Raises BadPlan with all problems at once.
    """
    found = problems(raw)
    if isinstance(raw, Mapping):
        found += [problem for check in also for problem in check(raw)]
    if found:
        raise BadPlan([f"{origin}: {problem}" for problem in found])
    return Plan.model_validate(raw)


def read(path: Path, changes: tuple[str, ...] = (), also: tuple[Check, ...] = ()) -> Plan:
    """The plan in a YAML file with `key.path=value` changes applied; a relative data file is taken from the plan's own folder."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadPlan([f"{path}: there is no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlan([f"{path}: cannot be read: {error}"]) from None
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    wrong = [said for change in changes if (said := _apply(raw, change))]
    if wrong:
        raise BadPlan(wrong)
    found = parse(raw, str(path), also)
    source = found.data.source
    if ":" not in source and not Path(source).is_absolute():
        data = found.data.model_copy(update={"source": str((path.parent / source).resolve())})
        found = found.model_copy(update={"data": data})
    return found


def dump(plan: Plan) -> str:
    """The plan as YAML, complete and in the order of its fields."""
    return yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(raw: object, change: str) -> str:
    """Set one `key.path=value` (the value read as YAML) in place; returns what is wrong with it, empty when it was set."""
    path, sign, text = change.partition("=")
    if not sign or not path:
        return f"--set {change}: expected key.path=value, such as method.settings.rank=16"
    *parents, last = path.split(".")
    place = raw
    for name in parents:
        if isinstance(place, dict):
            place = place.setdefault(name, {})
    if not isinstance(place, dict):
        return f"--set {change}: {'.'.join(parents)} holds no keys"
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        return f"--set {change}: {text!r} is not a YAML value"
    return ""


def _place(item: Mapping[str, Any]) -> str:
    """The key a problem belongs to; below method.settings and data.columns a place has exactly three steps."""
    steps = [str(step) for step in item["loc"]]
    return ".".join(steps[:3])


def _sentence(item: Mapping[str, Any]) -> str:
    """What pydantic found, in the house's words."""
    kind, got = item["type"], item.get("input")
    if kind == "extra_forbidden":
        return "is not a key of a plan"
    if kind == "missing":
        return "is missing"
    message = str(item["msg"]).removeprefix("Input ").removeprefix("should be ")
    return f"expected {message}, but got {got!r:.80}"
