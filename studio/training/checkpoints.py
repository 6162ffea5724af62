"""Checkpoints of a stage: complete or absent, and used only where every file is as it was written."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.i18n import Message
from studio.storage import read_json, write_json

# What a checkpoint holds beside the states of model, optimizer and random generators, and the checksums of
# its files. It is written last, so that its presence marks the checkpoint as complete.
STATE_FILE = "watch.json"
CHECKSUMS = "sha256"
# The best states of a stage lie beside its checkpoints, each under the step at which it was measured.
BEST_PREFIX = "best-"
PASSED_OVER = Message("The checkpoint {name} cannot be read, so the one before it counts.")


def complete(folder: Path, state: dict[str, Any]) -> None:
    """Mark a checkpoint as complete: its files are on the disk, and their checksums beside the state."""
    checksums = {}
    for path in _files(folder):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        checksums[path.relative_to(folder).as_posix()] = checksum
    write_json(folder / STATE_FILE, {**state, CHECKSUMS: checksums})


def choose(folder: Path) -> Path | None:
    """The newest checkpoint of a stage that can be read; None without one.

    Those that are newer and cannot be read, broken off or damaged, are removed: they take up room, and
    would be counted among those that are kept.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=read_step, reverse=True):
        if is_readable(path):
            return path
        sys.stderr.write(PASSED_OVER.render("en", name=path.name) + "\n")
        shutil.rmtree(path, ignore_errors=True)
    return None


def best_folder(folder: Path, step: int) -> Path:
    """Where the best state of a stage lies that was measured at this step."""
    return folder / f"{BEST_PREFIX}{step}"


def remove_old_bests(folder: Path, step: int) -> None:
    """Remove a stage's best states but that of this step, and those from which a checkpoint would go on."""
    states = [read_json(path) for path in folder.glob(f"checkpoint-*/{STATE_FILE}")]
    kept_steps = {step, *(state.get("best_step") for state in states)}
    for path in folder.glob(f"{BEST_PREFIX}*"):
        if read_step(path) not in kept_steps:
            shutil.rmtree(path, ignore_errors=True)


def is_readable(folder: Path) -> bool:
    """Whether a checkpoint is complete, and each of its files as it was written.

    Earlier studios wrote no checksums: theirs are complete if their state can be read.
    """
    state = read_json(folder / STATE_FILE)
    checksums = state.get(CHECKSUMS, {})
    return bool(state) and all(_has_checksum(folder / name, value) for name, value in checksums.items())


def read_state(folder: Path) -> dict[str, Any]:
    """What the monitor has kept in a checkpoint."""
    return dict(json.loads((folder / STATE_FILE).read_text(encoding="utf-8")))


def _has_checksum(path: Path, expected: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def read_step(folder: Path) -> int:
    """The step of a checkpoint or best state, by the name of its folder; -1 where that names none."""
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
