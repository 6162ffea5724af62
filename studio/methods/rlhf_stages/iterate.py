"""Continues RLHF from an earlier run: which runs allow it, and how a run's model starts the next."""

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
    """Why a run cannot be continued; None where it can.

    Args:
        runs_folder: The folder of all runs.
        run_id: The earlier run.
        shape: The shape of the model that is to continue; None where it is not known yet.
    """
    if not RUN_ID_PATTERN.fullmatch(run_id):
        return NOT_A_RUN_ID.format(run=f"{run_id!r:.80}")
    run_folder = runs_folder / run_id
    has_model = (run_folder / "model" / "config.json").is_file()
    if not has_model or not (run_folder / "stages").is_dir():
        return NO_FINISHED_MODEL.format(run=run_id)
    if shape and shapes.from_folder(run_folder / "model") != shape:
        return OTHER_BASE_MODEL.format(run=run_id)
    return None


def earlier_run_folder(context: TrainingContext) -> Path:
    """The folder of the run to continue; a path that does not exist where there is none."""
    return context.folder.parent / (str(context.settings["start_from"]) or ".none")


def import_earlier_model(context: TrainingContext, target: Path) -> None:
    """Copy the earlier run's model to `target`.

    Files are hard links where the disk can link: the model outlives the earlier run and takes no space twice.

    Raises:
        NotPossible: The earlier run cannot be continued.
    """
    run_id = str(context.settings["start_from"])
    reason = unusable_reason(
        context.folder.parent, run_id, shapes.from_config(context.model.config.to_dict())
    )
    if not reason and plans.load(earlier_run_folder(context) / "plan.yaml").model != context.plan.model:
        reason = OTHER_BASE_MODEL.format(run=run_id)
    if reason:
        raise NotPossible(
            Message("This run cannot go on from an earlier one: {said}."),
            Message("Choose an RLHF run that has ended, on the same base model."),
            said=reason,
        )
    draft = target.with_name(f".{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(earlier_run_folder(context) / "model", draft, copy_function=_link_or_copy)
    draft.rename(target)


def _link_or_copy(source: str, target: str) -> None:
    """Hard-link a file, or copy it where the disk cannot link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
