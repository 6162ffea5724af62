"""Take a result home: what a run learned, as files that open without the studio, with a model card."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from studio import methods, runs
from studio.errors import NotPossible, StudioError
from studio.export import card
from studio.home import check_room, home
from studio.methods import fits
from studio.runs import Run
from studio.train import launch
from studio.words import Words, label

FORMS: dict[str, Words] = {
    "adapter": label("The small add-on (adapter): put on top of the base model", "小模块（adapter）：叠加在基础模型上使用"),
    "packed": label(
        "The whole model in few bits (packed weights): smallest, opens with transformers and compressed-tensors",
        "低比特的完整模型（打包权重）：体积最小，可用 transformers 和 compressed-tensors 打开",
    ),
    "merged": label("The whole model (merged weights): opens on its own", "完整模型（合并后的权重）：可独立使用"),
}


def forms(run: Run) -> tuple[str, ...]:
    """The forms in which this run's result can be taken home."""
    return methods.get(run.plan.method.name).forms(run.plan.method.settings)


def write(run: Run, form: str, folder: Path, language: str = "en") -> Path:
    """Write the result in one form into a new or empty folder, with its card in a language, and return it.

    Raises NotPossible where the run or its method does not offer the form, or the folder holds something.
    """
    offered = forms(run)
    refused = fits.FORMS.get((run.plan.method.name, form))
    if form not in offered and refused:
        raise NotPossible(refused.why, refused.nearest)
    if form not in offered:
        raise NotPossible(
            Words("{method} offers no form “{form}”.", "{method} 不提供“{form}”这种形式。"),
            Words("It offers: {offered}.", "可选：{offered}。"),
            method=run.plan.method.name,
            form=form,
            offered=offered,
        )
    runs.require_usable(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotPossible(
            Words("The folder {folder} is not empty.", "文件夹 {folder} 不是空的。"),
            Words("Name a new one, so that nothing is overwritten.", "请指定一个新文件夹，以免覆盖已有文件。"),
            folder=folder,
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    size = sum(path.stat().st_size for path in run.model.rglob("*") if path.is_file())
    if form == "merged" and offered != ("merged",):
        from studio.export import merge  # noqa: PLC0415 - loads torch

        merge.merge(run, folder)
    else:
        check_room(folder.parent, size)
        shutil.copytree(run.model, folder, dirs_exist_ok=True)
        beside = methods.get(run.plan.method.name).beside
        if beside:
            shutil.copyfile(beside, folder / f"studio{beside.name}")
    (folder / "README.md").write_text(card.write(run, form, language), encoding="utf-8")
    shutil.copyfile(run.folder / "plan.yaml", folder / "plan.yaml")
    return folder


def _card(bundle: Path) -> str:
    with zipfile.ZipFile(bundle) as packed:
        return packed.read("README.md").decode("utf-8")


def downloads() -> Path:
    """The folder of what the page may hand out."""
    return home() / "downloads"


def bundle(run: Run, form: str, language: str = "en") -> Path:
    """The result in one form as a zip file; made once for a result and its card, in a child process, then taken from there.

    It lies outside the run's folder, so that the page may hand out this folder and nothing else.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", run.plan.name).strip("-").lower() or "run"
    target = downloads() / run.id / f"{name}-{form}.zip"
    if target.is_file() and target.stat().st_mtime_ns > runs.result(run) and _card(target) == card.write(run, form, language):
        return target
    target.unlink(missing_ok=True)  # of the result before the run went on, or with a card that says something else
    if form not in forms(run):
        write(run, form, target.parent / form)  # raises, with the reason
    folder = target.parent / form
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "studio", "export", run.id, "--to", form, str(folder), "--language", language]
    done = subprocess.run(command, env=launch.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        why = done.stderr.strip().splitlines()[-1:] or ["the export process gave no reason"]
        raise StudioError(
            Words("The result could not be written: {why}", "无法写出结果：{why}"), Words("Try again.", "请重试。"), why=why[0]
        )
    draft = shutil.make_archive(str(target.with_name(f".{form}")), "zip", folder)
    shutil.rmtree(folder)
    return Path(draft).replace(target)
