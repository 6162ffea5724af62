"""Where the studio keeps runs, data sets and models, and how it writes a file atomically."""

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from studio.errors import OutOfDiskSpace
from studio.i18n import Message

# Receives how much is done and how much there is in all: megabytes of a file, or rows, lines or bytes within
# a reader.
ProgressCallback = Callable[[float, float], None]

# The key of a JSON file under which the checksum of the rest stands.
SEAL = "seal"
# So much more than what is about to be written must be free.
TOO_LITTLE_SPACE = Message("The disk has {free:.1f} GB free where {wanted:.1f} GB are needed ({folder}).")
SAFETY_FACTOR = 1.1


def no_progress(done: float, total: float) -> None:
    """Report progress to nobody: the default of every `on_progress`."""


def home() -> Path:
    """The studio's folder: STUDIO_HOME, else `~/.studio`; made on first use, readable by its owner alone."""
    folder = Path(os.environ.get("STUDIO_HOME") or "~/.studio").expanduser().resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` atomically: a temporary file next to it, flushed to disk, then renamed."""
    handle, temp_path = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temp_path).replace(path)
    except BaseException:
        Path(temp_path).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as JSON, atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace `path` by `value` as JSON with a checksum of its own, so that a later change of it shows."""
    write_json(path, {**value, SEAL: _digest(value)})


def is_seal_intact(path: Path) -> bool:
    """Whether a JSON file still holds what was sealed; one without a seal, from before there were, does."""
    content = read_json(path)
    seal = content.pop(SEAL, None)
    return seal is None or seal == _digest(content)


def _digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of an object as JSON, whatever the order of its keys."""
    as_read = json.loads(json.dumps(value))
    text = json.dumps(as_read, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where the file is missing, damaged or holds no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def keep_valid(raw: Mapping[str, Any], types: Mapping[str, TypeAdapter[Any]]) -> dict[str, Any]:
    """What of an object from a file is as it should be: a value of another type is left out.

    So one that is damaged costs itself alone. Keys that are not in `types` stay as they are.
    """
    return {name: value for name, value in raw.items() if name not in types or _is_valid(types[name], value)}


def _is_valid(type_: TypeAdapter[Any], value: object) -> bool:
    try:
        type_.validate_python(value, strict=True)
    except (ValidationError, RecursionError, TypeError, KeyError, AttributeError):
        return False
    return True


@contextmanager
def download_progress(folder: Path, total_bytes: int, on_progress: ProgressCallback) -> Iterator[None]:
    """Report twice a second how many megabytes have arrived in `folder` of those expected; all at the end."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.5):
            on_progress(min(_folder_bytes(folder), total_bytes) / 1e6, total_bytes / 1e6)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
    on_progress(total_bytes / 1e6, total_bytes / 1e6)


def _folder_bytes(folder: Path) -> int:
    total_bytes = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total_bytes += path.stat().st_size
        except FileNotFoundError:  # moved to its place in between
            continue
    return total_bytes


def require_disk_space(folder: Path, needed_bytes: int) -> None:
    """Raise OutOfDiskSpace where the disk of `folder` has not the bytes needed, and a tenth more, free."""
    wanted_bytes = needed_bytes * SAFETY_FACTOR
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < wanted_bytes:
        raise OutOfDiskSpace(
            TOO_LITTLE_SPACE,
            Message("Free some space, or keep the studio's files elsewhere with --home."),
            free=free_bytes / 1e9,
            wanted=wanted_bytes / 1e9,
            folder=folder,
        )
