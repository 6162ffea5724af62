"""A run that was stopped or broke off goes on as if nothing had happened; one that ended well does not."""

import math
import time

import psutil
import pytest
import torch
from transformers import TrainerControl, TrainerState
from ways import WAYS

from studio import methods, runs
from studio.errors import NotPossible
from studio.evaluate import answers
from studio.methods.spec import StopRequested
from studio.models import load
from studio.training import callback as run_callback
from studio.training import launcher, worker

RESUMING = [way for way in WAYS if methods.get(way[0]).supports_resume]


def measured(run):
    """Training loss by stage and step, in the order written."""
    return [
        (point["stage"], point["step"], point["loss"]) for point in runs.read_points(run) if "loss" in point
    ]


def checked(run):
    return [
        (point["stage"], point["step"], point["eval_loss"])
        for point in runs.read_points(run)
        if "eval_loss" in point
    ]


def same(one, other):
    assert [found[:2] for found in one] == [found[:2] for found in other]
    for (stage, step, loss), (_, _, wanted) in zip(one, other, strict=True):
        assert loss == pytest.approx(wanted, abs=1e-5), f"{stage}, step {step}"


@pytest.fixture
def stop_after(monkeypatch):
    """`stop_after(run, number)`: the run is asked to stop while it takes this step, counted over all stages."""
    begun, limits = [], {}
    real = run_callback.MonitorCallback.on_step_begin

    def on_step_begin(self, *arguments, **values):
        begun.append(self.run.id)
        if begun.count(self.run.id) == limits.get(self.run.id):
            launcher.stop(self.run)
        real(self, *arguments, **values)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    return lambda run, number: limits.update({run.id: number})


def again(run):
    """Go on with a run in this process, as `studio train --resume` does."""
    launcher.requeue(run)
    assert runs.status(run).state == "waiting"
    worker.run(run.id)


@pytest.mark.thorough
@pytest.mark.parametrize("way", RESUMING, ids="-".join)
def test_a_stopped_run_goes_on_as_if_it_had_never_been_stopped(way, finished, stop_after):
    whole = finished(*way)
    run, steps = runs.create(whole.plan), len(measured(whole))
    stop_after(run, math.ceil(steps / 3) + 1)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert len(measured(run)) == math.ceil(steps / 3) + 1
    assert runs.is_resumable(run)
    again(run)
    assert runs.status(run).state == "done"
    same(measured(run), measured(whole))
    seen = checked(run)
    assert len(set(seen)) == len(seen), "a point stands there twice"
    # the stop brought a check of its own; all others are those of the undisturbed run
    extra = [item for item in seen if item[:2] not in {found[:2] for found in checked(whole)}]
    assert len(extra) <= 1
    same([item for item in seen if item not in extra], checked(whole))
    assert [point["seq"] for point in runs.read_points(run)] == sorted(
        point["seq"] for point in runs.read_points(run)
    )
    assert runs.report(run)["after"]["loss"] == pytest.approx(runs.report(whole)["after"]["loss"], abs=1e-4)
    assert not (run.folder / "checkpoints").exists()


@pytest.mark.parametrize("steps", [(3, 9), (1, 2, 23)], ids=["twice", "three times"])
def test_a_run_can_be_stopped_again_and_again(steps, finished, stop_after):
    whole = finished("lora", "chat")
    run = runs.create(whole.plan)
    for number, _ in enumerate(steps):
        stop_after(run, steps[number])  # a step that is taken again is not counted twice: none is
        worker.run(run.id) if not number else again(run)
        assert runs.status(run).state == "stopped"
        assert len(measured(run)) == steps[number]
    again(run)
    same(measured(run), measured(whole))


@pytest.mark.thorough
def test_a_killed_run_goes_on_from_its_last_checkpoint(make_plan, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = make_plan("lora", "chat", epochs=60, eval_count=4)
    whole, run = runs.create(found), runs.create(found)
    worker.run(whole.id)
    launcher.start(run)
    until = time.time() + 90
    while not list(run.folder.glob("checkpoints/train/checkpoint-60/watch.json")):
        assert time.time() < until, (run.folder / "worker.log").read_text()
        time.sleep(0.01)
    while len(measured(run)) < 70:
        assert time.time() < until
        time.sleep(0.01)
    process = psutil.Process(runs.process_info(run)["pid"])
    process.kill()
    process.wait(10)
    assert runs.status(run).state == "failed"
    with run.metrics_path.open("ab") as file:
        file.write(b'{"seq": 99, "st')  # the line it was writing
    assert runs.is_resumable(run)
    launcher.resume(run)
    while runs.status(run).state not in runs.ENDED_STATES:
        assert time.time() < until, (run.folder / "worker.log").read_text()
        time.sleep(0.05)
    assert runs.status(run).state == "done", runs.status(run).message
    same(measured(run), measured(whole))
    same(checked(run), checked(whole))
    assert b'"st{' not in run.metrics_path.read_bytes()


def test_a_run_that_is_done_does_not_go_on(finished):
    run = finished("lora", "chat")
    with pytest.raises(NotPossible) as caught:
        launcher.resume(run)
    what, to_do = caught.value.sentences()
    assert what == "The run “lora on toys” cannot go on (done): it has kept no state to go on from."
    assert to_do.endswith("Start it anew.")
    assert runs.status(run).state == "done"


def test_a_run_that_is_going_on_is_not_started_a_second_time(make_plan):
    run = runs.create(make_plan())
    with pytest.raises(NotPossible, match="cannot go on"):
        launcher.resume(run)


def test_a_run_stopped_before_it_trained_has_nothing_to_go_on_from(make_plan):
    run = runs.create(make_plan())
    launcher.stop(run)
    worker.run(run.id)
    assert not runs.is_resumable(run)
    with pytest.raises(NotPossible, match="Start it anew"):
        launcher.resume(run)


def test_taking_back_points_touches_nothing_where_there_is_nothing_to_take_back(make_plan):
    run = runs.create(make_plan())
    for step in range(4):
        runs.add_point(run, "train", step, 0.0, loss=1.0)
    number = run.metrics_path.stat().st_ino
    runs.rewind(run, "train", 3)
    runs.rewind(run, "other", 0)
    assert run.metrics_path.stat().st_ino == number
    runs.rewind(run, "train", 1)
    assert run.metrics_path.stat().st_ino != number
    assert [point["step"] for point in runs.read_points(run)] == [0, 1]
    runs.add_point(run, "train", 2, 0.0, loss=1.0)
    assert [point["seq"] for point in runs.read_points(run)] == [0, 1, 2]


def test_a_stopped_run_is_still_asked_what_it_has_learned(make_plan, stop_after, monkeypatch):
    told = []

    def measure(model, tokenizer, found, tell):
        tell(0, 4)
        told.append(1)
        return {"answer_accuracy": 0.5, "n_questions": 4.0}

    monkeypatch.setattr(answers, "measure_accuracy", measure)
    run = runs.create(make_plan())
    stop_after(run, 5)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.report(run)["after"]["answer_accuracy"] == 0.5
    assert len(told) == 2


def test_a_halt_before_the_training_leaves_no_half_result(make_plan, monkeypatch):
    def halt(*_):
        raise StopRequested

    run = runs.create(make_plan())
    monkeypatch.setattr(answers, "measure_accuracy", halt)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert not runs.is_usable(run)


def test_the_speed_of_the_first_step_after_a_stop_is_that_of_the_step(make_plan):
    watch = run_callback.MonitorCallback(runs.create(make_plan()), "train", None, None)
    state, control = (
        TrainerState(global_step=500, max_steps=900, num_input_tokens_seen=1_000_000),
        TrainerControl(),
    )
    watch.on_train_begin(None, state, control)
    watch.on_step_begin(None, state, control)
    time.sleep(0.05)
    state.num_input_tokens_seen += 100
    watch.on_step_end(None, state, control)
    assert watch._step_metrics["tokens_per_second"] <= 100 / 0.05


@pytest.mark.parametrize("at_the_stop", [2.5, 1.0], ids=["worse", "better"])
def test_the_look_that_a_stop_brings_does_not_count_towards_stopping_early(at_the_stop, make_plan):
    losses = {4: 2.0, 6: at_the_stop, 8: 1.9, 12: 1.95}
    run, state, model = (
        runs.create(make_plan(eval_count=4, early_stopping_patience=1)),
        TrainerState(max_steps=16),
        torch.nn.Linear(1, 1),
    )

    def watched():
        watch = run_callback.MonitorCallback(run, "train", model, lambda: {"loss": losses[state.global_step]})
        watch.checkpoint()
        watch.on_train_begin(None, state, TrainerControl())
        return watch

    def step(watch, number):
        control, state.global_step = TrainerControl(), number
        watch.on_step_begin(None, state, control)
        watch.on_step_end(None, state, control)
        return control.should_training_stop

    watch = watched()
    assert not step(watch, 4)
    launcher.stop(run)
    assert step(watch, 6)
    assert (watch.stopped, watch.early) == (True, False)
    (watch.folder / "checkpoint-6").mkdir(parents=True)
    watch.on_save(None, state, TrainerControl())
    run.stop_file.unlink()
    watch = watched()
    assert not step(watch, 8), "better than at the check before, as without a stop"
    assert step(watch, 12)
    assert watch.early
    assert watch.best_scores["loss"] == min(losses.values())


@pytest.mark.parametrize(("method", "settings"), [("prefix", {}), ("peft", {"type": "p_tuning"})])
def test_what_is_kept_of_a_prompt_that_broke_off_loads_to_its_checksum(
    method, settings, make_plan, bases, monkeypatch
):
    real = run_callback.MonitorCallback.on_step_begin

    def break_off(self, args, state, control, **rest):
        if self.best_step:
            raise RuntimeError("the power went")
        real(self, args, state, control, **rest)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", break_off)
    run = runs.create(make_plan(method, "chat", settings))
    with pytest.raises(RuntimeError):
        worker.run(run.id)
    tuned = methods.get(method).load(load.base_model(bases("chat"), "chat"), run.model)
    assert load.fingerprint(tuned) == runs.report(run)["tuned"]["checksum"]
