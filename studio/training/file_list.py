"""The list of what a run has left at another machine, by which is told here whether all of it arrived."""

import hashlib
from pathlib import Path

from studio.storage import read_json, write_json

LIST_FILE = "files.json"
# What of a run's folder elsewhere is not its result: it stands here already, or has no meaning here.
NOT_RESULT = (
    *("format.json", "status.json", "plan.yaml", "estimate.json", "process.json", "stop", "shared"),
    *("events.jsonl", "worker.log", "worker.pid", "base", LIST_FILE),
)
# They have checksums of their own, which are looked at before a run goes on from them.
CHECKPOINTS = "checkpoints/"


def write(folder: Path) -> None:
    """List the files of a run that has ended: their sizes, and their SHA-256 but for checkpoints."""
    write_json(
        folder / LIST_FILE, {name: _describe(path, name) for name, path in _find_files(folder).items()}
    )


def find_damaged(folder: Path) -> list[str]:
    """The files of a list that are missing beside it, or are not as it says; none where there is no list."""
    if not (folder / LIST_FILE).exists():
        return []
    files = _find_files(folder)
    listed = read_json(folder / LIST_FILE) or {LIST_FILE: None}  # the list itself is damaged
    return [name for name, as_listed in listed.items() if not _is_as_listed(files.get(name), name, as_listed)]


def _find_files(folder: Path) -> dict[str, Path]:
    """The files of a result by their names."""
    files = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_result = parts[0] not in NOT_RESULT and not any(part.startswith(".") for part in parts)
        if is_result and path.suffix != ".tmp" and path.is_file():
            files["/".join(parts)] = path
    return files


def _is_as_listed(path: Path | None, name: str, as_listed: object) -> bool:
    return path is not None and _describe(path, name) == as_listed


def _describe(path: Path, name: str) -> dict[str, int | str]:
    size = {"bytes": path.stat().st_size}
    if name.startswith(CHECKPOINTS):
        return {**size}
    with path.open("rb") as file:
        return {**size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
