"""The table of all runs: what a row says, what its buttons do, and that nobody touches another's run."""

import json
import os
from types import SimpleNamespace

import pytest
from form_fields import ENGLISH

from studio import run_index, runs
from studio.evaluate.paired import Estimate
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_messages import NOTHING_HELD_OUT
from studio.ui.train import live_view, runs_table
from studio.ui.train import tab as train_tab


@pytest.fixture
def ended(make_plan):
    run = runs.create(make_plan())
    result = Verdict("ship", NOTHING_HELD_OUT, score=Estimate(0.8, 0.7, 0.9))
    report = {"verdict": result.to_json(), "seconds": 90}
    (run.folder / "report.json").write_text(json.dumps(report))
    runs.set_status(run, "done")
    return run


def press(run_id, browser_runs=(), **sent):
    event = SimpleNamespace(id=run_id, **{"action": "", "name": "", **sent})
    return runs_table.change_run(list(browser_runs), event, ENGLISH)


def test_a_row_says_what_a_run_is_and_came_to(ended):
    (row,) = runs_table.list_runs([], ENGLISH)[0]["rows"]
    assert (row["name"], row["state"]) == (ended.plan.name, "✓ Ship it")
    assert (row["score"], row["time"][1]) == (["0.8 (0.7 to 0.9)", 0.8], 90)
    assert row["cost"] == ["", None]


def test_a_cost_stands_in_the_currency_of_its_machine(ended):
    price = {"per_hour": 40.0, "billed": "second", "start_minutes": 0}
    (ended.folder / "estimate.json").write_text(json.dumps({"price": price, "currency": "CNY"}))
    (row,) = runs_table.list_runs([], ENGLISH)[0]["rows"]
    assert row["cost"] == ["¥1.00", pytest.approx(1.0)]  # 90 seconds


def test_a_run_without_a_verdict_is_shown_in_the_words_of_its_card(make_plan):
    stopped = runs.create(make_plan())
    runs.set_status(stopped, "stopped", "before")
    (row,) = runs_table.list_runs([], ENGLISH)[0]["rows"]
    assert row["state"] == live_view.poll([stopped.id, 0, "en"])["state"]
    assert row["state"] == live_view.STATE_NAMES["unlearned"].text


def test_elsewhere_a_run_is_named_as_in_the_table(ended, make_plan):
    other = runs.create(make_plan())
    run_index.pin(ended, True)
    (first, first_id), (second, second_id) = runs_table.list_choices([other, ended], "en")
    assert (first_id, second_id) == (ended.id, other.id)
    assert first.startswith(f"★ {ended.plan.name} · ")
    assert first.endswith(" · ✓ Ship it")
    assert second.endswith(f" · {live_view.STATE_NAMES['starting'].text}")


def test_a_table_is_sent_once_it_was_opened_and_when_it_has_changed(ended):
    assert "rows" not in runs_table.update_runs([], "", ENGLISH)[0]
    _, digest = runs_table.list_runs([], ENGLISH)
    assert "rows" not in runs_table.update_runs([], digest, ENGLISH)[0]
    run_index.pin(ended, True)
    assert runs_table.update_runs([], digest, ENGLISH)[0]["rows"][0]["pinned"]


def test_a_row_s_buttons_rename_pin_delete_and_undo(ended):
    _, value, _ = press(ended.id, action="rename", name="Second try")
    assert value["said"] == runs_table.RENAMED.render("en", name="Second try")
    assert press(ended.id, action="pin")[1]["rows"][0]["pinned"]
    assert not press(ended.id, action="unpin")[1]["rows"][0]["pinned"]
    _, value, _ = press(ended.id, action="delete")
    assert (value["rows"], value["deleted"]) == ([], ended.id)
    _, value, _ = press(ended.id, action="undo")
    assert (value["rows"][0]["name"], value["deleted"]) == ("Second try", "")


@pytest.mark.parametrize("sent", ["../../x", {"no": 1}, None, "0" * 32])
def test_what_a_browser_sends_is_checked(ended, sent):
    for action in ("rename", "pin", "delete", "undo"):
        assert press(sent, action=action)[0]["kind"] == "bad"
    assert press(ended.id, action="rename", name=["no text"])[0]["kind"] == "bad"
    unknown = press(ended.id, action={"no": 1})
    assert unknown[0]["kind"] == "bad"
    assert runs.get(ended.id).plan.name == ended.plan.name


def test_a_run_that_goes_on_is_not_deleted(make_plan):
    live = runs.create(make_plan())
    runs.claim(live, os.getpid())
    assert press(live.id, action="delete")[0]["kind"] == "bad"
    assert live.folder.is_dir()


def test_where_others_reach_the_page_only_one_s_own_runs_are_listed_and_changed(ended, monkeypatch):
    monkeypatch.setenv("STUDIO_OPEN", "1")
    assert runs_table.list_runs([], ENGLISH)[0]["rows"] == []
    for action in ("rename", "pin", "delete"):
        assert press(ended.id, action=action, name="mine")[0]["kind"] == "bad"
    assert train_tab.choose_run([], SimpleNamespace(id=ended.id), ENGLISH)[0]["kind"] == "bad"
    assert train_tab.start_again([], SimpleNamespace(id=ended.id), ENGLISH)[0]["kind"] == "bad"
    assert press(ended.id, [ended.id], action="delete")[1]["deleted"] == ended.id
    assert press(ended.id, [], action="undo")[0]["kind"] == "bad"
    assert press(ended.id, [ended.id], action="undo")[1]["rows"][0]["id"] == ended.id


def test_a_row_is_opened_and_its_plan_started_once_more(ended, monkeypatch):
    started = []
    monkeypatch.setattr(train_tab.launcher, "start", lambda run: started.append(run))
    _, _, shown = train_tab.choose_run([], SimpleNamespace(id=ended.id), ENGLISH)
    assert shown == ended.id
    monkeypatch.setattr(train_tab.remedies, "check_access", lambda plan: None)
    _, _, new_id, browser_runs = train_tab.start_again([], SimpleNamespace(id=ended.id), ENGLISH)
    assert (started[0].id, browser_runs) == (new_id, [new_id])
    assert started[0].plan == ended.plan
