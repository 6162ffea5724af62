"""On a page that strangers share, what they brought and trained is removed after a day."""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from studio import runs
from studio.errors import StudioError
from studio.storage import home

MAX_AGE_SECONDS = 24 * 3_600
SWEEP_SECONDS = 900
# What of the home holds what visitors brought, trained or took home.
FOLDERS = ("runs", "datasets", "sheets", "downloads/sheets", "downloads", "uploads", "bake-offs")


def start() -> None:
    """Clean from now on, every quarter of an hour, as long as this process lives."""
    Thread(target=_keep_cleaning, daemon=True).start()


def _keep_cleaning() -> None:
    while True:
        remove_old(time.time())
        time.sleep(SWEEP_SECONDS)


def remove_old(now: float) -> list[Path]:
    """Remove every folder in which nothing was written for a day.

    Args:
        now: The time, in seconds since 1970.

    Returns:
        The folders that were removed; one of a run that still trains is not among them.
    """
    removed = []
    for name in FOLDERS:
        for folder in (home() / name).glob("*"):
            with suppress(FileNotFoundError):  # something in it has just gone: looked at next time
                if folder.is_dir() and _is_old(folder, now) and not _is_training(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder)
    return removed


def _is_old(folder: Path, now: float) -> bool:
    paths = [folder, *folder.rglob("*")]
    newest = max(path.lstat().st_mtime for path in paths)
    return now - newest > MAX_AGE_SECONDS


def _is_training(folder: Path) -> bool:
    """Whether the folder is that of a run which has not ended."""
    try:
        return runs.status(runs.get(folder.name)).state not in runs.ENDED_STATES
    except StudioError:
        return False
