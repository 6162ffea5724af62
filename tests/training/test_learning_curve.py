"""“Would more data help?”: smaller shares of the same training rows as ordinary runs, and what they show."""

import pytest
from learning_curve_cases import finish

from studio import runs
from studio.errors import NotPossible
from studio.evaluate.learning_curve import project
from studio.storage import write_json
from studio.training import learning_curve, setup

pytestmark = pytest.mark.usefixtures("untraced_start")


@pytest.fixture
def whole(make_plan):
    return finish(runs.create(make_plan("lora", "classify")), 400, 220)


def test_the_missing_shares_are_made_once_with_the_same_plan(whole):
    parts = learning_curve.create_missing(whole)
    assert [part.plan.data.train_share for part in parts] == [0.25, 0.5]
    assert [part.plan.name for part in parts] == [f"{whole.plan.name} · 25%", f"{whole.plan.name} · 50%"]
    assert all(part.plan.training == whole.plan.training for part in parts)
    assert learning_curve.create_missing(whole) == []
    assert {part.id for part in learning_curve.unfinished_parts(whole)} == {part.id for part in parts}
    assert learning_curve.read_projection(whole) is None


def test_a_part_that_was_stopped_is_made_again_and_a_done_one_is_kept(whole):
    first, second = learning_curve.create_missing(whole)
    finish(first, 100, 400)
    runs.set_status(second, "stopped", "before")
    assert learning_curve.missing_shares(whole) == [0.5]


def test_parts_of_another_file_of_the_same_name_do_not_count(whole):
    first, _ = learning_curve.create_missing(whole)
    finish(first, 100, 400, sha256="b")
    assert learning_curve.missing_shares(whole) == [0.25]


@pytest.mark.exhaustive
def test_the_projection_is_that_of_the_three_reports(whole):
    for part, n_train, n_wrong in zip(
        learning_curve.create_missing(whole), (100, 200), (400, 300), strict=True
    ):
        finish(part, n_train, n_wrong)
    sizes = learning_curve.read_sizes(whole)
    assert [(size.n_rows, round(1 - size.error, 4)) for size in sizes] == [
        (100, 0.6),
        (200, 0.7),
        (400, 0.78),
    ]
    assert [len(size.errors) for size in sizes] == [1000, 1000, 1000]
    assert learning_curve.read_projection(whole) == project(sizes)
    assert learning_curve.unfinished_parts(whole) == []


def test_general_examples_are_no_rows_of_ones_own(whole):
    report = runs.report(whole)
    write_json(whole.folder / "report.json", {**report, "data": {**report["data"], "replay": 340}})
    assert learning_curve._count_train(whole) == 60


@pytest.mark.parametrize(("n_train", "n_held_out"), [(400, 12), (30, 200)])
def test_too_few_rows_are_refused(make_plan, n_train, n_held_out):
    run = finish(runs.create(make_plan("lora", "classify")), n_train, 5, n_held_out)
    with pytest.raises(NotPossible, match=f"{n_train} training rows and {n_held_out} held-out ones"):
        learning_curve.create_missing(run)


def test_what_has_no_right_answers_or_no_result_or_is_a_part_is_refused(make_plan, whole):
    chat = runs.create(make_plan("lora", "chat"))
    with pytest.raises(NotPossible, match="has no complete result yet"):
        learning_curve.check_possible(chat)
    write_json(chat.folder / "report.json", {"data": {"train": 400, "sha256": "a"}, "after": {"loss": 1.0}})
    runs.set_status(chat, "done", "after")
    with pytest.raises(NotPossible, match="kept no answers to held-out rows"):
        learning_curve.check_possible(chat)
    part = finish(learning_curve.create_missing(whole)[0], 100, 400)
    with pytest.raises(NotPossible, match="is itself a part of a learning curve"):
        learning_curve.check_possible(part)


def test_a_part_has_fewer_training_rows_and_the_same_held_out_ones(make_plan):
    plan = make_plan("lora", "classify")
    prepared = [
        setup.prepare_data(runs.create(each), each)
        for each in (plan, learning_curve.derive_plan(plan, 0.5), learning_curve.derive_plan(plan, 0.25))
    ]
    all_rows, half, quarter = (each.splits for each in prepared)
    assert half.validation == quarter.validation == all_rows.validation
    assert half.test == quarter.test == all_rows.test
    assert len(half.train) == round(len(all_rows.train) / 2) == prepared[1].report_section["data"]["train"]
    assert [row for row in half.train if row in quarter.train] == quarter.train
    assert [row for row in all_rows.train if row in half.train] == half.train


def test_the_time_of_what_is_missing_is_estimated(whole):
    low, high = learning_curve.estimate_minutes(whole)
    assert 0 < low < high
    for part, n_wrong in zip(learning_curve.create_missing(whole), (400, 300), strict=True):
        finish(part, 100, n_wrong)
    assert learning_curve.estimate_minutes(whole) == (0, 0)
