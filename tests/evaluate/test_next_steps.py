"""What comes after a verdict: steps with changes of the plan, and nothing that a plan cannot do."""

from typing import Any

import pytest

from studio.evaluate import next_steps, verdict
from studio.evaluate.next_steps import NextStep
from studio.evaluate.predictions import Answered, Prediction
from studio.plan import Data, MethodChoice, Plan, Training, format_learning_rate

TRAINING = {"epochs": 3.0, "learning_rate": 1e-4}
FORGOT = {"arithmetic": {"before": 0.8, "after": 0.4, "n": 40, "low": -0.6, "high": -0.2}}


def plan_for(task: str, **values: Any) -> Plan:
    data = Data(source="dataset:x", columns={}, test=values.pop("test", ""))
    method = MethodChoice(name=values.pop("method", "lora"))
    return Plan(task=task, model="m", data=data, method=method, **values)


def report_with(train: int, **values: Any) -> dict[str, Any]:
    return {"training": TRAINING, "data": {"train": train, "validation": 10, "test": 0}, **values}


def answers(n: int, n_base: int, n_tuned: int, split: str = "test") -> Answered:
    """Questions with known answers, of which base and tuned model have so many right."""
    rows = [
        Prediction(
            index,
            {"prompt": "1 + 1", "answer": "2"},
            {"text": "2" if index < n_tuned else "3"},
            {"text": "2" if index < n_base else "3"},
        )
        for index in range(n)
    ]
    return Answered(split, rows)


def steps_by_message(answered: Answered, report: dict[str, Any], plan: Plan) -> dict[str, dict[str, Any]]:
    result = verdict.judge(answered, report, plan)
    return {step.message.text: dict(step.plan_changes) for step in result.next_steps}


def test_a_test_set_that_is_too_small_is_enlarged_to_twenty_rows():
    steps = steps_by_message(answers(12, 2, 9), report_with(90), plan_for("prompts"))
    assert steps[next_steps.ENOUGH_ROWS.text] == {"data.test_share": 0.2}  # 20 of 100 examples


@pytest.mark.parametrize("changed", [{"train": 20}, {"train": 90, "test": "dataset:other"}])
def test_where_no_share_gives_enough_rows_examples_are_asked_for(changed):
    plan = plan_for("prompts", test=changed.pop("test", ""))
    steps = steps_by_message(answers(12, 2, 9), report_with(**changed), plan)
    assert steps[next_steps.MORE_EXAMPLES.text] == {}


def test_what_was_forgotten_is_kept_by_changes_of_this_runs_own_figures():
    steps = steps_by_message(answers(40, 10, 35), report_with(90, retention=FORGOT), plan_for("chat"))
    assert steps[next_steps.FEWER_EPOCHS.text] == {"training.epochs": 1.5}
    assert steps[next_steps.LOWER_RATE.text] == {"training.learning_rate": 3.3e-5}
    assert steps[next_steps.MIX_GENERAL_EXAMPLES.text] == {"training.replay_share": 0.2}
    assert steps[next_steps.FEED_FORWARD_ONLY.text]["method.settings"] == {"type": "lora_mlp"}


def test_replay_is_offered_to_conversations_that_have_none_yet():
    has_replay = plan_for("chat", training=Training(replay_share=0.3))
    for plan in (has_replay, plan_for("complete")):
        steps = steps_by_message(answers(40, 10, 35), report_with(90, retention=FORGOT), plan)
        assert next_steps.MIX_GENERAL_EXAMPLES.text not in steps


def test_a_worse_result_gets_a_lower_rate_and_one_without_change_more_epochs():
    worse = steps_by_message(answers(100, 90, 50), report_with(90), plan_for("chat"))
    assert worse[next_steps.LOWER_RATE.text] == {"training.learning_rate": 3.3e-5}
    same = steps_by_message(answers(400, 250, 250), report_with(90), plan_for("chat"))
    assert same[next_steps.MORE_EPOCHS.text] == {"training.epochs": 6.0}
    ended = steps_by_message(answers(400, 250, 250), report_with(90, stopped_early=True), plan_for("chat"))
    assert next_steps.MORE_EPOCHS.text not in ended


def test_the_settings_of_one_stage_are_not_changed_for_all_of_rlhf():
    steps = steps_by_message(answers(100, 90, 50), report_with(90), plan_for("chat", method="rlhf"))
    assert next_steps.LOWER_RATE.text not in steps


def test_steps_survive_the_report_and_those_of_earlier_studios_are_a_sentence():
    step = NextStep(next_steps.SHIP, {"training.epochs": 2.0})
    assert NextStep.from_json(step.to_json()) == step
    assert NextStep.from_json(next_steps.SHIP.to_json()) == NextStep(next_steps.SHIP)


@pytest.mark.parametrize(
    ("rate", "text"), [(1e-4 / 3, "3.3e-5"), (1e-4, "1e-4"), (5e-4, "5e-4"), (0.001, "0.001"), (0.03, "0.03")]
)
def test_learning_rates_are_written_as_people_write_them(rate, text):
    assert format_learning_rate(rate) == text


@pytest.mark.parametrize(("n_base", "accuracy"), [(0, 0.0), (2, 0.1)])
def test_a_base_that_answers_nothing_right_has_nothing_to_teach_itself(n_base, accuracy):
    report = report_with(160, before={"answer_accuracy": accuracy, "n_questions": 20.0})
    steps = steps_by_message(answers(20, n_base, n_base), report, plan_for("prompts", method="upft"))
    assert (list(steps) == [next_steps.LARGER_BASE.text]) is (n_base == 0)
    other = steps_by_message(answers(20, n_base, n_base), report, plan_for("prompts", method="rlhf"))
    assert next_steps.LARGER_BASE.text not in other
