"""How far a run has come: its parts, and a share of the whole that only grows."""

from itertools import pairwise

import pytest

from studio.plan import Data, MethodChoice, Plan
from studio.runs import Status
from studio.training import progress

# Minutes by stretch: one to prepare, two to train (a quarter of it the frozen part), one to evaluate.
STRETCHES = {"start": 0.5, "verdict": 1.0, "bottom": 0.5, "train": 1.5, "save": 0.5}


def make_plan(method="lora", task="chat", **settings):
    choice = MethodChoice(name=method, settings=settings)
    return Plan(task=task, model="m", data=Data(source="x"), method=choice)


def share(status, has_points=False, stretches=STRETCHES):
    return progress.measure(make_plan(), status, stretches, has_points).share


@pytest.mark.parametrize(
    ("plan", "stages"),
    [
        (make_plan(), ("train",)),
        (make_plan("rlhf", "prefer"), ("sft", "reward", "rl")),
        (make_plan("rlhf", "prefer", algorithm="dpo"), ("sft", "dpo")),
        (make_plan("rlhf", "prefer", algorithm="dpo", sft=False), ("dpo",)),
        (make_plan("rlhf", "prompts"), ("rl",)),
        (make_plan("qat", compare=True), ("full_precision", "train")),
        (make_plan("qat", compare=False), ("train",)),
        (make_plan("unheard of"), ("train",)),
    ],
)
def test_a_run_has_the_stages_that_its_plan_switches_on(plan, stages):
    assert progress.trained_stages(plan) == stages
    parts = progress.measure(plan, Status("waiting"), {}).parts
    assert parts == (progress.PREPARE, *stages, progress.EVALUATE)


def test_training_takes_the_share_of_the_whole_that_the_estimate_says():
    # One minute of four is over when training begins, three of four when it ends.
    assert share(Status("training", "train", 0, 9)) == pytest.approx((1 + 0.5) / 4), "the frozen part is over"
    assert share(Status("preparing", "bottom", 5, 10)) == pytest.approx((1 + 0.25) / 4)
    assert share(Status("training", "train", 9, 9)) == pytest.approx(3 / 4)
    assert share(Status("evaluating", "after", 9, 9), has_points=True) == pytest.approx(3 / 4)
    assert share(Status("done", "after", 9, 9)) == 1.0


def test_without_an_estimate_training_counts_eight_of_ten():
    assert share(Status("training", "train", 5, 10), stretches={}) == pytest.approx(0.5)


def test_the_share_only_grows_from_the_start_of_a_run_to_its_end():
    course = [
        (Status("waiting", "queue", 0, 2), False),
        (Status("preparing", "data"), False),
        *((Status("preparing", "fetch", megabytes, 40), False) for megabytes in (0, 20, 40)),
        (Status("preparing", "load"), False),
        (Status("evaluating", "before"), False),
        *((Status("evaluating", "asking", done, 9), False) for done in (0, 9)),
        *((Status("evaluating", "retention", done, 9), False) for done in (0, 9)),
        *((Status("preparing", "linear", done, 9), False) for done in (0, 9)),
        (Status("training", "train"), False),
        *((Status("training", "train", step, 40), True) for step in (1, 20, 40)),
        (Status("evaluating", "after", 40, 40), True),
        *((Status("evaluating", "asking", done, 9), True) for done in (0, 9)),
        *((Status("evaluating", "retention", done, 9), True) for done in (0, 9)),
        (Status("done", "after", 40, 40), True),
    ]
    for stretches in (STRETCHES, {"train": 3.0}, {}):
        shares = [share(status, has_points, stretches) for status, has_points in course]
        assert all(earlier <= later for earlier, later in pairwise(shares)), shares
        assert shares[-1] == 1.0


def test_a_run_that_failed_stays_where_it_broke_off():
    plan = make_plan("rlhf", "prefer")
    done = progress.measure(plan, Status("failed", "reward", 1, 2), {}, has_points=True)
    assert done.parts[done.current] == "reward"
    # One of ten to prepare, eight for three stages: a stage and a half of them.
    assert done.share == pytest.approx((1 + 1.5 * 8 / 3) / 10, abs=1e-6)
