"""The time left of a run: as estimated at first, and from its own steps once they say more."""

import dataclasses
from types import SimpleNamespace

import pytest

from studio import runs
from studio.estimate import history
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate, range_around
from studio.training import callback as run_callback

TOLD = Estimate(
    "rlhf",
    memory_gb=range_around(1, 1.1),
    minutes=range_around(10, 1.2),
    stretches={"start": 0.1, "sft": 1.0, "reward": 2.0, "rl": 4.0, "save": 0.5},
)


@pytest.fixture
def watched(make_plan, monkeypatch):
    """`watched(stage, seconds of each step, told)`: the seconds left after the last step of twenty."""

    def watch(stage, steps, told=TOLD):
        run = runs.create(make_plan())
        if told:
            history.save_estimate(run, told, catalogue.local_machine())
        found = run_callback.MonitorCallback(run, stage, None, None)
        monkeypatch.setattr(
            found, "_pace", SimpleNamespace(choose=lambda: None, step=lambda *_, **__: None, threads=1)
        )
        clock = [0.0]
        monkeypatch.setattr(run_callback.time, "perf_counter", lambda: clock[0])
        monkeypatch.setattr(run_callback.time, "monotonic", lambda: clock[0])
        state, control = (
            SimpleNamespace(global_step=0, max_steps=20, num_input_tokens_seen=0, epoch=0),
            SimpleNamespace(),
        )
        found.on_train_begin(None, state, control)
        for seconds in steps:
            found.on_step_begin(None, state, control)
            clock[0] += seconds
            state.global_step += 1
            state.num_input_tokens_seen += 10
            found.on_step_end(None, state, control)
        return runs.status(run).seconds_left

    return watch


def test_the_first_slow_step_is_not_taken_for_the_rest(watched):
    # sft: a minute for twenty steps, three seconds each; 19 are left, and 6.5 minutes after them
    assert watched("sft", [30.0]) == pytest.approx(19 * 3 + 6.5 * 60)


def test_after_five_steps_the_run_itself_says_how_long_it_and_the_later_stages_take(watched):
    assert watched("sft", [30.0, 6, 6, 6, 6]) == pytest.approx(15 * 6 + 2 * 6.5 * 60), (
        "twice as slow as estimated"
    )
    assert watched("rl", [6.0] * 20) == pytest.approx(0.5 * 60 * 6 * 20 / 240), "only saving is left"


def test_a_step_of_practice_takes_what_writing_and_judging_take_too(watched):
    stretches = {"start": 0.1, "write": 4.0, "judge": 1.0, "reference": 1.0, "rl": 4.0, "save": 0.5}
    told = dataclasses.replace(TOLD, stretches=stretches)
    # ten minutes for twenty steps, half a minute each; 19 are left, and half a minute after them
    assert watched("rl", [50.0], told=told) == pytest.approx(19 * 30 + 0.5 * 60)


def test_without_an_estimate_the_steps_alone_say_it(watched):
    assert watched("train", [4.0, 2, 2], told=None) == pytest.approx(17 * 2)
