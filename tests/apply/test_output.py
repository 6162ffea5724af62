"""The result has all columns as they came, the new ones behind them, and runs no formula."""

import csv
import json

import pytest
from apply_cases import make_sheet
from python_calamine import CalamineWorkbook

from studio import runs
from studio.apply import output
from studio.apply.job import Job
from studio.errors import NotPossible
from studio.storage import write_json

RESULTS = [
    {"label": "billing", "certainty": 0.9},
    {"label": "=returns", "certainty": 0.4},
    {},
    {"label": "delivery", "certainty": 0.7},
]
ROWS = [("1", "=HYPERLINK(1)", "a"), ("-2", "@SUM(A1)", "b"), ("3", "", "c"), ("+4.5", "-x", "d")]


@pytest.fixture
def make_done(make_plan):
    """`make_done(results, **report)`: a job whose results are these."""

    def make(results, task="classify", columns=("id", "text", "Certainty"), rows=ROWS, **report):
        run = runs.create(make_plan("lora", task))
        write_json(run.folder / "report.json", {"problem_type": None, **report})
        job = Job(make_sheet(columns, rows), run, columns[1])
        job.folder.mkdir()
        lines = [json.dumps(result) + "\n" for result in results]
        job.results_path.write_text("".join(lines), encoding="utf-8")
        return job

    return make


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_a_csv_keeps_every_column_and_disarms_formulas_but_no_numbers(make_done, tmp_path):
    header, *rows = read_csv(output.write(make_done(RESULTS), tmp_path / "out.csv"))
    assert header == ["id", "text", "Certainty", "Predicted label", "Certainty (2)"]
    assert rows == [
        ["1", "'=HYPERLINK(1)", "a", "billing", "0.9"],
        ["-2", "'@SUM(A1)", "b", "'=returns", "0.4"],
        ["3", "", "c", "", ""],
        ["+4.5", "'-x", "d", "delivery", "0.7"],
    ]


def test_excel_holds_texts_as_texts_and_certainty_as_a_number(make_done, tmp_path):
    path = output.write(make_done(RESULTS), tmp_path / "out.xlsx")
    _, first, second, *_ = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert first == ["1", "=HYPERLINK(1)", "a", "billing", 0.9]
    assert second[3:] == ["=returns", 0.4]
    assert b"<f>" not in path.read_bytes()


def test_the_least_certain_rows_come_first_and_empty_ones_last(make_done, tmp_path):
    _, *rows = read_csv(output.write(make_done(RESULTS), tmp_path / "out.csv", uncertain_first=True))
    assert [row[0] for row in rows] == ["-2", "+4.5", "1", "3"]


def test_a_stopped_job_gives_the_rows_that_are_done(make_done, tmp_path):
    _, *rows = read_csv(output.write(make_done(RESULTS[:2]), tmp_path / "out.csv", lang="zh"))
    assert [row[0] for row in rows] == ["1", "-2"]


@pytest.mark.parametrize(
    ("problem_type", "result", "names", "cells"),
    [
        (
            "multi_label_classification",
            {"labels": ["a", "b"], "certainty": 0.8},
            ["Predicted labels", "Certainty"],
            ["a; b", "0.8"],
        ),
        ("regression", {"value": 4.25}, ["Predicted number"], ["4.25"]),
    ],
)
def test_several_labels_and_numbers_have_their_columns(
    make_done, tmp_path, problem_type, result, names, cells
):
    job = make_done([result], columns=("id", "text"), rows=[("1", "hello")], problem_type=problem_type)
    header, row = read_csv(output.write(job, tmp_path / "out.csv"))
    assert (header[2:], row[2:]) == (names, cells)


def test_answers_have_no_certainty_to_sort_by(make_done, tmp_path):
    job = make_done([{"text": "hi"}], task="chat", columns=("id", "text"), rows=[("1", "hello")])
    assert read_csv(output.write(job, tmp_path / "out.csv"))[1] == ["1", "hello", "hi"]
    with pytest.raises(NotPossible):
        output.write(job, tmp_path / "sorted.csv", uncertain_first=True)


def test_what_excel_cannot_hold_and_other_endings_are_refused(make_done, tmp_path):
    job = make_done([{}], columns=("id", "text"), rows=[("1", "x" * 32_768)])
    with pytest.raises(NotPossible, match="32,767"):
        output.write(job, tmp_path / "out.xlsx")
    with pytest.raises(NotPossible, match=r"out\.pdf"):
        output.write(job, tmp_path / "out.pdf")
    assert len(read_csv(output.write(job, tmp_path / "out.csv"))[1][1]) == 32_768
