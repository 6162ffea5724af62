"""The policy learns what is rewarded, and an answer has the room that its reward asks for."""

import dataclasses
import math

import pytest

from studio import methods, runs
from studio.errors import BadData
from studio.methods.rlhf_stages import policy
from studio.plan import Data


def points_of(run, stage):
    return [point for point in runs.read_points(run) if point["stage"] == stage]


@pytest.mark.thorough
@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_practice_raises_the_share_of_answers_that_keep_a_rule(algorithm, make_plan, train_run):
    settings = {
        "algorithm": algorithm,
        "reward": "contains",
        "reward_text": "shop",
        "sft": False,
        "steps": 30,
        "max_completion_length": 16,
        "last_rate": 1e-2,
        "beta": 0.005,
    }
    run = train_run(make_plan("rlhf", "chat", settings))
    rewards = [point["reward"] for point in points_of(run, "rl")]
    assert sum(rewards[-6:]) / 6 > sum(rewards[:6]) / 6 + 0.3


def test_the_short_cut_prefers_the_better_answers(make_plan, train_run, reversed_pairs):
    settings = {"algorithm": "dpo", "sft": False, "steps": 15, "last_rate": 5e-3, "beta": 0.1}
    plan = make_plan("rlhf", "prefer", settings)
    data = Data(source=str(reversed_pairs), validation_share=0.2)
    run = train_run(plan.model_copy(update={"data": data}))
    notes = runs.report(run)["method"]
    losses = [point["loss"] for point in points_of(run, "dpo") if "loss" in point]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < 0.5 * losses[0]
    assert notes["dpo"]["after"]["accuracy"] == 1
    assert notes["dpo"]["after"]["loss"] < 0.5 * notes["dpo"]["before"]["loss"]
    # Nothing but the base's scores in the stage that was skipped.
    assert {point["stage"] for point in runs.read_points(run)} == {"sft", "dpo", "after"}
    assert notes["stages"] == {"sft": "skipped", "dpo": "done"}


@pytest.mark.parametrize(
    ("settings", "answer", "max_length", "rewarded_words"),
    [
        ({}, "one two", 16, 2),  # the least there is
        ({}, "lamp " * 400, 256, 0),  # examples longer than an answer may be: aimed at what has room
        ({"reward_length": 20}, "one two", 40, 20),
        ({"max_completion_length": 12}, "one two", 12, 2),
    ],
)
def test_an_answer_gets_room_for_the_length_it_is_rewarded_for(
    settings, answer, max_length, rewarded_words, make_job
):
    job = make_job("rlhf", "chat", settings)
    example = {"prompt": "where", "response": answer}
    job = dataclasses.replace(job, examples=([example] * 4, job.examples[1]))
    completion_length = policy.resolve_max_completion_length(job, "length")
    assert completion_length == max_length
    score = policy.build_scorer(job, "length", None, completion_length)
    best_lengths = [n_words for n_words in range(1, 200) if score([], ["a " * n_words]) == [1.0]]
    if rewarded_words:
        assert best_lengths == [rewarded_words]
    else:
        assert best_lengths[0] <= completion_length / 1.25
    assert policy.resolve_max_completion_length(job, "model") <= 64


def test_questions_too_long_for_an_answer_are_told(make_recorded_job):
    job, _ = make_recorded_job("chat", {"sft": False, "max_completion_length": 60})
    with pytest.raises(BadData) as caught:
        methods.get("rlhf").train(job)
    assert caught.value.message.text == policy.NO_QUESTION_FITS.text
    assert caught.value.message.values == {"answer": 60, "length": 64}
