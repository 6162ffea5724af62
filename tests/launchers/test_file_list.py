"""What comes back from another machine is compared with its list: half a result is never taken for all."""

import json
import sys

import pytest
from sampling import sample

from studio import runs
from studio.errors import StudioError
from studio.launchers import follower, hub_jobs, ray_jobs, ssh
from studio.launchers.record import Record
from studio.training import file_list, worker

LAUNCHERS = {
    "box": ssh.SshLauncher,
    "cluster": ray_jobs.RayLauncher,
    "hf-t4-small": hub_jobs.JobsLauncher,
}


@pytest.fixture
def result(tmp_path):
    """A folder with the files of a result, and their list."""
    for name in ("model/weights", "report.json", "checkpoints/train/optimizer.pt", "status.json", ".ended"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"this is {name}", encoding="utf-8")
    file_list.write(tmp_path)
    return tmp_path


def test_a_result_that_arrived_as_it_was_is_whole(result):
    (result / "status.json").write_text("changes behind the list", encoding="utf-8")
    (result / ".ended").unlink()
    assert file_list.find_damaged(result) == []


@pytest.mark.parametrize("name", ["model/weights", "report.json", "checkpoints/train/optimizer.pt"])
def test_what_is_cut_or_missing_is_found(result, name):
    (result / name).write_text("this", encoding="utf-8")
    assert file_list.find_damaged(result) == [name]
    (result / name).unlink()
    assert file_list.find_damaged(result) == [name]


def test_what_has_its_size_and_another_content_is_found(result):
    (result / "model" / "weights").write_text("this is model/WEIGHTS", encoding="utf-8")
    assert file_list.find_damaged(result) == ["model/weights"]


def test_a_list_that_is_cut_is_no_list(result):
    (result / file_list.LIST_FILE).write_text('{"model/weights": {', encoding="utf-8")
    assert file_list.find_damaged(result) == [file_list.LIST_FILE]


def test_a_worker_elsewhere_ends_with_a_list_of_what_it_leaves(make_plan, monkeypatch):
    run = runs.create(make_plan("lora", "chat"))
    (run.folder / file_list.LIST_FILE).write_text("of an earlier attempt", encoding="utf-8")

    def train(run_id, **_):
        assert not (run.folder / file_list.LIST_FILE).exists()
        (run.folder / "report.json").write_text("{}", encoding="utf-8")

    monkeypatch.setattr(worker, "run", train)
    monkeypatch.setattr(worker, "_stop_on_sigterm", lambda run_id: None)
    monkeypatch.setattr(runs, "LISTENERS", [])
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "argv", ["worker", run.id, "--events-from", "0"])
    assert worker.main() == 0
    listed = json.loads((run.folder / file_list.LIST_FILE).read_text(encoding="utf-8"))
    assert listed["report.json"]["bytes"] == 2
    assert file_list.find_damaged(run.folder) == []


@pytest.fixture
def cut_run(request, make_plan, monkeypatch):
    """A run whose model arrives cut, and how often it was fetched; the test says for how often."""
    where, n_cuts = request.param
    if where == "hf-t4-small":
        request.getfixturevalue("ada")
        request.getfixturevalue("behave")("lists")
    else:
        request.getfixturevalue({"box": "quick_box"}.get(where, where)).behave("lists")
    fetch, folders = LAUNCHERS[where].fetch, []

    def fetch_and_cut(launched, job, folder):
        fetch(launched, job, folder)
        folders.append(folder)
        if len(folders) <= n_cuts:
            (folder / "model" / "adapter_config.json").write_text('{"base', encoding="utf-8")

    monkeypatch.setattr(LAUNCHERS[where], "fetch", fetch_and_cut)
    run = runs.create(make_plan("lora", "chat").model_copy(update={"where": where}))
    Record(agreed=True, max_minutes=30.0).write(run)
    return run, folders


@pytest.mark.parametrize(
    "cut_run", sample([((where, 1),) for where in LAUNCHERS], [(("cluster", 1),)]), indirect=True
)
def test_a_result_that_arrived_cut_is_fetched_again(cut_run):
    run, folders = cut_run
    follower.follow(run.id)
    assert runs.status(run).state == "done"
    assert len(folders) == 2
    assert json.loads((run.model / "adapter_config.json").read_text(encoding="utf-8"))
    assert not (run.folder / file_list.LIST_FILE).exists()


@pytest.mark.parametrize("cut_run", [("box", 3)], indirect=True)
def test_a_result_that_never_arrives_whole_is_not_taken_and_stays_there(cut_run, quick_box):
    run, folders = cut_run
    with pytest.raises(StudioError) as caught:
        follower.follow(run.id)
    assert caught.value.message.text == follower.NOT_WHOLE.text
    assert (runs.status(run).state, runs.is_usable(run), len(folders)) == ("failed", False, 3)
    assert quick_box.run_folder(run).exists()
    assert runs.may_go_on_elsewhere(run), "Resume fetches it again"
