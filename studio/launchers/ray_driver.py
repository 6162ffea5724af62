"""The driver of a run at a Ray cluster: it starts a rank for each GPU and prints the first one's events.

A rank that is lost is started anew with all others, and they go on from the last checkpoint: Ray Train does
the first, the worker the second. The run's folder must be the same for the driver and for all ranks.
"""

import json
import os
import shutil
import threading
import time
import traceback
import zipfile
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio import runs
from studio.errors import NotPossible, StudioError, explain, is_known
from studio.i18n import Message
from studio.models import ranks
from studio.runs import Run
from studio.training import checkpoints, events, file_list

# The last line that a driver prints.
END = '{"studio": "end"}'
EVENTS_FILE = "events.jsonl"
# What is too large for a package of Ray's arrives under this name in the run's folder.
ARCHIVE_FILE = "sent.zip"
# The first rank has started, and has ended for good.
STARTED_FILE, ENDED_FILE = ".started", ".ended"
# The driver's own events, before the first rank's, are numbered up to here.
N_DRIVER_EVENTS = 100
# A training that loses its ranks more often than this is given up.
MAX_LOSSES = 5
POLL_SECONDS, BEAT_SECONDS, WAIT_SECONDS, GRACE_SECONDS = 0.2, 2.0, 5.0, 10.0
NEEDED_LIBRARIES = ("accelerate", "peft", "torch", "transformers", "trl")
NO_FOLDER = "the run's folder is not here"
NOT_SHARED = Message("Not every node of the cluster has the folder {folder}.")
NAME_STORAGE = Message("Name a folder that all nodes share in machines.yaml (storage: /shared/studio).")
LIBRARIES_MISSING = Message("The cluster's Python lacks what the studio needs: {names}.")
INSTALL_THERE = Message("Install it on each of its nodes: python -m pip install {names}")
GIVEN_UP = Message(
    "The training broke off {count} times: its processes were ended, ran out of memory, or met this: {why}"
)
RESUME = Message("Resume it: it goes on from its last checkpoint.")
BEGINS_AGAIN = Message("A process of the training was lost. It goes on from the last checkpoint.")
WAITS_FOR_GPUS = Message("Waits for {needed} free GPUs of the cluster: {free} of {total} are free.")
WAITS_FOR_CORES = Message("Waits for {needed} free cores of the cluster: {free} of {total} are free.")


@dataclass(frozen=True)
class Arguments:
    """What a driver is told.

    Attributes:
        run: The run's id.
        first_seq: The number of the first event.
        n_ranks: How many GPUs, or cores, train together.
        on_gpu: Whether they are GPUs.
        folder: The folder on the cluster in which the run lies.
    """

    run: str
    first_seq: int
    n_ranks: int
    on_gpu: bool
    folder: str

    def to_json(self) -> str:
        """The arguments as text."""
        return json.dumps(asdict(self))

    @property
    def home(self) -> Path:
        """The home of the studio there, which holds this run alone: Ray decides how many train at once."""
        return Path(self.folder).expanduser() / "home"


def link_name(run_id: str) -> str:
    """What the run is called beside Ray's logs."""
    return f"studio-{run_id}"


def main(arguments: Arguments) -> int:
    """Train, and print what happens; returns the exit code."""
    folder = arguments.home / "runs" / arguments.run
    _unpack(folder)
    os.environ["STUDIO_HOME"] = str(arguments.home)
    run = runs.get(arguments.run)
    for name in (STARTED_FILE, ENDED_FILE, ranks.FAILURE_FILE, EVENTS_FILE, file_list.LIST_FILE):
        (folder / name).unlink(missing_ok=True)
    has_ended = threading.Event()
    with (folder / EVENTS_FILE).open("a", encoding="utf-8") as stream:
        printer = threading.Thread(target=_print_events, args=(folder / EVENTS_FILE, has_ended), daemon=True)
        printer.start()
        events.print_events(run, arguments.first_seq, stream)
        runs.set_status(run, "preparing", "machine")
        try:
            _require_libraries()
            _train(run, arguments)
        except Exception as error:
            traceback.print_exception(error)
            _record_failure(run, arguments, error)
    has_ended.set()
    printer.join()
    # Ray's threads may wait for ranks that wait for the first one; the cluster ends what belongs to this.
    os._exit(0)


def _unpack(folder: Path) -> None:
    """Move the run from Ray's package, of which each node keeps a copy, or from its own to where it trains.

    What an earlier job has left there counts where it has come further than what was sent.
    """
    sent, archive = Path("run").resolve(), folder.parents[2] / ARCHIVE_FILE
    if archive.is_file():
        sent = archive.with_name("run")
        shutil.rmtree(sent, ignore_errors=True)
        with zipfile.ZipFile(archive) as file:
            file.extractall(archive.parent)
        archive.unlink()
    if _progress(folder) > _progress(sent):
        shutil.copyfile(sent / "plan.yaml", folder / "plan.yaml")
        (folder / "stop").unlink(missing_ok=True)
        shutil.rmtree(sent)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.move(sent, folder)
    (folder / "metrics.jsonl").touch()
    if (prices := sent.with_name("machines.yaml")).is_file():
        shutil.move(prices, folder.parent.parent / "machines.yaml")


def _progress(folder: Path) -> tuple[int, int]:
    """From where a run would go on: how many stages have ended, and the last steps that can be read."""
    _, *ends_of_stages = runs.RESUME_PATTERNS
    n_ended = sum(1 for pattern in ends_of_stages for _ in folder.glob(pattern))
    newest = (checkpoints.choose(stage) for stage in (folder / "checkpoints").glob("*/"))
    return n_ended, sum(checkpoints.read_step(path) for path in newest if path)


def _require_libraries() -> None:
    from importlib.util import find_spec  # noqa: PLC0415 - only here

    missing = [name for name in NEEDED_LIBRARIES if not find_spec(name)]
    if missing:
        raise NotPossible(LIBRARIES_MISSING, INSTALL_THERE, names=" ".join(missing))


def _train(run: Run, arguments: Arguments) -> None:
    """Train on all ranks, beginning again from the last checkpoint as often as one is lost."""
    import ray  # noqa: PLC0415 - the cluster's, not this machine's
    import ray.train.torch  # noqa: PLC0415 - before there are threads: it loads torch

    cluster = ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    link = Path(cluster.address_info["session_dir"]) / "logs" / link_name(run.id)
    link.unlink(missing_ok=True)
    link.symlink_to(run.folder)
    errors: list[Exception] = []
    fitting = threading.Thread(target=_fit, args=(arguments, errors), daemon=True)
    fitting.start()
    if _wait_for_ranks(run, arguments, fitting):
        while fitting.is_alive() and not (run.folder / ENDED_FILE).exists():
            time.sleep(POLL_SECONDS)
        fitting.join(GRACE_SECONDS)
    if errors:
        raise errors[0]


def _fit(arguments: Arguments, errors: list[Exception]) -> None:
    """Let Ray Train run the ranks, in a thread; what goes wrong is appended to `errors`."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig  # noqa: PLC0415 - as above
    from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415

    backend = "nccl" if arguments.on_gpu else "gloo"
    trainer = TorchTrainer(
        train_rank,
        train_loop_config=asdict(arguments),
        scaling_config=ScalingConfig(num_workers=arguments.n_ranks, use_gpu=arguments.on_gpu),
        torch_config=TorchConfig(backend=backend, timeout_s=ranks.COLLECTIVE_SECONDS),
        run_config=RunConfig(
            name=f"ray-{arguments.first_seq}",
            storage_path=str(arguments.home.parent),
            failure_config=FailureConfig(max_failures=MAX_LOSSES),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        errors.append(error)


def _wait_for_ranks(run: Run, arguments: Arguments, fitting: threading.Thread) -> bool:
    """Say what the ranks wait for until they start; returns whether they did, and were not stopped before."""
    import ray  # noqa: PLC0415 - as above

    kind, message = ("GPU", WAITS_FOR_GPUS) if arguments.on_gpu else ("CPU", WAITS_FOR_CORES)
    began_at, announced, n_events = time.monotonic(), -1, 1
    while fitting.is_alive() and not (run.folder / STARTED_FILE).exists():
        if run.stop_file.exists():
            runs.set_status(run, "stopped", "before")
            return False
        free, total = (int(of.get(kind, 0)) for of in (ray.available_resources(), ray.cluster_resources()))
        is_waiting = free < arguments.n_ranks and time.monotonic() - began_at > WAIT_SECONDS
        if is_waiting and free != announced and n_events < N_DRIVER_EVENTS:
            announced, n_events = free, n_events + 1
            values = {"needed": arguments.n_ranks, "free": free, "total": total}
            runs.set_status(run, "waiting", "queue", message=message.format(**values))
        time.sleep(POLL_SECONDS)
    return True


def _record_failure(run: Run, arguments: Arguments, error: Exception) -> None:
    """Say why it ended, unless a rank has."""
    status = runs.stored_status(run)
    if status.state in runs.ENDED_STATES:
        return
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["?"]
    explained = StudioError(GIVEN_UP, RESUME, count=MAX_LOSSES + 1, why=lines[-1][:300])
    if NO_FOLDER in str(error):
        explained = NotPossible(NOT_SHARED, NAME_STORAGE, folder=arguments.folder)
    elif is_known(error):
        explained = explain(error)
    runs.LISTENERS.clear()
    path = run.folder / EVENTS_FILE
    next_seq = _last_seq(path) + 1
    with path.open("a", encoding="utf-8") as stream:
        events.print_events(run, next_seq, stream)
        values = {"message": explained.message, "hint": explained.hint}
        runs.set_status(run, "failed", status.stage, step=status.step, steps=status.steps, **values)


def train_rank(config: dict[str, Any]) -> None:
    """One rank: the first is the run's worker, the others train beside it."""
    import ray.train.torch  # noqa: PLC0415 - as above

    arguments = Arguments(**config)
    device = ray.train.torch.get_device()
    if device.type == "cuda":  # libraries take the rank's number on its node for that of its GPU
        os.environ["LOCAL_RANK"] = str(device.index)
    shutil.rmtree("run", ignore_errors=True)  # the rows, in this node's copy of what was sent
    os.environ["STUDIO_HOME"] = str(arguments.home)
    folder = arguments.home / "runs" / arguments.run
    if not (folder / "plan.yaml").is_file():
        raise RuntimeError(NO_FOLDER)
    run = runs.get(arguments.run)
    if runs.stored_status(run).state in runs.ENDED_STATES:
        return  # for a reason that would come again
    if ray.train.get_context().get_world_rank() == 0:
        _lead(run, arguments)
    else:
        from studio.training import ranked_monitor  # noqa: PLC0415 - loads torch

        ranked_monitor.follow_in_own_home(run)


def _lead(run: Run, arguments: Arguments) -> None:
    """Execute the run as its worker, and note that it has ended, unless it is to begin again."""
    from studio.training import worker  # noqa: PLC0415 - loads torch

    path, started = run.folder / EVENTS_FILE, run.folder / STARTED_FILE
    is_again = started.exists()
    started.touch()
    os.chdir(run.folder)
    next_seq = max(_last_seq(path) + 1, arguments.first_seq + N_DRIVER_EVENTS)
    with (
        path.open("a", encoding="utf-8") as stream,
        (run.folder / "worker.log").open("a", encoding="utf-8", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        events.print_events(run, next_seq, stream)
        if failure := ranks.read_failure(run.folder):
            runs.set_status(run, "failed", "load", message=failure.message, hint=failure.hint)
            return
        if is_again:
            runs.set_status(run, "preparing", "machine", message=BEGINS_AGAIN)
        try:
            worker.run(run.id)
        except Exception as error:
            traceback.print_exception(error)
            if ranks.count() > 1 and not is_known(error):
                runs.set_status(run, "preparing", "machine", message=BEGINS_AGAIN)
                raise RuntimeError(f"{error!r:.500}") from None
    with suppress(OSError):  # a full disk has been told
        file_list.write(run.folder)
    (run.folder / ENDED_FILE).touch()


def _last_seq(path: Path) -> int:
    """The number of the last event in a file; -1 where there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in reversed(lines):
        if event := events.parse(line):
            return event.seq
    return -1


def _print_events(path: Path, has_ended: threading.Event) -> None:
    """Print what is appended to a file, line by line, an empty line where it is silent, and the end."""
    beat_at, unread = time.monotonic(), b""
    with path.open("rb") as file:
        while True:
            is_last_look = has_ended.is_set()
            *lines, unread = (unread + file.read()).split(b"\n")
            for line in lines:
                _write_line(line.decode(errors="replace"))
            if is_last_look and not lines:
                break
            if lines or time.monotonic() - beat_at > BEAT_SECONDS:
                _write_line("")
                beat_at = time.monotonic()
            time.sleep(POLL_SECONDS)
    _write_line(END)


def _write_line(text: str) -> None:
    """Write a line into the job's log in one piece: Ray's own lines go there as well."""
    line = f"{text}\n".encode()
    while line:
        line = line[os.write(1, line) :]
