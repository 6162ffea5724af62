"""The plan: a frozen, validated description of one run, to and from YAML."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from studio.errors import BadPlan, Problem
from studio.words import Words

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
# Other columns that stand for the usual ones: whole conversations as lists of messages; single answers with a verdict on each; two
# conversations that differ in their last answer.
INSTEAD: dict[Task, tuple[tuple[str, ...], ...]] = {
    "chat": (("messages",),),
    "prefer": (("prompt", "completion", "verdict"), ("chosen", "rejected")),
}
# What a task may know beside: a text that belongs to the question, what the model is told first; known answers to questions are checked
# against, never trained on.
BESIDE: dict[Task, tuple[str, ...]] = {"chat": ("context", "system"), "prefer": ("context",), "prompts": ("answer",)}
# For every task a column may say what belongs together, such as the number of a conversation: it stays on one side of the split.
GROUP = "group"


def roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles in use for a task with these columns, the needed ones first."""
    given = {role for role, column in columns.items() if column}
    found = next((group for group in (ROLES[task], *INSTEAD.get(task, ())) if set(group) <= given), ROLES[task])
    beside = tuple(role for role in BESIDE.get(task, ()) if role in given and found == ROLES[task])
    return (*found, *beside, *((GROUP,) if GROUP in given else ()))


def every_role(task: Task) -> tuple[str, ...]:
    """All roles that a column can have for a task."""
    instead = (role for group in INSTEAD.get(task, ()) for role in group)
    return tuple(dict.fromkeys((*ROLES[task], *instead, *BESIDE.get(task, ()), GROUP)))


class Part(BaseModel):
    """The manner of every part of a plan: it cannot change, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Part):
    """Where the examples are and which column plays which role."""

    source: str = Field(min_length=1, description="sample:NAME, dataset:ID, or a file (relative to the plan's own folder)")
    columns: dict[str, str] = Field(default_factory=dict, description="role -> column; guessed when left out")
    validation_share: float = Field(0.1, ge=0.02, le=0.5, description="share of the examples kept aside to check on while training")
    test_share: float | None = Field(
        None,
        ge=0,
        le=0.5,
        description="share kept for the final test after training; a tenth from 200 examples on, none below, when left out",
    )
    test: str = Field("", description="a data set of its own for the final test instead, with the same columns (as source)")


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


Check = Callable[[Mapping[str, Any]], list[Problem]]
UNKNOWN_KEY, MISSING = Words("is not a key of a plan", "计划里没有这一项"), Words("is missing", "还没有填")
# What pydantic expected, by its kind, in Chinese.
EXPECTED = {
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "应不小于 {ge}",
    "less_than": "应小于 {lt}",
    "less_than_equal": "应不大于 {le}",
    "literal_error": "应为 {expected} 之一",
    "string_too_short": "不能为空",
    "string_too_long": "不能超过 {max_length} 个字符",
    "value_error": "应能整除 batch_size（每步的样本数）",
    "finite_number": "应为有限的数",
    "string_type": "应为文本",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "应为整数"),
    **dict.fromkeys(("float_type", "float_parsing"), "应为数字"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "应为 true 或 false"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "应为若干“键: 值”"),
}
NO_KEYS = Words("expected keys and values such as `task: chat`, but got {kind}", "应为 `task: chat` 这样的键和值，实际是 {kind}")
NO_ROLE = Words("the task {task} has the roles {known}", "任务 {task} 可用的角色是：{known}")
NO_COLUMN = Words("is missing; name the column", "还没有选列")


def problems(raw: object) -> list[Problem]:
    """Everything wrong with the structure of a plan, one for each key, empty when it is right."""
    if not isinstance(raw, Mapping):
        return [Problem("", NO_KEYS.filled(kind=type(raw).__name__))]
    try:
        Plan.model_validate(raw)
    except ValidationError as error:
        # A value that fits none of several types is told once, under its key: pydantic adds the type to the place.
        places = {_place(item): _sentence(item) for item in reversed(error.errors())}
        found = [Problem(place, said) for place, said in reversed(places.items())]
    else:
        found = []
    task, columns = raw.get("task"), (raw.get("data") or {}).get("columns") if isinstance(raw.get("data"), Mapping) else None
    if isinstance(columns, Mapping) and (task := next((name for name in get_args(Task) if name == task), None)):
        known = every_role(task)
        found += [Problem(f"data.columns.{role}", NO_ROLE.filled(task=task, known=known)) for role in columns if role not in known]
        if columns:
            found += [Problem(f"data.columns.{role}", NO_COLUMN) for role in roles(task, columns) if role not in columns]
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
        raise BadPlan([replace(problem, origin=origin) for problem in found])
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
    files = {name: value for name in ("source", "test") if (value := getattr(found.data, name))}
    moved = {
        name: str((path.parent / value).resolve()) for name, value in files.items() if ":" not in value and not Path(value).is_absolute()
    }
    return found.model_copy(update={"data": found.data.model_copy(update=moved)}) if moved else found


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


def _sentence(item: Mapping[str, Any]) -> Words:
    """What pydantic found, in the house's words."""
    kind, got = item["type"], item.get("input")
    if kind == "extra_forbidden":
        return UNKNOWN_KEY
    if kind == "missing":
        return MISSING
    message = str(item["msg"]).removeprefix("Input ").removeprefix("should be ")
    context = {name: str(value).removesuffix(".0").replace(" or ", "、") for name, value in item.get("ctx", {}).items()}
    expected = EXPECTED[kind].format(**context) if kind in EXPECTED else message
    return Words(f"expected {message}, but got {got!r:.80}", f"{expected}，实际是{'空的' if got is None else f' {got!r:.80}'}")
