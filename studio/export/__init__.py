"""Take a result home: what a run learned, as files that open without the studio, with a model card."""

import re
import shutil
import zipfile
from pathlib import Path

from studio import methods, processes, runs
from studio.errors import NotPossible, StudioError
from studio.export import card
from studio.i18n import Message, label
from studio.methods import compatibility
from studio.runs import Run
from studio.storage import home, require_disk_space

EXPORT_FORMATS: dict[str, Message] = {
    "adapter": label("The small add-on (adapter): put on top of the base model"),
    "packed": label(
        "The whole model in few bits (packed weights): smallest, opens with transformers and compressed-tensors"
    ),
    "merged": label("The whole model (merged weights): opens on its own"),
}


def available_formats(run: Run) -> tuple[str, ...]:
    """The forms in which this run's result can be taken home."""
    return methods.get(run.plan.method.name).export_formats(run.plan.method.settings)


def save_result(run: Run, export_format: str, folder: Path, language: str = "en") -> Path:
    """Write the result in one form into a new or empty folder, with its card in a language, and return it.

    Raises NotPossible where the run or its method does not offer the form, or the folder holds something.
    """
    offered = available_formats(run)
    refusal = compatibility.find_export_incompatibility(run.plan.method.name, export_format)
    if export_format not in offered and refusal:
        raise NotPossible(refusal.reason, refusal.alternative)
    if export_format not in offered:
        raise NotPossible(
            Message("{method} offers no form “{form}”."),
            Message("It offers: {offered}."),
            method=run.plan.method.name,
            form=export_format,
            offered=offered,
        )
    runs.require_usable(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotPossible(
            Message("The folder {folder} is not empty."),
            Message("Name a new one, so that nothing is overwritten."),
            folder=folder,
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    size_bytes = sum(path.stat().st_size for path in run.model.rglob("*") if path.is_file())
    if export_format == "merged" and offered != ("merged",):
        from studio.export import merge  # noqa: PLC0415 - loads torch

        merge.save_merged_model(run, folder)
    else:
        require_disk_space(folder.parent, size_bytes)
        shutil.copytree(run.model, folder, dirs_exist_ok=True)
        extra_file = methods.get(run.plan.method.name).extra_file
        if extra_file:
            shutil.copyfile(extra_file, folder / f"studio{extra_file.name}")
    (folder / "README.md").write_text(card.render_card(run, export_format, language), encoding="utf-8")
    shutil.copyfile(run.folder / "plan.yaml", folder / "plan.yaml")
    return folder


def _read_card(zip_path: Path) -> str:
    with zipfile.ZipFile(zip_path) as archive:
        return archive.read("README.md").decode("utf-8")


def downloads_folder() -> Path:
    """The folder of what the page may hand out."""
    return home() / "downloads"


def build_zip(run: Run, export_format: str, language: str = "en") -> Path:
    """The result in one form as a zip file; made once for a result and its card, in a child process, then taken from there.

    It lies outside the run's folder, so that the page may hand out this folder and nothing else.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", run.plan.name).strip("-").lower() or "run"
    target = downloads_folder() / run.id / f"{name}-{export_format}.zip"
    if (
        target.is_file()
        and target.stat().st_mtime_ns > runs.result_version(run)
        and _read_card(target) == card.render_card(run, export_format, language)
    ):
        return target
    target.unlink(
        missing_ok=True
    )  # of the result before the run went on, or with a card that says something else
    if export_format not in available_formats(run):
        save_result(run, export_format, target.parent / export_format)  # raises, with the reason
    folder = target.parent / export_format
    shutil.rmtree(folder, ignore_errors=True)
    arguments = ("export", run.id, "--to", export_format, str(folder), "--language", language)
    completed = processes.run_module("studio", *arguments, options=processes.WORKER)
    if completed.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        reason = completed.stderr.strip().splitlines()[-1:] or ["the export process gave no reason"]
        raise StudioError(
            Message("The result could not be written: {why}"), Message("Try again."), why=reason[0]
        )
    draft = shutil.make_archive(str(target.with_name(f".{export_format}")), "zip", folder)
    shutil.rmtree(folder)
    return Path(draft).replace(target)
