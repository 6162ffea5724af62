"""A run is a folder of plain files: create, list, read, append a point, set the status."""

import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from studio import plan as plans
from studio.errors import BadPlan, NotPossible, RunNotFound
from studio.i18n import Message, about, join_sentences
from studio.plan import Plan
from studio.storage import home, write_json, write_text

RUN_ID = re.compile(r"[0-9a-f]{32}")
ENDED_STATES = ("done", "stopped", "failed")
STATES = ("waiting", "preparing", "training", "evaluating", *ENDED_STATES)
# What a run goes on from: a checkpoint, or what a stage that has ended left behind.
RESUME_PATTERNS = (
    "checkpoints/*/checkpoint-*/watch.json",
    "stages/*/config.json",
    "checkpoints/full_precision.json",
)
# Metrics that earlier versions wrote into points and reports under another name -> the present name.
RENAMED_METRICS = {
    f"{split}{old_name}": f"{split}{name}"
    for split in ("", "eval_", "test_")
    for old_name, name in {
        "right": "answer_accuracy",
        "asked": "n_questions",
        "cut_share": "clipped_ratio",
        "no_signal": "zero_std_share",
        "answer_length": "completion_length",
    }.items()
}
# A run whose process has not yet written its number is given this long before it counts as dead.
GRACE_SECONDS = 30.0
# Two looks at a process's time of birth may differ by this much: it is counted from the machine's start, which moves when its clock is set.
START_TIME_TOLERANCE_SECONDS = 2.0
KILLED = Message(
    "The training process stopped unexpectedly{memory}; this usually means that the machine ran out of "
    "memory or someone ended it."
)
MEMORY_IN_USE = Message(" while it used {memory:.1f} GB")
KILLED_HINT = Message(
    "What was measured is kept. Start it again with a smaller batch or shorter texts, or close other "
    "programs first."
)
STATUS_UNREADABLE = Message("The run's status file cannot be read: {file}.")
START_AGAIN = Message("Start it again.")


@dataclass(frozen=True)
class Status:
    """Where a run stands. `state` is one of STATES; `stage` says which part of the state; a failure "
    "carries two sentences, twice over."""

    state: str
    stage: str = ""
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    message: Message | None = None
    hint: Message | None = None
    updated: float = 0.0

    def failure_text(self, language: str = "en") -> str:
        """What happened and what to do next, in one language; empty where nothing failed."""
        sentences = (part.render(language) for part in (self.message, self.hint) if part)
        return join_sentences(sentences, language)


@dataclass(frozen=True)
class Run:
    """One run's folder."""

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
    write_text(draft / "plan.yaml", plans.dump(plan))
    _write_status(draft, Status("waiting", updated=time.time()))
    (draft / "metrics.jsonl").touch()
    (draft / "worker.log").touch()
    return get(draft.rename(folder() / run.id).name)


def get(run_id: str) -> Run:
    """The run with this id; raises RunNotFound where the id is not one or names no run."""
    path = folder() / run_id
    if not RUN_ID.fullmatch(run_id) or not (path / "plan.yaml").is_file():
        raise RunNotFound(
            Message("There is no run “{id}”."),
            Message("`studio runs` lists the runs there are."),
            id=run_id[:40],
        )
    return Run(run_id, path, (path / "plan.yaml").stat().st_mtime)


def find(text: str) -> Run:
    """The run meant by an id, the beginning of one, or `last`; raises RunNotFound where none or several "
    "fit."""
    if RUN_ID.fullmatch(text):
        return get(text)
    candidates = all_runs()
    matches = (
        candidates[:1]
        if text == "last"
        else [run for run in candidates if len(text) >= 4 and run.id.startswith(text)]
    )
    if len(matches) != 1:
        raise RunNotFound(
            Message("“{text}” names {count} runs.") if matches else Message("No run is called “{text}”."),
            Message("Give an id from `studio runs`, its first 8 letters, or `last`."),
            text=text[:40],
            count=len(matches),
        )
    return matches[0]


def all_runs() -> list[Run]:
    """Every run, the newest first."""
    return sorted(_iter_runs(), key=lambda run: -run.created)


def _iter_runs() -> Iterator[Run]:
    """Each folder that is a run; one that is being deleted by someone else is none."""
    for path in folder().iterdir():
        try:
            yield get(path.name)
        except (RunNotFound, OSError):
            continue


def delete(run: Run) -> None:
    """Remove a run and everything in it."""
    shutil.rmtree(run.folder)


def status(run: Run) -> Status:
    """Where the run stands now; a run whose process is gone counts as failed, whatever it last said."""
    is_running = is_alive(run)  # asked first: a worker may end well between the two looks
    try:
        raw = json.loads((run.folder / "status.json").read_text(encoding="utf-8"))
        current = _parse_status(raw)
    except (OSError, ValueError, TypeError, AttributeError):
        current = Status(
            "failed", message=STATUS_UNREADABLE.format(file=run.folder / "status.json"), hint=START_AGAIN
        )
    if (
        current.state in ENDED_STATES
        or is_running
        or (time.time() - max(current.updated, run.created) < GRACE_SECONDS and not process_info(run))
    ):
        return current
    memory_gb = peak_memory_gb(run)
    message = KILLED.format(memory=MEMORY_IN_USE.format(memory=memory_gb) if memory_gb else "")
    progress = (current.stage, current.step, current.steps)
    return Status("failed", *progress, message=message, hint=KILLED_HINT, updated=current.updated)


def _parse_status(raw: dict[str, Any]) -> Status:
    """A status from its file; runs of format 1 hold both sentences of a failure as texts (`what`, "
    "`what_to_do`, and `…_zh`)."""
    values = {item.name: raw[item.name] for item in fields(Status) if item.name in raw}
    for name, old_name in (("message", "what"), ("hint", "what_to_do")):
        if raw.get(name):
            values[name] = Message.from_json(raw[name])
        elif raw.get(old_name):
            values[name] = Message.from_card({"en": raw[old_name], "zh": raw.get(f"{old_name}_zh", "")})
    return Status(**values)


def set_status(run: Run, state: str, stage: str = "", **values: Any) -> None:
    """Replace the status by a new one."""
    if state not in STATES:
        raise ValueError(f"expected one of {STATES}, but got {state!r}")
    _write_status(run.folder, Status(state, stage, updated=time.time(), **values))


def _write_status(folder: Path, status: Status) -> None:
    sentences = {name: text.to_json() for name in ("message", "hint") if (text := getattr(status, name))}
    numbers = {
        item.name: getattr(status, item.name)
        for item in fields(Status)
        if item.name not in ("message", "hint")
    }
    write_json(folder / "status.json", {**numbers, **sentences})


def add_point(run: Run, stage: str, step: int, epoch: float, **metrics: float | str) -> None:
    """Append one line of measurements, numbered and timed, in a single write."""
    with run.metrics_path.open("ab+") as file:
        file.seek(max(0, file.tell() - 8192))
        last = file.read().splitlines()[-1:]
        seq = json.loads(last[0])["seq"] + 1 if last else 0
        point = {
            "seq": seq,
            "time": round(time.time(), 3),
            "stage": stage,
            "step": step,
            "epoch": round(epoch, 4),
            **metrics,
        }
        file.write(json.dumps(point, ensure_ascii=False).encode() + b"\n")


def rewind(run: Run, stage: str, step: int) -> None:
    """Take back what was measured after a step of a stage: the run goes on from there. Nothing is written "
    "where nothing is taken back."""
    remaining = [
        point
        for point in read_points(run)
        if point["stage"] != "after" and not (point["stage"] == stage and point["step"] > step)
    ]
    text = "".join(json.dumps(point, ensure_ascii=False) + "\n" for point in remaining)
    if text.encode() != run.metrics_path.read_bytes():
        write_text(run.metrics_path, text)  # a new file: whoever reads along sees it by its number (inode)


def is_resumable(run: Run) -> bool:
    """Whether the run was stopped or broke off with a state, or a finished stage, that it can go on from."""
    return status(run).state in ("stopped", "failed") and any(
        any(run.folder.glob(pattern)) for pattern in RESUME_PATTERNS
    )


def read_points(run: Run) -> Iterator[dict[str, Any]]:
    """All measured points; a last line still being written is left out."""
    with run.metrics_path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n") and (point := parse_point(line)):
                yield point


def parse_point(line: bytes) -> dict[str, Any]:
    """One line of the points; empty where it is damaged."""
    try:
        point = json.loads(line)
    except ValueError:
        return {}
    return rename_metrics(point) if isinstance(point, dict) else {}


def report(run: Run) -> dict[str, Any]:
    """The run's report, empty while there is none."""
    try:
        content = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return _rename_report_metrics(content) if isinstance(content, dict) else {}


def rename_metrics(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores or a point under the present names of the metrics, whichever version of the studio wrote them."""
    return {RENAMED_METRICS.get(name, name): value for name, value in scores.items()}


def _rename_report_metrics(report: dict[str, Any]) -> dict[str, Any]:
    """A report with its scores under their present names: those of the run, and those of the answers that RLHF scored."""
    method = report.get("method")
    rl = method.get("rl") if isinstance(method, dict) else None
    for section in (report, rl):
        for name in ("before", "after"):
            if isinstance(section, dict) and isinstance(section.get(name), dict):
                section[name] = rename_metrics(section[name])
    return report


def is_usable(run: Run) -> bool:
    """Whether the run has learned something that can be asked and taken home: its report is the last file "
    "written."""
    return (run.folder / "report.json").is_file() and run.model.is_dir()


def result_version(run: Run) -> int:
    """A number that changes whenever the run has learned something new: a run that went on has another "
    "result than before."""
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


def claim(run: Run, pid: int) -> None:
    """Note which process executes the run: its number and its time of birth, since numbers are used again."""
    write_json(run.folder / "process.json", {"pid": pid, "born": psutil.Process(pid).create_time()})


def is_alive(run: Run) -> bool:
    """Whether the process that executes the run is still there; a dead child nobody has collected does not "
    "count."""
    info = process_info(run)
    if not info:
        return False
    try:
        candidate = psutil.Process(int(info["pid"]))
        return (
            abs(candidate.create_time() - info["born"]) < START_TIME_TOLERANCE_SECONDS
            and candidate.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


def describe(run: Run, language: str = "en") -> str:
    """One line for a list of runs: name, when, short id."""
    created_at = (
        datetime.fromtimestamp(run.created, UTC)
        .astimezone()
        .strftime(str(about(language).get("date_format", "%d %b %H:%M")))
    )
    try:
        name = run.plan.name
    except BadPlan:
        name = "?"
    return f"{name} · {created_at} · {run.id[:8]}"


def process_info(run: Run) -> dict[str, float]:
    """The number (pid) and time of birth of the process that executes the run; empty where none has "
    "claimed it."""
    try:
        content = json.loads((run.folder / "process.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def peak_memory_gb(run: Run) -> float:
    """The most memory (GB) that the run has noted so far; 0 where it has noted none."""
    return max((float(point.get("memory_gb", 0)) for point in read_points(run)), default=0.0)
