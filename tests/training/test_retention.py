"""What a run forgot is asked before and after training, kept over a stop, and said."""

import json
from types import SimpleNamespace

import pytest

from studio import runs
from studio.evaluate import verdict_messages
from studio.evaluate.retention import budget, comparison, suites
from studio.methods.spec import StopRequested
from studio.training import retention, retention_messages, worker

N_ITEMS = 2


@pytest.fixture(autouse=True)
def few_items(monkeypatch):
    """Ask few questions, so that a test takes seconds; a plan that asks none still asks none."""

    def count_items(choice, trained_tokens):
        return 0 if choice == "none" else N_ITEMS

    monkeypatch.setattr(budget, "count_items", count_items)


def train(plan):
    run = runs.create(plan)
    worker.run(run.id)
    return runs.report(run)


def test_a_run_that_learns_nothing_forgets_nothing(make_plan, studio_home):
    report = train(make_plan(epochs=0.25, eval_count=1, learning_rate=1e-12))
    changes = report["retention"]
    assert list(changes) == [*suites.SUITE_NAMES, suites.ALL_SUITES]
    assert {change["n"] for name, change in changes.items() if name != suites.ALL_SUITES} == {N_ITEMS}
    assert all(change["before"] == change["after"] for change in changes.values())
    assert all(change["low"] == change["high"] == 0 for change in changes.values())


@pytest.mark.parametrize(("task", "choice"), [("classify", "auto"), ("chat", "none")])
def test_a_classifier_is_asked_nothing_nor_a_plan_that_says_so(make_plan, studio_home, task, choice):
    method = "full" if task == "classify" else "lora"
    report = train(make_plan(method, task, epochs=0.25, eval_count=1, retention=choice))
    assert report["retention"] == {}
    assert retention_messages.describe_retention(report) == []


@pytest.fixture
def job(make_job, make_plan, studio_home):
    """A run and its training, as the worker has them."""
    run = runs.create(make_plan())
    return SimpleNamespace(run=run, context=make_job("lora", "chat"))


def test_a_run_that_goes_on_compares_with_what_the_base_answered(job, monkeypatch):
    retention.measure_base(job.run, job.context, job.context.model)
    saved = job.run.folder / "checkpoints" / retention.BASE_FILE
    all_right = {name: [True] * N_ITEMS for name in json.loads(saved.read_text(encoding="utf-8"))}
    saved.write_text(json.dumps(all_right), encoding="utf-8")
    changes = retention.compare_with_base(job.run, job.context, job.context.model)
    assert {change["before"] for change in changes.values()} == {1.0}
    status = runs.status(job.run)
    assert (status.state, status.stage) == ("evaluating", "retention")
    assert status.steps > 0


def test_a_stop_ends_the_asking(job):
    retention.measure_base(job.run, job.context, job.context.model)
    job.run.stop_file.touch()
    assert retention.compare_with_base(job.run, job.context, job.context.model) == {}
    with pytest.raises(StopRequested):
        retention.measure_base(job.run, job.context, job.context.model)


def test_a_run_whose_base_was_not_asked_compares_nothing(job):
    assert retention.compare_with_base(job.run, job.context, job.context.model) == {}


def answered(n_before, n_after, n=20):
    return [True] * n_before + [False] * (n - n_before), [True] * n_after + [False] * (n - n_after)


def report_on(before, after):
    return {"retention": comparison.compare({"arithmetic": before}, {"arithmetic": after})}


def test_what_was_forgotten_is_said_with_its_figures():
    report = report_on(*answered(18, 4))
    (forgot,) = retention_messages.describe_retention(report)
    assert forgot.text == verdict_messages.FORGOT.text
    assert "arithmetic 18 → 4 of 20" in forgot.render("en")
    assert "算术 18 → 4（共 20 题）" in forgot.render("zh")
    (name, before, after, _), _ = retention_messages.retention_rows(report)
    assert (name.render("en"), before, after) == ("arithmetic", "18 / 20", "4 / 20")


def test_where_nothing_fell_beyond_chance_that_is_said():
    (message,) = retention_messages.describe_retention(report_on(*answered(18, 15)))
    assert message == retention_messages.FORGOT_NOTHING.format(n=20, before=18, after=15)
