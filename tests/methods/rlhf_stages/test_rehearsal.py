"""A rehearsal tells rewards that teach from those that cannot and those that can be tricked."""

import itertools
import random

import pytest

from studio.evaluate import known_answers
from studio.methods.rlhf_stages import rehearsal, rule_rewards

QUESTIONS = [f"What is {first} + {second}?" for first, second in itertools.product((3, 4, 5), (6, 7, 8, 9))]
RESULTS = [str(first + second) for first, second in itertools.product((3, 4, 5), (6, 7, 8, 9))]
OPENINGS = ("The answer is", "I think it is", "Let me see: it is", "Thanks for asking! It is")


def base_answers(seed=0):
    """What a small model might say: four answers a question, of different lengths, a third of them right."""
    draw = random.Random(seed)
    groups = []
    for result in RESULTS:
        guesses = [
            result if draw.random() < 0.35 else str(int(result) + draw.randint(1, 5)) for _ in OPENINGS
        ]
        groups.append(
            [
                f"{opening} {guess}" + draw.choice(("", ".", ", as far as I know.", " of course"))
                for opening, guess in zip(OPENINGS, guesses, strict=True)
            ]
        )
    return groups


def rule(name, text="", length=1):
    return rule_rewards.build_rule(name, text, length)


NOISE = random.Random(1)
# Name -> what must be said of it, the reward of (question's number, answer), and what its rule looks for.
BAD_REWARDS = {
    "constant": ("cannot", lambda number, text: 0.5, ""),
    "always satisfied": ("cannot", lambda number, text: rule("matches", r"\d")(text), "1"),
    "never satisfied": ("cannot", lambda number, text: rule("contains", "xylophone")(text), "xylophone"),
    "never JSON": ("cannot", lambda number, text: rule("json")(text), "[]"),
    "pure chance": ("cannot", lambda number, text: NOISE.random(), ""),
    "depends on the question alone": ("cannot", lambda number, text: number / 12, ""),
    "a length": ("tricked", lambda number, text: rule("length", length=20)(text), ""),
    "longer is better": ("tricked", lambda number, text: len(text), ""),
    "shorter is better": ("tricked", lambda number, text: -len(text), ""),
    "a keyword": ("tricked", lambda number, text: rule("contains", "thanks")(text), "thanks"),
    "a keyword as often as possible": ("tricked", lambda number, text: text.lower().count("the"), ""),
    "an opening": ("tricked", lambda number, text: float(text.startswith("Thanks")), ""),
}
GOOD_REWARDS = {
    "the known answer": lambda number, text: float(known_answers.is_correct(text, RESULTS[number])),
    "close to the known answer": lambda number, text: (
        1 / (1 + abs(int(RESULTS[number]) - known_answers.last_number(text)))
        if known_answers.has_number(text)
        else 0.0
    ),
}


def rehearse(reward, bare="", seed=0):
    def score(items):
        return [float(reward(number, text)) for number, text in items]

    return rehearsal.rehearse(QUESTIONS, base_answers(seed), score, bare)


def test_at_least_nine_of_ten_bad_rewards_are_seen_through():
    right = [
        rehearse(reward, bare, seed).verdict == expected
        for expected, reward, bare in BAD_REWARDS.values()
        for seed in range(5)
    ]
    assert len(right) == 60
    assert sum(right) / len(right) >= 0.9


@pytest.mark.parametrize("name", BAD_REWARDS)
def test_each_bad_reward_is_named_for_what_it_is(name):
    expected, reward, bare = BAD_REWARDS[name]
    assert rehearse(reward, bare).verdict == expected


@pytest.mark.parametrize("name", GOOD_REWARDS)
def test_a_good_reward_can_teach(name):
    assert [rehearse(GOOD_REWARDS[name], seed=seed).verdict for seed in range(5)] == ["can"] * 5


def test_the_evidence_is_counted():
    result = rehearsal.rehearse(
        ["a?", "b?"], [["x", "yy"], ["zz", "zz"]], lambda items: [float(len(text)) for _, text in items]
    )
    # One question of two has answers that score differently: 1 and 2; the other 2 and 2.
    assert (result.n_answers, result.n_questions, result.spread_share) == (4, 2, 0.5)
    assert (result.mean_reward, result.low, result.high) == (1.75, 1.0, 2.0)
    probes = {probe.name: probe for probe in result.probes}
    assert (probes["empty"].reward, probes["empty"].share, probes["empty"].pays) == (0.0, 0.0, False)
    # "yy yy yy yy" and "zz zz zz zz": 11 characters each.
    assert (probes["long"].reward, probes["long"].share, probes["long"].pays) == (11.0, 1.0, True)
    assert rehearsal.Rehearsal.from_json(result.to_json()) == result


def test_it_says_what_was_seen_and_what_to_do():
    sentences = [sentence.render() for sentence in rehearse(lambda number, text: len(text)).describe()]
    assert sentences[0] == "This reward can be tricked."
    assert any(sentence.startswith("The model's answer 4 times over scores") for sentence in sentences)
    assert "leash" in sentences[-1]
    chinese = [sentence.render("zh") for sentence in rehearse(lambda number, text: 1).describe()]
    assert chinese[0] == "这个奖励教不了模型。"
