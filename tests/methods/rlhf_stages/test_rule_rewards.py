"""Rewards by rule are computed from the answer alone; settings that do not go together are refused."""

import dataclasses
import time

import pytest

from studio import methods
from studio.methods.rlhf_stages import iterate, rule_rewards
from studio.models import shape
from studio.storage import home

RULES = [
    ("contains", "Thanks, shop", 1, "thanks from the SHOP", 1.0),
    ("contains", "Thanks, shop", 1, "Thanks.", 0.5),
    ("contains", "Thanks, shop", 1, "", 0.0),
    ("contains", "谢谢，再见", 1, "谢谢您", 0.5),
    ("matches", r"^\d{3}$", 1, "123", 1.0),
    ("matches", r"^\d{3}$", 1, "1234", 0.0),
    ("matches", "(?i)yours, the shop", 1, "… Yours, the shop.", 1.0),
    ("length", "", 4, "one two three four", 1.0),
    ("length", "", 4, "one two", 0.5),
    ("length", "", 4, "one two three four five six", 0.5),
    ("length", "", 4, "", 0.0),
    ("length", "", 4, "a b c d e f g h i j k l", 0.0),
    ("length", "", 5, "谢谢您的来信"[:5], 1.0),
    ("json", "", 1, '{"a": [1, 2]}', 1.0),
    ("json", "", 1, " [] \n", 1.0),
    ("json", "", 1, "12", 0.0),
    ("json", "", 1, '{"a": NaN}', 0.0),
    ("json", "", 1, 'Here: {"a": 1}', 0.0),
    ("json", "", 1, '{"a": 1', 0.0),
    ("json", "", 1, "[" * 3000, 0.0),
]
# What each takes for ever on without a limit of time: nested repetition, alternatives that overlap, and
# repeated back references.
HOSTILE = [
    (r"(a+)+$", "a" * 3000 + "!"),
    (r"(a|a)*b", "a" * 4000),
    (r"((\w*\s?)*)*X$", "word " * 800),
    (r"(.*)(.*)(.*)(.*)\4\3\2\1Z", "ab" * 2000),
]
UNKNOWN_RUN = "0" * 32
PROBLEMS = [
    ({"algorithm": "dpo"}, "chat", "algorithm: dpo learns from better and worse"),
    ({"algorithm": "kto"}, "prompts", "algorithm: kto learns from better and worse"),
    ({"algorithm": "kto", "beta": 0.0}, "prefer", "beta: kto measures"),
    ({"reward": "answer"}, "prefer", "reward: the task prefer says which"),
    ({"reward": "length"}, "prompts", "reward_length: questions alone show no usual length"),
    ({"algorithm": "dpo", "beta": 0.0}, "prefer", "beta: dpo measures"),
    ({"reward": "model"}, "chat", "reward: a reward model is learned from pairs"),
    ({"reward": "contains"}, "prefer", "reward_text: name the words"),
    ({"reward": "contains", "reward_text": " , "}, "chat", "reward_text: name the words"),
    ({"reward": "matches"}, "chat", "reward_text: give the pattern"),
    (
        {"reward": "matches", "reward_text": "(a"},
        "chat",
        "reward_text: expected a pattern (regular expression), but got '(a'",
    ),
    (
        {"reward": "length", "reward_length": 90, "max_completion_length": 48},
        "chat",
        "reward_length: an answer of 90 words does not fit",
    ),
    (
        {"max_completion_length": 4096},
        "chat",
        "max_completion_length: the model reads and writes 256 tokens in all",
    ),
    ({"start_from": "../../etc"}, "chat", "start_from: expected the id of a run"),
    ({"start_from": UNKNOWN_RUN}, "chat", f"start_from: {UNKNOWN_RUN} is no RLHF run"),
]


@pytest.fixture
def find_problems(tiny_chat):
    """`find_problems(settings, task)`: what RLHF refuses about settings with the tiny model, in English."""
    method, model_shape = methods.get("rlhf"), shape.from_folder(tiny_chat)

    def find(settings, task):
        return [
            problem.render() for problem in method.check(method.resolve_settings(settings), model_shape, task)
        ]

    return find


def test_a_rule_counted_by_hand():
    wrong = {}
    for name, text, length, answer, expected in RULES:
        reward = rule_rewards.build_rule(name, text, length)(answer)
        if reward != pytest.approx(expected):
            wrong[name, text, answer[:20]] = (reward, expected)
    assert wrong == {}


@pytest.mark.parametrize(("pattern", "answer"), HOSTILE, ids=[pattern for pattern, _ in HOSTILE])
def test_a_pattern_that_would_take_for_ever_is_given_up(pattern, answer):
    assert rule_rewards.rule_problem("matches", pattern) is None
    started_at = time.process_time()
    assert rule_rewards.build_rule("matches", pattern, 1)(answer) == 0
    assert time.process_time() - started_at < 10 * rule_rewards.MATCH_TIMEOUT_SECONDS


def test_what_does_not_go_together_is_told_before_the_run(find_problems):
    wrong = {}
    for settings, task, beginning in PROBLEMS:
        problems = find_problems(settings, task)
        if len(problems) != 1 or not problems[0].startswith(beginning):
            wrong[str(settings)] = problems
    assert wrong == {}


def test_what_goes_together_is_not_refused(find_problems):
    for task in methods.get("rlhf").tasks:
        assert find_problems({}, task) == []
        assert find_problems({"reward": "contains", "reward_text": "shop"}, task) == []


def test_a_round_on_another_base_is_refused_before_the_run(tiny_chat):
    method, run_id = methods.get("rlhf"), "a" * 32
    run_folder = home() / "runs" / run_id
    (run_folder / "stages").mkdir(parents=True)
    (run_folder / "model").symlink_to(tiny_chat)
    settings, model_shape = method.resolve_settings({"start_from": run_id}), shape.from_folder(tiny_chat)
    assert method.check(settings, model_shape, "chat") == []
    (problem,) = method.check(settings, dataclasses.replace(model_shape, hidden=64), "chat")
    assert problem.key == "start_from"
    assert problem.message == iterate.OTHER_BASE_MODEL.format(run=run_id)


def test_nobody_calls_it_by_a_name_that_it_is_not():
    texts = []
    for setting in methods.get("rlhf").settings:
        texts += [setting.label, setting.help, *(label for _, label in setting.choices)]
    rendered = [text.render(language).lower() for text in texts for language in ("en", "zh")]
    assert not [text for text in rendered if "ppo" in text]
