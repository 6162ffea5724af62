"""`studio train`: a plan or a recipe is trained in the foreground, a stopped run goes on, and a wrong call
says what is wrong.
"""

import os
import shlex
import threading
import time
from pathlib import Path

import pytest

from studio import plan, runs
from studio.cli import estimate, train
from studio.cli.main import main
from studio.estimate.fitting_changes import FREE_MEMORY, FittingChange, FittingChanges
from studio.estimate.types import Estimate, Range
from studio.i18n import Message
from studio.launchers import follower
from studio.training import queue as run_queue


def test_training_prints_id_and_folder_and_ends_with_nought(plan_file, capsys):
    assert main(["train", plan_file(), "--set", "method.settings.rank=4", "--set", "name=By hand"]) == 0
    (run,) = runs.all_runs()
    out = capsys.readouterr().out
    assert f"run {run.id}\nfolder {run.folder}\n" in out
    assert "done: validation loss 3." in out
    assert "Cannot tell yet: The wanted answer became likelier for " in out
    assert run.plan.method.settings == {"rank": 4}
    assert run.plan.name == "By hand"


@pytest.mark.exhaustive
def test_what_a_method_finds_out_on_the_way_is_printed_once(plan_file, make_plan, capsys):
    parts = make_plan("upft", "prompts", epochs=0.5).model_dump(mode="json")
    assert main(["train", plan_file(**parts)]) == 0
    assert capsys.readouterr().out.count("Of 16 answers the model wrote to the same question, ") == 1


def test_the_curve_is_read_aloud_once_for_each_finding(make_plan, capsys):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    finished = threading.Event()
    for step, loss in enumerate((3.0, 2.0, 1.5)):
        runs.add_point(run, "train", 10 * step, 0.0, eval_loss=loss, best_step=10 * step)
    runs.set_status(run, "training", "train", step=20, steps=30)
    thread = threading.Thread(target=train._show_progress, args=(run, finished))
    thread.start()
    time.sleep(3 * train.REFRESH_SECONDS)
    finished.set()
    thread.join()
    assert capsys.readouterr().out.count("Learning: validation loss fell from 3.000 to 1.500 by step 20") == 1


def test_what_a_run_waits_for_is_said_once(make_plan, capsys):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    finished = threading.Event()
    thread = threading.Thread(target=train._show_progress, args=(run, finished))
    thread.start()
    for free in (2.0, 2.1):
        message = run_queue.NEEDS_MEMORY.format(name="A", need=3.1, free=free)
        runs.set_status(run, "waiting", "queue", steps=1, message=message)
        time.sleep(2 * train.REFRESH_SECONDS)
    finished.set()
    thread.join()
    assert capsys.readouterr().out.count("Waits for “A”: this run needs up to 3.1 GB") == 1


def test_a_machine_that_is_silent_is_told_once_each_time(make_plan, capsys):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    finished = threading.Event()
    thread = threading.Thread(target=train._show_progress, args=(run, finished))
    thread.start()
    silent = [follower.RETRYING.format(why="box is silent.", seconds=seconds) for seconds in (0, 2)]
    for message in (*silent, None, *silent):
        runs.set_status(run, "training", "train", step=2, steps=5, message=message)
        time.sleep(2 * train.REFRESH_SECONDS)
    finished.set()
    thread.join()
    assert capsys.readouterr().out.count("box is silent. The training may go on there.") == 2


def test_home_can_be_named_behind_the_command(plan_file, tmp_path, capsys):
    assert (
        main(["train", plan_file(), "--home", str(tmp_path / "elsewhere"), "--set", "training.epochs=0.5"])
        == 0
    )
    assert len(list((tmp_path / "elsewhere" / "runs").iterdir())) == 1


def test_a_wrong_plan_ends_with_two_and_all_problems(plan_file, capsys):
    file = plan_file(task="sing", training={"epochs": -1}, colour="blue")
    assert main(["train", file]) == 2
    err = capsys.readouterr().err
    assert "plan: 3\n" in err or "plan: 4\n" in err
    for key in ("task", "training.epochs", "colour"):
        assert f"{file}: {key}: " in err
    assert "Traceback" not in err
    assert runs.all_runs() == []


@pytest.mark.parametrize(
    "change", ["training.epoch=1", "method.settings.rank=0", "method.settings.targets=[q_proj]", "nonsense"]
)
def test_a_wrong_set_ends_with_two(plan_file, capsys, change):
    assert main(["train", plan_file(), "--set", change]) == 2
    assert change.split("=")[0] in capsys.readouterr().err


def test_a_plan_that_is_not_there_ends_with_two(capsys):
    assert main(["train", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"model": "no-such-model"}, "There is no model “no-such-model”."),
        ({"data": {"source": "gone.csv"}}, "There is no file “gone.csv”"),
        ({"data": {"source": "sample:none"}}, "There is no data set “sample:none”."),
    ],
    ids=["model", "file", "sample"],
)
def test_a_failed_run_ends_with_one_and_one_line(plan_file, capsys, parts, sentence):
    assert main(["train", plan_file(**parts)]) == 1
    err = capsys.readouterr().err
    (line,) = [line for line in err.replace("\r", "\n").splitlines() if sentence in line]
    assert "Traceback" not in err
    assert len(line.split(". ")) >= 2  # what happened, and what to do


@pytest.mark.thorough
def test_a_stopped_run_goes_on_by_its_id(make_plan, capsys, monkeypatch):
    from studio.training import callback as run_callback
    from studio.training import launcher, worker

    run = runs.create(make_plan("lora", "chat", epochs=2))
    on_step_begin = run_callback.MonitorCallback.on_step_begin

    def stop(self, args, state, control, **values):
        if state.global_step == 2:
            launcher.stop(run)
        on_step_begin(self, args, state, control, **values)

    with monkeypatch.context() as patch:
        patch.setattr(run_callback.MonitorCallback, "on_step_begin", stop)
        worker.run(run.id)
    assert main(["runs"]) == 0
    listing = capsys.readouterr().out
    assert "stopped" in listing
    assert "goes on with --resume" in listing
    assert main(["train", "--resume", run.id[:8]]) == 0
    assert "done: validation loss" in capsys.readouterr().out
    assert [point["step"] for point in runs.read_points(run) if "loss" in point] == list(range(1, 9))
    assert main(["train", "--resume", run.id]) == 1
    assert "cannot be resumed: its state is “done”." in capsys.readouterr().err


@pytest.mark.parametrize(
    "call", [["--resume", "last", "plan.yaml"], [], ["--resume", "last", "--set", "training.epochs=1"]]
)
def test_a_run_goes_on_with_its_own_plan_or_a_plan_is_named(call, capsys):
    assert main(["train", *call]) == 2
    assert "name a plan (with --set KEY=VALUE), --from RUN" in capsys.readouterr().err


def test_going_on_without_a_run_ends_with_one(capsys):
    assert main(["train", "--resume", "last"]) == 1
    assert "No run is called “last”." in capsys.readouterr().err


def test_a_recipe_is_known_by_its_name(capsys):
    assert main(["train", "support-tone-lora", "--set", "training.epochs=-1"]) == 2
    assert "support-tone-lora.yaml: training.epochs: " in capsys.readouterr().err


def test_the_plan_of_a_run_is_the_one_that_was_given(plan_file, capsys):
    file = plan_file()
    main(["train", file, "--set", "training.epochs=0.5"])
    (run,) = runs.all_runs()
    assert run.plan == plan.load(plan.Path(file), ("training.epochs=0.5",))


def test_a_plan_that_does_not_fit_is_refused_with_what_would_fit_and_how_to_set_it(plan_file, capsys):
    assert main(["train", plan_file(model="qwen3-8b", method={"name": "full"})]) == 1
    err = capsys.readouterr().err
    assert "GB that are free" in err
    assert runs.all_runs() == []


def test_a_change_that_fits_is_printed_as_the_arguments_that_make_it(
    make_plan, plan_file, monkeypatch, capsys
):
    change = FittingChange(
        Message("Less"),
        {
            "training.max_length": 64,
            "method.name": "qlora",
            "method.settings": {},
            "training.learning_rate": None,
        },
        Estimate("lora", minutes=Range(1, 2, 3)),
        Range(0.5, 0.6, 0.7),
    )
    changes = FittingChanges((change,), (), FREE_MEMORY.format(gb=2.0))
    monkeypatch.setattr(train.fitting_changes.fitting_changes, "find_for_plan", lambda *_: changes)
    train._print_fitting_changes(make_plan())
    err = capsys.readouterr().err
    assert "Less: 0.5–0.7 GB, 1.0–3.0 min" in err
    options = shlex.split(err.splitlines()[-1])
    changed = plan.load(Path(plan_file()), tuple(option for option in options if option != "--set"))
    assert (changed.training.max_length, changed.training.learning_rate) == (64, None)
    assert changed.method.name == "qlora"


def test_a_run_that_runs_out_of_memory_ends_with_what_would_fit(plan_file, monkeypatch, capsys):
    def run_out(*_):
        raise MemoryError

    monkeypatch.setattr(train.worker, "_train", run_out)
    assert main(["train", plan_file()]) == 1
    (run,) = runs.all_runs()
    assert runs.status(run).cause == "memory"
    assert "GB that this plan needs" in capsys.readouterr().err


def test_what_would_fit_is_said_beside_the_estimate_of_a_plan_that_does_not(plan_file, monkeypatch, capsys):
    too_large = Estimate("full", fits="no")
    monkeypatch.setattr(estimate.all_methods, "estimate_chosen_method", lambda *_, **__: too_large)
    assert main(["estimate", plan_file(model="qwen3-8b", method={"name": "full"})]) == 0
    assert "GB that are free" in capsys.readouterr().out
