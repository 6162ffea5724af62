"""Steps and lengths go by the data, within bounds, unless they are set."""

import pytest

from studio import methods
from studio.methods.rlhf_stages import schedule


def settings(**chosen):
    return methods.get("rlhf").resolve_settings(chosen)


@pytest.mark.parametrize(
    ("n_questions", "max_tokens", "steps"),
    [(8, 16, 20), (160, 16, 40), (4_000, 16, 195), (4_000, 128, 24), (4_000, 256, 20)],
)
def test_practice_asks_each_question_about_once_as_far_as_time_allows(n_questions, max_tokens, steps):
    assert schedule.practice_steps(settings(), n_questions, max_tokens) == steps
    assert schedule.practice_steps(settings(steps=7), n_questions, max_tokens) == 7


def test_few_pairs_train_the_head_alone():
    assert schedule.reward_steps(settings(), 999, 8, is_fresh=True) == 0
    assert schedule.reward_steps(settings(), 1_000, 8, is_fresh=True) == 125
    assert schedule.reward_steps(settings(), 80, 8, is_fresh=False) == 10
    assert schedule.reward_steps(settings(reward_epochs=2), 80, 8, is_fresh=True) == 20


@pytest.mark.parametrize(
    ("n_pairs", "batch_size", "steps"),
    [(96, 8, 36), (160, 8, 40), (320, 8, 40), (4_000, 16, 250), (10_000, 32, 313)],
)
def test_every_pair_is_seen_and_few_up_to_three_times(n_pairs, batch_size, steps):
    assert schedule.direct_steps(settings(), n_pairs, batch_size) == steps
    assert steps * batch_size >= n_pairs
    assert schedule.direct_steps(settings(steps=7), n_pairs, batch_size) == 7


@pytest.mark.parametrize(
    ("lengths", "reward", "longest"),
    [
        ([*range(31, 131)], "contains", 120),  # 90 of these 100 have at most so many
        ([2] * 9, "model", 16),
        ([330] * 9, "model", 128),
        ([330] * 9, "length", 256),
        ([], "json", 160),
        ([2] * 9, "answer", 160),
    ],
)
def test_nine_of_ten_example_answers_fit_into_practice(lengths, reward, longest):
    assert schedule.max_completion_length(settings(), reward, lengths) == longest
    assert schedule.max_completion_length(settings(max_completion_length=20), reward, lengths) == 20


def test_questions_alone_are_practised_by_grpo_without_answers_to_imitate():
    assert schedule.resolve_algorithm(settings(), "prompts") == "grpo"
    assert schedule.resolve_algorithm(settings(), "prefer") == "rloo"
    assert not schedule.has_sft(settings(), "prompts")
    assert schedule.has_sft(settings(), "prefer")
    assert not schedule.has_sft(settings(algorithm="orpo"), "prefer")


@pytest.mark.parametrize(
    ("n_examples", "accumulation_steps", "pairs", "answers"),
    [(8, 1, 4, 8), (8, 2, 2, 4), (8, 4, 1, 2), (8, 8, 1, 2), (7, 1, 1, 7), (9, 1, 3, 9), (28, 4, 2, 7)],
)
def test_a_step_is_shared_out_evenly_and_kto_has_two_answers_at_once(
    n_examples, accumulation_steps, pairs, answers
):
    assert schedule.micro_batch_size(n_examples, accumulation_steps, texts_per_example=2) == pairs
    assert schedule.micro_batch_size(n_examples, accumulation_steps, texts_per_example=1) == answers
