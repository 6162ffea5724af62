"""What sorts texts without training, on toy texts."""

import toys

from studio.plan import Data
from studio.storage import no_progress
from studio.training.baselines import process
from studio.training.baselines.rows import spread


def measure(plan):
    stages = []
    measured = process.measure(plan, lambda stage, done, total: stages.append(stage))
    return measured, stages


def test_guessing_and_the_linear_head_are_measured_on_the_same_held_out_texts(make_plan):
    measured, stages = measure(make_plan("lora", "classify"))
    majority, linear = measured.entries
    assert (measured.measure, measured.kind, measured.split) == ("accuracy", "hits", "validation")
    assert measured.n == measured.n_held_out == 12  # a fifth of 60
    assert measured.n_learned == measured.n_train == 48
    # Each of the three classes has a third of the held-out texts.
    assert majority.score.value == 4 / 12
    assert (majority.name, majority.seconds, majority.latency) == ("majority", 0, 0)
    assert linear.score.value > 0.7 > majority.score.high
    assert linear.score.low < linear.score.value <= linear.score.high
    assert 0 < linear.latency < linear.seconds
    assert list(dict.fromkeys(stages)) == ["data", "load", "linear"]


def test_numbers_are_guessed_by_their_median_and_several_labels_by_the_commonest(make_plan, tmp_path):
    expected = {"rating": ("mae", "errors", "median"), "labels": ("micro_f1", "f1", "majority")}
    for role, (measure_name, kind, guess) in expected.items():
        table = tmp_path / f"{role}.csv"
        toys.write_problem_table(table, role)
        plan = make_plan("lora", "classify")
        data = Data(source=str(table), columns={"text": "text", role: role}, validation_share=0.2)
        measured = process.measure(plan.model_copy(update={"data": data}), no_progress_of_stage)
        guessing, linear = measured.entries
        assert (measured.measure, measured.kind, guessing.name) == (measure_name, kind, guess)
        sign = -1 if kind == "errors" else 1
        assert sign * linear.score.value > sign * guessing.score.value


def no_progress_of_stage(stage, done, total):
    no_progress(done, total)


def test_rows_are_spread_evenly_over_all():
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(10), 4) == [0, 3, 6, 9]
    assert spread(range(3), 400) == [0, 1, 2]
    assert spread([], 4) == []
