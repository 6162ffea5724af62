"""A run at a box over SSH is the same run: its folder comes back whole, and each fault is a sentence."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest
from bench_line import print_times
from followed import followed, resume, steps, stop_once_trained, wait_for
from refusals import assert_message
from sampling import sample
from stand_in_box import write_program

from studio import launchers, runs
from studio.errors import OutOfDiskSpace, StudioError
from studio.launchers import bundle, consent, find_machine, follower, record, ssh
from studio.launchers.record import Record
from studio.launchers.spec import ConnectionLost, LauncherRefused
from studio.storage import read_json
from studio.training import launcher
from studio.training import setup as run_setup

# Unpacks the first part of what arrives, as where the connection breaks or the disk fills up.
CUT_TAR = '#!/bin/sh\nhead -c 200000 | {tar} "$@" 2>/dev/null\nexit 2\n'
# A Python that makes a virtual environment whose pip takes its time, and notes when.
SLOW_PYTHON = """#!/bin/sh
case "$*" in *venv*) mkdir -p {venv}/bin; cp {pip} {venv}/bin/python; exit;; esac
exec {python} "$@"
"""
# One that lacks what the studio needs; its pip starts a program and waits for it.
BARE_PYTHON = """#!/bin/sh
case "$*" in *find_spec*) exit;; esac
case "$*" in *"-m venv"*) mkdir -p {venv}/bin; cp {pip} {venv}/bin/python; exit;; esac
exec {python} "$@"
"""
HANGING_PIP = "#!/bin/sh\nsleep 120 &\necho $! >{log}\nwait\n"
SLOW_PIP = "#!/bin/sh\necho begins >>{log}\nsleep 0.5\necho ends >>{log}\n"


@pytest.fixture
def make_run(make_plan):
    def make(**training):
        plan = make_plan("lora", "chat", **training)
        run = runs.create(plan.model_copy(update={"where": "box"}))
        Record(agreed=True).write(run)
        return run

    return make


@pytest.mark.exhaustive
def test_the_same_folder_comes_back(box, make_run):
    run, started = make_run(epochs=2), time.monotonic()
    follower.follow(run.id)
    status = runs.status(run)
    assert (status.state, status.message) == ("done", None)
    report = runs.complete_report(run)
    assert (report["trained_at"], report["resumed"]) == ("box", False)
    assert report["base"]["hub"] == run.plan.model
    assert runs.is_report_intact(run)
    points = list(runs.read_points(run))
    assert [point["seq"] for point in points] == list(range(len(points)))
    assert points[-1]["stage"] == "after"
    assert read_json(run.model / "adapter_config.json")["base_model_name_or_path"] == run.plan.model
    assert not box.run_folder(run).exists(), "what lay there is deleted"
    assert record.read(run).job == {}
    assert 0 < record.read(run).first_event_seconds < 60
    print_times("box (stand-in)", record.read(run), time.monotonic() - started)


def test_nothing_leaves_this_machine_unless_a_person_has_agreed(quick_box, make_run):
    run = make_run()
    Record().write(run)
    with pytest.raises(StudioError) as caught:
        follower.follow(run.id)
    assert_message(caught.value, follower.NOT_AGREED, machine="box")
    assert not (quick_box.folder / "calls").exists()
    assert runs.status(run).message.text == follower.NOT_AGREED.text


def test_points_arrive_once_and_no_file_outside_the_run_is_written(quick_box, make_run, studio_home):
    run = make_run()
    follower.follow(run.id)
    assert runs.status(run).state == "done"
    assert steps(run) == [1, 2, 3, 4, 5]
    assert runs.report(run)["trained_at"] == "box"
    assert not list(studio_home.parent.rglob("escaped"))


def test_a_stop_reaches_the_box_and_brings_back_what_was_learned(quick_box, make_run):
    run = make_run()
    quick_box.behave("waits")
    assert stop_once_trained(run) == []
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)


def test_a_worker_that_does_not_stop_is_ended(quick_box, make_run, monkeypatch):
    monkeypatch.setattr(follower, "STOP_PATIENCE_SECONDS", 0.5)
    run = make_run()
    quick_box.behave("hangs")
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        pid = record.read(run).job["pid"]
        launcher.stop(run)
    assert errors == []
    assert runs.status(run).state == "stopped"
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.exhaustive
def test_a_worker_that_stops_slowly_as_it_said_is_not_ended(quick_box, make_run, monkeypatch):
    monkeypatch.setattr(follower, "STOP_PATIENCE_SECONDS", 0.5)
    run = make_run()
    quick_box.behave("slow")
    assert stop_once_trained(run) == []
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run), "what it learned came back"


def test_a_stop_while_a_run_is_sent_starts_no_worker_and_leaves_nothing(quick_box, make_run, monkeypatch):
    run, write_run = make_run(), bundle.write_run

    def write_and_stop(*arguments):
        launcher.stop(run)
        write_run(*arguments)

    monkeypatch.setattr(bundle, "write_run", write_and_stop)
    follower.follow(run.id)
    assert runs.status(run).state == "stopped"
    assert "nohup" not in quick_box.calls
    assert not quick_box.run_folder(run).exists()
    assert not record.read(run).has_left


def cut_once(monkeypatch, step):
    """The connection breaks off once, after `step(folder)`; returns how often the result was fetched."""
    fetch, folders = ssh.SshLauncher.fetch, []

    def fetch_or_break(launched, job, folder, *rest):
        folders.append(folder)
        if len(folders) == 1:
            folder.mkdir(parents=True, exist_ok=True)
            step(folder)
            raise ConnectionLost(ssh.UNREACHABLE, ssh.CONNECT_ONCE, machine="box", why="cut", address="x")
        fetch(launched, job, folder, *rest)

    monkeypatch.setattr(ssh.SshLauncher, "fetch", fetch_or_break)
    return folders


def test_a_result_that_broke_off_on_its_way_is_fetched_to_its_end(quick_box, make_run, monkeypatch):
    monkeypatch.setattr(follower, "FIRST_RETRY_SECONDS", 0.1)
    folders = cut_once(monkeypatch, lambda folder: (folder / "status.json").write_text("{}"))
    run = make_run()
    follower.follow(run.id)
    assert len(folders) == 2
    assert runs.status(run).state == "done"
    assert runs.is_usable(run)


@pytest.mark.parametrize("mode", sample(["bare", "lost"], ["lost"]))
def test_one_that_is_done_without_a_result_is_not_done(quick_box, make_run, mode):
    run = make_run()
    quick_box.behave(mode)
    follower.follow(run.id)
    assert runs.status(run).state == "failed"
    assert runs.status(run).message == follower.NO_RESULT.format(machine="box")
    quick_box.behave("")
    assert resume(run)[0] == "done"


def test_a_result_of_another_end_is_not_that_of_this_one(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "report.json").touch()
    (tmp_path / "status.json").write_text('{"state": "stopped", "stage": "after"}', encoding="utf-8")
    assert bundle.is_whole(tmp_path, "stopped")
    assert not bundle.is_whole(tmp_path, "done")


@pytest.fixture
def leave_all(quick_box, make_run, monkeypatch):
    """`leave_all(state)`: a run that ended so, and whose folder could not be deleted at the box."""

    def refuse(launched, job):
        raise ConnectionLost(ssh.UNREACHABLE, ssh.CONNECT_ONCE, machine="box", why="cut", address="x")

    def leave(state):
        run = make_run()
        with monkeypatch.context() as patched:
            patched.setattr(ssh.SshLauncher, "remove", refuse)
            if state == "stopped":
                quick_box.behave("waits")
                assert stop_once_trained(run) == []
            else:
                follower.follow(run.id)
        assert runs.status(run).state == state
        assert runs.status(run).message.text == follower.NOT_REMOVED.text
        assert quick_box.run_folder(run).exists()
        return run

    return leave


@pytest.mark.parametrize("state", ["done", "stopped"])
def test_what_could_not_be_deleted_is_said_and_deleted_when_the_page_starts(quick_box, leave_all, state):
    run = leave_all(state)
    launchers.discard_again()
    assert not quick_box.run_folder(run).exists()
    assert not record.read(run).has_left
    assert (runs.status(run).state, runs.status(run).message.text) == (state, launchers.DISCARDED.text)


def test_what_a_run_needs_that_goes_on_again_is_not_deleted_when_the_page_starts(quick_box, leave_all):
    run = leave_all("stopped")
    launcher.requeue(run)
    launchers.discard_again()
    assert quick_box.run_folder(run).exists()


def test_how_a_run_ended_is_still_said_once_what_it_left_is_deleted(leave_all):
    run = leave_all("done")
    ended = launchers.END_AND_LEFT.format(end=follower.GONE.format(machine="box"), left=follower.STILL_THERE)
    runs.set_status(run, "stopped", message=ended, cause="cap")
    launchers.discard_again()
    status = runs.status(run)
    assert (status.message.values["end"].text, status.cause) == (follower.GONE.text, "cap")
    assert status.message.values["left"].text == launchers.DISCARDED.text


@pytest.mark.exhaustive
def test_a_cap_that_was_reached_there_counts_anew(quick_box, make_run):
    run = make_run()
    follower.follow(run.id)
    assert not (run.folder / "use.json").exists()


def test_a_worker_that_dies_leaves_a_run_that_goes_on(quick_box, make_run):
    run = make_run()
    quick_box.behave("dies")
    with pytest.raises(StudioError) as caught:
        follower.follow(run.id)
    assert_message(caught.value, follower.GONE, machine="box")
    assert runs.status(run).state == "failed"
    assert runs.has_saved_state(run), "its checkpoint came back"
    quick_box.behave("")
    assert resume(run) == ("done", [1, 2, 3, 4, 5])


def test_a_lost_connection_is_told_and_taken_up_again(quick_box, make_run, monkeypatch):
    monkeypatch.setattr(follower, "FIRST_RETRY_SECONDS", 0.1)
    run = make_run()
    quick_box.behave("waits")
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        quick_box.refuse("ssh: connect to host box port 22: Connection refused")
        for process in psutil.process_iter(["cmdline"]):
            if "tail -n +1 -f" in " ".join(process.info["cmdline"] or []) and run.id in str(process.info):
                process.kill()  # as when the network is cut under a connection
        wait_for(lambda: (runs.status(run).message or follower.GONE).text == follower.RETRYING.text)
        assert runs.status(run).state == "training"
        quick_box.recover()
        (quick_box.run_folder(run) / "stop").touch()
    assert errors == []
    assert runs.status(run).state == "stopped"
    assert steps(run) == [1, 2, 3, 4, 5]


@pytest.fixture
def unfollowed_run(quick_box, make_run):
    """A run that waits at the box after five steps, and whose follower was killed."""
    run = make_run()
    quick_box.behave("waits")
    launcher.start(run)
    wait_for(lambda: len(steps(run)) == 5)
    runs.worker_process(run).kill()
    wait_for(lambda: not runs.is_alive(run))
    return run


def test_a_follower_that_was_killed_finds_its_run_again(quick_box, unfollowed_run):
    run = unfollowed_run
    status = runs.status(run)
    assert (status.state, status.message.text) == ("failed", runs.NOT_FOLLOWED.text)
    (quick_box.run_folder(run) / "stop").touch()
    launchers.follow_again()
    wait_for(lambda: runs.status(run).state == "stopped")
    assert steps(run) == [1, 2, 3, 4, 5]
    assert quick_box.calls.count("nohup") == 1, "nothing was started twice"


@pytest.mark.exhaustive
def test_a_stop_that_nobody_passed_on_is_kept_for_the_next_follower(unfollowed_run):
    run = unfollowed_run
    launcher.stop(run)
    runs.set_status(run, "failed", "train", message=follower.STILL_THERE)  # as when a machine is given up
    launchers.follow_again()
    wait_for(lambda: runs.status(run).state == "stopped")
    assert runs.is_usable(run)


def test_runs_that_cannot_be_followed_keep_the_page_from_nothing(quick_box, make_run, monkeypatch):
    run = make_run()
    Record(agreed=True, job={"pid": 1, "run": run.id}).write(run)
    runs.set_status(run, "failed")

    def refuse(plan):
        raise StudioError(follower.GONE, follower.STILL_THERE, machine="box")

    monkeypatch.setattr(launcher.before_start, "require_here", refuse)
    launchers.follow_again()
    assert runs.status(run).state == "failed"


def test_a_silent_machine_is_given_up_after_a_day_of_failures(make_run, monkeypatch):
    run, now = make_run(), [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None)
    monkeypatch.setattr(follower, "time", clock)
    one, error = (
        follower._Follower(run, None, Record()),
        ConnectionLost(follower.GONE, follower.STILL_THERE, machine="box"),
    )
    run.stop_file.touch()
    now[0] += 2 * follower.MAX_SILENCE_SECONDS  # without a line, and without a failure
    one._wait_for_machine(error)
    now[0] += follower.MAX_SILENCE_SECONDS - 1
    one._wait_for_machine(error)
    now[0] += 2
    with pytest.raises(StudioError):
        one._wait_for_machine(error)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("ssh: Could not resolve hostname box: Name or service not known", ConnectionLost, ssh.UNREACHABLE),
        ("ssh: connect to host box port 22: Connection timed out", ConnectionLost, ssh.UNREACHABLE),
        ("ada@box: Permission denied (publickey,password).", LauncherRefused, ssh.KEY_REFUSED),
        ("Host key verification failed.", LauncherRefused, ssh.UNKNOWN_HOST),
    ],
)
def test_what_ssh_says_becomes_a_sentence(quick_box, make_run, said, kind, message):
    run = make_run()
    quick_box.refuse(said)
    with pytest.raises(kind) as caught:
        follower.follow(run.id)
    assert_message(caught.value, message, machine="box")
    assert runs.status(run).failure_text().count("ada@box") >= 1
    assert runs.is_resumable(run)


@pytest.mark.parametrize(("there", "seen"), [({}, "0\n"), ({"CUDA_VISIBLE_DEVICES": "4,7"}, "4\n")])
def test_a_worker_at_a_box_with_several_gpus_sees_the_first_alone(tmp_path, there, seen):
    python = tmp_path / "python"
    write_program(python, "#!/bin/sh\necho $CUDA_VISIBLE_DEVICES\n")
    folder = tmp_path / "home" / "runs" / "x"
    folder.mkdir(parents=True)
    values = {"root": tmp_path, "run": "x", "code": "code", "python": python, "seq": 0}
    script = ssh.START.format(**values, environment=ssh.ENVIRONMENT)
    subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"], **there}, check=True)
    events = folder / "events.jsonl"
    wait_for(lambda: events.is_file() and events.read_text(encoding="utf-8"))
    assert events.read_text(encoding="utf-8") == seen


def test_a_full_disk_and_a_missing_python_are_told_before_anything_is_sent(quick_box, make_run, name_python):
    df = quick_box.folder / "bin" / "df"
    df.write_text("#!/bin/sh\necho h\necho disk 100 50 50000 50% /\n", encoding="utf-8")
    df.chmod(df.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(make_run().id)
    assert_message(caught.value, ssh.DISK_FULL, machine="box", wanted=ssh.RUN_GB)
    df.unlink()
    name_python("no-such-python")
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(make_run().id)
    assert_message(caught.value, ssh.NO_PYTHON, python="no-such-python")


def test_a_disk_that_fills_up_on_the_way_is_told(quick_box, make_run):
    machine = find_machine("box")
    error = ssh.SshLauncher(machine)._explain("rsync: write failed: No space left on device (28)\n", 11)
    assert_message(error, ssh.NO_SPACE, machine="box")


def test_a_full_disk_of_this_machine_is_not_told_as_the_box_s(quick_box, tmp_path):
    said = 'rsync: [receiver] write failed on "/x": No space left on device (28)'
    write_program(quick_box.folder / "bin" / "rsync", f"#!/bin/sh\necho '{said}' >&2\nexit 11\n")
    with pytest.raises(OutOfDiskSpace) as caught:
        ssh.SshLauncher(find_machine("box")).fetch({"run": "x", "has_rsync": True}, tmp_path / "result")
    assert "box" not in caught.value.render()


def test_without_rsync_files_go_by_tar(quick_box, make_run, monkeypatch):
    has_program = ssh.processes.has_program
    monkeypatch.setattr(ssh.processes, "has_program", lambda name: name != "rsync" and has_program(name))
    run = make_run()
    follower.follow(run.id)
    assert runs.status(run).state == "done"
    assert runs.is_usable(run)
    assert "rsync --server" not in quick_box.calls


@pytest.mark.exhaustive
def test_a_studio_that_was_sent_in_part_is_sent_again(quick_box, make_run, monkeypatch):
    monkeypatch.setattr(ssh.processes, "has_program", lambda name: name != "rsync")
    write_program(quick_box.folder / "bin" / "tar", CUT_TAR.format(tar=shutil.which("tar")))
    run = make_run()
    with pytest.raises(StudioError):
        follower.follow(run.id)
    assert any(path.is_file() for path in quick_box.root.rglob("*")), "a part of it arrived"
    (quick_box.folder / "bin" / "tar").unlink()
    assert resume(run)[0] == "done"
    code = bundle.write_code()
    sent = {path.relative_to(code) for path in code.rglob("*")}
    there = quick_box.root / code.name
    assert {path.relative_to(there) for path in there.rglob("*")} == sent
    assert list(quick_box.root.glob("*.part")) == []


def test_two_runs_that_arrive_at_once_install_once(quick_box, tmp_path):
    log, pip = tmp_path / "log", tmp_path / "pip"
    write_program(pip, SLOW_PIP.format(log=log))
    python = quick_box.folder / "bin" / "slow-python"
    write_program(python, SLOW_PYTHON.format(venv=quick_box.root / "venv", pip=pip, python=sys.executable))
    quick_box.root.mkdir()
    launcher_there = ssh.SshLauncher(find_machine("box"))
    threads = []
    for name in ("a", "b"):
        (quick_box.root / name).mkdir()
        values = {"root": ssh.ROOT, "code": "studio-x", "python": python, "folder": f"{ssh.ROOT}/{name}"}
        script = ssh.INSTALL.format(**values)
        threads.append(threading.Thread(target=launcher_there._run, args=(script,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text(encoding="utf-8").split() == ["begins", "ends"]
    assert (quick_box.root / "venv" / "studio-x.installed").exists()


def test_a_stop_ends_what_is_installed_there_within_seconds(
    quick_box, make_run, name_python, monkeypatch, tmp_path
):
    log, pip = tmp_path / "log", tmp_path / "pip"
    write_program(pip, HANGING_PIP.format(log=log))
    python = quick_box.folder / "bin" / "bare-python"
    write_program(python, BARE_PYTHON.format(venv=quick_box.root / "venv", pip=pip, python=sys.executable))
    name_python(str(python))
    monkeypatch.setattr(ssh, "INSTALL_GB", 0.0)
    run = make_run()
    with followed(run) as errors:
        wait_for(lambda: log.is_file() and log.read_text(encoding="utf-8"))
        assert (runs.status(run).state, runs.status(run).stage) == ("preparing", "install")
        launcher.stop(run)
        wait_for(lambda: runs.status(run).state == "stopped", seconds=20)
    assert errors == []
    assert runs.status(run).message.text == follower.INSTALL_ENDED.text
    pid = int(log.read_text(encoding="utf-8"))
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not quick_box.run_folder(run).exists()


def test_a_worker_whose_number_never_arrived_is_found_and_not_started_twice(quick_box, make_run):
    quick_box.behave("waits")
    run = make_run()
    run_setup.prepare_data(run, run.plan)
    lost = ssh.SshLauncher(find_machine("box")).submit(run, 0, lambda *_: None)
    events = quick_box.run_folder(run) / "events.jsonl"
    wait_for(lambda: events.read_text(encoding="utf-8").count("point") == 5)
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        assert record.read(run).job["pid"] == lost["pid"]
        launcher.stop(run)
    assert errors == []
    assert runs.status(run).state == "stopped"
    assert steps(run) == [1, 2, 3, 4, 5]
    assert quick_box.calls.count("nohup") == 1


@pytest.fixture
def job_there(quick_box, make_run):
    """A run's job at the box, whose worker waits."""
    quick_box.behave("waits")
    run = make_run()
    run_setup.prepare_data(run, run.plan)
    yield ssh.SshLauncher(find_machine("box")).submit(run, 0, lambda *_: None)
    if quick_box.run_folder(run).exists():
        (quick_box.run_folder(run) / "stop").touch()


def test_a_ps_that_says_nothing_neither_ends_a_run_nor_lets_it_be_deleted(quick_box, job_there):
    box_launcher, ps = ssh.SshLauncher(find_machine("box")), quick_box.folder / "bin" / "ps"
    write_program(ps, "#!/bin/sh\nexit 1\n")
    assert box_launcher.status(job_there).state == "running"
    with pytest.raises(LauncherRefused):
        box_launcher.remove(job_there)
    ps.unlink()
    assert box_launcher.status(job_there).state == "running"
    box_launcher.remove(job_there)
    wait_for(lambda: box_launcher.status(job_there).state == "ended")
    assert not list((quick_box.root / "home" / "runs").iterdir())


def test_a_number_that_another_process_has_now_is_not_the_worker(job_there):
    other = {**job_there, "pid": os.getpid()}
    assert ssh.SshLauncher(find_machine("box")).status(other).state == "ended"


def test_a_ps_that_cuts_its_lines_is_asked_for_all_of_them(quick_box, job_there):
    cut = 'case "$*" in *-ww*) exec {ps} "$@";; esac\n{ps} "$@" | cut -c 1-40\n'
    write_program(quick_box.folder / "bin" / "ps", "#!/bin/sh\n" + cut.format(ps=shutil.which("ps")))
    assert ssh.SshLauncher(find_machine("box")).status(job_there).state == "running"


def test_a_box_without_ps_is_refused_before_anything_is_sent(quick_box, make_run):
    write_program(quick_box.folder / "bin" / "ps", "#!/bin/sh\nexit 127\n")
    with pytest.raises(LauncherRefused) as caught:
        follower.follow(make_run().id)
    assert_message(caught.value, ssh.NO_PS, machine="box")
    assert not quick_box.root.exists()


def test_a_link_in_a_result_is_refused(quick_box, make_run, monkeypatch):
    has_program = ssh.processes.has_program
    monkeypatch.setattr(ssh.processes, "has_program", lambda name: name != "rsync" and has_program(name))
    run = make_run()
    quick_box.behave("links")
    with pytest.raises(StudioError):
        follower.follow(run.id)
    assert not runs.is_usable(run)


def test_the_consent_names_the_box_the_folder_and_what_becomes_of_the_data(quick_box, make_run):
    plan = make_run().plan
    lines = [line.text for line in consent.describe(plan, find_machine("box"), None).lines]
    assert consent.BOX_DATA.text in lines
    assert consent.BASE_TRAVELS.text in lines
    assert consent.DELETED.text in lines
    kept = consent.describe(plan, find_machine("box"), None, keep=True).lines
    assert consent.KEPT.text in [line.text for line in kept]
