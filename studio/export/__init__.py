"""Take a result home: what a run learned, as files that open without the studio, with a model card."""

import re
import shutil
import zipfile
from pathlib import Path

from studio import processes, runs
from studio.errors import NotPossible, StudioError
from studio.export import card, registry
from studio.export.registry import available_formats
from studio.i18n import Message
from studio.methods import compatibility
from studio.runs import Run
from studio.storage import home

__all__ = ["available_formats", "build_zip", "downloads_folder", "registry", "save_result"]

UNKNOWN_FORMAT = Message("{method} has no format “{form}”.")
OFFERED_FORMATS = Message("Available: {offered}.")
FOLDER_NOT_EMPTY = Message("The folder {folder} is not empty.")
NAME_NEW_FOLDER = Message("Name a new folder, so nothing is overwritten.")
NOT_WRITTEN = Message("The result could not be written: {why}")
TRY_AGAIN = Message("Try again.")


def save_result(run: Run, export_format: str, folder: Path, language: str = "en") -> Path:
    """Write the result of a run into a folder.

    Args:
        run: The run; it has a result.
        export_format: The name of one of `available_formats(run)`.
        folder: A new or empty folder; its parents are made.
        language: The language of the model card.

    Returns:
        The folder.

    Raises:
        NotPossible: The run has no result, its method does not offer the format, or the folder is not empty.
        OutOfDiskSpace: The disk has not enough space.
    """
    _require_available(run, export_format)
    runs.require_usable(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotPossible(FOLDER_NOT_EMPTY, NAME_NEW_FOLDER, folder=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    registry.get(export_format).write(run, folder)
    (folder / "README.md").write_text(card.render_card(run, export_format, language), encoding="utf-8")
    shutil.copyfile(run.folder / "plan.yaml", folder / "plan.yaml")
    return folder


def downloads_folder() -> Path:
    """The folder of what the page may hand out."""
    return home() / "downloads"


def build_zip(run: Run, export_format: str, language: str = "en") -> Path:
    """The result in one format as a zip file, written by a child process.

    It is built once for a result and its card, and taken from there afterwards. It lies outside the run's
    folder, so that the page may hand out its folder and nothing else.

    Raises:
        NotPossible: The method does not offer the format.
        StudioError: The child process could not write it; with the last line of its reason.
    """
    _require_available(run, export_format)
    target = downloads_folder() / run.id / f"{_slug(run.plan.name)}-{export_format}.zip"
    if _is_current(target, run, card.render_card(run, export_format, language)):
        return target
    target.unlink(missing_ok=True)
    folder = target.parent / export_format
    shutil.rmtree(folder, ignore_errors=True)
    _save_in_child_process(run, export_format, folder, language)
    draft = shutil.make_archive(str(target.with_name(f".{export_format}")), "zip", folder)
    shutil.rmtree(folder)
    return Path(draft).replace(target)


def _require_available(run: Run, export_format: str) -> None:
    """Raise NotPossible, with the reason, where the run's method does not offer the format."""
    method = run.plan.method.name
    available = available_formats(run)
    if export_format in available:
        return
    refusal = compatibility.find_export_incompatibility(method, export_format)
    if refusal:
        raise NotPossible(refusal.reason, refusal.alternative)
    raise NotPossible(UNKNOWN_FORMAT, OFFERED_FORMATS, method=method, form=export_format, offered=available)


def _slug(name: str) -> str:
    """A run's name as it may stand in the name of a file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "run"


def _is_current(target: Path, run: Run, card_text: str) -> bool:
    """Whether a zip file holds the present result (the run may have gone on) with this card."""
    if not target.is_file() or target.stat().st_mtime_ns <= runs.result_version(run):
        return False
    with zipfile.ZipFile(target) as archive:
        return archive.read("README.md").decode("utf-8") == card_text


def _save_in_child_process(run: Run, export_format: str, folder: Path, language: str) -> None:
    """Let a child process save the result, so that torch stays out of the page's process."""
    arguments = ("export", run.id, "--to", export_format, str(folder), "--language", language)
    completed = processes.run_module("studio", *arguments, options=processes.WORKER)
    if completed.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        reason = completed.stderr.strip().splitlines()[-1:] or ["the export process gave no reason"]
        raise StudioError(NOT_WRITTEN, TRY_AGAIN, why=reason[0])
