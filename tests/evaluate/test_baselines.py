"""What needs no training: its form, the file that keeps it, and what it says."""

import pytest

from studio.evaluate import baselines
from studio.evaluate.baselines import Baseline, Baselines
from studio.evaluate.paired import Estimate, estimate_share


def shares(first, second, n=40, kind="hits"):
    """Two baselines that get so many of n rows right."""
    entries = (
        Baseline("majority", estimate_share([True] * first + [False] * (n - first)), 0.0, 0.0),
        Baseline("linear", estimate_share([True] * second + [False] * (n - second)), 2.5, 0.01),
    )
    return Baselines("accuracy", kind, "test", n, 2 * n, 80, 100, entries)


def test_json_gives_back_what_was_measured():
    shots = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
    few_shot = Baseline("few_shot", Estimate(0.5, 0.4, 0.6), 3.0, 0.5, shots)
    measured = Baselines("exact_match", "hits", "validation", 20, 20, 0, 60, (few_shot,))
    assert Baselines.from_json(measured.to_json()) == measured
    assert few_shot.title.render() == "Base model with 1 of your examples in the prompt (few-shot)"


@pytest.mark.parametrize(
    ("right", "n", "is_enough", "sentence"),
    [
        (38, 40, True, "Training is hardly needed: “Linear head on the base's embeddings” gets 95% right"),
        (37, 40, False, "There is room for training: the best without it, “Linear head"),
        (19, 19, False, "19 test rows are too few for a percentage: it takes at least 20."),
    ],
)
def test_training_is_hardly_needed_from_95_percent_on_and_never_on_few_rows(right, n, is_enough, sentence):
    measured = shares(n // 4, right, n)
    assert measured.is_enough is is_enough
    first, rows, learned = (line.render() for line in measured.describe())
    assert first.startswith(sentence)
    assert rows == f"Measured on {n} of {2 * n} test rows, the same for all."
    assert learned == "The linear head learned from 80 of 100 training rows."


def test_guessing_the_largest_class_is_never_enough():
    assert not shares(39, 38).is_enough
    assert not shares(38, 39).is_enough  # 39 of 40 may be 38
    assert shares(20, 39).is_enough


def test_of_errors_the_smallest_is_best_and_of_equals_the_simplest():
    assert shares(10, 30).best.name == "linear"
    assert shares(10, 30, kind="errors").best.name == "majority"
    assert shares(30, 30).best.name == "majority"


def test_what_was_measured_is_found_for_the_same_rows_alone(make_plan, tmp_path):
    plan = make_plan("lora", "classify")
    measured = shares(10, 30)
    assert baselines.find(plan) is None
    assert baselines.find_any_split(plan) is None
    baselines.keep(plan, measured)
    assert baselines.find(plan) == measured
    same_rows = plan.model_copy(update={"name": "other", "method": make_plan("full", "classify").method})
    assert baselines.find(same_rows) == measured
    other_rows = plan.model_copy(
        update={"data": plan.data.model_copy(update={"validation_share": 0.3})},
    )
    assert baselines.find(other_rows) is None
    assert baselines.find_any_split(other_rows) == measured
    assert baselines.find_any_split(plan.model_copy(update={"model": "minilm-l6"})) is None
    changed = tmp_path / "changed.csv"
    changed.write_text("text,label\n" + "a,b\n" * 9)
    other_data = plan.model_copy(update={"data": plan.data.model_copy(update={"source": str(changed)})})
    assert baselines.find_any_split(other_data) is None
