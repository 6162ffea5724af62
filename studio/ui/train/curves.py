"""The charts of a run: one for each stage and measure, in order, with their lines, axes and references."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from studio.errors import DamagedFile
from studio.evaluate import predictions
from studio.i18n import Message
from studio.plan import Plan, target_role
from studio.runs import Run
from studio.training import progress
from studio.training.stage_titles import QUANTIZED_TITLE, STAGE_TITLES

STEP_AXIS = Message("Step", context="curves")
GUESSING = Message("guessing: {share:.0%}")
LARGEST_CLASS = Message("always the largest class: {share:.0%}")
BEFORE_TRAINING, LINEAR_MODEL = Message("before training"), Message("linear model")


class Curve(NamedTuple):
    """One line of a chart: which key of a point it shows, its name, and whether it is a validation metric."""

    key: str
    name: Message
    is_validation: bool


class Measure(NamedTuple):
    """One chart: the label of its y axis, its lines, and whether they are shares (0 to 1)."""

    axis: Message
    curves: tuple[Curve, ...]
    is_share: bool = False


MEASURES: dict[str, Measure] = {
    "loss": Measure(
        Message("Loss (lower is better)"),
        (
            Curve("loss", Message("training loss"), False),
            Curve("eval_loss", Message("validation loss"), True),
        ),
    ),
    "accuracy": Measure(
        Message("Accuracy on validation texts"),
        (Curve("eval_accuracy", Message("accuracy", context="curves"), True),),
        is_share=True,
    ),
    "labels": Measure(
        Message("Labels right on validation texts (micro F1)"),
        (Curve("eval_micro_f1", Message("micro F1"), True),),
        is_share=True,
    ),
    "rating": Measure(
        Message("Average error on validation texts (lower is better)"),
        (Curve("eval_mae", Message("mean absolute error"), True),),
    ),
    "pairs": Measure(
        Message("Validation pairs ranked correctly"),
        (Curve("eval_accuracy", Message("accuracy", context="curves"), True),),
        is_share=True,
    ),
    "reward": Measure(
        Message("Score of its answers (reward, higher is better)"),
        (Curve("reward", Message("reward"), False),),
    ),
    "kl": Measure(
        Message("Distance from its start (KL)"),
        (Curve("kl", Message("KL"), False),),
    ),
    "completion_length": Measure(
        Message("Length of its answers (tokens)"),
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
# A line of more points than these is thinned to about twice as many: no screen shows more.
MAX_LINE_POINTS = 2000
# What a text to classify gets -> the measure beside the loss.
TARGET_MEASURES = {"label": "accuracy", "labels": "labels", "rating": "rating"}
# Beside what is drawn, the step whose state is the best so far.
POINT_KEYS = {"best_step", *(curve.key for measure in MEASURES.values() for curve in measure.curves)}


def list_charts(run: Run, plan: Plan, lang: str) -> list[dict[str, Any]]:
    """The charts of the stages that a run goes through, in order; the browser hides those without points."""
    stages = progress.trained_stages(plan)
    charts = []
    for stage in stages:
        measures = _list_measures(stage, plan)
        for index, name in enumerate(measures):
            has_heading = len(stages) > 1 and index == 0
            chart = {
                **_format_measure(name, lang),
                "id": f"{stage}-{name}",
                "stage": stage,
                "title": stage_title(stage, stages).render(lang) if has_heading else "",
                "half": len(measures) > 1,
                "start": _name_start(stage, plan).render(lang),
                "lines": _reference_lines(run, name, lang),
            }
            charts.append(chart)
    return charts


def stage_title(stage: str, stages: tuple[str, ...]) -> Message:
    """What a stage is called among those of its run."""
    is_quantized = stage == "train" and len(stages) > 1
    return QUANTIZED_TITLE if is_quantized else STAGE_TITLES[stage]


def _list_measures(stage: str, plan: Plan) -> tuple[str, ...]:
    measures = STAGE_MEASURES[stage]
    if plan.task != "classify":
        return measures
    # All where the plan lets columns be guessed.
    columns = plan.data.columns
    targets = [TARGET_MEASURES[target_role(columns)]] if columns else TARGET_MEASURES.values()
    return (*measures, *targets)


def _format_measure(name: str, lang: str) -> dict[str, Any]:
    measure = MEASURES[name]
    curves = [
        {"key": curve.key, "name": curve.name.render(lang), "check": curve.is_validation}
        for curve in measure.curves
    ]
    return {"axis": measure.axis.render(lang), "share": measure.is_share, "curves": curves}


def _name_start(stage: str, plan: Plan) -> Message:
    """What the first validation measures: a model that is fitted and not trained, or the one before."""
    starts_from_fit = stage == "reward" or plan.task == "classify"
    return LINEAR_MODEL if starts_from_fit else BEFORE_TRAINING


def _reference_lines(run: Run, measure: str, lang: str) -> list[dict[str, Any]]:
    """What can be had without any model: guessing between two answers, or always the largest class."""
    if measure == "pairs":
        return [{"name": GUESSING.render(lang, share=0.5), "value": 0.5}]
    share = _largest_class_share(run.folder) if measure == "accuracy" else None
    if share is None:
        return []
    return [{"name": LARGEST_CLASS.render(lang, share=share), "value": share}]


@lru_cache(maxsize=32)
def _largest_class_share(folder: Path) -> float | None:
    """How often the most frequent class of the training texts is right on the validation texts (0 to 1).

    None where the rows are not there or damaged, as the verdict says. Cached: the data of a run stay as they
    are.
    """
    try:
        train, validation = (predictions.read_rows(folder, name) for name in ("train", "validation"))
    except DamagedFile:
        return None
    if not train or not validation:
        return None
    largest_class = Counter(row.get("label") for row in train).most_common(1)[0][0]
    return [row.get("label") for row in validation].count(largest_class) / len(validation)


def format_point(measured: dict[str, Any]) -> list[Any] | None:
    """A point as sent to the browser: stage, step and the metrics that are drawn; None where it has none."""
    values = {
        key: round(value, 5)
        for key, value in measured.items()
        if key in POINT_KEYS and isinstance(value, int | float)
    }
    if measured.get("stage") not in STAGE_TITLES or not isinstance(measured.get("step"), int) or not values:
        return None
    return [measured["stage"], measured["step"], values]


def thin(points: list[list[Any]]) -> list[list[Any]]:
    """Sent points without those that no screen could tell apart; the ends and extremes of each line stay.

    Each line is cut into as many stretches as fit, and of each stretch its lowest and highest point stay.
    """
    if len(points) <= MAX_LINE_POINTS:
        return points
    indices_by_line: dict[tuple[str, str], list[int]] = {}
    for index, (stage, _, values) in enumerate(points):
        for key in values:
            indices_by_line.setdefault((stage, key), []).append(index)
    selected: set[int] = set()
    for (_, key), indices in indices_by_line.items():
        selected |= _find_extremes(indices, [points[index][2][key] for index in indices])
    return [points[index] for index in sorted(selected)]


def _find_extremes(indices: list[int], values: list[float]) -> set[int]:
    """The indices of the lowest and highest value of each stretch of a line, and of its two ends."""
    length = -(-len(indices) // MAX_LINE_POINTS)
    selected = {indices[0], indices[-1]}
    for start in range(0, len(indices), length):
        stretch = range(start, min(start + length, len(indices)))
        selected |= {
            indices[min(stretch, key=values.__getitem__)],
            indices[max(stretch, key=values.__getitem__)],
        }
    return selected
