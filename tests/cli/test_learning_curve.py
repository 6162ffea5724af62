"""`studio learning-curve`: what it takes, and what it says once all sizes are there."""

import json

import pytest
from learning_curve_cases import finish

from studio import runs
from studio.cli.main import main
from studio.training import learning_curve

RESULTS = ((100, "60.0"), (200, "70.0"), (400, "78.0"))


@pytest.fixture
def whole(make_plan):
    return finish(runs.create(make_plan("lora", "classify")), 400, 220)


def test_a_dry_run_says_the_cost_and_trains_nothing(whole, capsys):
    assert main(["learning-curve", whole.id, "--dry-run"]) == 0
    assert "to train: 25%, 50% of the rows; estimated " in capsys.readouterr().err
    assert runs.all_runs() == [whole]


def test_once_all_sizes_are_there_it_says_what_more_rows_would_bring(whole, capsys):
    for part, n_train, n_wrong in zip(
        learning_curve.create_missing(whole), (100, 200), (400, 300), strict=True
    ):
        finish(part, n_train, n_wrong)
    assert main(["learning-curve", whole.id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"{rows} rows: {right}% of 1000 right." for rows, right in RESULTS]
    assert lines[3].startswith("+200 rows ≈ +")
    assert main(["learning-curve", whole.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["curve"][0] == {"rows": 100, "error": 0.4, "n": 1000}


def test_a_run_without_a_result_ends_with_one(make_plan, capsys):
    assert main(["learning-curve", runs.create(make_plan()).id]) == 1
    assert "has no complete result yet" in capsys.readouterr().err
