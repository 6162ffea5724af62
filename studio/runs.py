"""A run is a folder of plain files: create, list, read, append a point, set the status."""

import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from studio import plan as plans
from studio.errors import BadPlan, NotPossible, RunNotFound
from studio.home import home, write, write_json
from studio.plan import Plan
from studio.words import Words, joined

ID = re.compile(r"[0-9a-f]{32}")
ENDED = ("done", "stopped", "failed")
STATES = ("waiting", "preparing", "training", "evaluating", *ENDED)
# What a run goes on from: a checkpoint, or what a stage that has ended left behind.
STATES_KEPT = ("checkpoints/*/checkpoint-*/watch.json", "stages/*/config.json", "checkpoints/full_precision.json")
# A run whose process has not yet written its number is given this long before it counts as dead.
GRACE_SECONDS = 30.0
# Two looks at a process's time of birth may differ by this much: it is counted from the machine's start, which moves when its clock is set.
BORN_SECONDS = 2.0
KILLED = Words(
    "The training process stopped unexpectedly{memory}; this usually means that the machine ran out of memory or someone ended it.",
    "训练进程突然结束了{memory}，没有留下任何信息；通常是内存用尽，或有人结束了它。",
)
WHILE = Words(" while it used {memory:.1f} GB", "（当时占用 {memory:.1f} GB 内存）")
KILLED_TO_DO = Words(
    "What was measured is kept. Start it again with a smaller batch or shorter texts, or close other programs first.",
    "已记录的数据都在。请减少每步的样本数、缩短文本，或关闭其他程序，再重新开始。",
)
UNREADABLE = Words("The run's status file cannot be read: {file}.", "无法读取这次训练的状态文件：{file}。")
AGAIN = Words("Start it again.", "请重新开始训练。")


@dataclass(frozen=True)
class Status:
    """Where a run stands. `state` is one of STATES; `stage` says which part of the state; a failure carries two sentences, twice over."""

    state: str
    stage: str = ""
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    what: str = ""
    what_to_do: str = ""
    updated: float = 0.0
    what_zh: str = ""
    what_to_do_zh: str = ""

    def fault(self, language: str = "en") -> str:
        """What happened and what to do next, in one language; Chinese falls back to English, as for runs of an earlier studio."""
        if language == "zh" and self.what_zh:
            return joined((self.what_zh, self.what_to_do_zh), "zh")
        return joined((self.what, self.what_to_do), "en")


@dataclass(frozen=True)
class Run:
    """One run's folder."""

    id: str
    folder: Path
    created: float = field(default=0.0, compare=False)

    @property
    def plan(self) -> Plan:
        """The plan it executes; it never changes."""
        return plans.read(self.folder / "plan.yaml")

    @property
    def points(self) -> Path:
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
    write(draft / "plan.yaml", plans.dump(plan))
    write_json(draft / "status.json", asdict(Status("waiting", updated=time.time())))
    (draft / "metrics.jsonl").touch()
    (draft / "worker.log").touch()
    return get(draft.rename(folder() / run.id).name)


def get(run_id: str) -> Run:
    """The run with this id; raises RunNotFound where the id is not one or names no run."""
    path = folder() / run_id
    if not ID.fullmatch(run_id) or not (path / "plan.yaml").is_file():
        raise RunNotFound(
            Words("There is no run “{id}”.", "没有编号为“{id}”的训练。"),
            Words("`studio runs` lists the runs there are.", "用 `studio runs` 可以列出已有的训练。"),
            id=run_id[:40],
        )
    return Run(run_id, path, (path / "plan.yaml").stat().st_mtime)


def find(text: str) -> Run:
    """The run meant by an id, the beginning of one, or `last`; raises RunNotFound where none or several fit."""
    if ID.fullmatch(text):
        return get(text)
    found = all_runs()
    fitting = found[:1] if text == "last" else [run for run in found if len(text) >= 4 and run.id.startswith(text)]
    if len(fitting) != 1:
        raise RunNotFound(
            Words("“{text}” names {count} runs.", "“{text}”对应 {count} 个训练。")
            if fitting
            else Words("No run is called “{text}”.", "没有叫“{text}”的训练。"),
            Words("Give an id from `studio runs`, its first 8 letters, or `last`.", "请用 `studio runs` 里的编号、前 8 位，或 `last`。"),
            text=text[:40],
            count=len(fitting),
        )
    return fitting[0]


def all_runs() -> list[Run]:
    """Every run, the newest first."""
    return sorted(_readable(), key=lambda run: -run.created)


def _readable() -> Iterator[Run]:
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
    going = alive(run)  # asked first: a worker may end well between the two looks
    try:
        raw = json.loads((run.folder / "status.json").read_text(encoding="utf-8"))
        known = {item.name for item in fields(Status)}
        found = Status(**{name: value for name, value in raw.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        found = Status("failed", **told(UNREADABLE.filled(file=run.folder / "status.json"), AGAIN))
    if found.state in ENDED or going or (time.time() - max(found.updated, run.created) < GRACE_SECONDS and not process(run)):
        return found
    memory = last_memory(run)
    said = told(KILLED.filled(memory=WHILE.filled(memory=memory) if memory else ""), KILLED_TO_DO)
    return Status("failed", found.stage, found.step, found.steps, updated=found.updated, **said)


def told(what: Words, to_do: Words) -> dict[str, Any]:
    """The two sentences of a failure as a status holds them, in both languages."""
    return {"what": what.say(), "what_to_do": to_do.say(), "what_zh": what.say("zh"), "what_to_do_zh": to_do.say("zh")}


def set_status(run: Run, state: str, stage: str = "", **values: Any) -> None:
    """Replace the status by a new one."""
    if state not in STATES:
        raise ValueError(f"expected one of {STATES}, but got {state!r}")
    write_json(run.folder / "status.json", asdict(Status(state, stage, updated=time.time(), **values)))


def add_point(run: Run, stage: str, step: int, epoch: float, **measured: float | str) -> None:
    """Append one line of measurements, numbered and timed, in a single write."""
    with run.points.open("ab+") as file:
        file.seek(max(0, file.tell() - 8192))
        last = file.read().splitlines()[-1:]
        seq = json.loads(last[0])["seq"] + 1 if last else 0
        point = {"seq": seq, "time": round(time.time(), 3), "stage": stage, "step": step, "epoch": round(epoch, 4), **measured}
        file.write(json.dumps(point, ensure_ascii=False).encode() + b"\n")


def rewind(run: Run, stage: str, step: int) -> None:
    """Take back what was measured after a step of a stage: the run goes on from there. Nothing is written where nothing is taken back."""
    kept = [point for point in points(run) if point["stage"] != "after" and not (point["stage"] == stage and point["step"] > step)]
    text = "".join(json.dumps(point, ensure_ascii=False) + "\n" for point in kept)
    if text.encode() != run.points.read_bytes():
        write(run.points, text)  # a new file: whoever reads along sees it by its number (inode)


def resumable(run: Run) -> bool:
    """Whether the run was stopped or broke off with a state, or a finished stage, that it can go on from."""
    return status(run).state in ("stopped", "failed") and any(any(run.folder.glob(pattern)) for pattern in STATES_KEPT)


def points(run: Run) -> Iterator[dict[str, Any]]:
    """All measured points; a last line still being written is left out."""
    with run.points.open("rb") as file:
        for line in file:
            if line.endswith(b"\n") and (found := parse_point(line)):
                yield found


def parse_point(line: bytes) -> dict[str, Any]:
    """One line of the points; empty where it is damaged."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def report(run: Run) -> dict[str, Any]:
    """The run's report, empty while there is none."""
    try:
        found = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def usable(run: Run) -> bool:
    """Whether the run has learned something that can be asked and taken home: its report is the last file written."""
    return (run.folder / "report.json").is_file() and run.model.is_dir()


def result(run: Run) -> int:
    """A number that changes whenever the run has learned something new: a run that went on has another result than before."""
    return (run.folder / "report.json").stat().st_mtime_ns if usable(run) else 0


def require_usable(run: Run) -> None:
    """Raise NotPossible, saying where the run stands, unless it has learned something."""
    if not usable(run):
        raise NotPossible(
            Words("The run “{name}” has not learned anything yet ({state}).", "训练“{name}”还没有学到内容（{state}）。"),
            Words("Wait until it has ended, or choose another run.", "请等它结束，或换一次训练。"),
            name=run.plan.name,
            state=status(run).state,
        )


def claim(run: Run, pid: int) -> None:
    """Note which process executes the run: its number and its time of birth, since numbers are used again."""
    write_json(run.folder / "process.json", {"pid": pid, "born": psutil.Process(pid).create_time()})


def alive(run: Run) -> bool:
    """Whether the process that executes the run is still there; a dead child nobody has collected does not count."""
    found = process(run)
    if not found:
        return False
    try:
        there = psutil.Process(int(found["pid"]))
        return abs(there.create_time() - found["born"]) < BORN_SECONDS and there.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def describe(run: Run, language: str = "en") -> str:
    """One line for a list of runs: name, when, short id."""
    when = datetime.fromtimestamp(run.created, UTC).astimezone().strftime("%d %b %H:%M" if language == "en" else "%m-%d %H:%M")
    try:
        name = run.plan.name
    except BadPlan:
        name = "?"
    return f"{name} · {when} · {run.id[:8]}"


def process(run: Run) -> dict[str, float]:
    """The number (pid) and time of birth of the process that executes the run; empty where none has claimed it."""
    try:
        found = json.loads((run.folder / "process.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def last_memory(run: Run) -> float:
    """The most memory (GB) that the run has noted so far; 0 where it has noted none."""
    return max((float(point.get("memory_gb", 0)) for point in points(run)), default=0.0)
