"""A range test trains a few steps at rising rates in a child process, and leaves nothing."""

from pathlib import Path

import pytest

from studio import runs
from studio.errors import NotPossible
from studio.estimate import history
from studio.estimate.types import Estimate
from studio.evaluate.rate_range import RateRange
from studio.runs import Run
from studio.training import rate_range, trial


def test_the_planned_rate_stands_in_the_middle_of_rising_ones():
    rates = rate_range.list_rates(1e-3)
    assert len(rates) == rate_range.N_STEPS
    assert (rates[0], rates[-1]) == pytest.approx((1e-3 / 32, 1e-3 * 32))
    assert rates[14] < 1e-3 < rates[15]


@pytest.mark.parametrize("method", ["rlhf", "qat", "upft"])
def test_a_method_with_several_trainings_is_refused(method, make_plan):
    plan = make_plan(method, "chat" if method != "upft" else "prompts")
    with pytest.raises(NotPossible, match="more than one training"):
        next(rate_range.measure(plan))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("method", "task"), [("lora", "classify"), ("full", "chat"), ("prefix", "chat")])
def test_the_loss_falls_at_some_rate_and_nothing_stays(method, task, make_plan):
    *steps, tested = rate_range.measure(make_plan(method, task, learning_rate=1e-2))
    assert isinstance(tested, RateRange)
    assert [step.done for step in steps[1:]] == list(range(len(tested.losses)))
    assert tested.has_fallen
    assert tested.planned == 1e-2
    assert not any(runs.folder().iterdir())


@pytest.mark.parametrize(("method", "task"), [("lora", "classify"), ("prefix", "chat")])
def test_the_loss_is_measured_at_every_rate(method, task, make_plan, monkeypatch):
    """What the child process computes, in this one."""
    monkeypatch.setattr(rate_range.processes, "send_reply", lambda reply: None)
    tested = rate_range._measure_in_child(runs.create(make_plan(method, task, learning_rate=1e-2)))
    assert tested.has_fallen
    assert tested.rates == rate_range.list_rates(1e-2)[: len(tested.losses)]


def test_it_computes_in_the_micro_batches_that_the_run_would(make_plan, monkeypatch):
    """Chosen by what fits into memory, and the default is larger."""
    estimate = Estimate("lora", gradient_accumulation_steps=4)
    monkeypatch.setattr(trial.all_methods, "estimate_before_start", lambda plan, machine: estimate)
    seen = []

    def stream_replies(module, request, *_):
        folder = Path(request["folder"])
        seen.append(history.load_estimate(Run(folder.name, folder))["gradient_accumulation_steps"])
        return iter([])

    monkeypatch.setattr(trial.processes, "stream_replies", stream_replies)
    assert list(rate_range.measure(make_plan("lora", "chat"))) == [rate_range.Progress(0, 0)]
    assert seen == [4]


@pytest.mark.thorough
def test_its_price_is_known_beforehand(make_plan):
    plan = make_plan("lora", "chat")
    whole, longer = (
        rate_range.estimate_minutes(plan),
        rate_range.estimate_minutes(make_plan("lora", "chat", epochs=60)),
    )
    # The test takes 30 steps, however long the training is.
    assert whole
    assert longer == pytest.approx(whole, rel=0.2)
