"""On ZeroGPU: a function for the card with a declared time, short runs on it, all others on the processors.

The library of a Space lends no card here: its decorator leaves functions as they are.
"""

import pytest

from studio import runs
from studio.estimate.types import range_around
from studio.training import launcher

zero_gpu = pytest.importorskip("studio.ui.zero_gpu", reason="the extra `space` is not installed")


@pytest.fixture
def estimated(monkeypatch):
    """`estimated(minutes)`: what the estimator says of any plan on ZeroGPU."""

    def set_minutes(minutes):
        estimate = type("Estimate", (), {"minutes": minutes and range_around(minutes, 0.5)})()
        monkeypatch.setattr(zero_gpu.all_methods, "estimate_chosen_method", lambda plan, machine: estimate)

    return set_minutes


def test_the_time_that_is_declared_is_the_estimate_s_on_that_card(make_plan):
    plan = make_plan()
    run = runs.create(plan)
    machine = zero_gpu.catalogue.load_machines()[zero_gpu.MACHINE_ID]
    high = zero_gpu.all_methods.estimate_chosen_method(plan, machine).minutes.high
    seconds = zero_gpu.declare_seconds(run.id)
    assert high * 60 <= seconds - zero_gpu.START_SECONDS <= high * 60 + 1


def test_no_more_is_asked_for_than_a_visitor_has(make_plan, estimated):
    run = runs.create(make_plan())
    estimated(600)
    assert zero_gpu.declare_seconds(run.id) == zero_gpu.MAX_SECONDS
    estimated(None)
    assert zero_gpu.declare_seconds(run.id) == zero_gpu.MAX_SECONDS


def test_a_long_run_trains_on_the_processors(make_plan, estimated, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "start", started.append)
    monkeypatch.setattr(zero_gpu, "train", lambda run_id: pytest.fail("it is too long for the card"))
    run = runs.create(make_plan())
    estimated(600)
    zero_gpu.start(run)
    assert started == [run]


def test_where_no_card_is_lent_the_run_trains_on_the_processors(make_plan, monkeypatch):
    def refuse(run_id):
        raise RuntimeError("You have exceeded your GPU quota")

    started = []
    monkeypatch.setattr(launcher, "start", started.append)
    monkeypatch.setattr(zero_gpu, "train", refuse)
    run = runs.create(make_plan())
    zero_gpu._train_or_fall_back(run)
    assert started == [run]
    assert "exceeded your GPU quota" in (run.folder / "worker.log").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_a_short_run_is_executed_by_the_function_for_the_card(make_plan):
    run = runs.create(make_plan(epochs=1))
    zero_gpu._train_or_fall_back(run)
    assert runs.status(run).state == "done"
    assert runs.is_usable(run)
