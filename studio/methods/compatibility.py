"""What cannot be combined, each with its reason and the nearest thing that works.

What a method cannot be combined with stands in its card (`not_with` in presets/methods/); here is how it is
read, and what holds for every method.
"""

import importlib.util
import platform
import sys
from typing import get_args

from studio import presets
from studio.i18n import Message
from studio.models import device
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.presets import IncompatibilityCard as Incompatibility

__all__ = [
    "Incompatibility",
    "find_export_incompatibility",
    "find_incompatibility",
    "is_installed",
    "supported_tasks",
]

ENCODER_CANNOT_GENERATE = Incompatibility(
    reason=Message("This base model only reads: it sorts texts into classes and cannot write."),
    alternative=Message(
        "Choose a model that writes, such as SmolLM2 135M Instruct, or the task of sorting texts."
    ),
)
NO_CLASSIFIER = Incompatibility(
    reason=Message("transformers has no model of this kind that sorts texts into classes."),
    alternative=Message(
        "Choose another base model for this task, such as SmolLM2 135M Instruct or MiniLM L6."
    ),
)
# Why a method whose card does not name a task, and says nothing of it, does not train it.
UNSUPPORTED_TASKS: dict[str, Incompatibility] = {
    "prefer": Incompatibility(
        reason=Message(
            "This method learns from one good answer per question and cannot use that one is better than"
            " another."
        ),
        alternative=Message(
            "RLHF (or its short cut DPO) learns from such pairs; or take the better answers alone as"
            " questions and answers."
        ),
    ),
    "prompts": Incompatibility(
        reason=Message("This method needs answers to learn from, and this data has questions alone."),
        alternative=Message("UPFT trains on questions alone."),
    ),
}
UNSUPPORTED_TASK = Incompatibility(
    reason=Message("This method does not train this kind of task."),
    alternative=Message("Choose another method of the table."),
)


def find_incompatibility(name: str, task: str, shape: ModelShape | None = None) -> Incompatibility | None:
    """Why a method cannot train a task, or a kind of base model, or not on this machine; None where it can.

    `shape` is that of the base model; None where nobody knows it yet.
    """
    card = presets.methods().get(name)
    if not card:
        return None
    if task in get_args(Task) and task not in card.tasks:
        for entry in card.not_with.tasks:
            if task in entry.tasks:
                return entry
        return UNSUPPORTED_TASKS.get(task, UNSUPPORTED_TASK)
    if shape and shape.encoder and task != "classify":
        return ENCODER_CANNOT_GENERATE
    if shape and not shape.has_classifier and task == "classify":
        return NO_CLASSIFIER
    for kind in card.not_with.families:
        if shape and (shape.family in kind.families or shape.kinds & set(kind.kinds)):
            return kind
    if card.not_with.apple_gpu and device.expects_apple_gpu():
        return card.not_with.apple_gpu
    for library in card.not_with.libraries:
        if not is_installed(library.library):
            return Incompatibility(
                reason=library.reason.format(machine=f"{sys.platform} {platform.machine()}"),
                alternative=library.alternative,
            )
    return None


def find_export_incompatibility(name: str, export_format: str) -> Incompatibility | None:
    """Why a method's result cannot be exported in this form; None where its card says nothing of it."""
    card = presets.methods().get(name)
    for export in card.not_with.exports if card else ():
        if export.form == export_format:
            return export
    return None


def supported_tasks(name: str) -> tuple[Task, ...]:
    """The tasks that a method trains by its card; all of them where it has none."""
    card = presets.methods().get(name)
    all_tasks: tuple[Task, ...] = get_args(Task)
    return tuple(task for task in all_tasks if not card or task in card.tasks)


def is_installed(library: str) -> bool:
    """Whether a library is installed in a build for this machine."""
    return importlib.util.find_spec(library) is not None
