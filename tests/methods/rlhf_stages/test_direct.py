"""Judged answers are learned from directly: the better ones become likelier, and KTO needs no pairs."""

import dataclasses
import json
import math

import pytest
from sampling import sample

from studio import methods, runs
from studio.data.examples import Encoded
from studio.errors import BadData
from studio.methods.rlhf_stages import direct, schedule
from studio.methods.rlhf_stages.direct import AnswerLogProb, Judged
from studio.plan import Data

PAIR_ALGORITHMS = ("dpo", "simpo", "orpo")
GOOD, BAD = (Judged({}, is_good, Encoded([])) for is_good in (True, False))


@pytest.mark.thorough
@pytest.mark.parametrize("algorithm", sample(schedule.DIRECT_ALGORITHMS, ["dpo", "kto"]))
def test_the_better_answers_become_likelier_than_the_worse(algorithm, make_plan, train_run, reversed_pairs):
    settings = {"algorithm": algorithm, "sft": False, "steps": 15, "last_rate": 5e-3, "beta": 0.1}
    plan = make_plan("rlhf", "prefer", settings)
    data = Data(source=str(reversed_pairs), validation_share=0.2)
    run = train_run(plan.model_copy(update={"data": data}))
    notes = runs.report(run)["method"]
    scores = notes[algorithm]
    assert scores["after"]["preferred"] > 0.8 > scores["before"]["preferred"]
    assert scores["after"]["accuracy"] > 0.8
    assert scores["after"]["loss"] < scores["before"]["loss"]
    assert {point["stage"] for point in runs.read_points(run)} == {algorithm, "after"}
    assert notes["stages"] == {"sft": "skipped", algorithm: "done"}


def test_dpo_starts_at_log_2_and_its_reference_stays(make_plan, train_run, reversed_pairs):
    settings = {"algorithm": "dpo", "sft": False, "steps": 15, "last_rate": 5e-3, "beta": 0.1}
    plan = make_plan("rlhf", "prefer", settings)
    data = Data(source=str(reversed_pairs), validation_share=0.2)
    run = train_run(plan.model_copy(update={"data": data}))
    losses = [point["loss"] for point in runs.read_points(run) if point["stage"] == "dpo" and "loss" in point]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < 0.5 * losses[0]


def test_of_a_conversation_the_judged_answer_alone_is_scored(make_recorded_job):
    job, _ = make_recorded_job(settings={"algorithm": "dpo"})
    turns = [{"role": role, "content": "where is my lamp"} for role in ("user", "assistant", "user")]
    example = {"messages": json.dumps(turns), "chosen": "in the shop", "rejected": "on the desk"}
    better, worse = direct._encode(job, [example], "dpo")
    for judged, answer in ((better, "in the shop"), (worse, "on the desk")):
        learned = [label for label in judged.conversation.labels if label >= 0]
        assert job.tokenizer.decode(learned, skip_special_tokens=True).strip() == answer


def test_orpo_needs_no_fine_tuning_first(make_recorded_job):
    job, stages = make_recorded_job(settings={"algorithm": "orpo", "steps": 1})
    methods.get("rlhf").train(job)
    assert stages == ["orpo"]


def single_answers(job, n_bad):
    """The job with single judged answers, all good ones and so many bad ones."""
    good = [{**example, "rejected": ""} for example in job.examples[0]]
    bad = [{**example, "chosen": ""} for example in job.examples[0][:n_bad]]
    return dataclasses.replace(job, examples=(good + bad, good[:4] + bad[:4]))


@pytest.mark.parametrize("accumulation_steps", [1, 8])
def test_kto_learns_from_every_single_answer(make_recorded_job, accumulation_steps):
    """Two at once however few fit: it compares each with another's question."""
    training = {"batch_size": 8, "gradient_accumulation_steps": accumulation_steps}
    job, stages = make_recorded_job(settings={"algorithm": "kto", "sft": False}, **training)
    job = single_answers(job, n_bad=6)
    methods.get("rlhf").train(job)
    assert stages == ["kto"]
    counts = job.notes["kto"]["pairs"]
    assert (counts["train"], counts["held_out"], counts["left_out"]) == (30, 8, 0)


@pytest.mark.parametrize("algorithm", PAIR_ALGORITHMS)
def test_single_answers_are_no_pairs_and_kto_is_named(algorithm, make_recorded_job):
    job, _ = make_recorded_job(settings={"algorithm": algorithm, "sft": False})
    with pytest.raises(BadData) as caught:
        methods.get("rlhf").train(single_answers(job, n_bad=6))
    assert caught.value.message.text == direct.NO_WHOLE_PAIR.text
    assert "kto" in caught.value.hint.text


def test_answers_that_are_all_good_teach_no_difference(make_recorded_job):
    job, _ = make_recorded_job(settings={"algorithm": "kto", "sft": False})
    with pytest.raises(BadData) as caught:
        methods.get("rlhf").train(single_answers(job, n_bad=0))
    assert caught.value.message.values == {"good": 24, "bad": 0}


def test_the_rarer_verdict_weighs_as_much_as_the_other():
    assert direct.verdict_weights([GOOD] * 6 + [BAD] * 2) == (1, 3)
    assert direct.verdict_weights([GOOD] * 2 + [BAD] * 6) == (3, 1)


def test_held_out_scores_counted_by_hand():
    reference = [AnswerLogProb(-4.0, 2), AnswerLogProb(-4.0, 4)]
    policy = [AnswerLogProb(-2.0, 2), AnswerLogProb(-8.0, 4)]
    rows = [GOOD, BAD]
    # DPO: 0.1 · (2 − (−4)) = 0.6.
    dpo = direct.score("dpo", 0.1, rows, reference, policy)
    loss = math.log(1 + math.exp(-0.6))
    assert dpo == pytest.approx({"margin": 0.6, "accuracy": 1, "n_examples": 1, "loss": loss})
    # SimPO: 2 · (−1 − (−2)) = 2, and 1 of it is wanted anyway.
    simpo = direct.score("simpo", 0.1, rows, reference, policy)
    loss = math.log(1 + math.exp(-1))
    assert simpo == pytest.approx({"margin": 2, "accuracy": 1, "n_examples": 1, "loss": loss})
    # ORPO: odds of e^-1 and of e^-2 to a token, and imitation costs 1 a token.
    odds = [math.exp(-x) / (1 - math.exp(-x)) for x in (1, 2)]
    margin = math.log(odds[0] / odds[1])
    orpo = direct.score("orpo", 0.1, rows, reference, policy)
    assert orpo["margin"] == pytest.approx(margin)
    assert orpo["loss"] == pytest.approx(1 + 0.1 * math.log(1 + math.exp(-margin)))
    # KTO: rewards 0.2 and −0.4.
    kto = direct.score("kto", 0.1, rows, reference, policy)
    assert kto["loss"] == pytest.approx((1 / (1 + math.exp(0.2)) + 1 / (1 + math.exp(0.4))) / 2)
    assert (kto["accuracy"], kto["margin"]) == pytest.approx((1, 0.6))
