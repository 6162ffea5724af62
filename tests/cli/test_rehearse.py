"""`studio rehearse` prints the verdict on a plan's reward, and its exit code says whether to go on."""

import json

import pytest

from studio.cli import main as cli
from studio.methods.rlhf_stages import rehearsal as rules
from studio.training import rehearsal


@pytest.fixture
def plan_file(make_plan, tmp_path):
    from studio import plan as plans

    path = tmp_path / "plan.yaml"
    path.write_text(plans.dump(make_plan("rlhf", "chat", {"reward": "json"})))
    return str(path)


def answer_with(monkeypatch, reward):
    """Let the child process have scored two answers to each of two questions with this reward."""
    result = rules.rehearse(["a?", "b?"], [["x", "yy"], ["zz", "www"]], reward)
    monkeypatch.setattr(rehearsal, "rehearse", lambda plan: iter([rehearsal.Progress(0, 4), result]))


def test_a_reward_that_cannot_teach_ends_with_one(plan_file, monkeypatch, capsys):
    answer_with(monkeypatch, lambda items: [1.0] * len(items))
    assert cli.main(["rehearse", plan_file]) == 1
    assert capsys.readouterr().out.startswith("This reward cannot teach.\n4 answers of the base model")


def test_a_reward_that_can_teach_ends_well_and_is_told_as_json(plan_file, monkeypatch, capsys):
    answer_with(
        monkeypatch, lambda items: [float(text in ("yy", "www") and len(text) - 1 > n) for n, text in items]
    )
    assert cli.main(["rehearse", plan_file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["n_answers"]) == ("can", 4)
    assert {probe["name"] for probe in told["probes"]} == {"empty", "long", "repeated", "question", "same"}


def test_a_plan_without_a_reward_is_refused_in_one_line(plan_file, capsys):
    assert (
        cli.main(["rehearse", plan_file, "--set", "method.settings.algorithm=orpo", "--set", "task=prefer"])
        != 0
    )
    assert capsys.readouterr().err
