"""A run that is deleted leaves no job and no rows at another machine, or it is said that it may."""

import os
import time
from types import SimpleNamespace

import psutil
import pytest
from followed import resume, wait_for
from form_fields import ENGLISH
from stand_in import OTHERS_TOKEN

from studio import launchers, run_index, runs
from studio.cli.main import main
from studio.launchers import follower, record
from studio.launchers.record import Record
from studio.training import setup
from studio.ui.train import runs_table


@pytest.fixture
def make_run(make_plan):
    def make(where, **agreed):
        run = runs.create(make_plan("lora", "chat").model_copy(update={"where": where}))
        Record(agreed=True, max_minutes=30.0, **agreed).write(run)
        return run

    return make


def leave(run):
    """Let a run train elsewhere, while nobody follows it here."""
    machine = launchers.find_machine(run.plan.where)
    setup.prepare_data(run, run.plan)
    job = launchers.create(machine).submit(run, 0, lambda *_: None)
    record.read(run).write(run, machine=machine.name, job=job, sent=True)
    runs.set_status(run, "training", "train")
    (run.folder / runs.PROCESS_FILE).write_text("{}", encoding="utf-8")  # of a process that is gone
    assert runs.status(run).message.text == runs.NOT_FOLLOWED.text
    return run


def test_the_terminal_ends_and_removes_it_too(quick_box, make_run, capsys):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    pid = record.read(run).job["pid"]
    assert main(["runs", "--delete", run.id, "--yes"]) == 0
    assert launchers.DISCARDED.render("en", machine="box") in capsys.readouterr().out
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert not quick_box.run_folder(run).exists()
    assert runs.all_runs() == []


def test_the_terminal_says_what_a_silent_machine_still_holds(quick_box, make_run, capsys):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    quick_box.refuse("ssh: connect to host box port 22: Connection refused")
    assert main(["runs", "--delete", run.id, "--yes"]) == 0
    said = capsys.readouterr()
    assert "Connection refused" in said.err
    assert f"--restore {run.id}" in said.err
    quick_box.recover()
    launchers.discard_again()
    assert not quick_box.run_folder(run).exists()


def press_delete(run):
    notice, table, _ = runs_table.change_run(
        [run.id], SimpleNamespace(action="delete", id=run.id, name=""), ENGLISH
    )
    return notice, table


def test_a_worker_at_a_box_is_ended_and_its_folder_deleted(quick_box, make_run):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    pid = record.read(run).job["pid"]
    notice, table = press_delete(run)
    assert notice["text"] == launchers.DISCARDED.render("en", machine="box")
    assert (table["rows"], table["deleted"]) == ([], run.id)
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert not quick_box.run_folder(run).exists()


def test_a_job_of_a_cluster_is_ended_and_its_folder_deleted(cluster, make_run):
    cluster.behave("waits")
    run = leave(make_run("cluster"))
    notice, _ = press_delete(run)
    assert notice["text"] == launchers.DISCARDED.render("en", machine="cluster")
    assert cluster.jobs == {}
    assert not cluster.run_folder(run).exists()


def test_a_job_of_the_hub_is_cancelled_and_its_repository_deleted(ada, make_run, behave):
    behave("waits")
    run = leave(make_run("hf-t4-small"))
    notice, _ = press_delete(run)
    assert notice["kind"] == "good"
    assert [job.stage for job in ada.jobs.values()] == ["CANCELED"]
    assert ada.repos == {}


def test_a_job_of_another_account_is_left_alone_and_that_is_said(ada, make_run, behave, monkeypatch):
    behave("waits")
    run = leave(make_run("hf-t4-small"))
    with monkeypatch.context() as patched:
        patched.setenv("HF_TOKEN", OTHERS_TOKEN)
        notice, _ = press_delete(run)
    assert notice["kind"] == "check"
    assert "“bob”" in notice["text"]
    launchers.discard_again()
    assert [job.stage for job in ada.jobs.values()] == ["CANCELED"]
    assert ada.repos == {}


def test_what_was_to_stay_there_stays(quick_box, make_run):
    quick_box.behave("waits")
    run = leave(make_run("box", keep=True))
    notice, _ = press_delete(run)
    assert notice["text"] == launchers.ENDED_AND_KEPT.render("en", machine="box")
    assert quick_box.run_folder(run).exists()


def test_a_machine_that_is_silent_is_said_with_what_to_do(quick_box, make_run):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    quick_box.refuse("ssh: connect to host box port 22: Connection refused")
    notice, table = press_delete(run)
    assert (notice["kind"], table["deleted"]) == ("check", run.id)
    assert run.id in notice["text"], "the name under which its rows lie there"
    assert "Connection refused" in notice["text"]
    assert notice["more"] == launchers.DELETE_LATER.render()
    launchers.discard_again()
    os.utime(run_index.deleted_runs()[0].folder, (0, time.time() - 2 * run_index.UNDO_SECONDS))
    run_index.purge_deleted()
    assert run_index.deleted_runs(), "what it has left is known by its folder alone"
    quick_box.recover()
    restored = run_index.restore(run.id)
    assert record.read(restored).has_left
    assert press_delete(restored)[0]["kind"] == "good"


def test_what_could_not_be_removed_is_removed_when_the_page_starts_again(quick_box, make_run):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    quick_box.refuse("ssh: connect to host box port 22: Connection refused")
    press_delete(run)
    quick_box.recover()
    launchers.discard_again()
    assert not quick_box.run_folder(run).exists()
    (deleted,) = run_index.deleted_runs()
    os.utime(deleted.folder, (0, time.time() - 2 * run_index.UNDO_SECONDS))
    run_index.purge_deleted()
    assert run_index.deleted_runs() == []


def test_a_machine_that_is_no_longer_listed_keeps_no_run_from_being_deleted(quick_box, make_run, studio_home):
    run = make_run("box")
    Record(agreed=True, machine="box", sent=True).write(run)
    runs.set_status(run, "failed")
    (studio_home / "machines.yaml").unlink()
    notice, table = press_delete(run)
    assert notice["kind"] == "check"
    assert table["rows"] == []


def test_one_whose_deletion_is_undone_is_sent_again(quick_box, make_run):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    press_delete(run)
    restored = run_index.restore(run.id)
    assert runs.status(restored).message.text == launchers.DISCARDED.text
    quick_box.behave("")
    assert resume(restored) == ("done", [1, 2, 3, 4, 5])


def test_a_run_that_came_back_and_one_of_this_machine_ask_nobody(quick_box, make_run, make_plan):
    run = make_run("box")
    follower.follow(run.id)
    calls = quick_box.calls
    here = runs.create(make_plan("lora", "chat"))
    runs.set_status(here, "stopped")
    assert [press_delete(each)[0]["text"] for each in (run, here)] == ["", ""]
    assert quick_box.calls == calls


def test_page_start_reads_nothing_of_runs_that_trained_here(make_plan, monkeypatch):
    """With a thousand of them that was a quarter of a second."""
    runs.set_status(runs.create(make_plan("lora", "chat")), "done")
    read = []
    monkeypatch.setattr(runs, "read_json", lambda path: read.append(path) or {})
    launchers.follow_again()
    launchers.discard_again()
    assert read == []


def test_one_that_trains_is_not_given_up(quick_box, make_run):
    quick_box.behave("waits")
    run = leave(make_run("box"))
    runs.claim(run, os.getpid())
    notice, _ = press_delete(run)
    assert notice["text"] == run_index.STILL_RUNNING.render("en", name=run.plan.name)
    assert quick_box.run_folder(run).exists()
    (quick_box.run_folder(run) / "stop").touch()
