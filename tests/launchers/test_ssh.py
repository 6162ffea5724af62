"""A run at a box over SSH is the same run: its folder comes back whole, and each fault is a sentence."""

import pytest

from studio import runs
from studio.launchers import follower, record
from studio.storage import read_json


@pytest.fixture
def make_run(make_plan):
    def make(**training):
        plan = make_plan("lora", "chat", **training)
        run = runs.create(plan.model_copy(update={"where": "box"}))
        record.Record(agreed=True).write(run)
        return run

    return make


def test_the_same_folder_comes_back(box, make_run):
    run = make_run(epochs=2)
    follower.follow(run.id)
    status = runs.status(run)
    assert (status.state, status.message) == ("done", None)
    report = runs.complete_report(run)
    assert report["trained_at"] == "box"
    assert report["resumed"] is False
    assert report["base"]["hub"] == run.plan.model
    assert runs.is_report_intact(run)
    points = list(runs.read_points(run))
    assert [point["seq"] for point in points] == list(range(len(points)))
    assert points[-1]["stage"] == "after"
    assert read_json(run.model / "adapter_config.json")["base_model_name_or_path"] == run.plan.model
    assert not box.run_folder(run).exists(), "what lay there is deleted"
    assert record.read(run).job == {}
    assert 0 < record.read(run).first_event_seconds < 60
