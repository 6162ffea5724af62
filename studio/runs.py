"""A run is a folder of plain files: create, list, read, append a point, set the status."""

import json
import math
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from studio import plan as plans
from studio import processes, run_format
from studio.errors import BadPlan, NotPossible, RunNotFound
from studio.i18n import Message, about, join_sentences
from studio.plan import Plan
from studio.run_format import rename_metrics as rename_metrics
from studio.storage import home, is_seal_intact, read_json, write_json, write_text

RUN_ID = re.compile(r"[0-9a-f]{32}")
ENDED_STATES = ("done", "stopped", "failed")
# Elsewhere a run may wait for a place, or be on its way, for hours; a machine that is silent is told.
UNHURRIED_STAGES = ("send", "install", "machine", "bring_back")
STATES = ("waiting", "preparing", "training", "evaluating", *ENDED_STATES)
# What a run goes on from, not to begin anew: a checkpoint, or what a stage that has ended left behind.
RESUME_PATTERNS = (
    "checkpoints/*/checkpoint-*/watch.json",
    "stages/*/config.json",
    "checkpoints/full_precision.json",
)
# A run whose process has not yet written its id is given this long before it counts as dead.
GRACE_SECONDS = 30.0
# A run whose pace nobody knows yet may stay silent this long before it counts as stalled.
PATIENCE_SECONDS = 1800.0
# Why a run failed or stopped, where something can be done about it.
CAUSES = ("", "memory", "killed", "cap")
# Two readings of the time at which a process started may differ by this much.
START_TIME_TOLERANCE_SECONDS = 0.05
PROCESS_FILE = "process.json"
# Under this key it notes how many processes the system had ended for lack of memory when the run began.
MEMORY_KILLS = "memory_kills"
CLAIM_LOCK_FILE, CLAIM_LOCK_SECONDS = ".runs.lock", 30.0
KILLED = Message(
    "The training process stopped unexpectedly{memory}; this usually means that the machine ran out of "
    "memory or someone ended it."
)
MEMORY_IN_USE = Message(" while it used {memory:.1f} GB")
KILLED_FOR_MEMORY = Message("The system ended the training process because memory ran out{memory}.")
KILLED_HINT = Message(
    "What was measured is kept. Start it again with a smaller batch or shorter texts, or close other "
    "programs first."
)
SEVERAL_MATCHES, NO_MATCH = Message("“{text}” names {count} runs."), Message("No run is called “{text}”.")
GIVE_ID = Message("Give an id from `studio runs`, its first 8 letters, or `last`.")
# What a run elsewhere is known by there, and how far its events were read (studio/launchers/follower.py).
REMOTE_FILE = "remote.json"
NOT_FOLLOWED = Message("Nobody follows this run any more; it may go on at “{machine}”.")
FOLLOW_AGAIN = Message("Resume it: the studio looks there first, and starts nothing twice.")
STATUS_UNREADABLE = Message("The run's status file cannot be read: {file}.")
START_AGAIN = Message("Start it again.")


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        state: One of STATES.
        stage: Which part of the state.
        step, steps: How far the stage is, and how far it goes.
        seconds_left: Until the end of the run; None where nobody knows.
        message, hint: What happened and what to do next, where the run failed or a cap has stopped it.
        updated: When it was written (seconds since 1970).
        beat: When it was written, in seconds of a clock that nobody sets (time.monotonic, the same in all
            processes of a machine); 0 where an earlier studio wrote it.
        patience: How long the run may stay silent from then on before it counts as stalled (seconds).
        cause: One of CAUSES.
    """

    state: str
    stage: str = ""
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    message: Message | None = None
    hint: Message | None = None
    updated: float = 0.0
    beat: float = 0.0
    patience: float = PATIENCE_SECONDS
    cause: str = ""

    def failure_text(self, language: str = "en") -> str:
        """What happened and what to do next, in one language; empty where nothing failed."""
        sentences = (part.render(language) for part in (self.message, self.hint) if part)
        return join_sentences(sentences, language)


@dataclass(frozen=True)
class Run:
    """One run's folder; `created` is when (seconds since 1970)."""

    id: str
    folder: Path
    created: float = field(default=0.0, compare=False)

    @property
    def plan(self) -> Plan:
        """The plan it executes; it never changes."""
        return plans.load(self.folder / "plan.yaml")

    @property
    def metrics_path(self) -> Path:
        """The append-only file of measured points."""
        return self.folder / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The folder of what was learned."""
        return self.folder / "model"

    @property
    def stop_file(self) -> Path:
        """The file whose presence asks the run to stop."""
        return self.folder / "stop"


# Called with each change of a run that this process writes: point, rewind or status, and its values.
Listener = Callable[[str, dict[str, Any]], None]
LISTENERS: list[Listener] = []


def _notify(kind: str, values: dict[str, Any]) -> None:
    for listener in LISTENERS:
        listener(kind, values)


def folder() -> Path:
    """The folder of all runs."""
    path = home() / "runs"
    path.mkdir(exist_ok=True)
    return path


def create(plan: Plan) -> Run:
    """A new run's folder with its plan, waiting."""
    run = Run(uuid.uuid4().hex, folder=Path())
    draft = folder() / f".new-{run.id}"
    draft.mkdir(mode=0o700)
    run_format.write_format(draft)
    write_text(draft / "plan.yaml", plans.dump(plan))
    _write_status(draft, Status("waiting", updated=time.time(), beat=time.monotonic()))
    (draft / "metrics.jsonl").touch()
    (draft / "worker.log").touch()
    return get(draft.rename(folder() / run.id).name)


def get(run_id: str) -> Run:
    """The run with this id; raises RunNotFound where the id is not one or names no run."""
    run_id = str(run_id)  # a browser can send anything
    run = _open(folder() / run_id) if RUN_ID.fullmatch(run_id) else None
    if not run:
        raise RunNotFound(
            Message("There is no run “{id}”."),
            Message("`studio runs` lists the runs there are."),
            id=run_id[:40],
        )
    return run


def _open(path: Path) -> Run | None:
    """The run in a folder; None where it is none, or is being deleted by someone else."""
    try:
        plan_file = (path / "plan.yaml").stat()
    except OSError:
        return None
    return Run(path.name, path, plan_file.st_mtime) if stat.S_ISREG(plan_file.st_mode) else None


def find(text: str) -> Run:
    """The run meant by an id, the beginning of one (4 letters or more), or `last`.

    Raises:
        RunNotFound: None or several fit.
    """
    if RUN_ID.fullmatch(text):
        return get(text)
    matches = all_runs()
    if text == "last":
        matches = matches[:1]
    else:
        matches = [run for run in matches if len(text) >= 4 and run.id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    message = SEVERAL_MATCHES if matches else NO_MATCH
    raise RunNotFound(message, GIVE_ID, text=text[:40], count=len(matches))


def all_runs() -> list[Run]:
    """Every run, the newest first."""
    return sorted(_iter_runs(), key=lambda run: -run.created)


def runs_elsewhere() -> list[Run]:
    """The runs that were started at another machine, found by one file each: page start looks at them all."""
    return list(_iter_runs(having=REMOTE_FILE))


def _iter_runs(having: str = "") -> Iterator[Run]:
    """The runs whose folder has a file of this name; all without one."""
    for path in folder().iterdir():
        is_wanted = RUN_ID.fullmatch(path.name) and (not having or (path / having).exists())
        if is_wanted and (run := _open(path)):
            yield run


def delete(run: Run) -> None:
    """Remove a run and everything in it."""
    shutil.rmtree(run.folder)


def status(run: Run) -> Status:
    """Where the run stands now; a run whose process is gone counts as failed, whatever its file says."""
    # Each before what comes after it: a worker may claim the run in between, or end well.
    is_claimed = (run.folder / PROCESS_FILE).exists()
    is_running = is_alive(run)
    stored = stored_status(run)
    is_starting = not is_claimed and _is_young(run, stored)
    if stored.state in ENDED_STATES or is_running or is_starting:
        return stored
    if lost := not_followed(run):
        return replace(stored, state="failed", seconds_left=None, message=lost, hint=FOLLOW_AGAIN)
    memory_gb = peak_memory_gb(run)
    memory = MEMORY_IN_USE.format(memory=memory_gb) if memory_gb else ""
    is_memory = _was_memory_short(run)
    return replace(
        stored,
        state="failed",
        seconds_left=None,
        message=(KILLED_FOR_MEMORY if is_memory else KILLED).format(memory=memory),
        hint=KILLED_HINT,
        cause="memory" if is_memory else "killed",
    )


def not_followed(run: Run) -> Message | None:
    """What is said of a run elsewhere whose follower is gone; None for a run of this machine."""
    machine = read_json(run.folder / REMOTE_FILE).get("machine")
    return NOT_FOLLOWED.format(machine=machine) if machine else None


def may_go_on_elsewhere(run: Run) -> bool:
    """Whether another machine has a job of the run, or may have, and its result is not here yet."""
    record = read_json(run.folder / REMOTE_FILE)
    return bool(record.get("job") or record.get("asked"))


def _was_memory_short(run: Run) -> bool:
    """Whether the system has ended a process for lack of memory since the run's own process began."""
    kills_before = read_json(run.folder / PROCESS_FILE).get(MEMORY_KILLS)
    kills_now = processes.count_memory_kills()
    return type(kills_before) is int and kills_now is not None and kills_now > kills_before


def stalled_since(run: Run, status: Status) -> float | None:
    """When a run gave its last sign of life (seconds since 1970), where it stands still; else None.

    It does where its process is suspended, or has been silent for longer than its own pace explains.
    """
    worker = worker_process(run) if status.state not in ENDED_STATES and status.beat else None
    if not worker:
        return None
    silent_seconds = time.monotonic() - status.beat
    is_late = silent_seconds > status.patience and status.stage not in UNHURRIED_STAGES
    is_stalled = is_late or _is_suspended(worker)
    return time.time() - silent_seconds if is_stalled else None


def _is_suspended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def stored_status(run: Run) -> Status:
    """What the run's status file says, whether or not its process is still there."""
    path = run.folder / "status.json"
    try:
        return parse_status(read_json(path))
    except (TypeError, AttributeError, KeyError, ValueError):
        return Status("failed", message=STATUS_UNREADABLE.format(file=path), hint=START_AGAIN)


def parse_status(raw: Mapping[str, Any]) -> Status:
    """The status in these values, as a file has them; raises an error of Python where they are none."""
    raw = run_format.upgrade_status(raw)
    status = Status(**{item.name: raw[item.name] for item in fields(Status) if item.name in raw})
    _check_status(status)
    return status


def _check_status(status: Status) -> None:
    """Raise ValueError where a status that was read holds what no studio writes."""
    progress_numbers = (
        status.step,
        status.steps,
        status.updated,
        status.seconds_left or 0.0,
        status.beat,
        status.patience,
    )
    texts = (status.state, status.stage, status.cause)
    messages = (status.message, status.hint)
    is_valid = (
        all(isinstance(text, str) for text in texts)
        and status.state in STATES
        and all(isinstance(number, int | float) and math.isfinite(number) for number in progress_numbers)
        and all(message is None or isinstance(message, Message) for message in messages)
    )
    if not is_valid:
        raise ValueError


def _is_young(run: Run, stored: Status) -> bool:
    """Whether a run that no process has claimed may still be about to be."""
    return abs(time.time() - max(stored.updated, run.created)) < GRACE_SECONDS


def set_status(run: Run, state: str, stage: str = "", **values: Any) -> None:
    """Replace the status by a new one."""
    if state not in STATES:
        raise ValueError(f"expected one of {STATES}, but got {state!r}")
    status = Status(state, stage, updated=time.time(), beat=time.monotonic(), **values)
    _notify("status", _write_status(run.folder, status))


def _write_status(folder: Path, status: Status) -> dict[str, Any]:
    """Write a status; returns it as it stands in the file."""
    values: dict[str, Any] = {}
    for item in fields(Status):
        value = getattr(status, item.name)
        if isinstance(value, Message):
            values[item.name] = value.to_json()
        elif item.name not in ("message", "hint"):
            values[item.name] = value
    write_json(folder / "status.json", values)
    return values


def add_point(run: Run, stage: str, step: int, epoch: float, **metrics: float | str) -> None:
    """Append one line of measurements, numbered and timed, in a single write."""
    point = {
        "seq": _last_seq(run) + 1,
        "time": round(time.time(), 3),
        "stage": stage,
        "step": step,
        "epoch": round(epoch, 4),
        **metrics,
    }
    _append_point(run, point)
    _notify("point", point)


def copy_point(run: Run, point: dict[str, Any]) -> None:
    """Append a point that the run's worker has numbered and timed elsewhere; one that is here is left out."""
    if point.get("seq", -1) > _last_seq(run):
        _append_point(run, point)


def _append_point(run: Run, point: dict[str, Any]) -> None:
    with run.metrics_path.open("ab") as file:
        file.write(json.dumps(point, ensure_ascii=False).encode() + b"\n")


def _last_seq(run: Run) -> int:
    """The number of the run's last point; -1 where it has none."""
    with run.metrics_path.open("rb") as file:
        file.seek(max(0, run.metrics_path.stat().st_size - 8192))
        last = file.read().splitlines()[-1:]
    return int(json.loads(last[0])["seq"]) if last else -1


def rewind(run: Run, stage: str, step: int) -> None:
    """Take back what was measured after a step of a stage, for a run that goes on from there.

    Nothing is written where nothing is taken back.
    """
    remaining = []
    for point in read_points(run):
        is_later = point["stage"] == stage and point["step"] > step
        if point["stage"] != "after" and not is_later:
            remaining.append(point)
    text = "".join(json.dumps(point, ensure_ascii=False) + "\n" for point in remaining)
    if text.encode() != run.metrics_path.read_bytes():
        write_text(run.metrics_path, text)  # a new file: who reads along sees it by its inode
        _notify("rewind", {"stage": stage, "step": step})


def is_resumable(run: Run) -> bool:
    """Whether the run was stopped or broke off: it goes on from what it has kept, else from the beginning."""
    return status(run).state in ("stopped", "failed")


def has_saved_state(run: Run) -> bool:
    """Whether a run has a checkpoint or a finished stage to go on from, and need not begin anew."""
    return any(any(run.folder.glob(pattern)) for pattern in RESUME_PATTERNS)


def read_points(run: Run) -> Iterator[dict[str, Any]]:
    """All measured points; a last line still being written is left out, as are lines that are damaged."""
    try:
        file = run.metrics_path.open("rb")
    except OSError:
        return
    with file:
        for line in file:
            if line.endswith(b"\n") and (point := parse_point(line)):
                yield point


def parse_points(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """The points of these lines without those that are damaged; all at once, which is quicker for many."""
    try:
        values = json.loads(b"[%s]" % b",".join(lines))
    except (ValueError, RecursionError):
        values = []
    points = map(_check_point, values) if len(values) == len(lines) else map(parse_point, lines)
    return [point for point in points if point]


def parse_point(line: bytes) -> dict[str, Any]:
    """One line of the points; empty where it is damaged."""
    try:
        return _check_point(json.loads(line))
    except (ValueError, RecursionError):
        return {}


def _check_point(point: Any) -> dict[str, Any]:
    """A point under the present names of its metrics; empty where it is none."""
    is_point = isinstance(point, dict) and type(point.get("step")) is int and type(point.get("stage")) is str
    return rename_metrics(point) if is_point else {}


def report(run: Run) -> dict[str, Any]:
    """The run's report, empty while there is none."""
    return run_format.upgrade_report(read_json(run.folder / "report.json"))


def is_report_intact(run: Run) -> bool:
    """Whether the run's report is as its worker wrote it; nobody knows of one from an earlier studio."""
    return is_seal_intact(run.folder / "report.json")


def complete_report(run: Run) -> dict[str, Any]:
    """The run's report, which has all that is said of a run without asking whether it is there.

    Raises:
        NotPossible: The run has no result, or its report lacks something.
    """
    require_usable(run)
    stored_report = report(run)
    if missing := run_format.find_missing(stored_report):
        raise NotPossible(
            Message("The report of the run “{name}” is damaged: report.json lacks {missing}."),
            Message("Copy the run's folder here again if you have it elsewhere, or train again."),
            name=run.plan.name,
            missing=", ".join(missing),
        )
    return stored_report


def start_scores(report: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that a result is compared with; empty where a report has none.

    Those of the base; of a classifier those of the linear fit, as the head of the base is random, unless an
    earlier training taught it.
    """
    method = report.get("method")
    has_own_head = isinstance(method, dict) and bool(method.get("own_head"))
    scores = (None if has_own_head else report.get("linear_baseline")) or report.get("before")
    return scores if isinstance(scores, dict) else {}


def is_usable(run: Run) -> bool:
    """Whether the run has a result to ask and to export: its report is the last file written."""
    return (run.folder / "report.json").is_file() and run.model.is_dir()


def result_version(run: Run) -> int:
    """A number that changes when the run has a new result, as one that went on has; 0 without a result."""
    return (run.folder / "report.json").stat().st_mtime_ns if is_usable(run) else 0


def require_usable(run: Run) -> None:
    """Raise NotPossible, saying where the run stands, unless it has learned something."""
    if not is_usable(run):
        raise NotPossible(
            Message("The run “{name}” has not learned anything yet ({state})."),
            Message("Wait until it has ended, or choose another run."),
            name=run.plan.name,
            state=status(run).state,
        )


def claiming() -> FileLock:
    """A lock on the decision who executes a run: of several processes that want to, one decides at a time."""
    return FileLock(home() / CLAIM_LOCK_FILE, timeout=CLAIM_LOCK_SECONDS)


def claim(run: Run, pid: int) -> None:
    """Note which process executes the run: its id and when it started, since ids are used again."""
    process = psutil.Process(pid)
    claimed_by = {"pid": pid, "started": _started_at(process), MEMORY_KILLS: processes.count_memory_kills()}
    write_json(run.folder / PROCESS_FILE, claimed_by)


def worker_process(run: Run) -> psutil.Process | None:
    """The process that executes the run; None where it is gone, or a zombie."""
    info = read_json(run.folder / PROCESS_FILE)
    pid, started = info.get("pid"), info.get("started")
    if type(pid) is not int or pid <= 0 or not isinstance(started, int | float):
        return None
    try:
        process = psutil.Process(pid)
        is_same = abs(_started_at(process) - started) < START_TIME_TOLERANCE_SECONDS
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, OverflowError):
        return None


def is_alive(run: Run) -> bool:
    """Whether the process that executes the run is still there."""
    return worker_process(run) is not None


def _started_at(process: psutil.Process) -> float:
    """When a process started (seconds), in a count that does not move when the machine's clock is set.

    Linux counts from the start of the machine, and psutil adds when that was by the clock: the first process
    has the same added, so the difference is free of it. Other systems keep the time itself.
    """
    if not psutil.LINUX:
        return float(process.create_time())
    return float(process.create_time() - psutil.Process(1).create_time())


def describe(run: Run, language: str = "en") -> str:
    """One line for a list of runs: name, when, short id."""
    date_format = str(about(language).get("date_format", "%d %b %H:%M"))
    created_at = datetime.fromtimestamp(run.created, UTC).astimezone().strftime(date_format)
    try:
        name = run.plan.name
    except BadPlan:
        name = "?"
    return f"{name} · {created_at} · {run.id[:8]}"


def peak_memory_gb(run: Run) -> float:
    """The most memory (GB) that the run has noted so far; 0 where it has noted none."""
    try:
        file_stat = run.metrics_path.stat()
    except OSError:
        return 0.0
    return _peak_memory_gb(run, (file_stat.st_ino, file_stat.st_size))


@lru_cache(maxsize=64)
def _peak_memory_gb(run: Run, version: tuple[int, int]) -> float:
    """Cached for each state of the file, as every look at a run that was killed asks for it."""
    noted = (point.get("memory_gb", 0) for point in read_points(run))
    return max((float(value) for value in noted if isinstance(value, int | float)), default=0.0)
