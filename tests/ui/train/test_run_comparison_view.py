"""The comparison on the Train tab: what it shows of the chosen runs, and that nobody compares another's."""

import json
from types import SimpleNamespace

import pytest
from compared_runs import answered_run
from form_fields import ENGLISH

from studio import plan as plans
from studio import runs
from studio.ui.train import comparison, curves, live_view


@pytest.fixture
def two_runs(make_plan):
    def create(name, n_correct, **training):
        plan = make_plan(task="classify", **training)
        return answered_run(plan.model_copy(update={"name": name}), n_correct)

    return create("first", 58, learning_rate=1e-4), create("second", 30, learning_rate=5e-5)


def compare(chosen, browser_runs=()):
    ids = [run.id for run in chosen] if isinstance(chosen, tuple) else chosen
    return comparison.compare_runs(list(browser_runs), SimpleNamespace(ids=ids), ENGLISH)


def test_what_differs_is_marked_and_equal_settings_are_folded(two_runs):
    _, value = compare(two_runs)
    rows = {row["label"]: row for row in value["rows"]}
    assert value["names"] == ["first", "second"]
    assert [row["cells"] for row in value["rows"] if row["differs"]] == [["1e-4", "5e-5"]]
    assert rows[comparison.SCORE.render("en")]["cells"][0] == "97% correct (89%–99%), 60 test texts"
    assert rows[comparison.TIME.render("en")]["cells"] == ["1 min 30 s", "1 min 30 s"]
    (folded,) = value["folded"]
    assert ["LoRA", "LoRA"] in [row["cells"] for row in value["rows"]]
    assert folded["title"] == comparison.EQUAL_SETTINGS.render("en", count=len(folded["rows"]))
    assert not any(row["differs"] for row in folded["rows"])


def test_the_paired_result_is_said_first(two_runs):
    _, value = compare(two_runs)
    (finding,) = value["findings"]
    assert finding.startswith("“first” is better than “second” on the same 60 test texts")


def test_the_losses_of_all_runs_share_a_chart(two_runs):
    for run, loss in zip(two_runs, (1.0, 2.0), strict=True):
        runs.add_point(run, "train", 1, 0.5, loss=loss)
        runs.add_point(run, "train", 2, 1.0, eval_loss=loss / 2)
    _, value = compare(two_runs)
    (chart,) = value["charts"]
    assert chart["title"] == ""
    assert [(line["run"], line["check"], line["x"], line["y"]) for line in chart["curves"]] == [
        (0, False, [0.5], [1.0]),
        (0, True, [1.0], [0.5]),
        (1, False, [0.5], [2.0]),
        (1, True, [1.0], [1.0]),
    ]
    assert value["caution"] == ""


def test_losses_of_another_base_model_come_with_a_caution(two_runs, make_plan):
    other = runs.create(make_plan())
    _, value = compare((two_runs[0], other))
    assert value["caution"] == comparison.LOSSES_DIFFER.render("en")


@pytest.mark.parametrize("sent", [None, "x", [], ["../../x", "0" * 32], [{"no": 1}, 7], ["0" * 32] * 1000])
def test_what_a_browser_sends_is_checked(sent):
    assert compare(sent)[0]["kind"] == "bad"


def test_where_others_reach_the_page_nobody_compares_another_s_runs(two_runs, monkeypatch):
    monkeypatch.setenv("STUDIO_OPEN", "1")
    first, second = two_runs
    assert compare(two_runs, [first.id])[0]["kind"] == "bad"
    assert compare(two_runs, [first.id, second.id])[1]["names"] == ["first", "second"]


def test_a_long_run_is_thinned(two_runs):
    lines = [
        json.dumps({"seq": step, "stage": "train", "step": step, "epoch": step, "loss": 1.0})
        for step in range(9000)
    ]
    two_runs[0].metrics_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _, value = compare(two_runs)
    (chart,) = value["charts"]
    assert len(chart["curves"][0]["x"]) <= 2 * curves.MAX_LINE_POINTS


def test_a_run_whose_file_of_data_is_gone_is_still_shown(two_runs):
    run, _ = two_runs
    plan = run.plan
    data = plan.data.model_copy(update={"source": "/gone/rows.csv"})
    (run.folder / "plan.yaml").write_text(
        plans.dump(plan.model_copy(update={"data": data})), encoding="utf-8"
    )
    assert live_view.poll([run.id, 0, "en", "", 0])["verdict"]["state"] == "ship"
