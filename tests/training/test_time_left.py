"""The time left of a run: as estimated at first, and from its own steps once they say more."""

import pytest

from studio import runs
from studio.training.time_left import TimeLeft

MINUTES = {"start": 0.1, "sft": 1.0, "reward": 2.0, "rl": 4.0, "save": 0.5}


def seconds_left(stage, step_seconds, minutes=MINUTES):
    """Seconds left after these steps of twenty, in a stage without validations."""
    time_left = TimeLeft(minutes, stage)
    time_left.begin(step=0, n_steps=20)
    for seconds in step_seconds:
        time_left.add_step(seconds)
    return time_left.seconds_left(len(step_seconds), n_validations=0, validation_seconds=0.0)


def test_the_first_slow_step_is_not_taken_for_the_rest():
    # sft: a minute for twenty steps, three seconds each; 19 are left, and 6.5 minutes after them
    assert seconds_left("sft", [30.0]) == pytest.approx(19 * 3 + 6.5 * 60)


def test_after_five_steps_the_run_itself_says_how_long_it_and_the_later_stages_take():
    twice_as_slow_as_estimated = 15 * 6 + 2 * 6.5 * 60
    assert seconds_left("sft", [30.0, 6, 6, 6, 6]) == pytest.approx(twice_as_slow_as_estimated)
    only_saving = 0.5 * 60 * 6 * 20 / 240
    assert seconds_left("rl", [6.0] * 20) == pytest.approx(only_saving)


def test_a_step_of_practice_takes_what_writing_and_judging_take_too():
    minutes = {"start": 0.1, "write": 4.0, "judge": 1.0, "reference": 1.0, "rl": 4.0, "save": 0.5}
    # ten minutes for twenty steps, half a minute each; 19 are left, and half a minute after them
    assert seconds_left("rl", [50.0], minutes) == pytest.approx(19 * 30 + 0.5 * 60)


def test_without_an_estimate_the_steps_alone_say_it():
    assert seconds_left("train", [4.0, 2, 2], minutes={}) == pytest.approx(17 * 2)


def test_validations_still_to_come_count_and_the_last_evaluation_takes_as_long_as_one():
    time_left = TimeLeft({}, "train")
    time_left.begin(step=0, n_steps=4)
    time_left.add_step(1.0)
    assert time_left.seconds_left(1, n_validations=2, validation_seconds=5.0) == 3 * 1 + 2 * 5 + 5


def test_of_what_base_and_result_go_through_alike_half_is_still_to_come():
    minutes = {"start": 0.1, "verdict": 2.0, "train": 1.0, "ask": 4.0, "retention": 1.0, "save": 0.5}
    time_left = TimeLeft(minutes, "train")
    time_left.begin(step=0, n_steps=20)
    time_left.add_step(30.0)
    in_training, behind_it = 19 * 3, (1.0 + 2.0 + 0.5 + 0.5) * 60
    assert time_left.seconds_left(1, 0, validation_seconds=50.0) == pytest.approx(in_training + behind_it)


def test_a_run_shows_the_time_left_by_its_estimate(make_plan, monkeypatch):
    from types import SimpleNamespace

    from studio.estimate import history
    from studio.training.callback import MonitorCallback

    monkeypatch.setattr(history, "load_estimate", lambda run: {"stretches": {"train": 2.0, "save": 1.0}})
    run = runs.create(make_plan())
    monitor = MonitorCallback(run, "train", None, None)
    monkeypatch.setattr(monitor, "_tunes_threads", False)
    state = SimpleNamespace(global_step=0, max_steps=20, num_input_tokens_seen=0, epoch=0)
    monitor.on_train_begin(None, state, SimpleNamespace())
    monitor.on_step_begin(None, state, SimpleNamespace())
    state.global_step = 1
    monitor.on_step_end(None, state, SimpleNamespace())
    assert runs.status(run).seconds_left == pytest.approx(19 * 6 + 60)
