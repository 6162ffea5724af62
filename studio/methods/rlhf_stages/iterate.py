"""The next round of RLHF: which earlier run can be gone on from, and how its model becomes the start of this one."""

import os
import re
import shutil
from pathlib import Path

from studio import plan as plans
from studio.errors import NotPossible
from studio.i18n import Message
from studio.methods.spec import TrainingContext
from studio.models import shape as shapes
from studio.models.shape import ModelShape

RUN_ID_PATTERN = re.compile(r"[0-9a-f]{32}")
NOT_A_RUN_ID = Message("expected the id of a run (32 letters and digits), but got {run}")
NO_FINISHED_MODEL = Message("{run} is no RLHF run that has ended with a model")
OTHER_BASE_MODEL = Message("{run} was trained on another base model")


def unusable_reason(runs_folder: Path, run_id: str, shape: ModelShape | None) -> Message | None:
    """Why a run of this folder of runs cannot be gone on from by a model of this shape; None where it can."""
    if not RUN_ID_PATTERN.fullmatch(run_id):
        return NOT_A_RUN_ID.format(run=f"{run_id!r:.80}")
    model_folder = runs_folder / run_id / "model"
    if not (model_folder / "config.json").is_file() or not (runs_folder / run_id / "stages").is_dir():
        return NO_FINISHED_MODEL.format(run=run_id)
    return (
        OTHER_BASE_MODEL.format(run=run_id) if shape and shapes.from_folder(model_folder) != shape else None
    )


def earlier_run_folder(job: TrainingContext) -> Path:
    """The folder of the run to go on from; one that does not exist where there is none."""
    return job.folder.parent / (str(job.settings["start_from"]) or ".none")


def import_earlier_model(job: TrainingContext, target: Path) -> None:
    """Make the earlier run's model this run's own: linked, so that it outlives that run and takes no room twice.

    Raises NotPossible where that run is none to go on from.
    """
    run_id = str(job.settings["start_from"])
    reason = unusable_reason(job.folder.parent, run_id, shapes.from_config(job.model.config.to_dict()))
    if not reason and plans.load(earlier_run_folder(job) / "plan.yaml").model != job.plan.model:
        reason = OTHER_BASE_MODEL.format(run=run_id)
    if reason:
        raise NotPossible(
            Message("This run cannot go on from an earlier one: {said}."),
            Message("Choose an RLHF run that has ended, on the same base model."),
            said=reason,
        )
    draft = target.with_name(f".{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(earlier_run_folder(job) / "model", draft, copy_function=_link_or_copy)
    draft.rename(target)


def _link_or_copy(source: str, target: str) -> None:
    """Give a file a second name, or copy it where the disk cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
