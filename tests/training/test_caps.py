"""The caps of a run: it stops before one is passed, says which, and keeps its best state."""

import dataclasses

import pytest
import torch
from sampling import sample
from transformers import TrainerControl, TrainerState

from studio import runs
from studio.errors import NotPossible
from studio.estimate import estimate_one
from studio.estimate.machines import catalogue
from studio.evaluate import cap_messages
from studio.plan import Training
from studio.training import callback, caps, launcher, worker
from studio.training.caps import Budget


@pytest.fixture
def machine():
    """A machine for 6 dollars an hour, billed by the second, whose card draws 300 W."""
    return dataclasses.replace(
        catalogue.local_machine(),
        price_per_hour=6.0,
        billed="second",
        start_minutes=None,
        currency="USD",
        watts=300.0,
    )


@pytest.fixture
def clock(set_clock):
    """`clock(seconds)` lets time pass for a budget that began at 0."""
    now = [0.0]
    set_clock(caps, monotonic=lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


@pytest.mark.parametrize(
    ("cap", "limit", "seconds_before", "seconds_after"),
    [
        # One more step of 10 s is reckoned with 13 s, and the reports with 1 s: 599 s, or 601 s.
        ("max_minutes", 10.0, 585, 587),
        ("max_money", 0.5, 285, 287),  # 6 dollars an hour are 0.5 in 300 s
    ],
)
def test_a_run_stops_where_one_more_step_would_pass_the_cap(
    cap, limit, seconds_before, seconds_after, machine, clock
):
    budget = Budget(Training(**{cap: limit}), machine, started_at=0.0)
    clock(seconds_before)
    assert budget.find_reached(10) is None
    clock(seconds_after - seconds_before)
    reached = budget.find_reached(10)
    assert (reached["name"], reached["limit"]) == (cap, limit)
    assert 0.95 * limit < reached["used"] <= limit


def test_energy_is_counted_as_the_estimate_counts_it(machine, clock):
    watts = 300 * estimate_one.POWER_SHARE * estimate_one.BUILDING_FACTOR
    budget = Budget(Training(max_watt_hours=watts), machine, started_at=0.0)  # an hour
    clock(3500)
    assert budget.find_reached(76) is None  # 1.3 x 76 s + 1 s are just under 100 s
    assert budget.find_reached(77)["used"] == pytest.approx(watts * 3500 / 3600)


def test_the_energy_of_a_run_is_that_of_all_its_gpus(make_plan, machine, monkeypatch):
    monkeypatch.setattr(catalogue, "local_machine", lambda: machine)
    budget = caps.create_budget(runs.create(make_plan(max_watt_hours=5, max_money=1, num_gpus=4)))
    assert budget.machine.watts == 4 * 300
    assert budget.machine.price_per_hour == 6.0, "the machine costs the same"


def test_room_is_kept_for_the_evaluation_at_the_end(machine, clock):
    budget = Budget(Training(max_minutes=1), machine, started_at=0.0, evaluation_seconds=30)
    clock(19)  # 1.3 x 30 s + 1 s are 40 s
    assert budget.find_reached(0) is None
    clock(2)
    assert budget.find_reached(0)


def test_a_cap_that_cannot_be_measured_here_is_refused_before_the_start(make_plan, machine):
    free_machine = dataclasses.replace(machine, price_per_hour=None, watts=None)
    with pytest.raises(NotPossible) as refusal:
        caps.require_measurable(make_plan(max_money=2), free_machine)
    assert refusal.value.message.text == caps.NO_PRICE.text
    with pytest.raises(NotPossible) as refusal:
        caps.require_measurable(make_plan(max_watt_hours=2), free_machine)
    assert refusal.value.message.text == caps.NO_POWER.text
    caps.require_measurable(make_plan(max_minutes=2), free_machine)
    assert caps.create_budget(runs.create(make_plan())) is None


def test_the_callback_stops_as_stop_does_and_validates_what_was_learned(make_plan, machine, clock):
    run = runs.create(make_plan(max_minutes=1, eval_count=1))
    losses = iter((2.0, 1.0))
    model, state, control = torch.nn.Linear(1, 1, bias=False), TrainerState(max_steps=9), TrainerControl()
    budget = Budget(run.plan.training, machine, started_at=0.0)
    monitor = callback.MonitorCallback(run, "train", model, lambda: {"loss": next(losses)}, budget=budget)
    monitor._tunes_threads = False
    monitor.on_train_begin(None, state, control)
    clock(61)
    monitor.on_step_begin(None, state, control)
    state.global_step += 1
    monitor.on_step_end(None, state, control)
    assert control.should_training_stop
    assert control.should_save, "it can be resumed"
    assert monitor.stopped
    assert monitor.best_step == 1
    assert monitor.reached_cap["name"] == "max_minutes"


def test_a_capped_run_says_which_cap_it_reached_and_keeps_a_result(make_plan):
    run = runs.create(make_plan("lora", "classify", max_minutes=1e-4))
    worker.run(run.id)
    report = runs.report(run)
    assert report["stopped"]
    assert report["cap"]["name"] == "max_minutes"
    status, sentence = runs.status(run), cap_messages.describe(report)
    assert (status.state, status.cause, status.message) == ("stopped", "cap", sentence)
    assert sentence.to_json() in report["verdict"]["reasons"]
    assert runs.is_usable(run)
    assert runs.is_resumable(run)


def test_what_a_report_says_of_caps_is_read_carefully():
    assert cap_messages.describe({}) is None
    assert cap_messages.describe({"cap": {"name": "max_luck"}}) is None
    money = {"name": "max_money", "limit": 2.0, "used": 1.987, "currency": "EUR"}
    assert cap_messages.describe({"cap": money}).render().startswith("It stopped at its money cap: 1.99 of 2")


def test_a_run_that_was_broken_off_counts_on_from_what_it_has_used(make_plan, machine, monkeypatch, clock):
    monkeypatch.setattr(caps.catalogue, "local_machine", lambda: machine)
    run = runs.create(make_plan(max_minutes=10))
    budget = caps.create_budget(run)
    budget.evaluation_seconds = 20
    clock(500)
    budget.write_use(run)
    clock(1000)  # it is killed, and goes on later
    resumed = caps.create_budget(run)
    assert (resumed.seconds, resumed.evaluation_seconds) == (500, 20)
    clock(72)
    assert resumed.find_reached(0) is None  # 572 s, and 1.3 x 20 s + 1 s for the evaluation: 599 s
    clock(2)
    assert resumed.find_reached(0)["used"] == pytest.approx(574 / 60)
    caps.forget_use(run)
    assert caps.create_budget(run).seconds == 0


@pytest.mark.parametrize(
    "damage", ["", "[]", '{"seconds": "9"}', '{"seconds": -5}', '{"seconds": true}', '{"seconds": Infinity}']
)
def test_a_damaged_note_of_what_was_used_counts_as_none(make_plan, damage):
    run = runs.create(make_plan(max_minutes=10))
    (run.folder / caps.USE_FILE).write_text(damage)
    assert caps.create_budget(run).seconds_before == 0


def test_time_is_kept_for_saving_the_checkpoint_the_best_state_and_the_result(make_plan, machine, clock):
    run = runs.create(make_plan(max_minutes=1))
    budget = Budget(run.plan.training, machine, started_at=0.0)
    monitor = callback.MonitorCallback(run, "train", None, None, budget=budget)
    monitor.steps, monitor._write_seconds = 9, 2.0
    clock(45)  # a checkpoint of 6 s and two copies of 2 s are reckoned with 14 s
    assert monitor._find_reached_cap() is None
    clock(2)
    assert monitor._find_reached_cap()
    monitor._save_seconds = 4.0  # measured: a checkpoint takes less
    assert monitor._find_reached_cap() is None


@pytest.mark.parametrize(
    ("method", "task", "stage"),
    sample(
        [
            ("upft", "prompts", "train"),
            ("qat", "classify", "full_precision"),
            ("qat", "classify", "train"),
            ("rlhf", "prefer", "sft"),
            ("rlhf", "prefer", "rl"),
        ],
        [("upft", "prompts", "train")],
    ),
)
def test_a_cap_ends_each_stage_of_each_method_with_a_result_and_the_run_goes_on(
    make_short_plan, monkeypatch, method, task, stage
):
    plan = make_short_plan(method, task)
    training = plan.training.model_copy(update={"max_minutes": 60})
    run = runs.create(plan.model_copy(update={"training": training}))
    find_reached = Budget.find_reached

    def reach_in_stage(budget, seconds):
        return find_reached(budget, 3600 if runs.status(run).stage == stage else seconds)

    with monkeypatch.context() as patch:
        patch.setattr(Budget, "find_reached", reach_in_stage)
        worker.run(run.id)
    status, report = runs.status(run), runs.report(run)
    assert (status.state, status.cause) == ("stopped", "cap")
    assert report["cap"]["used"] < 60
    assert runs.is_usable(run)
    assert not (run.folder / caps.USE_FILE).exists()
    launcher.requeue(run)
    worker.run(run.id)
    assert runs.status(run).state == "done"
    assert "cap" not in runs.report(run)
