"""Take a result home: what a run learned, as files that open without the studio, with a model card."""

import json
import re
import shutil
import zipfile
from collections.abc import Generator
from pathlib import Path

from studio import processes, runs
from studio.errors import NotPossible, explain
from studio.export import card, registry
from studio.export.registry import available_formats
from studio.export.replay import result as replay_result
from studio.export.replay.result import Checked
from studio.export.spec import ExportFormat, ExportOptions
from studio.i18n import Message
from studio.runs import Run
from studio.storage import home

__all__ = [
    "available_formats",
    "build_zip",
    "downloads_folder",
    "prepare_zip",
    "read_check",
    "registry",
    "save_result",
]

DEFAULTS = ExportOptions()
UNKNOWN_FORMAT = Message("{method} has no format “{form}”.")
OFFERED_FORMATS = Message("Available: {offered}.")
FOLDER_NOT_EMPTY = Message("The folder {folder} is not empty.")
NAME_NEW_FOLDER = Message("Name a new folder, so nothing is overwritten.")
NOT_WRITTEN = Message("The result could not be written: {why}")
TRY_AGAIN = Message("Try again.")
UNKNOWN_PRECISION = Message("{form} has no precision “{precision}”.")
NO_PRECISIONS = Message("{form} has one precision: that of the training.")
NO_CHOICE = Message("none")


def save_result(run: Run, export_format: str, folder: Path, options: ExportOptions = DEFAULTS) -> Path:
    """Write the result of a run into a folder.

    Args:
        run: The run; it has a result.
        export_format: The name of one of `available_formats(run)`.
        folder: A new or empty folder; its parents are made.
        options: The precision, the language of the model card, and who is told of the progress.

    Returns:
        The folder.

    Raises:
        NotPossible: The run has no result, its method does not offer the format, or the folder is not empty.
        OutOfDiskSpace: The disk has not enough space.
    """
    _require_available(run, export_format)
    _require_precision(export_format, options.precision)
    runs.require_usable(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotPossible(FOLDER_NOT_EMPTY, NAME_NEW_FOLDER, folder=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    form = registry.get(export_format)
    form.write(run, folder, options)
    checked = _check(run, form, folder, options) if options.rows else None
    replay_result.write(checked, folder, form=export_format, precision=options.precision)
    card_text = card.render_card(
        run, export_format, options.language, precision=options.precision, checked=checked
    )
    (folder / "README.md").write_text(card_text, encoding="utf-8")
    shutil.copyfile(run.folder / "plan.yaml", folder / "plan.yaml")
    return folder


def _check(run: Run, form: ExportFormat, folder: Path, options: ExportOptions) -> Checked:
    """Replay the held-out rows on an export; where that breaks off, the export stands and says so."""
    from studio.export.replay import run_replay  # noqa: PLC0415 - loads torch

    try:
        return run_replay.replay(run, form, folder, options)
    except Exception as error:
        return Checked(why_not=explain(error).message)


def downloads_folder() -> Path:
    """The folder of what the page may hand out."""
    return home() / "downloads"


def build_zip(run: Run, export_format: str, options: ExportOptions = DEFAULTS) -> Path:
    """The result in one format as a zip file, see `prepare_zip`."""
    steps = prepare_zip(run, export_format, options)
    while True:
        try:
            options.on_progress(next(steps))
        except StopIteration as stop:
            return Path(stop.value)


def read_check(path: Path) -> Checked | None:
    """What the check of an export came to, from its folder or its zip file; None where there was none."""
    if path.is_dir():
        return replay_result.read(path / replay_result.REPLAY_FILE)
    with zipfile.ZipFile(path) as archive:
        return replay_result.parse(json.loads(archive.read(replay_result.REPLAY_FILE)))


def prepare_zip(
    run: Run, export_format: str, options: ExportOptions = DEFAULTS
) -> Generator[Message, None, Path]:
    """Write the result in one format as a zip file, in a child process, and return its path.

    It is built once for a result and its card, and taken from there afterwards. It lies outside the run's
    folder, so that the page may hand out its folder and nothing else.

    Yields:
        What is being done, once a second. Closing the iterator ends the child process.

    Raises:
        NotPossible: The method does not offer the format.
        StudioError: The child process could not write it; with its reason.
    """
    _require_available(run, export_format)
    names = filter(None, (_slug(run.plan.name), export_format, options.precision))
    target = downloads_folder() / run.id / f"{'-'.join(names)}.zip"
    if _is_current(target, run, export_format, options):
        return target
    target.unlink(missing_ok=True)
    folder = target.parent / export_format
    shutil.rmtree(folder, ignore_errors=True)
    request: dict[str, str | int] = {"run": run.id, "form": export_format, "folder": str(folder)}
    request |= {"precision": options.precision, "language": options.language, "rows": options.rows}
    replies = processes.stream_replies(
        "studio.export.process", request, NOT_WRITTEN, TRY_AGAIN, processes.WORKER
    )
    try:
        for reply in replies:
            yield Message.from_json(reply["progress"])
        draft = shutil.make_archive(str(target.with_name(f".{export_format}")), "zip", folder)
    finally:
        replies.close()
        shutil.rmtree(folder, ignore_errors=True)
    return Path(draft).replace(target)


def _require_available(run: Run, export_format: str) -> None:
    """Raise NotPossible, with the reason and the nearest form, where the result has no such form."""
    available = available_formats(run)
    if export_format in available:
        return
    is_known = export_format in registry.NAMES
    refusal = registry.get(export_format).find_refusal(run.plan) if is_known else None
    if refusal:
        raise NotPossible(refusal.reason, refusal.alternative)
    method = run.plan.method.name
    raise NotPossible(UNKNOWN_FORMAT, OFFERED_FORMATS, method=method, form=export_format, offered=available)


def _require_precision(export_format: str, precision: str) -> None:
    """Raise NotPossible where the format has no such precision."""
    names = [name for name, _ in registry.get(export_format).precisions]
    if precision and precision not in names:
        raise NotPossible(
            UNKNOWN_PRECISION if names else NO_PRECISIONS,
            OFFERED_FORMATS,
            form=export_format,
            precision=precision,
            offered=names or [NO_CHOICE],
        )


def _slug(name: str) -> str:
    """A run's name as it may stand in the name of a file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "run"


def _is_current(target: Path, run: Run, export_format: str, options: ExportOptions) -> bool:
    """Whether a zip file holds the present result (the run may have gone on) with its present card."""
    if not target.is_file() or target.stat().st_mtime_ns <= runs.result_version(run):
        return False
    checked = read_check(target)
    card_text = card.render_card(
        run, export_format, options.language, precision=options.precision, checked=checked
    )
    with zipfile.ZipFile(target) as archive:
        return archive.read("README.md").decode("utf-8") == card_text
