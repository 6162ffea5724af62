"""The monitor of a stage: which state it keeps, and when it ends a training early."""

import pytest
import torch
from transformers import TrainerControl, TrainerState

from studio import runs
from studio.training import callback


@pytest.fixture
def watch(make_plan):
    """`watch(scores, **training)`: the monitor of a training of one validation a step with these scores.

    The first are those of the start. The model is one number, which says how many steps it has taken.
    """

    def watch(scores, **training):
        run = runs.create(make_plan(eval_count=len(scores) - 1, **training))
        model, state = torch.nn.Linear(1, 1, bias=False), TrainerState(max_steps=len(scores) - 1)
        torch.nn.init.zeros_(model.weight)
        monitor = callback.MonitorCallback(run, "train", model, lambda: scores[state.global_step])
        monitor._tunes_threads = False
        control = TrainerControl()
        monitor.on_train_begin(None, state, control)
        while state.global_step < state.max_steps and not control.should_training_stop:
            monitor.on_step_begin(None, state, control)
            state.global_step += 1
            torch.nn.init.constant_(model.weight, state.global_step)
            monitor.on_step_end(None, state, control)
        monitor.on_train_end(None, state, control)
        monitor.restore()
        assert int(model.weight) == monitor.best_step, "the best state is put back"
        return monitor

    return watch


def right(**shares):
    """Scores of a classifier or a ranking whose loss rises from check to check."""
    (name, values), losses = next(iter(shares.items())), range(1, 9)
    return [{"loss": float(loss), name: value} for loss, value in zip(losses, values, strict=False)]


@pytest.mark.parametrize(
    ("scores", "best_step"),
    [
        ([{"loss": loss} for loss in (2.0, 1.5, 1.7)], 1),
        ([{"loss": loss} for loss in (2.0, 2.5, 2.1)], 0),
        (right(f1=(0.1, 0.5, 0.7, 0.6)), 2),
        (right(f1=(0.5, 0.5, 0.4)), 0),
        (right(accuracy=(0.5, 0.75, 0.75)), 1),
        # Several labels a text: naming all of them at random scores more than the first careful answers.
        ([{"loss": 0.9, "macro_f1": 0.5}, {"loss": 0.4, "macro_f1": 0.3}], 1),
        # Nine of ten texts are of one class: always naming it is right on 0.9, and of no use.
        ([{"loss": 1, "accuracy": 0.9, "f1": 0.47}, {"loss": 1, "accuracy": 0.85, "f1": 0.75}], 1),
        # Surer than right: its loss is higher, but at its best temperature lower.
        ([{"loss": 0.32, "calibrated_loss": 0.31}, {"loss": 0.33, "calibrated_loss": 0.3}], 1),
    ],
    ids=[
        "lowest loss",
        "start",
        "macro F1",
        "start by the lower loss",
        "accuracy",
        "labels",
        "F1 before accuracy",
        "lower loss at its temperature",
    ],
)
def test_the_state_that_is_kept_is_the_best_by_what_people_read(scores, best_step, watch):
    monitor = watch(scores)
    assert monitor.best_step == best_step
    assert monitor.best_scores == scores[best_step]
    assert monitor.initial_scores == scores[0]
    last_check = [point for point in runs.read_points(monitor.run) if "eval_loss" in point][-1]
    assert last_check["best_step"] == best_step


@pytest.mark.parametrize(
    ("shares", "losses", "n_examples", "best_step"),
    [
        ((0.8, 0.84, 0.82), (1.0, 0.9, 0.5), 100, 2),  # 0.82 is within 0.04 of 0.84, and its loss is lower
        ((0.8, 0.84, 0.82), (1.0, 0.9, 0.5), 10_000, 1),  # the standard error is 0.004
        ((0.8, 0.84, 0.76), (1.0, 0.9, 0.5), 100, 1),
        ((0.8, 0.81, 0.85), (1.0, 1.1, 1.2), 100, 2),  # 0.05 above the start, whose standard error is 0.04
        ((0.8, 0.83, 0.77), (1.0, 1.2, 0.9), 100, 0),  # 0.77 is as good as 0.8, but not as the record of 0.83
    ],
)
def test_shares_within_one_standard_error_are_as_good_and_the_loss_decides(
    shares, losses, n_examples, best_step, watch
):
    scores = [
        {"loss": loss, "f1": share, "n_examples": n_examples}
        for loss, share in zip(losses, shares, strict=True)
    ]
    assert watch(scores).best_step == best_step


@pytest.mark.parametrize(
    ("scores", "last_step"),
    [
        ([{"loss": loss} for loss in (3.0, 2.0, 2.1, 2.2, 2.3, 1.0)], 4),
        ([{"loss": loss} for loss in (3.0, 3.1, 3.2, 3.3, 1.0)], 3),
        (right(f1=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)), 5),
        (right(f1=(0.5, 0.6, 0.6, 0.6, 0.6, 0.7)), 4),
        ([{"loss": loss} for loss in (3.0, 3.9, 3.8, 3.9, 3.7, 3.6, 2.9)], 6),
    ],
    ids=[
        "loss",
        "worse than the start",
        "F1 gains, loss rises",
        "as good is no gain",
        "recovery after a dip",
    ],
)
def test_three_checks_in_a_row_without_progress_end_the_training(scores, last_step, watch):
    monitor = watch(scores, early_stopping_patience=3)
    assert monitor.step == last_step
    assert monitor.stopped_early == (last_step < len(scores) - 1)


def test_what_an_early_end_has_saved_is_the_rest_at_the_pace_of_the_steps_before(watch, set_clock):
    clock = iter(range(1000))
    set_clock(callback, perf_counter=lambda: float(next(clock)))
    scores = [{"loss": loss} for loss in (3.0, 3.1, 3.2, 3.3, 1.0, 1.0, 1.0)]
    monitor = watch(scores, early_stopping_patience=3)
    seconds_per_step = 4  # the clock ticks at a step's two ends and a validation's
    assert monitor.seconds_saved == pytest.approx(3 * seconds_per_step, rel=0.1)
    assert watch(scores, early_stopping_patience=0).seconds_saved == 0


def test_nobody_waits_for_each_step_of_a_gpu_and_no_token_is_lost(make_plan, monkeypatch):
    waits, logged = [], []
    monkeypatch.setattr(callback, "STATUS_INTERVAL_SECONDS", 60.0)
    monkeypatch.setattr(callback.device, "uses_cpu", lambda: False)
    monkeypatch.setattr(callback.device, "synchronize", lambda: waits.append(state.global_step))
    run, state = runs.create(make_plan()), TrainerState(max_steps=50)
    monitor = callback.MonitorCallback(run, "train", torch.nn.Linear(1, 1), None)
    monitor._tunes_threads = False
    monitor.on_train_begin(None, state, TrainerControl())
    for _ in range(50):
        control = TrainerControl(should_log=True)
        monitor.on_step_begin(None, state, control)
        state.global_step += 1
        state.num_input_tokens_seen += 10
        monitor.on_step_end(None, state, control)
        if control.should_log:
            logged.append(state.global_step)
    assert waits == logged == [50], "all within the interval, and the last"
    assert monitor._step_metrics["tokens"] == 500


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_ranks_keep_the_threads_they_began_with(make_plan, monkeypatch, n_ranks):
    """With other threads the last bits of a sum differ, and so would the losses after a restart."""
    chosen = []
    monkeypatch.setattr(callback.device, "uses_cpu", lambda: True)
    monkeypatch.setattr(callback.ranks, "count", lambda: n_ranks)
    monkeypatch.setattr(callback.ThreadTuner, "choose", lambda tuner: chosen.append(tuner))
    monitor = callback.MonitorCallback(runs.create(make_plan()), "train", torch.nn.Linear(1, 1), None)
    monitor.on_train_begin(None, TrainerState(max_steps=1), TrainerControl())
    assert len(chosen) == (n_ranks == 1)
