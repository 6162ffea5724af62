"""The Train tab: what is said before a run starts, and how it is found and resumed."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

from form_fields import ENGLISH, form_fields

from studio import methods, runs
from studio.training import launcher
from studio.ui.components import notices
from studio.ui.train import live_view
from studio.ui.train import tab as train_tab


def test_the_summary_is_counted_on_the_real_data():
    text = train_tab.summarise(ENGLISH, **form_fields())["text"]
    # 140 examples, a fifth aside: 112 to train on, 28 to check on; 112 / 4 = 28 steps an epoch, 56 in two
    assert "112 examples" in text
    assert "56 steps" in text
    assert "28 more" in text


def test_what_is_wrong_with_the_page_s_fields_is_said_before_anything_starts():
    fields = form_fields(lora_rank=5000, batch_size=0)
    notice = train_tab.start_run(ENGLISH, browser_runs=[], **fields)[0]
    assert notice["kind"] == "bad"
    assert notice["text"] == notices.SETTINGS_TO_CHANGE.render("en", count=2)
    assert "How far the model may change (rank): expected 1 to 256, but got 5000" in notice["more"]
    assert "Examples per step (batch size): " in notice["more"]
    without_data = train_tab.start_run(ENGLISH, browser_runs=[], **form_fields(source=""))[0]
    assert without_data["text"] == train_tab.NO_EXAMPLES.text
    assert runs.all_runs() == []


def test_a_method_that_begins_a_stage_again_says_so_beforehand(monkeypatch):
    summary = train_tab.summarise(ENGLISH, **form_fields())
    assert summary["more"].startswith("It should take ")
    assert train_tab.RESTARTS_STAGE.text not in summary["more"]
    without_resume = tuple(
        replace(method, supports_resume=False) if method.name == "lora" else method
        for method in methods.METHODS
    )
    monkeypatch.setattr(methods, "METHODS", without_resume)
    assert train_tab.RESTARTS_STAGE.text in train_tab.summarise(ENGLISH, **form_fields())["more"]


def test_a_full_disk_is_said_before_a_run_starts(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000, total=1, used=1))
    notice = train_tab.start_run(ENGLISH, browser_runs=[], **form_fields())[0]
    assert "GB free" in notice["text"]
    assert runs.all_runs() == []


def test_a_run_that_cannot_fit_starts_only_where_the_person_insists(monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "start", lambda run: started.append(run.id))
    fields = form_fields(model="qwen3-8b", method="full")
    summary = train_tab.summarise(ENGLISH, **fields)
    assert summary["kind"] == "check"
    notice, *_, insist_box = train_tab.start_run(ENGLISH, browser_runs=[], **fields)
    assert (notice["kind"], notice["more"]) == ("bad", train_tab.DOES_NOT_FIT_ADVICE.text)
    assert (insist_box["visible"], started) == (True, [])
    notice, *_ = train_tab.start_run(ENGLISH, browser_runs=[], insist=True, **fields)
    assert (notice["text"], len(started)) == (train_tab.STARTED.text, 1)


def test_a_shown_run_that_has_ended_brings_the_list_up_to_date_and_clears_what_was_said(finished):
    run = finished()
    notice, run_list = train_tab.refresh_state(run.id, [run.id], ENGLISH)
    assert notice["text"] == ""
    assert run_list["choices"][0][0].endswith("Cannot tell yet")  # the verdict stands for "Done"


def test_a_reload_finds_the_run_in_the_address_or_in_the_browser_s_memory(finished):
    run = finished()
    assert train_tab.reattach_run(run.id, [], ENGLISH)[1] == run.id
    address = SimpleNamespace(headers={}, query_params={"run": run.id})
    assert train_tab.reattach_run("", [], address)[1] == run.id
    assert train_tab.reattach_run("nonsense", [], ENGLISH)[1] == ""


def test_a_stopped_run_can_go_on_from_the_page(make_plan, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "_start_worker", lambda run: started.append(run.id))
    run = runs.create(make_plan())
    assert not live_view.poll([run.id, 0, "en"])["resumable"]
    notice, *_ = train_tab.resume_run(run.id, [], SimpleNamespace(id=run.id), ENGLISH)
    assert "cannot go on" in notice["text"]
    runs.set_status(run, "stopped", "after", step=3, steps=9)
    assert live_view.poll([run.id, 0, "en"])["resumable"]
    notice, live, _ = train_tab.resume_run(run.id, [], SimpleNamespace(id=run.id), ENGLISH)
    assert notice["text"] == train_tab.RESUMED.render("en", name=run.plan.name)
    assert (live["run"], started) == (run.id, [run.id])
    for sent in ("../../x", {"no": 1}, None):
        assert train_tab.resume_run("", [], SimpleNamespace(id=sent), ENGLISH)[0]["kind"] == "bad"
