"""The plan: a frozen, validated description of one run, to and from YAML."""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from studio import i18n
from studio.errors import BadPlan, Problem
from studio.i18n import GOT_VALUE, Message, parse_yaml

Task = Literal["chat", "complete", "classify", "prefer", "prompts"]
Value = bool | int | float | str
# Whether general questions are asked before and after training.
RetentionChoice = Literal["auto", "all", "none"]
# What is learned of a text to classify, in transformers' terms (`config.problem_type`).
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

# The columns each task needs; the first role is what the model reads.
REQUIRED_ROLES: dict[Task, tuple[str, ...]] = {
    "chat": ("prompt", "response"),
    "complete": ("text",),
    "classify": ("text", "label"),
    "prefer": ("prompt", "chosen", "rejected"),
    "prompts": ("prompt",),
}
# Other columns that replace the usual ones: conversations as lists of messages; several labels, or a number,
# for each text; single answers with a verdict on each; two conversations that differ in their last answer.
ALTERNATIVE_ROLES: dict[Task, tuple[tuple[str, ...], ...]] = {
    "chat": (("messages",),),
    "classify": (("text", "labels"), ("text", "rating")),
    "prefer": (("prompt", "completion", "verdict"), ("chosen", "rejected")),
}
# Columns a task may have too: a text that belongs to the question, what the model reads first; known answers
# to questions, which are checked against and never trained on.
OPTIONAL_ROLES: dict[Task, tuple[str, ...]] = {
    "chat": ("context", "system"),
    "prefer": ("context",),
    "prompts": ("answer",),
}
# The role of what is learned of a text to classify -> the kind of problem.
PROBLEM_TYPES: dict[str, ProblemType] = {
    "label": "single_label_classification",
    "labels": "multi_label_classification",
    "rating": "regression",
}
# For every task a column may say what belongs together, such as the number of a conversation: it stays on one
# side of the split.
GROUP_ROLE = "group"


def active_roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles in use for a task with these columns (role -> column), the required ones first."""
    assigned = {role for role, column in columns.items() if column}
    required = REQUIRED_ROLES[task]
    for roles in (REQUIRED_ROLES[task], *ALTERNATIVE_ROLES.get(task, ())):
        if set(roles) <= assigned:
            required = roles
            break
    active = list(required)
    if required == REQUIRED_ROLES[task]:
        active += [role for role in OPTIONAL_ROLES.get(task, ()) if role in assigned]
    if GROUP_ROLE in assigned:
        active.append(GROUP_ROLE)
    return tuple(active)


def target_role(columns: Container[str]) -> str:
    """The role of what is learned of a text to classify, among the roles of columns, or of an example."""
    return next((role for role in PROBLEM_TYPES if role in columns), "label")


def all_roles(task: Task) -> tuple[str, ...]:
    """All roles that a column can have for a task, each once."""
    roles = list(REQUIRED_ROLES[task])
    for alternative in ALTERNATIVE_ROLES.get(task, ()):
        roles += alternative
    roles += [*OPTIONAL_ROLES.get(task, ()), GROUP_ROLE]
    return tuple(dict.fromkeys(roles))


def required_column_roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles a task cannot do without, in the form that its columns have now (see ALTERNATIVE_ROLES)."""
    optional = (*OPTIONAL_ROLES.get(task, ()), GROUP_ROLE)
    return tuple(role for role in active_roles(task, columns) if role not in optional)


def optional_column_roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles whose columns may stay empty, in the form that the task's columns have now."""
    if required_column_roles(task, columns) != REQUIRED_ROLES[task]:
        return (GROUP_ROLE,)
    return (*OPTIONAL_ROLES.get(task, ()), GROUP_ROLE)


class StrictModel(BaseModel):
    """The base of every part of a plan: it is frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(StrictModel):
    """Where the examples are and which column plays which role."""

    source: str = Field(
        min_length=1, description="sample:NAME, dataset:ID, or a file (relative to the plan's own folder)"
    )
    columns: dict[str, str] = Field(default_factory=dict, description="role -> column; guessed when left out")
    validation_share: float = Field(
        0.1, ge=0.02, le=0.5, description="share of the examples kept aside to check on while training"
    )
    test_share: float | None = Field(
        None,
        ge=0,
        le=0.5,
        description="share kept for the final test after training; "
        "from 100 examples on a tenth or what makes 20 of them, none below, when left out",
    )
    train_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the training examples that is learned from, for a learning curve; "
        "validation and test stay the same",
    )
    test: str = Field(
        "", description="a data set of its own for the final test instead, with the same columns (as source)"
    )


class MethodChoice(StrictModel):
    """The name of the method, and its settings; a setting left out takes its default."""

    name: str
    settings: dict[str, Value] = Field(default_factory=dict)


# Keys of a plan's training as an earlier studio wrote them.
OLD_TRAINING_KEYS = {
    "accumulate": "gradient_accumulation_steps",
    "recompute": "gradient_checkpointing",
    "schedule": "lr_scheduler_type",
    "warmup_share": "warmup_ratio",
    "evaluations": "eval_count",
    "patience": "early_stopping_patience",
}


class Training(StrictModel):
    """How long, how fast and in what batches the method trains."""

    epochs: float | None = Field(
        None, gt=0, le=100, description="how often every example is seen; by the amount of data when left out"
    )
    batch_size: int | None = Field(
        None, ge=1, le=1024, description="examples per step; by the amount of data when left out"
    )
    gradient_accumulation_steps: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="micro batches a step is computed in, to save memory; by the texts' length when left out",
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="the method's own default when left out"
    )
    max_length: int | None = Field(
        None,
        ge=8,
        le=131072,
        description="tokens per example, longer ones are cut; by the examples' lengths when left out",
    )
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.05, ge=0, le=0.5)
    weight_decay: float = Field(0.0, ge=0, le=1)
    class_weights: Literal["auto", "none", "balanced"] = Field(
        "auto",
        description="whether texts of rare classes count more: auto where classes are unbalanced, balanced "
        "always and fully",
    )
    eval_count: int = Field(10, ge=1, le=200, description="how often the model is validated on the way")
    early_stopping_patience: int = Field(
        3, ge=0, le=200, description="stop after this many validations without progress; 0 = never"
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="keep fewer intermediate results and compute them again; "
        "by the model's size when left out",
    )
    disk_offload: bool = Field(
        False,
        description="leave the weights of the model's blocks on the disk and read each block when it is "
        "needed: for a model larger than the memory, slower; with lora and qlora",
    )
    num_gpus: int = Field(
        1, ge=1, le=64, description="how many GPUs of this machine train together, a batch shared among them"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="the numbers that passes compute in; auto: bfloat16 where the device is faster in it",
    )
    padding_free: bool | None = Field(
        None,
        description="learn the texts of a micro batch behind one another instead of padding them to one "
        "length, with the same losses; where that is faster when left out",
    )
    cuda_graphs: bool = Field(
        False,
        description="record what a CUDA GPU does for a micro batch and replay it as a whole, with the same "
        "losses; on trial, as no GPU has done so yet",
    )
    mask_history: bool = Field(
        False, description="learn the last answer of a conversation alone; the earlier ones are only read"
    )
    replay_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of general questions and answers among what is trained on, for chat data",
    )
    retention: RetentionChoice = Field(
        "auto",
        description="general questions before and after training, which show what was forgotten: auto asks "
        "at most half of them and fewer where training is short, all asks all, none asks none",
    )
    seed: int = Field(42, ge=0, le=2**31 - 1)
    max_minutes: float | None = Field(
        None, gt=0, description="time cap (minutes): the run stops before it and keeps its best state"
    )
    max_money: float | None = Field(
        None, gt=0, description="money cap, in the currency of the machine's price per hour"
    )
    max_watt_hours: float | None = Field(None, gt=0, description="energy cap (watt-hours)")

    @property
    def accumulation_steps(self) -> int:
        """`gradient_accumulation_steps`; 1 where it is not filled in yet."""
        return self.gradient_accumulation_steps or 1

    @property
    def token_limit(self) -> int:
        """`max_length` where every setting is filled in (studio.methods.defaults.fill_training)."""
        assert self.max_length is not None, "the training is not filled in"
        return self.max_length

    @model_validator(mode="before")
    @classmethod
    def _accept_old_keys(cls, values: Any) -> Any:
        """Read the keys that plans of an earlier studio have."""
        if not isinstance(values, Mapping):
            return values
        return {OLD_TRAINING_KEYS.get(name, name): value for name, value in values.items()}

    @model_validator(mode="after")
    def _check_batch_is_divisible(self) -> "Training":
        if self.batch_size and self.batch_size % self.accumulation_steps:
            raise ValueError(f"a number of portions that divides batch_size {self.batch_size}")
        return self


class Plan(StrictModel):
    """All that describes one run: the page edits it, the estimator prices it, the worker executes it."""

    name: str = Field("Untitled", min_length=1, max_length=120)
    task: Task
    model: str = Field(min_length=1, max_length=500, description="a catalogue id, a hub id, or a folder")
    data: Data
    method: MethodChoice
    training: Training = Training()
    where: str = Field(
        "local",
        pattern=r"^[\w.-]{1,80}$",
        description="the id of a machine of machines.yaml that the studio can train on; local is this one",
    )

    @property
    def is_local(self) -> bool:
        """Whether it trains on this machine."""
        return self.where == "local"


def format_learning_rate(rate: float) -> str:
    """A learning rate as people write it: 3.3e-5, 0.001."""
    if not 0 < rate < 1e-3:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


PlanCheck = Callable[[Mapping[str, Any]], list[Problem]]
UNKNOWN_KEY, MISSING_KEY = Message("is not a key of a plan"), Message("is missing")
EXPECTED = Message("expected {expected}, but got {got}")
NO_VALUE = Message("None", context="got")
# Kinds of pydantic's errors that are translated as another one is.
EXPECTED_KINDS = {
    **dict.fromkeys(("int_parsing", "int_from_float"), "int_type"),
    "float_parsing": "float_type",
    "bool_parsing": "bool_type",
    **dict.fromkeys(("model_type", "model_attributes_type"), "dict_type"),
}
NOT_A_MAPPING = Message("expected keys and values such as `task: chat`, but got {kind}")
UNKNOWN_ROLE = Message("the task {task} has the roles {known}")
MISSING_COLUMN = Message("is missing; name the column")
NEEDS_CHECKPOINTING = Message(
    "is false, but disk_offload needs it: each layer is read again on the way back; leave it out"
)
REPLAY_NOT_APPLICABLE = Message("goes with questions and answers (chat) alone; leave it at 0")


def find_problems(raw: object) -> list[Problem]:
    """Everything wrong with the structure of a plan, one problem for each key; empty where it is right."""
    if not isinstance(raw, Mapping):
        return [Problem("", NOT_A_MAPPING.format(kind=type(raw).__name__))]
    return [
        *_find_value_problems(raw),
        *_find_column_problems(raw),
        *_find_replay_problems(raw),
        *_find_disk_offload_problems(raw),
    ]


def _find_value_problems(raw: Mapping[str, Any]) -> list[Problem]:
    try:
        Plan.model_validate(raw)
    except ValidationError as error:
        problems: dict[str, Problem] = {}
        for item in error.errors():
            # Pydantic has an error for each type that a value does not fit: the first of a key counts.
            key = _key_path(item)
            problems.setdefault(key, Problem(key, _describe_error(item)))
        return list(problems.values())
    return []


def _find_column_problems(raw: Mapping[str, Any]) -> list[Problem]:
    """Roles the task does not have, and roles without a column; where no column is named, all are guessed."""
    data = raw.get("data")
    columns = data.get("columns") if isinstance(data, Mapping) else None
    task = next((name for name in get_args(Task) if name == raw.get("task")), None)
    if not isinstance(columns, Mapping) or not columns or task is None:
        return []
    known_roles = all_roles(task)
    unknown = [role for role in columns if role not in known_roles]
    missing = [role for role in active_roles(task, columns) if role not in columns]
    message = UNKNOWN_ROLE.format(task=task, known=known_roles)
    return [
        *(Problem(f"data.columns.{role}", message) for role in unknown),
        *(Problem(f"data.columns.{role}", MISSING_COLUMN) for role in missing),
    ]


def _find_replay_problems(raw: Mapping[str, Any]) -> list[Problem]:
    """General examples are questions with answers, which no other task can learn from."""
    training = raw.get("training")
    has_replay = isinstance(training, Mapping) and training.get("replay_share")
    if has_replay and raw.get("task") != "chat":
        return [Problem("training.replay_share", REPLAY_NOT_APPLICABLE)]
    return []


def _find_disk_offload_problems(raw: Mapping[str, Any]) -> list[Problem]:
    """Without gradient checkpointing the graph would hold the weights of all blocks at once."""
    training = raw.get("training")
    if not isinstance(training, Mapping) or training.get("disk_offload") is not True:
        return []
    if training.get("gradient_checkpointing") is False:
        return [Problem("training.gradient_checkpointing", NEEDS_CHECKPOINTING)]
    return []


def parse(raw: object, origin: str, extra_checks: tuple[PlanCheck, ...] = ()) -> Plan:
    """A checked plan from plain values.

    Args:
        raw: The plan as YAML or JSON holds it.
        origin: The file's name in messages.
        extra_checks: Further checks, such as that of the method's own settings.

    Raises:
        BadPlan: With all problems at once.
    """
    problems = find_problems(raw)
    if isinstance(raw, Mapping):
        for check in extra_checks:
            problems += check(raw)
    if problems:
        raise BadPlan([replace(problem, origin=origin) for problem in problems])
    return Plan.model_validate(raw)


def load(path: Path, changes: tuple[str, ...] = (), extra_checks: tuple[PlanCheck, ...] = ()) -> Plan:
    """The plan in a YAML file; a relative data file is taken from the plan's own folder.

    Args:
        path: The file.
        changes: `key.path=value` changes, the values as YAML.
        extra_checks: As in `parse`.

    Raises:
        BadPlan: With all problems at once.
    """
    raw = _read_yaml(path)
    bad_changes = [problem for change in changes if (problem := _apply_change(raw, change))]
    if bad_changes:
        raise BadPlan(bad_changes)
    plan = parse(raw, str(path), extra_checks)
    resolved = {
        name: str((path.parent / source).resolve())
        for name, source in (("source", plan.data.source), ("test", plan.data.test))
        if _is_relative_file(source)
    }
    return plan.model_copy(update={"data": plan.data.model_copy(update=resolved)})


def _read_yaml(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
        return parse_yaml(text)
    except FileNotFoundError:
        raise BadPlan([f"{path}: there is no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlan([f"{path}: cannot be read: {error}"]) from None
    except RecursionError:
        raise BadPlan([f"{path}: is nested too deeply"]) from None
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None


def _is_relative_file(source: str) -> bool:
    """Whether a data source is a file by a relative path, and not sample:NAME or dataset:ID."""
    return bool(source) and ":" not in source and not Path(source).is_absolute()


def dump(plan: Plan) -> str:
    """The plan as YAML, complete and in the order of its fields."""
    return yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply_change(raw: object, change: str) -> str:
    """Set one `key.path=value` (the value as YAML) in place; returns what is wrong with it, else ""."""
    path, separator, text = change.partition("=")
    if not separator or not path:
        return f"--set {change}: expected key.path=value, such as method.settings.rank=16"
    *parents, last_key = path.split(".")
    node = raw
    for name in parents:
        if isinstance(node, dict):
            node = node.setdefault(name, {})
    if not isinstance(node, dict):
        return f"--set {change}: {'.'.join(parents)} holds no keys"
    try:
        node[last_key] = yaml.safe_load(text)
    except yaml.YAMLError:
        return f"--set {change}: {text!r} is not a YAML value"
    return ""


def _key_path(item: Mapping[str, Any]) -> str:
    """The key a problem belongs to: at most three steps, as in method.settings.NAME."""
    steps = [str(step) for step in item["loc"]]
    return ".".join(steps[:3])


def _describe_error(item: Mapping[str, Any]) -> Message:
    """An error of pydantic as a message."""
    kind, got = item["type"], item.get("input")
    if kind == "extra_forbidden":
        return UNKNOWN_KEY
    if kind == "missing":
        return MISSING_KEY
    return EXPECTED.format(
        expected=_describe_expected(item),
        got=NO_VALUE if got is None else GOT_VALUE.format(value=f"{got!r:.80}"),
    )


def _describe_expected(item: Mapping[str, Any]) -> Message:
    """What pydantic expected: its own words in English, by the kind of error in other languages."""
    kind = EXPECTED_KINDS.get(item["type"], item["type"])
    context = {
        name: str(value).removesuffix(".0").replace(" or ", "、")
        for name, value in item.get("ctx", {}).items()
    }
    translations = {}
    for language in i18n.languages():
        translated = i18n.catalogue(language).get(f"pydantic|{kind}")
        if translated:
            translations[language] = translated.format(**context)
    english = str(item["msg"]).removeprefix("Input ").removeprefix("should be ")
    return Message(english, translations=translations)
