"""Runs side by side: their settings, their scores, and what the rows that all of them answered show."""

import json

import pytest
from compared_runs import answered_run

from studio import plan as plans
from studio import run_comparison, runs
from studio.errors import NotPossible


def texts(comparison):
    return [finding.text for finding in comparison.findings]


@pytest.fixture
def classify(make_plan):
    def plan(name="first", method="lora", settings=None, **training):
        changed = make_plan(method, "classify", settings, **training)
        return changed.model_copy(update={"name": name})

    return plan


def test_settings_are_equal_or_different_or_belong_to_one_method(classify):
    lora = runs.create(classify(learning_rate=1e-4, settings={"rank": 4}))
    frozen = runs.create(classify("second", "frozen", learning_rate=2e-4))
    settings = {setting.key: setting for setting in run_comparison.compare([lora, frozen]).settings}
    assert settings["training.learning_rate"].values == (1e-4, 2e-4)
    assert settings["training.learning_rate"].kind == "different"
    assert settings["method.name"].values == ("lora", "frozen")
    assert (settings["method.settings.rank"].values, settings["method.settings.rank"].kind) == (
        (4, None),
        "partial",
    )
    assert settings["training.seed"].kind == "equal"
    assert "name" not in settings


def test_a_run_is_compared_with_what_it_filled_in_and_with_its_method_s_defaults(classify):
    open_plan = classify().model_copy(
        update={"training": classify().training.model_copy(update={"epochs": None})}
    )
    run, other = answered_run(open_plan, 58), answered_run(classify("second", settings={"rank": 16}), 58)
    settings = {setting.key: setting for setting in run_comparison.compare([run, other]).settings}
    assert settings["training.epochs"].values == (3.0, 3.0)
    assert settings["method.settings.rank"].values == (16, 16)


def test_the_same_content_in_two_files_is_the_same_data(classify):
    compared = [answered_run(classify(name), 58) for name in ("first", "second")]
    for number, run in enumerate(compared):
        plan = run.plan
        data = plan.data.model_copy(update={"source": f"/copy{number}/rows.csv"})
        (run.folder / "plan.yaml").write_text(
            plans.dump(plan.model_copy(update={"data": data})), encoding="utf-8"
        )
    assert {
        setting.key for setting in run_comparison.compare(compared).settings if setting.kind == "different"
    } == {"data.source"}
    for run in compared:
        report = runs.report(run) | {"data": {"name": "rows.csv", "sha256": "0123456789abcdef"}}
        (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    settings = {setting.key: setting for setting in run_comparison.compare(compared).settings}
    assert settings["data.source"].values == ("rows.csv · 01234567", "rows.csv · 01234567")


def test_the_best_run_is_compared_with_each_other_on_the_same_rows(classify):
    worse, better = answered_run(classify("worse"), 30), answered_run(classify("better"), 58)
    (finding,) = run_comparison.compare([worse, better]).findings
    assert finding.text == run_comparison.BETTER.text
    assert finding.render().startswith(
        "“better” is better than “worse” on the same 60 test texts: +47 points"
    )
    assert "better on 28 rows, worse on 0" in finding.render()


def test_more_runs_need_a_clearer_difference(classify):
    # 6 rows better and 0 worse: p = 2 / 2**6 = 0.031, which is below 0.05, but not below 0.05 / 3 pairs.
    plans = [classify(name) for name in ("first", "second", "third")]
    compared = [answered_run(plan, n_correct) for plan, n_correct in zip(plans, (36, 30, 36), strict=True)]
    assert texts(run_comparison.compare(compared[:2])) == [run_comparison.BETTER.text]
    assert texts(run_comparison.compare(compared)) == [run_comparison.NOT_SHOWN.text] * 2


def test_runs_with_other_rows_and_without_answers_are_compared_without_a_test(classify):
    first, other = answered_run(classify(), 58), answered_run(classify("other"), 58, texts="sentence")
    assert texts(run_comparison.compare([first, other])) == [run_comparison.NO_SHARED_ROWS.text]
    assert texts(run_comparison.compare([first, runs.create(classify("new"))])) == []
    (other.folder / "predictions.jsonl").write_text('{"row": 400, "split": "test", "tuned": {}}\n')
    assert texts(run_comparison.compare([first, other])) == [run_comparison.UNREADABLE_ANSWERS.text]


def test_losses_of_different_base_models_are_not_compared(make_plan):
    compared = []
    for name, model in (("first", "one"), ("second", "two")):
        plan = make_plan().model_copy(update={"name": name, "model": model})
        run = runs.create(plan)
        rows = [{"prompt": f"Question {n}?", "response": "A long answer. " * 10} for n in range(30)]
        (run.folder / "data").mkdir()
        (run.folder / "data" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        lines = [{"row": n, "split": "test", "tuned": {"loss": 2.0 + n / 10}} for n in range(30)]
        (run.folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        compared.append(run)
    comparison = run_comparison.compare(compared)
    assert texts(comparison) == [run_comparison.OTHER_TOKENS.text]
    assert not comparison.has_comparable_losses


def test_runs_of_one_name_are_told_apart_by_their_id(classify):
    first, second = runs.create(classify()), runs.create(classify())
    names = [compared.name for compared in run_comparison.compare([first, second]).runs]
    assert names == [f"first ({first.id[:8]})", f"first ({second.id[:8]})"]


def test_a_score_names_its_rows_and_few_rows_are_counted(classify):
    run = answered_run(classify(), 54)
    (compared, _) = run_comparison.compare([run, runs.create(classify())]).runs
    assert compared.score.render() == "90% correct (80%–95%), 60 test texts"
    report = runs.report(run)
    report["verdict"] |= {"n": 10}
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (compared, _) = run_comparison.compare([run, runs.create(classify())]).runs
    assert compared.score.render() == "9 of 10 test texts correct"


def test_only_two_to_five_different_runs_can_be_compared(classify):
    created = [runs.create(classify()) for _ in range(6)]
    for chosen in ([], created[:1], created, [created[0], created[0]]):
        with pytest.raises(NotPossible):
            run_comparison.compare(chosen)


def test_losses_are_read_with_their_epochs_and_without_what_is_no_number(classify):
    run = runs.create(classify())
    runs.add_point(run, "train", 0, 0.0, eval_loss=2.0, best_step=0)
    runs.add_point(run, "train", 1, 0.5, loss=float("nan"))
    runs.add_point(run, "train", 2, 1.0, loss=1.5, eval_loss=1.25)
    assert run_comparison.read_losses(run) == [
        ["train", 0.0, {"eval_loss": 2.0}],
        ["train", 1.0, {"loss": 1.5, "eval_loss": 1.25}],
    ]
