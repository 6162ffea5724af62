"""The next round of RLHF: which earlier run can be gone on from, and how its model becomes the start of this one."""

import os
import re
import shutil
from pathlib import Path

from studio import plan as plans
from studio.errors import NotPossible
from studio.methods.base import Job
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.words import Words

RUN = re.compile(r"[0-9a-f]{32}")
NO_ID = Words("expected the id of a run (32 letters and digits), but got {run}", "应为一次训练的编号（32 位字母和数字），实际是 {run}")
NO_MODEL = Words("{run} is no RLHF run that has ended with a model", "{run} 不是已结束并留下模型的 RLHF 训练")
ANOTHER = Words("{run} was trained on another base model", "{run} 用的是另一个基础模型")


def unfit(folder: Path, run: str, shape: ModelShape | None) -> Words | None:
    """Why a run of this folder of runs cannot be gone on from by a model of this shape; None where it can."""
    if not RUN.fullmatch(run):
        return NO_ID.filled(run=f"{run!r:.80}")
    model = folder / run / "model"
    if not (model / "config.json").is_file() or not (folder / run / "stages").is_dir():
        return NO_MODEL.filled(run=run)
    return ANOTHER.filled(run=run) if shape and shapes.read(model) != shape else None


def earlier(job: Job) -> Path:
    """The folder of the run to go on from; one that does not exist where there is none."""
    return job.folder.parent / (str(job.settings["start_from"]) or ".none")


def take_over(job: Job, target: Path) -> None:
    """Make the earlier run's model this run's own: linked, so that it outlives that run and takes no room twice.

    Raises NotPossible where that run is none to go on from.
    """
    run = str(job.settings["start_from"])
    said = unfit(job.folder.parent, run, shapes.of(job.model.config.to_dict()))
    if not said and plans.read(earlier(job) / "plan.yaml").model != job.plan.model:
        said = ANOTHER.filled(run=run)
    if said:
        raise NotPossible(
            Words("This run cannot go on from an earlier one: {said}.", "无法从之前的训练继续：{said}。"),
            Words("Choose an RLHF run that has ended, on the same base model.", "请选择一次已结束、基础模型也相同的 RLHF 训练。"),
            said=said,
        )
    draft = target.with_name(f".{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(earlier(job) / "model", draft, copy_function=_link)
    draft.rename(target)


def _link(source: str, target: str) -> None:
    """Give a file a second name, or copy it where the disk cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
