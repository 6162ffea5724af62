"""The base model answers a plan's questions in a child process, and its reward is judged by them."""

from pathlib import Path

import pytest

from studio import processes, runs
from studio.errors import NotPossible
from studio.methods.rlhf_stages.rehearsal import N_ANSWERS, Rehearsal
from studio.training import rehearsal


@pytest.mark.exhaustive
def test_a_rule_that_no_answer_meets_cannot_teach(make_plan):
    plan = make_plan("rlhf", "chat", {"reward": "json", "max_completion_length": 12})
    *progress, result = rehearsal.rehearse(plan)
    assert isinstance(result, Rehearsal)
    assert (result.verdict, result.mean_reward, result.spread_share) == ("cannot", 0.0, 0.0)
    assert {probe.name: probe.reward for probe in result.probes}["bare"] == 1.0
    assert N_ANSWERS <= result.n_answers < N_ANSWERS + 4
    assert progress[-1].total == result.n_answers
    assert list(runs.folder().iterdir()) == []


@pytest.mark.exhaustive
def test_a_reward_model_is_learned_first_and_rehearsed(make_plan):
    plan = make_plan("rlhf", "prefer", {"max_completion_length": 12, "reward": "model"})
    *_, result = rehearsal.rehearse(plan)
    assert result.spread_share > 0
    assert result.low < result.mean_reward < result.high
    assert result.is_repeatable
    assert list(runs.folder().iterdir()) == []


def test_stopping_leaves_nothing(make_plan, monkeypatch):
    folders = []

    def stream_replies(module, request, *_):
        folders.append(Path(request["folder"]))
        assert (folders[0] / "plan.yaml").is_file()
        yield {"done": 0, "total": 4}
        pytest.fail("it went on")

    monkeypatch.setattr(processes, "stream_replies", stream_replies)
    steps = rehearsal.rehearse(make_plan("rlhf", "chat", {"reward": "json", "max_completion_length": 12}))
    next(steps)
    next(steps)
    steps.close()
    assert not folders[0].exists()
    assert list(runs.folder().iterdir()) == []


@pytest.mark.parametrize(
    ("method", "task", "settings"), [("lora", "chat", {}), ("rlhf", "prefer", {"algorithm": "dpo"})]
)
def test_without_a_reward_there_is_nothing_to_rehearse(make_plan, method, task, settings):
    with pytest.raises(NotPossible, match="does not practise"):
        next(rehearsal.rehearse(make_plan(method, task, settings)))
