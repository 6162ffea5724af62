"""Where the studio keeps runs, data sets and models, and how it writes a file so that nobody reads half of it."""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio.errors import OutOfRoom
from studio.words import Words

Progress = Callable[[float, float], None]  # megabytes so far, megabytes in all


def home() -> Path:
    """The studio's folder: STUDIO_HOME, else `~/.studio`; made on first use, readable by its owner alone."""
    folder = Path(os.environ.get("STUDIO_HOME") or "~/.studio").expanduser().resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write(path: Path, text: str) -> None:
    """Replace `path` by `text` at one blow: a temporary file beside it, flushed to disk, then renamed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as JSON, at one blow."""
    write(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What a file of JSON holds; empty where it is missing, damaged or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def arriving(folder: Path, total: int, tell: Progress) -> Iterator[None]:
    """Tell twice a second how many megabytes have arrived in `folder`, and that `total` bytes are expected; all of them at the end."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            tell(min(_size(folder), total) / 1e6, total / 1e6)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    tell(total / 1e6, total / 1e6)


def _size(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # moved to its place between two looks
            continue
    return found


def check_room(folder: Path, wanted: int) -> None:
    """Raise OutOfRoom where the disk of `folder` has fewer than `wanted` bytes (and a tenth more) free."""
    free = shutil.disk_usage(folder).free
    if free < wanted * 1.1:
        raise OutOfRoom(
            Words(
                "The disk has {free:.1f} GB free where {wanted:.1f} GB are needed ({folder}).",
                "磁盘空闲 {free:.1f} GB，需要 {wanted:.1f} GB（{folder}）。",
            ),
            Words("Free some space, or keep the studio's files elsewhere with --home.", "请腾出空间，或用 --home 把文件放到别处。"),
            free=free / 1e9,
            wanted=wanted * 1.1 / 1e9,
            folder=folder,
        )
