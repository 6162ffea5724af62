"""The curve of the page is drawn where its points are."""

import pytest

from studio.export.meeting import curve_charts, messages
from studio.export.meeting.curve_charts import BOTTOM, HEIGHT, LEFT, MARGIN, MAX_POINTS, WIDTH
from studio.training.stage_titles import STAGE_TITLES


def points(stage, **series):
    return [
        {"stage": stage, "step": step, **{key: values[step] for key, values in series.items()}}
        for step in range(len(next(iter(series.values()))))
    ]


def test_a_curve_runs_from_corner_to_corner():
    (chart,) = curve_charts.build_charts(points("train", loss=[2.0, 1.0, 0.0]))
    (line,) = chart.lines
    right, bottom = WIDTH - MARGIN, HEIGHT - BOTTOM
    middle = f"{(LEFT + right) / 2},{(MARGIN + bottom) / 2}"
    assert line.points == f"{LEFT}.0,{MARGIN}.0 {middle} {right}.0,{bottom}.0"
    assert [label for _, label in chart.value_ticks] == ["0", "0.5", "1", "1.5", "2"]
    assert chart.summary.render() == "From the first point to the last: training loss 2.000 → 0.000."


def test_each_stage_has_a_chart_in_order_and_practice_shows_its_reward():
    found = curve_charts.build_charts(
        [*points("rl", reward=[0.1, 0.4], loss=[1.0, 2.0]), *points("sft", loss=[3.0, 2.0])]
    )
    assert [chart.title for chart in found] == [STAGE_TITLES["sft"], STAGE_TITLES["rl"]]
    assert [line.name for line in found[1].lines] == [messages.CURVES["reward"]]


@pytest.mark.parametrize("series", [[], [1.0], [float("nan"), float("inf")]])
def test_what_is_no_curve_is_not_drawn(series):
    assert curve_charts.build_charts(points("train", loss=series) if series else []) == []


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    (chart,) = curve_charts.build_charts(points("train", loss=[float(step % 7) for step in range(5000)]))
    drawn = chart.lines[0].points.split()
    assert len(drawn) <= MAX_POINTS + 1
    assert drawn[0].startswith(f"{LEFT}.0,")
    assert drawn[-1].startswith(f"{WIDTH - MARGIN}.0,")


def test_a_flat_curve_lies_within_the_drawing():
    (chart,) = curve_charts.build_charts(points("train", loss=[0.5, 0.5]))
    top = float(chart.lines[0].points.split(",")[-1])
    assert MARGIN <= top <= HEIGHT - BOTTOM
