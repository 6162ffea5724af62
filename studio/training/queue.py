"""Which runs train and which wait: their order, what each waits for, and how many train at once."""

import os
import time
from dataclasses import dataclass
from typing import Any

from studio import cgroups, runs
from studio.errors import BadPlan, NotPossible
from studio.estimate import history
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.methods.spec import StopRequested
from studio.runs import Run
from studio.storage import home, read_json, write_json
from studio.training import launcher

POLL_SECONDS = 1.0
# A run with others before it looks less often, up to this: each look reads every run of the home.
MAX_POLL_SECONDS = 10.0
# A run that waits writes why when that changes, and no less often than this.
MAX_SILENT_SECONDS = 30.0
# How many runs may train at once, where a person says so.
MAX_RUNS_VARIABLE, MAX_RUNS_LIMIT = "STUDIO_MAX_RUNS", 64
# Without that one run for so many cores, and one on a GPU: two that share their cores take as long as one
# after the other.
CORES_PER_RUN = 4
# The ids of waiting runs whose place somebody has changed, the first first; the others follow by age.
ORDER_FILE = "queue.json"
# Marks a run that has not had the machine for itself, so that its time teaches the estimator nothing.
SHARED_FILE = "shared"
BEHIND = Message("Number {position} in the queue, behind “{name}”.")
NEEDS_MEMORY = Message(
    "Waits for “{name}”: this run needs up to {need:.1f} GB, and {free:.1f} GB are left beside it."
)
NEEDS_UNKNOWN = Message("Waits for “{name}”: it is not known how much memory both need together.")
NEEDS_TURN = Message("Waits for “{name}”: {limit} {limit:run trains|runs train} at a time on this machine.")
BAD_LIMIT = Message("STUDIO_MAX_RUNS is “{value}”, which is no whole number from 1 to {most}.")
SET_LIMIT = Message("Set it to the number of runs that may train at once, or leave it out.")
NOT_WAITING = Message("“{name}” does not wait: its state is “{state}”.")
NOT_WAITING_HINT = Message("`studio queue` lists the runs that wait.")


@dataclass(frozen=True)
class Queue:
    """The runs that have not ended.

    Attributes:
        active: Those that train, or prepare or evaluate.
        waiting: Those that wait, the next one first.
    """

    active: tuple[Run, ...]
    waiting: tuple[Run, ...]

    def beside(self, run: Run) -> tuple[Run, ...]:
        """The active ones but the run itself, which arrives elsewhere in the state in which it was sent."""
        return tuple(other for other in self.active if other != run)


@dataclass(frozen=True)
class Wait:
    """Why a run waits: in a sentence, and how many runs train or start before it."""

    message: Message
    n_before: int


def raise_if_stopped(run: Run) -> None:
    """Between two parts of a run: raise StopRequested where it was asked to stop."""
    if run.stop_file.exists():
        raise StopRequested


# The version of the status file with which a run has ended: as long as it stays, the run is not read again.
_ended_versions: dict[str, int] = {}


def read() -> Queue:
    """The runs that train on this machine and those that wait for it, in their order."""
    states = {run: state for run in runs.all_runs() if (state := _read_open_state(run))}
    active = tuple(run for run, state in states.items() if state != "waiting")
    order = _read_order()

    def rank(run: Run) -> tuple[Any, ...]:
        return (order.index(run.id) if run.id in order else len(order), run.created, run.id)

    waiting = (run for run, state in states.items() if state == "waiting" and not run.stop_file.exists())
    return Queue(active, tuple(sorted(waiting, key=rank)))


def _read_open_state(run: Run) -> str:
    """The state of a run that has not ended; empty where it has."""
    try:
        version = (run.folder / "status.json").stat().st_mtime_ns
    except OSError:  # deleted in between
        return ""
    if _ended_versions.get(run.id) == version:
        return ""
    state = runs.status(run).state
    if state not in runs.ENDED_STATES:
        return state if _trains_here(run) else ""
    _ended_versions[run.id] = version
    return ""


def _trains_here(run: Run) -> bool:
    """Whether a run needs this machine; one whose plan cannot be read counts as if it did."""
    try:
        return run.plan.is_local
    except BadPlan:
        return True


def _read_order() -> list[str]:
    order = read_json(home() / ORDER_FILE).get("order")
    return [run_id for run_id in order if isinstance(run_id, str)] if isinstance(order, list) else []


def wait_for_turn(run: Run) -> int:
    """Wait until it is the run's turn, or until it is asked to stop.

    Returns:
        How many other runs train beside it.

    Raises:
        NotPossible: STUDIO_MAX_RUNS is no number of runs.
    """
    written, written_at = None, 0.0
    while not run.stop_file.exists():
        queue = read()
        wait = find_wait(run, queue)
        if not wait and _take_turn(run):
            return len(queue.beside(run))
        if wait and (wait != written or time.monotonic() - written_at > MAX_SILENT_SECONDS):
            runs.set_status(run, "waiting", "queue", steps=wait.n_before, message=wait.message)
            written, written_at = wait, time.monotonic()
        _pause(run, min(POLL_SECONDS * wait.n_before, MAX_POLL_SECONDS) if wait else POLL_SECONDS)
    return 0


def _pause(run: Run, seconds: float) -> None:
    """Let some time pass, or less where the run is asked to stop."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at and not run.stop_file.exists():
        time.sleep(min(POLL_SECONDS, seconds))


def _take_turn(run: Run) -> bool:
    """Begin, unless another run has in between: of several that see their turn, one decides at a time."""
    with runs.claiming():
        queue = read()
        if find_wait(run, queue):
            return False
        if others := queue.beside(run):
            for sharing in (*others, run):
                (sharing.folder / SHARED_FILE).touch()
        runs.set_status(run, "preparing", "data")
    return True


def find_wait(run: Run, queue: Queue) -> Wait | None:
    """Why a run must wait; None where it may begin.

    It waits for those before it in the queue, and for those that train where their number or the memory
    leaves no room for one more.

    Raises:
        NotPossible: STUDIO_MAX_RUNS is no number of runs.
    """
    active = queue.beside(run)
    position = queue.waiting.index(run) if run in queue.waiting else 0
    n_before = len(active) + position
    if position:
        name = find_name(queue.waiting[position - 1])
        return Wait(BEHIND.format(position=position + 1, name=name), n_before)
    if not active:
        return None
    message = _find_lack(run, active)
    return Wait(message.format(name=find_name(active[-1])), n_before) if message else None


def _find_lack(run: Run, active: tuple[Run, ...]) -> Message | None:
    """What keeps a run from training beside the active ones."""
    limit = max_runs()
    if len(active) >= limit:
        return NEEDS_TURN.format(limit=limit)
    need, free = _needed_gb(run), _free_gb(active)
    if need is None or free is None:
        return NEEDS_UNKNOWN
    return NEEDS_MEMORY.format(need=round(need, 1), free=round(max(free, 0.0), 1)) if need > free else None


def max_runs() -> int:
    """How many runs may train at once, if memory allows.

    Raises:
        NotPossible: STUDIO_MAX_RUNS is no number of runs.
    """
    text = os.environ.get(MAX_RUNS_VARIABLE, "").strip()
    if not text:
        return 1 if hardware.query_gpu() else max(1, int(cgroups.available_cores() // CORES_PER_RUN))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_RUNS_LIMIT:
        raise NotPossible(BAD_LIMIT, SET_LIMIT, value=text[:20], most=MAX_RUNS_LIMIT)
    return int(text)


def _needed_gb(run: Run) -> float | None:
    """The most memory that a run is estimated to need (GB); None where nothing was estimated."""
    memory = history.load_estimate(run).get("memory_gb")
    high = memory.get("high") if isinstance(memory, dict) else None
    return float(high) if isinstance(high, int | float) else None


def _free_gb(active: tuple[Run, ...]) -> float | None:
    """The memory (GB) that is left once each active run holds all it needs; None where one's is not known."""
    gpu = hardware.query_gpu()
    free_bytes = gpu.free_bytes if gpu else hardware.free_memory() - hardware.RESERVED_BYTES
    free_gb = free_bytes / 1e9
    for run in active:
        need = _needed_gb(run)
        if need is None:
            return None
        held_gb = hardware.held_bytes(run, on_gpu=bool(gpu)) / 1e9
        free_gb -= max(0.0, need - held_gb)
    return free_gb


def find_name(run: Run) -> str:
    """What a run is called; the beginning of its id where its plan cannot be read."""
    try:
        return run.plan.name
    except BadPlan:
        return run.id[:8]


def move_up(run: Run, to_front: bool = False) -> None:
    """Let a waiting run start one place earlier, or before all others.

    Raises:
        NotPossible: It does not wait.
    """
    with runs.claiming():
        order = [waiting.id for waiting in _require_waiting(run).waiting]
        position = order.index(run.id)
        order.insert(0 if to_front else max(0, position - 1), order.pop(position))
        write_json(home() / ORDER_FILE, {"order": order})


def cancel(run: Run) -> None:
    """Take a waiting run out of the queue; it can be started again.

    Raises:
        NotPossible: It does not wait.
    """
    _require_waiting(run)
    launcher.stop(run)


def _require_waiting(run: Run) -> Queue:
    queue = read()
    if run not in queue.waiting:
        state = runs.status(run).state
        raise NotPossible(NOT_WAITING, NOT_WAITING_HINT, name=find_name(run), state=state)
    return queue
