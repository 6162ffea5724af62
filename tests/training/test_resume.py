"""A run that was stopped or broke off goes on as if nothing had happened; one that ended well does not."""

import errno
import json
import math
import time

import pytest
import safetensors.torch
import torch
from sampling import sample
from transformers import TrainerControl, TrainerState
from ways import WAYS

from studio import methods, runs
from studio.errors import NotPossible
from studio.evaluate import answers, json_fields
from studio.evaluate.answers import Answer
from studio.evaluate.score_names import choosing_loss
from studio.methods.spec import StopRequested
from studio.models import cpu_precision, device, load, trainable
from studio.storage import write_json
from studio.training import callback as run_callback
from studio.training import checkpoints, launcher, worker
from studio.training import setup as run_setup

RESUMABLE_WAYS = [way for way in WAYS if methods.get(way[0]).supports_resume]
# One for each course of a run: a training, rows made before it, stages (a second training: test_qat.py).
RESUMED_IN_CI = [("lora", "classify"), ("upft", "prompts"), ("rlhf", "prefer")]
# Only an emergency brake: a machine that computes something else as well takes many times as long.
LIMIT_SECONDS = 300


def losses(run, name="loss"):
    """Training loss (or `eval_loss`) by stage and step, in the order written."""
    return [(point["stage"], point["step"], point[name]) for point in runs.read_points(run) if name in point]


def assert_same_losses(measured, expected):
    assert [item[:2] for item in measured] == [item[:2] for item in expected]
    for (stage, step, loss), (_, _, expected_loss) in zip(measured, expected, strict=True):
        assert loss == pytest.approx(expected_loss, abs=1e-5), f"{stage}, step {step}"


@pytest.fixture
def stop_after(monkeypatch):
    """`stop_after(run, n_steps)`: the run is asked to stop in this step, counted over all stages."""
    started_steps, limits = [], {}
    real = run_callback.MonitorCallback.on_step_begin

    def on_step_begin(self, *arguments, **options):
        started_steps.append(self.run.id)
        if started_steps.count(self.run.id) == limits.get(self.run.id):
            launcher.stop(self.run)
        real(self, *arguments, **options)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    return lambda run, n_steps: limits.update({run.id: n_steps})


def resume(run):
    """Continue a run in this process, as `studio train --resume` does."""
    launcher.requeue(run)
    assert runs.status(run).state == "waiting"
    worker.run(run.id)


@pytest.mark.thorough
@pytest.mark.usefixtures("on_processor")
@pytest.mark.parametrize(
    ("has_bf16", "expected"), sample([(True, "bfloat16"), (False, "float32")], [(True, "bfloat16")])
)
def test_a_run_keeps_the_precision_it_began_with_where_the_processor_has_it(
    make_plan, stop_after, monkeypatch, has_bf16, expected
):
    """Beside other work the same processor may be measured faster in the other format."""

    def measure_as(speedup, has_native_bf16=True):
        monkeypatch.setattr(cpu_precision, "has_native_bf16", lambda: has_native_bf16)
        monkeypatch.setattr(cpu_precision, "bf16_speedup", lambda: speedup)

    monkeypatch.delenv("STUDIO_PRECISION", raising=False)
    measure_as(2.0)
    run = runs.create(make_plan())
    stop_after(run, 3)
    worker.run(run.id)
    assert runs.report(run)["precision"] == "bfloat16"
    measure_as(0.5, has_bf16)
    resume(run)
    assert runs.report(run)["precision"] == expected


@pytest.mark.thorough
@pytest.mark.parametrize(("method", "task"), sample(RESUMABLE_WAYS, RESUMED_IN_CI))
def test_a_stopped_run_goes_on_as_if_it_had_never_been_stopped(method, task, finished, stop_after):
    undisturbed = finished(method, task)
    run, steps = runs.create(undisturbed.plan), len(losses(undisturbed))
    stop_step = math.ceil(steps / 3) + 1
    stop_after(run, stop_step)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert len(losses(run)) == stop_step
    assert runs.is_resumable(run)
    resume(run)
    assert runs.status(run).state == "done"
    assert_same_losses(losses(run), losses(undisturbed))
    validations, expected = losses(run, "eval_loss"), losses(undisturbed, "eval_loss")
    assert len(set(validations)) == len(validations), "a point is there twice"
    # The stop brought a validation of its own, in a state that may be the best; all others are those of the
    # undisturbed run.
    in_training = [[item for item in checks if item[0] != "after"] for checks in (validations, expected)]
    expected_steps = {item[:2] for item in in_training[1]}
    extra = [item for item in in_training[0] if item[:2] not in expected_steps]
    assert len(extra) <= 1
    assert_same_losses([item for item in in_training[0] if item not in extra], in_training[1])
    numbering = [point["seq"] for point in runs.read_points(run)]
    assert numbering == sorted(numbering)
    outcome, expected_outcome = runs.report(run), runs.report(undisturbed)
    is_best_at_stop = any(outcome["best_step"] == step for _, step, _ in extra)
    if is_best_at_stop:
        assert choosing_loss(outcome["after"]) <= choosing_loss(expected_outcome["after"])
    else:
        assert outcome["after"] == pytest.approx(expected_outcome["after"], abs=1e-4)
    assert not (run.folder / "checkpoints").exists()


@pytest.mark.exhaustive
def test_a_run_with_weights_in_bfloat16_goes_on_and_is_saved_in_it(make_plan, stop_after, monkeypatch):
    monkeypatch.setattr(device, "can_train_in_bf16", lambda: True)
    for name in ("autocast_dtype", "weights_dtype"):
        monkeypatch.setattr(device, name, lambda: torch.bfloat16)
    plan = make_plan("full", "classify", {"weights_precision": "bfloat16"}, epochs=2)
    undisturbed, run = runs.create(plan), runs.create(plan)
    with torch.compiler.set_stance("force_eager"):  # compiling takes minutes
        worker.run(undisturbed.id)
        stop_after(run, 4)
        worker.run(run.id)
        assert runs.status(run).state == "stopped"
        resume(run)
    # The same, although what is rounded up and what is rounded down is drawn anew in each step.
    assert_same_losses(losses(run), losses(undisturbed))
    weights = safetensors.torch.load_file(run.model / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}


@pytest.mark.exhaustive
def test_a_run_with_weights_on_the_disk_goes_on(make_plan, stop_after, untraced_start):
    plan = make_plan("lora", "chat", epochs=2, disk_offload=True)
    undisturbed, run = runs.create(plan), runs.create(plan)
    worker.run(undisturbed.id)
    stop_after(run, 3)
    worker.run(run.id)
    resume(run)
    assert losses(run) == losses(undisturbed)
    assert runs.report(run)["tuned"] == runs.report(undisturbed)["tuned"]


@pytest.mark.exhaustive
def test_a_run_can_be_stopped_again_and_again(finished, stop_after):
    undisturbed = finished("lora", "chat")
    run = runs.create(undisturbed.plan)
    for n_steps in (1, 2, 23):  # a step that is taken again would be counted twice: none is
        stop_after(run, n_steps)
        if losses(run):
            resume(run)
        else:
            worker.run(run.id)
        assert runs.status(run).state == "stopped"
        assert len(losses(run)) == n_steps
    resume(run)
    assert_same_losses(losses(run), losses(undisturbed))


@pytest.mark.thorough
def test_a_killed_run_goes_on_from_its_last_checkpoint(make_plan):
    plan = make_plan("lora", "chat", epochs=20, eval_count=4)
    undisturbed, run = runs.create(plan), runs.create(plan)
    worker.run(undisturbed.id)
    launcher.start(run)
    pattern = f"checkpoints/train/checkpoint-*/{checkpoints.STATE_FILE}"
    deadline = time.monotonic() + LIMIT_SECONDS
    while not any(run.folder.glob(pattern)) or len(losses(run)) < 35:
        assert time.monotonic() < deadline, (run.folder / "worker.log").read_text()
        time.sleep(0.01)
    process = runs.worker_process(run)
    process.kill()
    process.wait()
    assert runs.status(run).state == "failed"
    with run.metrics_path.open("ab") as file:
        file.write(b'{"seq": 99, "st')  # the line it was writing
    assert runs.is_resumable(run)
    resume(run)
    assert runs.status(run).state == "done"
    assert_same_losses(losses(run), losses(undisturbed))
    assert_same_losses(losses(run, "eval_loss"), losses(undisturbed, "eval_loss"))
    assert b'"st{' not in run.metrics_path.read_bytes()


# Where a disk can fill up, and how many writes there succeed before it does.
FULL_AT = {
    "preparation": (run_setup, "prepare_data", 0),
    "a checkpoint": (checkpoints, "complete", 1),
    "saving": (worker, "_save_result", 0),
    "the report": (worker, "write_sealed_json", 0),
}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "place",
    sample(FULL_AT, ["a checkpoint"]),
)
def test_a_disk_that_fills_up_costs_nothing_once_there_is_room(place, make_plan, monkeypatch):
    plan = make_plan("lora", "chat", epochs=3, eval_count=4)
    undisturbed, run = runs.create(plan), runs.create(plan)
    worker.run(undisturbed.id)
    module, name, n_successes = FULL_AT[place]
    real, calls = getattr(module, name), []

    def fill_up(*arguments, **options):
        calls.append(name)
        if len(calls) > n_successes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fill_up)
        # Checkpoints come by time, and this training takes a second.
        patch.setattr(run_callback, "MAX_SAVING_SHARE", 1.0)
        with pytest.raises(OSError, match="No space left"):
            worker.run(run.id)
    status = runs.status(run)
    assert (status.state, status.message.render()) == ("failed", "The disk is full.")
    shown = losses(run)
    resume(run)
    assert runs.status(run).state == "done"
    assert losses(run)[: len(shown)] == shown
    assert_same_losses(losses(run), losses(undisturbed))
    assert runs.report(run)["after"] == pytest.approx(runs.report(undisturbed)["after"], abs=1e-4)


def test_a_run_that_is_done_does_not_go_on(finished):
    run = finished("lora", "chat")
    with pytest.raises(NotPossible) as caught:
        launcher.resume(run)
    assert caught.value.message.values == {"name": "lora on toys", "state": "done"}
    assert runs.status(run).state == "done"


def test_a_run_that_is_going_on_is_not_started_a_second_time(make_plan):
    run = runs.create(make_plan())
    with pytest.raises(NotPossible, match="cannot be resumed"):
        launcher.resume(run)


@pytest.mark.thorough
def test_a_run_stopped_before_it_trained_goes_on_from_the_beginning(finished, make_plan):
    run = runs.create(make_plan())
    launcher.stop(run)
    worker.run(run.id)
    assert runs.is_resumable(run)
    assert not runs.has_saved_state(run)
    write_json(run.folder / worker.EARLIER_FILE, {"seconds": 1000.0})  # as if it had trained so long by then
    resume(run)
    assert runs.status(run).state == "done"
    assert runs.report(run)["seconds"] > 1000, "time and cost are those of all of it"
    assert_same_losses(losses(run), losses(finished("lora", "chat")))


@pytest.mark.thorough
@pytest.mark.parametrize("part", sample(["load_context", "prepare_data"], ["prepare_data"]))
def test_a_run_that_broke_off_before_its_first_checkpoint_goes_on_as_if_undisturbed(
    part, finished, make_plan, monkeypatch
):
    run = runs.create(make_plan())
    original = getattr(run_setup, part)

    def break_off(*arguments):
        original(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_setup, part, break_off)
        with pytest.raises(OSError, match="No space"):
            worker.run(run.id)
    assert runs.status(run).state == "failed"
    resume(run)
    assert runs.status(run).state == "done"
    assert_same_losses(losses(run), losses(finished("lora", "chat")))


def test_taking_back_points_touches_nothing_where_there_is_nothing_to_take_back(make_plan):
    run = runs.create(make_plan())
    for step in range(4):
        runs.add_point(run, "train", step, 0.0, loss=1.0)
    inode = run.metrics_path.stat().st_ino
    runs.rewind(run, "train", 3)
    runs.rewind(run, "other", 0)
    assert run.metrics_path.stat().st_ino == inode
    runs.rewind(run, "train", 1)
    assert run.metrics_path.stat().st_ino != inode
    assert [point["step"] for point in runs.read_points(run)] == [0, 1]
    runs.add_point(run, "train", 2, 0.0, loss=1.0)
    assert [point["seq"] for point in runs.read_points(run)] == [0, 1, 2]


def test_a_stopped_run_is_still_asked_what_it_has_learned(make_plan, stop_after, monkeypatch):
    n_measured = []

    def answer_questions(model, tokenizer, questions, max_new_tokens, on_progress):
        on_progress(0, 4)
        n_measured.append(len(questions))
        return [Answer("right", is_cut=False) for _ in questions]

    monkeypatch.setattr(answers, "answer_questions", answer_questions)
    monkeypatch.setattr(json_fields, "score_fields", lambda texts, questions: {"valid_json": 0.5})
    run = runs.create(make_plan())
    stop_after(run, 5)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.report(run)["after"]["valid_json"] == 0.5
    assert len(n_measured) == 2


def test_the_scores_of_an_earlier_version_are_read_under_their_present_names(make_plan):
    run = runs.create(make_plan())
    old_scores = {"loss": 1.0, "right": 0.5, "asked": 8.0}
    old_rl = {"reward": 0.1, "answer_length": 9.0, "cut_share": 0.25}
    report = {
        "before": old_scores,
        "after": old_scores,
        "method": {"rl": {"before": old_rl, "after": old_rl}},
    }
    (run.folder / "report.json").write_text(json.dumps(report))
    point = {"answer_length": 9.0, "cut_share": 0.25, "no_signal": 1.0, "eval_right": 0.5, "test_asked": 8.0}
    runs.add_point(run, "rl", 1, 0.0, **point)
    scores = {"loss": 1.0, "answer_accuracy": 0.5, "n_questions": 8.0}
    rl_scores = {"reward": 0.1, "completion_length": 9.0, "clipped_ratio": 0.25}
    assert runs.report(run)["before"] == runs.report(run)["after"] == scores
    assert runs.report(run)["method"]["rl"] == {"before": rl_scores, "after": rl_scores}
    (read_point,) = runs.read_points(run)
    expected = {"completion_length": 9.0, "clipped_ratio": 0.25, "zero_std_share": 1.0}
    expected |= {"eval_answer_accuracy": 0.5, "test_n_questions": 8.0}
    assert expected.items() <= read_point.items()
    assert not set(point) & set(read_point)


def test_a_halt_before_the_training_leaves_no_half_result(make_plan, monkeypatch):
    def stop(*_):
        raise StopRequested

    run = runs.create(make_plan())
    monkeypatch.setattr(answers, "answer_questions", stop)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert not runs.is_usable(run)


def test_the_speed_of_the_first_step_after_a_stop_is_that_of_the_step(make_plan, monkeypatch):
    monitor = run_callback.MonitorCallback(runs.create(make_plan()), "train", None, None)
    monkeypatch.setattr(monitor, "_tunes_threads", False)
    state = TrainerState(global_step=500, max_steps=900, num_input_tokens_seen=1_000_000)
    control = TrainerControl()
    monitor.on_train_begin(None, state, control)
    monitor.on_step_begin(None, state, control)
    step_started_at = time.perf_counter()
    time.sleep(0.02)
    step_seconds = time.perf_counter() - step_started_at
    state.num_input_tokens_seen += 100
    monitor.on_step_end(None, state, control)
    assert monitor._step_metrics["tokens_per_second"] <= 100 / step_seconds


def start_monitor(run, model, state, losses_by_step):
    """The monitor of a training of which only the losses are given; it goes on from the last checkpoint."""
    monitor = run_callback.MonitorCallback(
        run, "train", model, lambda: {"loss": losses_by_step[state.global_step]}
    )
    monitor._tunes_threads = False
    monitor.checkpoint()
    monitor.on_train_begin(None, state, TrainerControl())
    return monitor


def stops_after(monitor, state, step):
    control, state.global_step = TrainerControl(), step
    monitor.on_step_begin(None, state, control)
    monitor.on_step_end(None, state, control)
    return control.should_training_stop


def save_checkpoint(monitor, state):
    (monitor.folder / f"checkpoint-{state.global_step}").mkdir(parents=True)
    monitor.on_save(None, state, TrainerControl())


@pytest.mark.parametrize("loss_at_the_stop", [2.5, 1.0], ids=["worse", "better"])
def test_the_look_that_a_stop_brings_does_not_count_towards_stopping_early(loss_at_the_stop, make_plan):
    losses_by_step = {0: 2.2, 4: 2.0, 6: loss_at_the_stop, 8: 1.9, 12: 1.95}
    run = runs.create(make_plan(eval_count=4, early_stopping_patience=1))
    state, model = TrainerState(max_steps=16), torch.nn.Linear(1, 1)

    monitor = start_monitor(run, model, state, losses_by_step)
    assert not stops_after(monitor, state, 4)
    launcher.stop(run)
    assert stops_after(monitor, state, 6)
    assert (monitor.stopped, monitor.stopped_early) == (True, False)
    save_checkpoint(monitor, state)
    run.stop_file.unlink()
    monitor = start_monitor(run, model, state, losses_by_step)
    assert not stops_after(monitor, state, 8), "better than at the check before, as without a stop"
    assert stops_after(monitor, state, 12)
    assert monitor.stopped_early
    assert monitor.best_scores["loss"] == min(losses_by_step.values())


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "settings"), sample([("prefix", {}), ("peft", {"type": "p_tuning"})], [("prefix", {})])
)
def test_what_is_kept_of_a_prompt_that_broke_off_loads_to_its_checksum(
    method, settings, make_plan, bases, monkeypatch
):
    real = run_callback.MonitorCallback.on_step_begin

    def break_off(self, args, state, control, **options):
        if self.best_step:
            raise RuntimeError("the power went")
        real(self, args, state, control, **options)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", break_off)
    run = runs.create(make_plan(method, "chat", settings))
    with pytest.raises(RuntimeError):
        worker.run(run.id)
    tuned = methods.get(method).load(load.base_model(bases("chat"), "chat"), run.model)
    assert load.fingerprint(tuned) == runs.report(run)["tuned"]["checksum"]


def test_a_run_that_goes_on_takes_no_better_state_of_the_attempt_that_broke_off(make_plan):
    losses_by_step = {0: 2.2, 2: 2.0, 4: 2.1, 6: 1.0}
    run, model = runs.create(make_plan(eval_count=4)), torch.nn.Linear(1, 1)
    state = TrainerState(max_steps=8)
    monitor = start_monitor(run, model, state, losses_by_step)
    for step in (2, 4, 6):
        torch.nn.init.constant_(model.weight, step)
        stops_after(monitor, state, step)
        if step == 4:
            save_checkpoint(monitor, state)
    state.global_step = 4  # the process was killed, and goes on
    monitor = start_monitor(run, model, state, losses_by_step)
    monitor.restore()
    assert (monitor.best_step, model.weight.item()) == (2, 2.0)


def test_of_best_states_those_stay_that_a_checkpoint_would_go_on_from(make_plan):
    losses_by_step = {0: 2.2, 2: 2.0, 4: 1.9, 6: 1.8, 8: 1.7}
    run, state = runs.create(make_plan(eval_count=4)), TrainerState(max_steps=8)
    monitor = start_monitor(run, torch.nn.Linear(1, 1), state, losses_by_step)
    for step in (2, 4, 6, 8):
        stops_after(monitor, state, step)
        if step == 4:
            save_checkpoint(monitor, state)
    assert sorted(path.name for path in monitor.folder.glob("best-*")) == ["best-4", "best-8"]


def test_the_best_state_of_an_earlier_studio_comes_back(make_plan):
    run, model = runs.create(make_plan()), torch.nn.Linear(1, 1)
    monitor = run_callback.MonitorCallback(run, "train", model, None)
    monitor.best_scores = {"loss": 1.0}
    torch.nn.init.constant_(model.weight, 3.0)
    trainable.save(model, monitor.folder)
    torch.nn.init.constant_(model.weight, 4.0)
    monitor.restore()
    assert model.weight.item() == 3.0
