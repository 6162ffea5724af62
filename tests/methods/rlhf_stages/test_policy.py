"""Practice: the policy learns what is rewarded, and an answer has the room that its reward asks for."""

import copy
import dataclasses
from types import SimpleNamespace

import pytest
import torch

from studio import methods, runs
from studio.errors import BadData
from studio.evaluate.answers import declare_stop_tokens
from studio.methods.rlhf_stages import policy, schedule, stage


def points_of(run, stage):
    return [point for point in runs.read_points(run) if point["stage"] == stage]


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ["rloo", pytest.param("grpo", marks=pytest.mark.exhaustive)])
def test_practice_raises_the_share_of_answers_that_keep_a_rule(algorithm, make_plan, train_run):
    settings = {
        "algorithm": algorithm,
        "reward": "contains",
        "reward_text": "shop",
        "sft": False,
        "steps": 60,
        "max_completion_length": 16,
        "last_rate": 1e-2,
        "beta": 0.005,
    }
    run = train_run(make_plan("rlhf", "chat", settings))
    rewards = [point["reward"] for point in points_of(run, "rl")]
    assert sum(rewards[-6:]) / 6 > sum(rewards[:6]) / 6 + 0.3


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
    question = policy.Question([])
    best_lengths = [
        n_words for n_words in range(1, 300) if score([policy.Attempt(question, "a " * n_words)]) == [1.0]
    ]
    if rewarded_words:
        assert best_lengths == [rewarded_words]
    else:
        assert best_lengths[0] <= completion_length
    assert policy.resolve_max_completion_length(job, "model") <= schedule.MAX_COMPLETION_TOKENS


def test_questions_too_long_for_an_answer_are_told(make_recorded_job):
    job, _ = make_recorded_job("chat", {"sft": False, "max_completion_length": 60})
    with pytest.raises(BadData) as caught:
        methods.get("rlhf").train(job)
    assert caught.value.message.text == policy.NO_QUESTION_FITS.text
    assert caught.value.message.values == {"answer": 60, "length": 64}


KNOWN = policy.Question([{"role": "user", "content": "6 times 7?"}], "42")


@pytest.mark.parametrize(
    ("text", "is_cut", "check", "reward"),
    [
        ("It is 42.", False, "data", 1),
        ("It is 42.", True, "data", 0),  # it may have gone on
        ("It is 41.", False, "data", 0),
        ("It is 42.", False, "exact", 0),
        (" 42 ", False, "exact", 1),
        ("421", False, "contains", 0),
        ("42 it is", False, "contains", 1),
        ("421", False, "number", 0),
    ],
)
def test_a_known_answer_is_rewarded_once_it_is_given(text, is_cut, check, reward):
    assert policy.score_known_answer(policy.Attempt(KNOWN, text, is_cut), check) == reward


def test_the_change_of_a_score_has_an_interval():
    change = policy.paired_change([0.0, 0.0, 0.0, 0.0], [1.0, 3.0, 1.0, 3.0])
    # Differences 1, 3, 1, 3: mean 2, deviation 2/√3, so ± 1.96 · 2/√3 / 2.
    margin = 1.959964 / 3**0.5
    assert change == pytest.approx({"mean": 2, "low": 2 - margin, "high": 2 + margin})


def test_the_change_on_a_single_question_is_told_without_an_interval(make_recorded_job):
    settings = {"steps": 1, "reward": "length", "num_generations": 2, "max_completion_length": 8}
    job, _ = make_recorded_job("prompts", settings)
    job = dataclasses.replace(job, examples=(job.examples[0], job.examples[1][:1]))
    methods.get("rlhf").train(job)
    practice = job.notes["rl"]
    assert (practice["questions"]["held_out"], practice["change"]) == (1, {})


def test_questions_with_known_answers_are_practised_without_answers_to_imitate(make_plan, train_run):
    settings = {"steps": 2, "max_completion_length": 8, "num_generations": 2, "prompts_per_step": 2}
    plan = make_plan("rlhf", "prompts", settings)
    columns = {"prompt": "prompt", "answer": "answer"}
    data = plan.data.model_copy(update={"columns": columns})
    run = train_run(plan.model_copy(update={"data": data}))
    report = runs.report(run)
    assert report["method"]["stages"] == {"sft": "skipped", "rl": "done"}
    assert report["method"]["rl"]["reward"] == "answer"
    assert 0 <= report["before"]["answer_accuracy"] <= 1
    assert {point["stage"] for point in runs.read_points(run)} >= {"rl"}


@pytest.mark.exhaustive
def test_a_model_learns_to_give_the_known_answers(make_recorded_job):
    settings = {
        "steps": 30,
        "max_completion_length": 24,
        "last_rate": 1e-2,
        "beta": 0.0,
        "num_generations": 8,
    }
    job, stages = make_recorded_job("prompts", settings)
    rows = [{**example, "answer": "."} for example in job.examples[0]]
    job = dataclasses.replace(job, examples=(rows, rows[:6]))
    methods.get("rlhf").train(job)
    assert stages == ["rl"]
    before, after = (job.notes["rl"][time]["reward"] for time in ("before", "after"))
    assert after > before + 0.3


def test_questions_without_known_answers_are_refused_with_a_way_out(make_recorded_job):
    job, _ = make_recorded_job("prompts")
    rows = [{"prompt": example["prompt"]} for example in job.examples[0]]
    with pytest.raises(BadData) as caught:
        methods.get("rlhf").train(dataclasses.replace(job, examples=(rows, rows[:6])))
    assert caught.value.message.text == policy.NO_KNOWN_ANSWER.text


def test_questions_whose_answers_score_alike_are_counted_by_the_rewards_themselves(make_job, tmp_path):
    """RLOO's own figure is taken after the divergence is subtracted, where no two answers are alike."""
    assert policy.share_without_spread([1.0, 1.0, 0.0, 1.0, 0.5, 0.5], 2) == pytest.approx(2 / 3)
    job = make_job("rlhf", "chat", {"num_generations": 2})
    logger = policy.SampleLogger(job, lambda attempts: [0.5] * len(attempts), 4, frozenset({2}))
    completions = [[{"content": text}] for text in ("a", "b", "c", "d")]
    prompts, ids = [[{"role": "user", "content": "where"}]] * 4, [[1, 2]] * 4
    logger.reward(prompts, completions, ids, [""] * 4, SimpleNamespace(global_step=1))
    logs = {"frac_reward_zero_std": 0.0}
    logger.on_log(None, None, None, logs)
    assert logs == {"frac_reward_zero_std": 1.0}
    logger.on_log(None, None, None, {"loss": 1.0})  # of another kind


def test_practice_stops_where_the_template_ends_an_answer(make_recorded_job):
    """As with Qwen2.5: neither its tokenizer nor its generation config names the end of a turn."""
    job, _ = make_recorded_job("chat")
    tokenizer = copy.deepcopy(job.tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ eos_token }}", "<turn>")
    job = dataclasses.replace(job, tokenizer=tokenizer)
    declare_stop_tokens(job.model, tokenizer, job.plan.task)
    logger = policy.SampleLogger(job, lambda attempts: [0.0] * len(attempts), 4, frozenset())
    questions = [policy.Question([{"role": "user", "content": "where"}])] * 2
    trainer = policy._build_policy_trainer(job, stage.merge_adapter(job.model), questions, logger, 8)
    assert set(trainer.eos_token_ids) >= {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<turn>")}


def test_the_lora_of_a_stage_is_the_same_whatever_was_drawn_before(make_recorded_job):
    """A stage that begins anew after a restart learns what it would have learned."""
    from peft import get_peft_model

    job, _ = make_recorded_job("chat")
    base = stage.merge_adapter(job.model)
    drawn = []
    for n_disturbing in (1, 7):
        torch.rand(n_disturbing)
        config = stage.lora_config(job, base, "CAUSAL_LM")
        model = get_peft_model(copy.deepcopy(base), config)
        drawn.append([value for name, value in model.named_parameters() if "lora_A" in name])
    assert all(torch.equal(first, second) for first, second in zip(*drawn, strict=True))
