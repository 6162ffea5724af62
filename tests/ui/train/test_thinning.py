"""A long run's curve arrives at once, with every extreme, and a run without its points still opens."""

import json
import shutil

import pytest

from studio import runs
from studio.ui.train import curves, live_view


def test_a_thinned_line_keeps_its_ends_and_extremes():
    points = [["train", step, {"loss": 1.0}] for step in range(100_000)]
    points[777][2]["loss"], points[50_001][2]["loss"] = 9.0, 0.1
    kept = curves.thin(points)
    assert len(kept) <= 2 * curves.MAX_LINE_POINTS + 2
    assert {0, 777, 50_001, 99_999} <= {step for _, step, _ in kept}
    assert [step for _, step, _ in kept] == sorted(step for _, step, _ in kept)


def test_a_short_line_stays_as_it_is():
    points = [["train", step, {"loss": 1.0}] for step in range(curves.MAX_LINE_POINTS)]
    assert curves.thin(points) == points


def test_a_rare_line_beside_a_long_one_stays_whole():
    points = [["train", step, {"loss": float(step)}] for step in range(10_000)]
    for step in range(0, 10_000, 1000):
        points[step][2]["eval_loss"] = 1.0
    kept = curves.thin(points)
    assert sum("eval_loss" in values for _, _, values in kept) == 10


def test_a_fresh_page_gets_the_whole_curve_in_one_answer(make_plan):
    run = runs.create(make_plan())
    lines = [
        json.dumps({"seq": step, "stage": "train", "step": step, "epoch": 0.0, "loss": 1.0}) + "\n"
        for step in range(20_000)
    ]
    run.metrics_path.write_text("".join(lines))
    answer = live_view.poll([run.id, 0, "en"])
    assert answer["offset"] == run.metrics_path.stat().st_size
    assert answer["points"][-1][1] == 19_999


@pytest.mark.parametrize("damage", ["gone", "folder", "loop"])
def test_a_run_without_its_points_still_opens(damage, make_plan):
    run = runs.create(make_plan())
    runs.set_status(run, "stopped")
    run.metrics_path.unlink()
    if damage == "folder":
        run.metrics_path.mkdir()
    elif damage == "loop":
        run.metrics_path.symlink_to(run.metrics_path)
    assert live_view.poll([run.id, 0, "en"])["points"] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("before", 5), ("training", True), ("after", {"loss": "x"}), ("method", []), ("verdict", "yes")],
)
def test_a_damaged_section_of_a_report_costs_that_section_alone(key, value, finished):
    run = finished("lora", "chat")
    path = run.folder / "report.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps({**report, key: value}))
    assert live_view.poll([run.id, 0, "en"])["title"] == "lora on toys"
    assert key not in runs.report(run)
    shutil.rmtree(run.folder)
