"""A run leaves this machine from the page and the terminal alike: only after a person has agreed."""

import os
from types import SimpleNamespace

import pytest
import yaml
from followed import wait_for
from form_fields import ENGLISH, form_fields
from refusals import assert_message

from studio import launchers, runs
from studio import plan as plans
from studio.cli.main import main
from studio.errors import NotPossible, StudioError
from studio.estimate.machines import catalogue
from studio.evaluate import cap_messages
from studio.launchers import bundle, consent, follower, record, resumption, ssh
from studio.launchers.spec import ConnectionLost
from studio.training import launcher, queue
from studio.ui.method import machine
from studio.ui.train import consent_sheet
from studio.ui.train import tab as train_tab


def start_fields(tiny_chat, **changed):
    return form_fields(machine="box", model=str(tiny_chat), validation_share=0.1, **changed)


def test_the_page_asks_first_and_then_follows(quick_box, tiny_chat, untraced_start):
    fields = start_fields(tiny_chat)
    notice, *_ = train_tab.start_run(ENGLISH, browser_runs=[], **fields)
    assert notice["text"] == consent_sheet.READ_FIRST.text
    assert any("ada@box" in line for line in notice["asks"])
    assert runs.all_runs() == []
    shown, lines = consent_sheet.show(notice)
    assert shown["visible"]
    assert "<li>" in lines
    notice, _, run_id, *_ = train_tab.start_run(
        ENGLISH, browser_runs=[], keep=True, agreed_lines=lines, **fields
    )
    assert notice["kind"] == "good", notice
    run = runs.get(run_id)
    wait_for(lambda: runs.status(run).state in runs.ENDED_STATES, seconds=60)
    assert runs.status(run).state == "done", runs.status(run)
    assert quick_box.run_folder(run).exists(), "it was to stay"
    # Once more without the sheet is not possible.
    with pytest.raises(NotPossible) as caught:
        train_tab._launch(run.plan, None, ENGLISH)
    assert_message(caught.value, consent_sheet.AGREE_AGAIN, machine="box")


def test_what_was_changed_under_the_sheet_is_shown_before_it_starts(ada, tiny_chat, untraced_start):
    asked, changed = (
        form_fields(machine="hf-t4-small", model="smollm2-135m", max_minutes=minutes) for minutes in (10, 600)
    )
    notice, *_ = train_tab.start_run(ENGLISH, browser_runs=[], **asked)
    _, lines = consent_sheet.show(notice)
    notice, *_ = train_tab.start_run(ENGLISH, browser_runs=[], agreed_lines=lines, **changed)
    assert notice["text"] == consent_sheet.CHANGED.text
    assert (runs.all_runs(), ada.jobs) == ([], {})
    _, new_lines = consent_sheet.show(notice)
    assert new_lines != lines, "an hour is a job of another price than ten"
    started = train_tab.start_run(ENGLISH, browser_runs=[], agreed_lines=new_lines, **changed)
    (run,) = runs.all_runs()
    assert (started[0]["kind"], record.read(run).max_minutes) == ("good", 620.0)


@pytest.mark.exhaustive
def test_a_run_that_has_ended_there_goes_on_only_once_that_is_agreed_to(quick_box, make_plan, untraced_start):
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": "box"}))
    record.Record(agreed=True).write(run)
    quick_box.behave("dies")
    with pytest.raises(StudioError):
        follower.follow(run.id)
    calls = quick_box.calls.count("nohup")
    notice, _ = train_tab.resume_run(run.id, SimpleNamespace(id=run.id), ENGLISH)
    assert notice["text"] == consent_sheet.READ_FIRST.text
    assert runs.status(run).state == "failed"
    _, lines = consent_sheet.show(notice)
    assert resumption.GOES_ON.text in lines
    assert main(["train", "--resume", run.id]) == 1
    with pytest.raises(NotPossible) as caught:
        resume_without_asking(run)
    assert_message(caught.value, follower.NOT_AGREED, machine="box")
    assert quick_box.calls.count("nohup") == calls, "nothing was started"
    quick_box.behave("")
    assert train_tab.resume_agreed(run.id, ENGLISH, agreed_lines=lines)[0]["text"] == ""
    wait_for(lambda: runs.status(run).state == "done", seconds=60)


def resume_without_asking(run):
    launcher.requeue(run)
    follower.follow(run.id)


def test_the_terminal_resumes_there_once_agreed(quick_box, make_plan, capsys, untraced_start):
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": "box"}))
    runs.set_status(run, "stopped", "before")
    assert main(["train", "--resume", run.id]) == 1
    assert resumption.BEGINS_ANEW.text in capsys.readouterr().err
    main(["train", "--resume", run.id, "--yes", "--keep-there"])
    assert runs.status(run).state == "done"
    assert quick_box.run_folder(run).exists(), "it was to stay"


@pytest.mark.parametrize(("where", "on"), [("box", "local"), ("box", "here"), ("local", "box")])
def test_a_run_goes_on_at_no_other_machine_than_its_own(quick_box, make_plan, capsys, where, on):
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": where}))
    runs.set_status(run, "stopped", "before")
    assert main(["train", "--resume", run.id, "--on", on, "--yes"]) == 2
    assert f"--resume goes on where it was, at {where}; leave out --on {on}" in capsys.readouterr().err
    assert runs.status(run).state == "stopped"


@pytest.mark.exhaustive
def test_a_run_that_goes_on_may_be_told_its_own_machine(quick_box, make_plan, capsys):
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": "box"}))
    runs.set_status(run, "stopped", "before")
    assert main(["train", "--resume", run.id, "--on", "box"]) == 1
    assert resumption.BEGINS_ANEW.text in capsys.readouterr().err


def test_where_others_reach_the_page_nothing_leaves_it(quick_box, tiny_chat, monkeypatch):
    monkeypatch.setenv("STUDIO_OPEN", "1")
    box = launchers.find_machine("box")
    assert not machine.can_train_at(box)
    with pytest.raises(NotPossible) as caught:
        consent_sheet.find_machine(plans.Plan.model_validate({**PLAN, "where": "box"}))
    assert_message(caught.value, consent_sheet.NOT_FOR_VISITORS)


PLAN = {
    "task": "chat",
    "model": "smollm2-135m",
    "data": {"source": "sample:support-tone"},
    "method": {"name": "lora"},
}


def test_a_machine_without_a_launcher_is_named_with_those_that_have_one():
    with pytest.raises(NotPossible) as caught:
        launchers.find_machine("lambda-a10")
    assert_message(caught.value, launchers.NO_LAUNCHER, machine="lambda-a10")
    assert "hf-t4-small" in caught.value.render()


def test_a_run_elsewhere_does_not_keep_this_machine_from_the_next(make_plan):
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": "box"}))
    runs.claim(run, os.getpid())
    runs.set_status(run, "training", "train")
    assert queue.read() == queue.Queue((), ())


@pytest.fixture
def plan_file(make_plan, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(plans.dump(make_plan("lora", "chat")), encoding="utf-8")
    return str(path)


def test_the_terminal_says_what_it_comes_to_and_starts_nothing_unasked(
    quick_box, plan_file, capsys, untraced_start
):
    assert main(["train", plan_file, "--on", "box"]) == 1
    said = capsys.readouterr().err
    assert consent.BOX_DATA.render("en", address="ada@box", folder=".studio-remote") in said
    assert consent.DELETED.render() in said
    assert runs.all_runs() == []


def test_the_terminal_trains_there_once_agreed(quick_box, plan_file, capsys, untraced_start):
    main(["train", plan_file, "--on", "box", "--yes"])
    (run,) = runs.all_runs()
    assert runs.status(run).state == "done"
    assert run.plan.where == "box"
    assert not record.read(run).agreed, "it was for one attempt"


def refuse_to_delete(launched, job):
    raise ConnectionLost(ssh.UNREACHABLE, ssh.CONNECT_ONCE, machine="box", why="cut", address="x")


def test_the_terminal_says_what_stays_there(quick_box, plan_file, capsys, untraced_start, monkeypatch):
    monkeypatch.setattr(ssh.SshLauncher, "remove", refuse_to_delete)
    assert main(["train", plan_file, "--on", "box", "--yes"]) == 0
    assert "The result is here. What lies at “box” could not be deleted" in capsys.readouterr().out


def test_a_run_that_failed_there_is_told_in_the_terminal(quick_box, plan_file, capsys, untraced_start):
    quick_box.behave("bare")
    assert main(["train", plan_file, "--on", "box", "--yes"]) == 1
    assert follower.NO_RESULT.render("en", machine="box") in capsys.readouterr().out


def test_behind_a_cap_it_is_still_said_what_stays_there(quick_box, plan_file, untraced_start, monkeypatch):
    monkeypatch.setattr(ssh.SshLauncher, "remove", refuse_to_delete)
    capped = runs.Status(
        "stopped", "after", message=cap_messages.REACHED["max_minutes"].format(used=1.0, limit=1.0)
    )
    monkeypatch.setattr(bundle, "read_end", lambda folder: capped)
    monkeypatch.setattr(follower.events, "apply", lambda run, event: None)
    main(["train", plan_file, "--on", "box", "--yes"])
    (run,) = runs.all_runs()
    assert runs.status(run).message.text == launchers.END_AND_LEFT.text
    assert "time cap" in runs.status(run).failure_text()
    assert "What lies at “box” could not be deleted" in runs.status(run).failure_text()


def test_train_here_stands_beside_the_machines_that_have_a_launcher(add_machine, studio_home):
    add_machine(studio_home, "box", ssh="ada@box", price={"per_hour": 1.0, "billed": "hour"})
    for machine_id, has_button in (("hf-t4-small", True), ("box", True), ("lambda-a10", False)):
        listed = catalogue.load_machines()[machine_id]
        assert machine.can_train_at(listed) == has_button


def test_a_box_whose_address_could_be_an_option_is_refused(studio_home):
    row = {"card": "rtx-4090", "ssh": "-oProxyCommand=true"}
    (studio_home / "machines.yaml").write_text(yaml.safe_dump({"machines": {"box": row}}), encoding="utf-8")
    assert main(["train", "support-tone-lora", "--on", "box"]) == 2
