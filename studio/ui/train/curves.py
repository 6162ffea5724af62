"""The charts of a run: one for each stage and measure, in order, with the labels of their axes."""

from typing import Any, NamedTuple

from studio import methods
from studio.errors import NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages.schedule import DIRECT_ALGORITHMS
from studio.plan import Plan, target_role
from studio.training.stage_titles import STAGE_TITLES

STEP_AXIS = Message("step")


class Curve(NamedTuple):
    """One line of a chart: which key of a point it shows, its name, and whether it is a validation metric."""

    key: str
    name: Message
    is_validation: bool


class Measure(NamedTuple):
    """One chart: the label of its y axis, and its lines."""

    axis: Message
    curves: tuple[Curve, ...]


MEASURES: dict[str, Measure] = {
    "loss": Measure(
        Message("loss (lower is better)"),
        (
            Curve("loss", Message("training loss"), False),
            Curve("eval_loss", Message("validation loss"), True),
        ),
    ),
    "accuracy": Measure(
        Message("share of kept-aside texts sorted rightly (accuracy)"),
        (Curve("eval_accuracy", Message("accuracy", context="curves"), True),),
    ),
    "labels": Measure(
        Message("how well the labels of kept-aside texts are found (micro F1)"),
        (Curve("eval_micro_f1", Message("micro F1"), True),),
    ),
    "rating": Measure(
        Message("how far numbers are off (mean absolute error, lower is better)"),
        (Curve("eval_mae", Message("mean absolute error"), True),),
    ),
    "pairs": Measure(
        Message("share of kept-aside pairs ranked rightly (accuracy)"),
        (Curve("eval_accuracy", Message("accuracy", context="curves"), True),),
    ),
    "reward": Measure(
        Message("score of its answers (reward, higher is better)"),
        (Curve("reward", Message("reward"), False),),
    ),
    "kl": Measure(
        Message("distance from where it started (KL)"),
        (Curve("kl", Message("KL"), False),),
    ),
    "completion_length": Measure(
        Message("length of its answers (tokens)"),
        (Curve("completion_length", Message("tokens"), False),),
    ),
}
# Stage -> its measures.
STAGE_MEASURES: dict[str, tuple[str, ...]] = {
    "sft": ("loss",),
    "reward": ("loss", "pairs"),
    "rl": ("reward", "kl", "completion_length"),
    "dpo": ("loss", "pairs"),
    "kto": ("loss", "pairs"),
    "simpo": ("loss", "pairs"),
    "orpo": ("loss", "pairs"),
    "full_precision": ("loss",),
    "train": ("loss",),
}
# What a text to classify gets -> the measure beside the loss.
TARGET_MEASURES = {"label": "accuracy", "labels": "labels", "rating": "rating"}
POINT_KEYS = tuple(dict.fromkeys(curve.key for measure in MEASURES.values() for curve in measure.curves))
QUANTISED_STAGE = Message("With rounded weights (quantisation-aware)")


def list_charts(plan: Plan, lang: str) -> list[dict[str, Any]]:
    """The charts that a run of this plan can have, in order; the browser hides those without points."""
    try:
        method_stages = methods.get(plan.method.name).stages
    except NotPossible:  # its method is no longer in the registry
        method_stages = ("train",)
    has_several_stages = len(method_stages) > 1
    chart_list = []
    for stage, title in STAGE_TITLES.items():
        measures = STAGE_MEASURES[stage]
        if stage not in method_stages and not (stage in DIRECT_ALGORITHMS and "rl" in method_stages):
            continue
        if stage == "train" and has_several_stages:
            title = QUANTISED_STAGE
        if stage in ("train", "full_precision") and plan.task == "classify":
            measures = (*measures, *_target_measures(plan))
        for index, name in enumerate(measures):
            # Two charts share a row; of three, the first has a row of its own.
            is_half_wide = len(measures) == 2 or index > 0
            heading = title.render(lang) if has_several_stages and index == 0 else ""
            chart_list.append(_format_chart(stage, name, heading, is_half_wide, lang))
    return chart_list


def _target_measures(plan: Plan) -> list[str]:
    """The measures beside the loss of texts to classify; all where the plan lets columns be guessed."""
    if not plan.data.columns:
        return list(TARGET_MEASURES.values())
    return [TARGET_MEASURES[target_role(plan.data.columns)]]


def _format_chart(stage: str, name: str, title: str, is_half_wide: bool, lang: str) -> dict[str, Any]:
    measure = MEASURES[name]
    lines = [
        {"key": curve.key, "name": curve.name.render(lang), "check": curve.is_validation}
        for curve in measure.curves
    ]
    return {
        "id": f"{stage}-{name}",
        "stage": stage,
        "title": title,
        "axis": measure.axis.render(lang),
        "half": is_half_wide,
        "curves": lines,
    }


def format_point(measured: dict[str, Any]) -> list[Any] | None:
    """A point as sent to the browser: stage, step and the metrics that are drawn; None where it has none."""
    values = {
        key: round(measured[key], 5) for key in POINT_KEYS if isinstance(measured.get(key), int | float)
    }
    if measured.get("stage") not in STAGE_TITLES or not isinstance(measured.get("step"), int) or not values:
        return None
    return [measured["stage"], measured["step"], values]
