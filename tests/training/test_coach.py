"""The coach: each rule speaks on a curve that shows it, and is silent on curves that do not.

`curves/` holds recorded runs, thinned, with the step that was kept: SFT of SmolLM2 135M on preferences,
classifiers of MiniLM on Banking77 (770 rows), and three toys.
"""

import json
import math
from pathlib import Path

import pytest

from studio.i18n import languages
from studio.training import coach

CURVES = Path(__file__).parent / "curves"
RECORDED = {
    "sft": "learning",
    "qlora_banking77": "settled",
    "frozen_banking77": "learning",
    "prefix_banking77": "diverging",
    "memorising_toy": "overfitting",
    "practice_toy": "rising_score",
    "flat_practice_toy": "flat_score",
}


def recorded(name):
    return [json.loads(line) for line in (CURVES / f"{name}.jsonl").read_text("utf-8").splitlines()]


def steps(losses, stage="train", **others):
    """A training point a step; `others` are further metrics, one value a step."""
    series = {"loss": losses, **others}
    return [
        {"stage": stage, "step": index + 1, **{name: values[index] for name, values in series.items()}}
        for index in range(len(losses))
    ]


def checks(losses, every=10, best_step=0, **shares):
    """A check each `every` steps, the first at the start."""
    return [
        {
            "stage": "train",
            "step": index * every,
            "eval_loss": loss,
            "best_step": best_step,
            **{f"eval_{name}": values[index] for name, values in shares.items()},
        }
        for index, loss in enumerate(losses)
    ]


def noisy(values, share=0.01):
    """Values that go up and down by a share of them, so that blocks have a spread."""
    return [value * (1 + share * (-1) ** index) for index, value in enumerate(values)]


def line(start, end, count=30):
    return noisy([start + (end - start) * index / (count - 1) for index in range(count)])


def practice(**metrics):
    return steps(noisy([0.1] * 30), "rl", **{"reward": line(0.2, 0.2), **metrics})


RISING = {"reward": line(0.2, 1.4)}
# Rule -> curves on which it speaks, and curves much like them on which another one or none does.
MADE = {
    "no_signal": (
        [practice(zero_std_share=[0.95] * 30)],
        [practice(zero_std_share=[0.5] * 30), practice(zero_std_share=[0.95] * 9 + [0.2] * 21)],
    ),
    "gaming": (
        [
            practice(**RISING, completion_length=line(20, 40)),
            practice(**RISING, clipped_ratio=line(0.1, 0.6)),
            practice(**RISING, entropy=line(2.0, 0.5)),
            practice(**RISING, completion_length=line(20, 20), kl=line(0.0, 0.9)),
        ],
        [
            practice(**RISING, completion_length=line(20, 22), clipped_ratio=[0.1] * 30, kl=line(0, 0.05)),
            practice(completion_length=line(20, 40)),  # longer answers without a higher score
        ],
    ),
    "falling_score": ([practice(reward=line(1.0, 0.2))], [practice(reward=line(1.0, 1.0))]),
    "rising_score": ([practice(**RISING)], [practice()]),
    "flat_score": ([practice()], [practice(**RISING), practice()[:19]]),
    "diverging": (
        [steps(line(1.0, 2.5)), [*checks([1.0, 1.3]), *steps(line(1.0, 2.5))]],
        [steps(line(1.0, 1.1)), [*checks([1.0, 0.9]), *steps(line(1.0, 2.5))]],
    ),
    "jumping": (
        [steps(noisy([1.0] * 15 + [3.0, 0.5, 3.0, 0.5, 3.0] + [0.5] * 10))],
        [steps(noisy([1.0] * 15 + [3.0] + [0.5] * 14)), steps([3.0, 1.0] * 5 + [1.0] * 20)],
    ),
    "worse": ([checks([1.0, 1.2, 1.4])], [checks([1.0, 1.4, 1.2]), checks([1.0, 1.2, 0.9])]),
    "overfitting": (
        [[*checks([3.0, 1.0, 1.1, 1.3], best_step=10), *steps(line(3.0, 0.2))]],
        [
            [*checks([3.0, 1.0, 1.02, 1.03], best_step=10), *steps(line(3.0, 0.2))],
            # Surer, and right more often all the same.
            [*checks([3.0, 1.0, 1.1, 1.3], accuracy=[0.1, 0.7, 0.8, 0.9]), *steps(line(3.0, 0.2))],
            [*checks([3.0, 1.0, 1.1, 1.3], best_step=10), *steps(line(3.0, 3.1))],
        ],
    ),
    "settled": (
        [checks([3.0, 1.0, 1.01, 1.02, 1.01], best_step=10)],
        [checks([3.0, 1.0, 1.01, 1.02, 0.99]), checks([1.0, 0.99, 1.0, 1.0, 1.0])],
    ),
    "learning": (
        [checks([3.0, 2.0, 1.5]), steps(line(3.0, 1.0))],
        [checks([3.0, 2.99, 2.98]), steps(noisy([3.0] * 30, 0.2))],
    ),
    "flat": (
        [[*checks([3.0, 2.99, 2.99]), *steps(noisy([3.0] * 30))]],
        [
            [*checks([3.0, 2.99, 2.99]), *steps(line(3.0, 2.0))],
            [*checks([3.0, 2.0, 1.9]), *steps([3.0] * 30)],
        ],
    ),
}
SHOWN = [(rule, curve) for rule, (curves, _) in MADE.items() for curve in curves]
HIDDEN = [(rule, curve) for rule, (_, curves) in MADE.items() for curve in curves]


def rule_of(points):
    finding = coach.read_curve(points)
    return finding.rule if finding else ""


def test_every_rule_has_curves_and_a_source():
    assert set(MADE) == {rule.name for rule in coach.RULES}
    assert all(rule.source for rule in coach.RULES)


@pytest.mark.parametrize(("rule", "curve"), SHOWN)
def test_a_rule_speaks_where_the_curve_shows_it(rule, curve):
    assert rule_of(curve) == rule


@pytest.mark.parametrize(("rule", "curve"), HIDDEN)
def test_a_rule_is_silent_where_the_curve_does_not_show_it(rule, curve):
    assert rule_of(curve) != rule


@pytest.mark.parametrize(("name", "rule"), RECORDED.items())
def test_recorded_curves_are_read_as_a_person_read_them(name, rule):
    assert rule_of(recorded(name)) == rule


def test_a_warning_goes_when_what_it_warns_of_has_settled():
    practice_points = [point for point in recorded("practice_toy") if point["stage"] == "rl"]
    assert [rule_of(practice_points[:count]) for count in (10, 20, len(practice_points))] == [
        "",
        "gaming",
        "rising_score",
    ]


@pytest.mark.parametrize("name", RECORDED)
def test_a_finding_changes_only_at_the_end_of_a_block_or_at_a_check(name):
    points = recorded(name)
    for count in range(2, len(points) + 1):
        if coach.read_curve(points[:count]) == coach.read_curve(points[: count - 1]):
            continue
        newest = points[count - 1]
        same_stage = [point for point in points[:count] if point["stage"] == newest["stage"]]
        n_steps = sum("loss" in point for point in same_stage)
        is_new_stage = len(same_stage) == 1
        assert "eval_loss" in newest or n_steps % coach.BLOCK_POINTS == 0 or is_new_stage, count


def test_nothing_is_said_of_a_few_points():
    assert coach.read_curve([]) is None
    assert coach.read_curve(steps(line(3.0, 1.0))[:9]) is None
    assert coach.read_curve(checks([3.0, 9.0])) is None
    assert coach.read_curve([{"stage": "after", "step": 3, "test_loss": 1.0}]) is None


def test_only_the_stage_that_a_run_is_in_is_read():
    assert rule_of([*steps(line(3.0, 1.0), "sft"), *steps([0.7], "dpo")]) == ""


def test_the_evidence_and_the_state_that_is_kept_are_named():
    points = [*checks([3.0, 1.0, 1.1, 1.3], best_step=10), *steps([2.0] * 10 + [0.5] * 20)]
    assert coach.read_curve(points).render() == [
        "Overfitting since step 10: validation loss rose from 1.000 to 1.300 (step 30) while "
        "training loss fell from 2.000 to 0.500.",
        "You can stop: step 10 is kept either way.",
    ]


def test_a_run_of_an_earlier_studio_promises_no_state():
    points = [*checks([3.0, 1.0, 1.1, 1.3]), *steps(line(3.0, 0.2))]
    for point in points:
        point.pop("best_step", None)
    assert coach.read_curve(points).advice is None


def test_the_kl_of_an_answer_is_that_of_a_token_times_its_length():
    kl = [0.01] * 20 + [0.6] * 10
    finding = coach.read_curve(practice(**RISING, completion_length=[20.0] * 30, kl=kl))
    assert "KL of an answer 0.2 to 12.0" in finding.sentence.render()


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("name", RECORDED)
def test_at_most_two_sentences_in_every_language(name, language):
    parts = coach.read_curve(recorded(name)).render(language)
    assert 1 <= len(parts) <= 2
    assert all("{" not in part for part in parts)


def test_a_block_s_error_is_its_standard_error():
    block = coach._block([(1, 1.0), (2, 3.0)])
    assert block == coach.Block(1, 2, 2.0, math.sqrt(2.0 / 2))
