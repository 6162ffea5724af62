"""A bake-off on disk: its contenders, how far each has come, and what became of it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from studio import methods, presets, runs
from studio import plan as plans
from studio.errors import BadPlan, NotPossible, RunNotFound
from studio.i18n import Message
from studio.methods.spec import Method, Settings
from studio.plan import Plan, Task
from studio.runs import Run
from studio.storage import home, read_json, write_json

RECORD_FILE, STOP_FILE = "bake-off.json", "stop"
MIN_CONTENDERS, MAX_CONTENDERS = 2, 5
# Contenders are compared when so much of their training is behind them (shares of the plan's validations), by
# how many looks are worth their time.
LOOK_SHARES = {1: (0.5,), 2: (0.3, 0.6), 3: (0.2, 0.4, 0.6)}
# Another turn loads a contender again, which takes about so long (minutes, docs/architecture.md#a-bake-off);
# all such turns together may add this share to the training.
TURN_MINUTES, MAX_TURN_SHARE = 0.2, 0.1
# Its methods have no validation rows of their own, so that their answers compare.
TASKS = ("chat", "complete", "classify")
State = Literal["training", "done", "time_is_up", "stopped"]
# What became of a contender.
Outcome = Literal["in", "dropped", "broke_off", "worse", "second", "winner"]

WRONG_COUNT = Message("A bake-off takes {least} to {most} contenders, and this one has {count}.")
WRONG_COUNT_TO_DO = Message("Name methods or settings to try, such as lora, frozen and full.")
WRONG_TASK = Message("The task “{task}” cannot be compared in a bake-off.")
WRONG_TASK_TO_DO = Message("It takes questions with answers, texts to continue, or texts to classify.")
WRONG_METHOD = Message("{method} cannot be part of a bake-off: it learns from rows that it writes itself.")
WRONG_METHOD_TO_DO = Message("Leave it out, and train it on its own.")
TWINS = Message("“{name}” is in it twice.")
TWINS_TO_DO = Message("Leave one out, or change a setting of it.")
SEVERAL_MACHINES = Message("The contenders name several machines to train at: {machines}.")
SEVERAL_MACHINES_TO_DO = Message("Let all train at one of them, so that their minutes compare.")
NO_TIME = Message("A bake-off takes more than 0 minutes, and this one has {minutes:g}.")
NO_TIME_TO_DO = Message("Give it as many minutes as you can wait.")
OTHER_ROWS = Message("The contenders differ in data, in its split or in the seed: their rows are others.")
OTHER_ROWS_TO_DO = Message("Give all the same data, shares and seed. How much they learn from may differ.")
OTHER_TOKENS = Message(
    "“{first}” and “{second}” are different base models: their losses count different tokens and cannot be "
    "compared."
)
OTHER_TOKENS_TO_DO = Message("Train each on its own and compare their answers in the Playground.")
UNKNOWN = Message("There is no bake-off “{id}”.")
UNKNOWN_TO_DO = Message("`studio bake-off PLAN --try METHOD --try METHOD` starts one.")
DAMAGED = Message("The record of the bake-off “{id}” cannot be read: {file}.")
DAMAGED_TO_DO = Message("Its runs are still there: `studio runs`. Start a new one.")


@dataclass(frozen=True)
class Contender:
    """One of the plans that compete.

    Attributes:
        name: What it is called: its method, and what its plan changes.
        plan: Its plan.
        run_id: Its run; "" before it starts.
        outcome: What became of it.
        share: How much of its training is behind it (0 to 1).
        minutes: How long its workers took in all.
        looks: How many looks it has trained for.
        reason: Why it broke off; None where it did not.
    """

    name: str
    plan: Plan
    run_id: str = ""
    outcome: Outcome = "in"
    share: float = 0.0
    minutes: float = 0.0
    looks: int = 0
    reason: Message | None = None

    @property
    def run(self) -> Run | None:
        """Its run; None before it starts, or where somebody deleted it."""
        try:
            return runs.get(self.run_id) if self.run_id else None
        except RunNotFound:
            return None


@dataclass(frozen=True)
class BakeOff:
    """A bake-off.

    Attributes:
        id: 32 hexadecimal digits.
        contenders: In the order in which they take their turns.
        cap_minutes: How long all of it may take.
        n_looks: How often its contenders are compared.
        state: Where it stands.
    """

    id: str
    contenders: tuple[Contender, ...]
    cap_minutes: float
    n_looks: int = 3
    state: State = "training"
    folder: Path = field(default=Path(), compare=False)

    @property
    def look_shares(self) -> tuple[float, ...]:
        """How much of a training is behind each contender at each look (0 to 1)."""
        return LOOK_SHARES[self.n_looks]

    @property
    def is_local(self) -> bool:
        """Whether its contenders train on this machine, in turns; elsewhere each trains to its end."""
        return self.contenders[0].plan.is_local

    @property
    def where(self) -> str:
        """The machine at which its contenders train, as their plans name it."""
        return self.contenders[0].plan.where

    @property
    def minutes(self) -> float:
        """How long all of it took so far."""
        return sum(contender.minutes for contender in self.contenders)

    @property
    def remaining(self) -> tuple[Contender, ...]:
        """Those that are still in it."""
        return tuple(each for each in self.contenders if each.outcome in ("in", "winner"))

    @property
    def stop_file(self) -> Path:
        """The file whose presence asks it to stop."""
        return self.folder / STOP_FILE

    def with_contender(self, changed: Contender) -> "BakeOff":
        """The same with one contender changed, which is known by its name."""
        contenders = tuple(changed if each.name == changed.name else each for each in self.contenders)
        return replace(self, contenders=contenders)


def folder() -> Path:
    """The folder of all bake-offs."""
    path = home() / "bake-offs"
    path.mkdir(exist_ok=True)
    return path


def create(named_plans: Sequence[tuple[str, Plan]], cap_minutes: float, n_looks: int = 3) -> BakeOff:
    """A new bake-off, written down; nothing trains yet.

    Args:
        named_plans: The contenders, each with its name.
        cap_minutes: How long all of it may take.
        n_looks: How often they are compared, 1 to 3.

    Raises:
        NotPossible: These plans cannot be compared.
    """
    require_comparable(named_plans, cap_minutes)
    bake_off_id = uuid.uuid4().hex
    path = folder() / bake_off_id
    path.mkdir(mode=0o700)
    contenders = tuple(Contender(name, plan) for name, plan in named_plans)
    bake_off = BakeOff(bake_off_id, contenders, cap_minutes, n_looks, folder=path)
    save(bake_off)
    return bake_off


def can_compete(method: Method, settings: Settings, task: Task) -> bool:
    """Whether a method trains for a task in one stage, on rows that it does not write itself."""
    has_one_stage = len(method.list_stages(settings, task)) == 1
    return task in method.tasks and has_one_stage and not method.generate_rows


def require_comparable(named_plans: Sequence[tuple[str, Plan]], cap_minutes: float) -> None:
    """Raise NotPossible where these plans cannot be compared, or have no time.

    Args:
        named_plans: The contenders, each with its name.
        cap_minutes: How long all of it may take.
    """
    if not MIN_CONTENDERS <= len(named_plans) <= MAX_CONTENDERS:
        raise NotPossible(
            WRONG_COUNT.format(least=MIN_CONTENDERS, most=MAX_CONTENDERS, count=len(named_plans)),
            WRONG_COUNT_TO_DO,
        )
    names = [name for name, _ in named_plans]
    for name, plan in named_plans:
        if names.count(name) > 1:
            raise NotPossible(TWINS, TWINS_TO_DO, name=name)
        if plan.task not in TASKS:
            raise NotPossible(WRONG_TASK, WRONG_TASK_TO_DO, task=plan.task)
        method = methods.get(plan.method.name)
        if not can_compete(method, plan.method.settings, plan.task):
            title = presets.methods()[method.name].name
            raise NotPossible(WRONG_METHOD, WRONG_METHOD_TO_DO, method=title)
    _require_same_rows([plan for _, plan in named_plans])
    machines = list(dict.fromkeys(plan.where for _, plan in named_plans))
    if len(machines) > 1:
        raise NotPossible(SEVERAL_MACHINES, SEVERAL_MACHINES_TO_DO, machines=machines)
    if not cap_minutes > 0:
        raise NotPossible(NO_TIME, NO_TIME_TO_DO, minutes=cap_minutes)


def _require_same_rows(plans: Sequence[Plan]) -> None:
    """Raise NotPossible where contenders are not judged on the same rows, or by losses of other tokens."""
    first = plans[0]
    for plan in plans[1:]:
        data = plan.data.model_copy(update={"train_share": first.data.train_share})
        if (data, plan.training.seed) != (first.data, first.training.seed):
            raise NotPossible(OTHER_ROWS, OTHER_ROWS_TO_DO)
        if plan.task != "classify" and plan.model != first.model:
            raise NotPossible(OTHER_TOKENS, OTHER_TOKENS_TO_DO, first=first.model, second=plan.model)


def choose_looks(minutes: Sequence[float | None]) -> int:
    """How many looks are worth their time; the most where that is not known.

    Args:
        minutes: How long each contender's training takes by its estimate; None where nobody knows.
    """
    total = sum(each for each in minutes if each)
    if not total or None in minutes:
        return max(LOOK_SHARES)
    # Beyond the first turn each contender has one for every further look, and the winner goes on once more.
    affordable = [
        n_looks
        for n_looks in LOOK_SHARES
        if TURN_MINUTES * ((n_looks - 1) * len(minutes) + 1) <= MAX_TURN_SHARE * total
    ]
    return max(affordable, default=min(LOOK_SHARES))


def save(bake_off: BakeOff) -> None:
    """Write a bake-off down as it stands."""
    contenders = [
        {
            "name": each.name,
            "plan": each.plan.model_dump(mode="json"),
            "run": each.run_id,
            "outcome": each.outcome,
            "share": each.share,
            "minutes": round(each.minutes, 3),
            "looks": each.looks,
            "reason": each.reason.to_json() if each.reason else None,
        }
        for each in bake_off.contenders
    ]
    record = {
        "cap_minutes": bake_off.cap_minutes,
        "n_looks": bake_off.n_looks,
        "state": bake_off.state,
        "contenders": contenders,
    }
    write_json(bake_off.folder / RECORD_FILE, record)


def get(bake_off_id: str) -> BakeOff:
    """The bake-off with this id.

    Raises:
        NotPossible: There is none, or its record is damaged.
    """
    path = folder() / bake_off_id
    if not runs.RUN_ID.fullmatch(bake_off_id) or not path.is_dir():
        raise NotPossible(UNKNOWN, UNKNOWN_TO_DO, id=bake_off_id[:40])
    raw = read_json(path / RECORD_FILE)
    try:
        contenders = tuple(_read_contender(each) for each in raw["contenders"])
        n_looks = int(raw["n_looks"])
        if n_looks not in LOOK_SHARES:
            raise ValueError(n_looks)
        return BakeOff(bake_off_id, contenders, float(raw["cap_minutes"]), n_looks, raw["state"], path)
    except (KeyError, TypeError, ValueError, AttributeError, BadPlan):
        raise NotPossible(DAMAGED, DAMAGED_TO_DO, id=bake_off_id[:8], file=path / RECORD_FILE) from None


def find(text: str) -> BakeOff:
    """The bake-off meant by an id or the beginning of one (4 letters or more).

    Raises:
        NotPossible: None or several fit, or its record is damaged.
    """
    matches = [path.name for path in folder().iterdir() if len(text) >= 4 and path.name.startswith(text)]
    return get(matches[0] if len(matches) == 1 else text)


def _read_contender(raw: Mapping[str, Any]) -> Contender:
    return Contender(
        name=str(raw["name"]),
        plan=plans.parse(raw["plan"], str(raw["name"])),
        run_id=str(raw["run"]),
        outcome=raw["outcome"],
        share=float(raw["share"]),
        minutes=float(raw["minutes"]),
        looks=int(raw["looks"]),
        reason=Message.from_json(raw["reason"]) if raw["reason"] else None,
    )
