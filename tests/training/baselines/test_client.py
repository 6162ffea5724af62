"""The child process that measures, as the page and the terminal use it."""

import pytest

from studio import processes
from studio.evaluate import baselines
from studio.evaluate.baselines import Baselines
from studio.training.baselines import client


@pytest.mark.exhaustive
def test_it_reports_its_progress_keeps_the_result_and_measures_once(make_plan):
    plan = make_plan("lora", "classify")
    *progress, measured = client.measure(plan)
    assert isinstance(measured, Baselines)
    assert {step.stage for step in progress} <= set(client.STAGE_LABELS)
    assert "linear" in {step.stage for step in progress}
    assert all(0 <= step.share <= 1 for step in progress)
    assert baselines.find(plan) == measured
    assert list(client.measure(plan)) == [measured]


def test_closing_it_closes_the_process_and_keeps_nothing(make_plan, monkeypatch):
    closed = []

    def stream_replies(*_):
        try:
            yield {"stage": "data", "done": 0, "of": 1}
            yield {"baselines": {}}
        finally:
            closed.append(True)

    monkeypatch.setattr(processes, "stream_replies", stream_replies)
    plan = make_plan("lora", "classify")
    measuring = client.measure(plan)
    assert next(measuring) == client.Progress("data", 0)
    measuring.close()
    assert closed
    assert baselines.find(plan) is None
