"""Trackio as a second place for a run's points: on this machine alone, and only where somebody asks."""

import importlib
import io
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from studio import runs
from studio.errors import NotPossible
from studio.i18n import Message
from studio.runs import Run
from studio.storage import read_json, write_json

# 1 lets every run write its points while it trains.
SWITCH = "STUDIO_TRACKIO"
PROJECT = "training-studio"
# What was written of a run: its name there, and the number of the last point.
STATE_FILE = "trackio.json"
INTERVAL_SECONDS = 2.0
# By these trackio would send points over the network.
REMOTE_VARIABLES = (
    "TRACKIO_SPACE_ID",
    "TRACKIO_SERVER_URL",
    "TRACKIO_BUCKET_ID",
    "TRACKIO_DATASET_ID",
    "TRACKIO_WEBHOOK_URL",
)
# What numbers a point, and is no measurement.
NOT_MEASURED = ("seq", "time", "stage", "step")
NOT_INSTALLED = Message("The points of this run are wanted in trackio, which is not installed.")
INSTALL = Message('Install it with pip install "training-studio[trackio]", or unset {switch}.')
BROKE_OFF = Message(
    "Trackio broke off; the run goes on, and its points are kept. Write the rest: studio runs --trackio {id}"
)


def is_wanted() -> bool:
    """Whether runs are to write their points while they train."""
    return os.environ.get(SWITCH, "") not in ("", "0")


class PointWriter:
    """Writes the points of a run that trackio does not have yet.

    A run that goes on measures the steps after its checkpoint once more and numbers them as before: what was
    written of them stays.

    Args:
        run: The run.

    Raises:
        NotPossible: Trackio is not installed.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._inode, self._offset = run, 0, 0
        state = read_json(run.folder / STATE_FILE)
        last_point, name = state.get("seq"), state.get("name")
        self._last_point = last_point if type(last_point) is int else -1
        self._name = name if isinstance(name, str) else f"{run.plan.name} {run.id[:8]}"
        self._trackio = _import_trackio()
        with redirect_stdout(io.StringIO()):
            self._tracked = self._trackio.init(
                PROJECT,
                name=self._name,
                config=run.plan.model_dump(mode="json"),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def write_new(self) -> int:
        """Write what is new; returns how many points."""
        points = self._read_new()
        for point in points:
            metrics = {f"{point['stage']}/{key}": point[key] for key in point if key not in NOT_MEASURED}
            self._tracked.log(metrics, step=point["step"])
            self._last_point = point["seq"]
        if points:
            write_json(self._run.folder / STATE_FILE, {"name": self._name, "seq": self._last_point})
        return len(points)

    def _read_new(self) -> list[dict[str, Any]]:
        """The points of the file's new lines that are not written; a rewound run has a new file."""
        with self._run.metrics_path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self._inode:
                self._inode, self._offset = inode, 0
            file.seek(self._offset)
            chunk = file.read()
        chunk = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(chunk)
        points = runs.parse_points(chunk.splitlines())
        return [point for point in points if point.get("seq", -1) > self._last_point]

    def close(self) -> None:
        """Let trackio store what it has been given."""
        with redirect_stdout(io.StringIO()):
            self._trackio.finish()


def _import_trackio() -> Any:
    """Trackio, which keeps everything on this machine; raises NotPossible where it is not installed."""
    for variable in REMOTE_VARIABLES:
        os.environ.pop(variable, None)
    try:
        return importlib.import_module("trackio")
    except ModuleNotFoundError:
        raise NotPossible(NOT_INSTALLED, INSTALL, switch=SWITCH) from None


def write(run: Run) -> int:
    """Write the points of a run that trackio does not have yet; returns how many.

    Raises:
        NotPossible: Trackio is not installed.
    """
    writer = PointWriter(run)
    try:
        return writer.write_new()
    finally:
        writer.close()


@contextmanager
def following(run: Run) -> Iterator[None]:
    """Write the points of a run while the block runs, where that is wanted; a broken trackio stops nothing.

    Raises:
        NotPossible: It is wanted, and trackio is not installed.
    """
    if not is_wanted():
        yield
        return
    writer, is_over = PointWriter(run), threading.Event()
    follower = threading.Thread(target=_follow, args=(writer, is_over, run.id), daemon=True)
    follower.start()
    try:
        yield
    finally:
        is_over.set()
        follower.join()
        with _outliving_trackio(run.id):
            writer.write_new()
            writer.close()


def _follow(writer: PointWriter, is_over: threading.Event, run_id: str) -> None:
    """Write every few seconds."""
    with _outliving_trackio(run_id):
        while not is_over.wait(INTERVAL_SECONDS):
            writer.write_new()


@contextmanager
def _outliving_trackio(run_id: str) -> Iterator[None]:
    """Say in the log what went wrong in the block, and go on: it is no reason to lose a training."""
    try:
        yield
    except Exception:  # whatever trackio raises
        traceback.print_exc()
        sys.stderr.write(f"{BROKE_OFF.render(id=run_id[:8])}\n")
