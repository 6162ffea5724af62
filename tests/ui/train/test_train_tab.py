"""The Train tab: what is said before a run starts, and how it is found and resumed."""

import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

from form_fields import ENGLISH, form_fields

from studio import methods, runs
from studio.data import store
from studio.training import launcher
from studio.ui.components import notices
from studio.ui.form import messages as form_messages
from studio.ui.method import held_out
from studio.ui.method.estimates import EXPECTED_COST
from studio.ui.train import live_view
from studio.ui.train import tab as train_tab


def test_the_summary_is_counted_on_the_real_data():
    text = train_tab.summarise(ENGLISH, **form_fields())["text"]
    # 140 examples, 28 to validate and 21 to test: 91 to train on; 23 steps of 4 an epoch, 46 in two
    assert "91 examples" in text
    assert "46 steps" in text
    assert "28 held out" in text


def test_what_is_wrong_with_the_page_s_fields_is_said_before_anything_starts():
    fields = form_fields(lora_rank=5000, batch_size=0)
    notice = train_tab.start_run(ENGLISH, browser_runs=[], **fields)[0]
    assert notice["kind"] == "bad"
    assert notice["text"] == notices.SETTINGS_TO_CHANGE.render("en", count=2)
    rank = methods.get("lora").settings[0].label.render()
    assert f"{rank}: expected 1 to 256, but got 5000" in notice["more"]
    assert f"{form_messages.BATCH_SIZE.render()}: " in notice["more"]
    without_data = train_tab.start_run(ENGLISH, browser_runs=[], **form_fields(source=""))[0]
    assert without_data["text"] == train_tab.NO_DATA.text
    assert runs.all_runs() == []


def test_a_data_set_that_was_deleted_is_missed_before_anything_else_is_said():
    fields = form_fields(source="dataset:" + "0" * 32, method="rlhf", rlhf_algorithm="dpo")
    assert train_tab.summarise(ENGLISH, **fields)["text"] == train_tab.NO_DATA.text
    assert train_tab.start_run(ENGLISH, browser_runs=[], **fields)[0]["text"] == train_tab.NO_DATA.text


def test_too_few_held_out_rows_are_said_before_the_start():
    assert held_out.TOO_FEW.render("en", n=28) not in train_tab.summarise(ENGLISH, **form_fields())["more"]
    summary = train_tab.summarise(ENGLISH, **form_fields(validation_share=0.1, test_share=0))
    assert summary["more"].startswith(held_out.TOO_FEW.render("en", n=14))
    assert summary["kind"] == "check"


def test_the_steps_of_a_stage_that_is_switched_off_are_not_announced(tmp_path):
    path = tmp_path / "pairs.csv"
    lines = (f"where is lamp {number},Here {number}.,no idea {number}" for number in range(40))
    path.write_text("\n".join(["prompt,chosen,rejected", *lines]), encoding="utf-8")
    columns = {name: name for name in ("prompt", "chosen", "rejected")}
    fields = form_fields("prefer", store.add(path).source, method="rlhf", columns=columns)
    fields |= {"rlhf_algorithm": "dpo", "rlhf_sft": True}
    assert "steps" in train_tab.summarise(ENGLISH, **fields)["text"]
    assert "steps" not in train_tab.summarise(ENGLISH, **{**fields, "rlhf_sft": False})["text"]


def test_a_method_that_begins_a_stage_again_says_so_beforehand(monkeypatch):
    summary = train_tab.summarise(ENGLISH, **form_fields())
    assert summary["more"].startswith(EXPECTED_COST.text.partition("{")[0])
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


def refreshed(run):
    """The label of Start, whether what follows a result is there, and whether time runs."""
    start, after_run, timer = train_tab.refresh(run.id, [run.id], ENGLISH)
    return (start["value"], start["variant"]), after_run["visible"], timer["active"]


def test_a_finished_run_leads_on_and_a_live_one_makes_start_a_queue(finished, make_plan):
    assert refreshed(finished()) == ((train_tab.START.text, "secondary"), True, False)
    live = runs.create(make_plan())
    runs.claim(live, os.getpid())
    assert refreshed(live) == ((train_tab.ADD_TO_QUEUE.text, "secondary"), False, True)


def test_what_was_said_at_the_start_goes_when_the_run_has_ended(finished, make_plan):
    assert train_tab.clear_notice_at_end(finished().id) == notices.notice("")
    live = runs.create(make_plan())
    runs.claim(live, os.getpid())
    assert "text" not in train_tab.clear_notice_at_end(live.id)


def test_stop_asks_the_run_on_the_card_and_says_where_it_has_ended(finished, make_plan):
    live = runs.create(make_plan())
    runs.claim(live, os.getpid())
    assert train_tab.stop_run(SimpleNamespace(id=live.id), ENGLISH)["text"] == ""
    assert live.stop_file.exists()
    assert live_view.poll([live.id, 0, "en"])["kind"] == "stopping"
    ended = finished()
    said = train_tab.stop_run(SimpleNamespace(id=ended.id), ENGLISH)["text"]
    assert said == train_tab.NOTHING_TO_STOP.render("en", name=ended.plan.name)
    for sent in ("../../x", {"no": 1}, None):
        assert train_tab.stop_run(SimpleNamespace(id=sent), ENGLISH)["kind"] == "bad"


def test_a_reload_finds_the_run_in_the_address_or_in_the_browser_s_memory(finished):
    run = finished()
    assert train_tab.reattach_run(run.id, [], ENGLISH)[1] == run.id
    address = SimpleNamespace(headers={}, query_params={"run": run.id})
    assert train_tab.reattach_run("", [], address)[1] == run.id
    assert train_tab.reattach_run("nonsense", [], ENGLISH)[1] == ""


def test_a_stopped_run_can_go_on_from_the_page(make_plan, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "_start_worker", lambda run, pause: started.append(run.id))
    run = runs.create(make_plan())
    assert live_view.poll([run.id, 0, "en"])["resume"] == ""
    notice, _ = train_tab.resume_run(run.id, SimpleNamespace(id=run.id), ENGLISH)
    assert "cannot be resumed" in notice["text"]
    runs.set_status(run, "stopped", "after", step=3, steps=9)
    assert live_view.poll([run.id, 0, "en"])["resume"] == live_view.START_AGAIN.text
    notice, live = train_tab.resume_run(run.id, SimpleNamespace(id=run.id), ENGLISH)
    assert notice["text"] == ""
    assert (live["run"], started) == (run.id, [run.id])
    for sent in ("../../x", {"no": 1}, None):
        assert train_tab.resume_run("", SimpleNamespace(id=sent), ENGLISH)[0]["kind"] == "bad"
