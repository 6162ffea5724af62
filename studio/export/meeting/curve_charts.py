"""The curves of a run as coordinates of a drawing, a chart for each stage."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.export.meeting import messages
from studio.i18n import Message
from studio.training.stage_titles import STAGE_TITLES

# The drawing, and the part of it that the axes take (units of the SVG).
WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 720, 220, 56, 28, 10
MAX_POINTS = 400
N_TICKS = 5
# Which keys of a point are drawn: of practice the reward, of every other stage the losses.
REWARD_KEYS, LOSS_KEYS = ("reward",), ("loss", "eval_loss")
Series = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Line:
    """One line: its name, its class in the style sheet, and its points as an SVG polyline takes them."""

    name: Message
    key: str
    points: str
    marks: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Chart:
    """The chart of one stage: ticks are (position, label) pairs; `title` is None of the only stage."""

    title: Message | None
    lines: Sequence[Line]
    step_ticks: Sequence[tuple[float, str]]
    value_ticks: Sequence[tuple[float, str]]
    summary: Message
    width: int = WIDTH
    height: int = HEIGHT
    axis: int = LEFT
    right: int = WIDTH - MARGIN
    bottom: int = HEIGHT - BOTTOM


def build_charts(points: Iterable[Mapping[str, Any]]) -> list[Chart]:
    """The charts of a run's points, in the order of its stages; one without a line of two points is none."""
    points_by_stage = defaultdict(list)
    for point in points:
        points_by_stage[point.get("stage")].append(point)
    curves = {
        stage: series for stage in STAGE_TITLES if (series := _read_series(points_by_stage.get(stage, [])))
    }
    return [
        _build_chart(STAGE_TITLES[stage] if len(curves) > 1 else None, series)
        for stage, series in curves.items()
    ]


def _read_series(points: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    has_reward = any("reward" in point for point in points)
    series_by_key = {
        key: [(point["step"], point[key]) for point in points if _is_number(point.get(key))]
        for key in (REWARD_KEYS if has_reward else LOSS_KEYS)
    }
    return {key: series for key, series in series_by_key.items() if series and series[0][0] < series[-1][0]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _build_chart(title: Message | None, series_by_key: Mapping[str, Series]) -> Chart:
    steps = [step for series in series_by_key.values() for step, _ in series]
    values = [value for series in series_by_key.values() for _, value in series]
    first_step, last_step = min(steps), max(steps)
    value_ticks = _ticks(min(values), max(values))

    def x(step: float) -> float:
        return LEFT + _position(step, first_step, last_step) * (WIDTH - LEFT - MARGIN)

    def y(value: float) -> float:
        return (
            HEIGHT - BOTTOM - _position(value, value_ticks[0], value_ticks[-1]) * (HEIGHT - BOTTOM - MARGIN)
        )

    lines = []
    for key, series in series_by_key.items():
        places = [(x(step), y(value)) for step, value in _thin(series)]
        marks = places if key == "eval_loss" else ()
        text = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        lines.append(Line(messages.CURVES[key], key, text, marks))
    ends = [
        messages.CURVE_ENDS.format(name=messages.CURVES[key], first=series[0][1], last=series[-1][1])
        for key, series in series_by_key.items()
    ]
    return Chart(
        title=title,
        lines=lines,
        step_ticks=[
            (x(tick), f"{tick:g}")
            for tick in _ticks(first_step, last_step)
            if first_step <= tick <= last_step
        ],
        value_ticks=[(y(tick), f"{tick:g}") for tick in value_ticks],
        summary=messages.CURVE_SUMMARY.format(curves=ends),
    )


def _thin(series: Series) -> Series:
    """At most MAX_POINTS points and the last; those between are left out at equal distances."""
    stride = math.ceil(len(series) / MAX_POINTS)
    return [*series[:-1:stride], series[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, that span a range."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / N_TICKS))
    distance = next(factor * power for factor in (1, 2, 5, 10) if factor * power * N_TICKS >= span)
    first, last = math.floor(low / distance), max(math.ceil(high / distance), math.floor(low / distance) + 1)
    return [index * distance for index in range(first, last + 1)]


def _position(value: float, low: float, high: float) -> float:
    """Where a value lies within a range (0 to 1)."""
    return (value - low) / (high - low)
