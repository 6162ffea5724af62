"""What the code on a model card has to know of a run to open its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import methods, presets
from studio.i18n import Message
from studio.methods.spec import Method
from studio.plan import Plan, Task


@dataclass(frozen=True)
class Usage:
    """What the code on a card is made of.

    Attributes:
        method: The run's method.
        task: What it has learned.
        auto_class: The class of transformers that opens a model for the task.
        base: What the base is called, see `public_base_name`.
        is_base_local: Whether that is a folder which the reader must have, and no id on the hub.
        dtype: The format in which the base was held.
        problem_type: What a classifier gives, in transformers' terms; empty for text.
        is_pooled: Whether a text's tokens are averaged, which takes a class of the studio's own.
        language: The language of comments.
    """

    method: Method
    task: Task
    auto_class: str
    base: str
    is_base_local: bool
    dtype: str
    problem_type: str
    is_pooled: bool
    language: str


def build_usage(plan: Plan, report: Mapping[str, Any], language: str) -> Usage:
    """What the card of a run says about opening its result."""
    is_classifier = plan.task == "classify"
    return Usage(
        method=methods.get(plan.method.name),
        task=plan.task,
        auto_class="AutoModelForSequenceClassification" if is_classifier else "AutoModelForCausalLM",
        base=public_base_name(report),
        is_base_local=is_base_local(report),
        dtype=_base_dtype(report),
        problem_type=get_problem_type(report) if is_classifier else "",
        is_pooled=is_pooled(report),
        language=language,
    )


def method_name(plan: Plan) -> Message | str:
    """What a plan's method is called."""
    card = presets.methods().get(plan.method.name)
    return card.name if card else plan.method.name


def is_base_local(report: Mapping[str, Any]) -> bool:
    """Whether the base is a folder of this machine, whose path is nobody else's business."""
    return Path(report["base"]["hub"]).is_absolute()


def public_base_name(report: Mapping[str, Any]) -> str:
    """The base's id on the hub; for a folder of this machine its name without the path."""
    return str(report["base"]["name"] if is_base_local(report) else report["base"]["hub"])


def is_pooled(report: Mapping[str, Any]) -> bool:
    """Whether the base was read by the mean of its tokens; transformers has no such classifier."""
    return bool(report["base"].get("architecture") == "PooledClassifier")


def get_problem_type(report: Mapping[str, Any]) -> str:
    """What a classifier was trained for, in transformers' terms; runs of earlier studios knew one kind."""
    return report.get("problem_type") or "single_label_classification"


def _base_dtype(report: Mapping[str, Any]) -> str:
    """The format of the base; runs of earlier studios do not say it, but on what they computed."""
    by_device = "float32" if report["device"] == "cpu" else "bfloat16"
    return str(report["base"].get("dtype") or by_device)
