"""The list of runs: read once, brought up to date, and what can be done with a run in it."""

import json
import os

import pytest

from studio import run_index, runs
from studio.errors import NotPossible
from studio.evaluate.paired import Estimate
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_messages import NOTHING_HELD_OUT
from studio.storage import home


def listed(run):
    (summary,) = run_index.summarize([run])
    return summary


def end(run, **report):
    (run.folder / "report.json").write_text(json.dumps(report))
    runs.set_status(run, "done")
    return run


def test_a_run_is_summed_up_with_verdict_interval_time_and_cost(make_plan):
    result = Verdict("ship", NOTHING_HELD_OUT, score=Estimate(0.8, 0.7, 0.9))
    run = end(runs.create(make_plan()), verdict=result.to_json(), seconds=1800)
    price = {"per_hour": 3.0, "billed": "minute", "start_minutes": 4.5}
    (run.folder / "estimate.json").write_text(json.dumps({"price": price, "currency": "CNY"}))
    summary = listed(run)
    assert (summary.name, summary.method, summary.state) == (run.plan.name, "lora", "done")
    assert (summary.verdict, summary.low, summary.high) == ("ship", 0.7, 0.9)
    assert (summary.seconds, summary.currency) == (1800, "CNY")
    assert summary.money == pytest.approx(1.75)  # 30 minutes and 4.5 before them are 35 at 5 cents
    sizes = [path.stat().st_size for path in run.folder.iterdir()]
    assert summary.size_bytes == sum(sizes)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"price": 3}',
        '{"price": {"per_hour": "x"}, "currency": "USD"}',
        '{"price": {"per_hour": 3}}',
    ],
)
def test_what_no_estimate_can_tell_is_no_cost(make_plan, content):
    run = end(runs.create(make_plan()), seconds=1800)
    (run.folder / "estimate.json").write_text(content)
    assert (listed(run).money, listed(run).currency) == (None, "")


def test_only_a_run_that_has_changed_is_read_again(make_plan, monkeypatch):
    unchanged, changed = end(runs.create(make_plan())), end(runs.create(make_plan()))
    first = run_index.summarize([unchanged, changed])
    read = []
    original = run_index._read_run
    monkeypatch.setattr(run_index, "_read_run", lambda run: read.append(run.id) or original(run))
    assert run_index.summarize([unchanged, changed]) == first
    assert read == []
    end(changed, seconds=60)
    assert [summary.seconds for summary in run_index.summarize([unchanged, changed])] == [None, 60]
    assert read == [changed.id]


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1, "runs": {"x": 1}}', '{"format": 1, "runs": 3}'])
def test_a_damaged_index_costs_nothing_but_time(make_plan, content):
    run = end(runs.create(make_plan()))
    expected = listed(run)
    (home() / run_index.INDEX_FILE).write_text(content.replace("x", run.id))
    assert listed(run) == expected


def test_a_damaged_plan_or_report_costs_its_own_line(make_plan):
    bad_plan, bad_report = end(runs.create(make_plan())), end(runs.create(make_plan()), verdict={"state": 1})
    (bad_plan.folder / "plan.yaml").write_text("[")
    assert (listed(bad_plan).name, listed(bad_plan).state) == ("", "done")
    assert (listed(bad_report).verdict, listed(bad_report).state) == ("", "done")


def test_a_renamed_run_keeps_all_else_and_its_place(make_plan):
    run = end(runs.create(make_plan()))
    os.utime(run.folder / "plan.yaml", (1e9, 1e9))
    before, plan = runs.get(run.id).created, run.plan
    assert listed(run).name == plan.name
    run_index.rename(run, "  Tone,\n second try ")
    assert listed(run).name == "Tone, second try"
    assert runs.get(run.id).created == before
    assert run.plan == plan.model_copy(update={"name": "Tone, second try"})
    with pytest.raises(NotPossible):
        run_index.rename(run, " \n")


def test_a_pinned_run_stands_first(make_plan):
    older, newer = end(runs.create(make_plan())), end(runs.create(make_plan()))
    os.utime(older.folder / "plan.yaml", (1e9, 1e9))
    assert [summary.id for summary in run_index.summarize_all()] == [newer.id, older.id]
    run_index.pin(older, True)
    assert [summary.id for summary in run_index.summarize_all()] == [older.id, newer.id]
    run_index.pin(older, False)
    assert [summary.id for summary in run_index.summarize_all()] == [newer.id, older.id]


def test_a_deleted_run_comes_back_whole_within_the_hour_and_is_gone_after_it(make_plan, monkeypatch):
    run = end(runs.create(make_plan()))
    plan = run.plan
    run_index.delete(run)
    assert run_index.summarize_all() == []
    run_index.purge_deleted()
    assert run_index.restore(run.id).plan == plan
    run_index.delete(run)
    monkeypatch.setattr(run_index, "UNDO_SECONDS", -1)
    run_index.purge_deleted()
    assert list(runs.folder().iterdir()) == []
    for gone in (run.id, "../../x", ""):
        with pytest.raises(NotPossible):
            run_index.restore(gone)


def test_a_run_that_goes_on_cannot_be_deleted(make_plan):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    with pytest.raises(NotPossible) as refused:
        run_index.delete(run)
    assert run.plan.name in refused.value.render()
    assert run.folder.is_dir()
