"""“Use it on my sheet”, called as plain functions."""

import csv
from pathlib import Path

import pytest
from apply_cases import text_job, work_through
from form_fields import CHINESE, ENGLISH

from studio import export
from studio.apply import job as jobs
from studio.apply import sheet as sheets
from studio.errors import StudioError
from studio.ui.playground import sheet as sheet_part

TEXTS = ("my lamp is late again", "", "<b>you</b> charged the desk twice")


@pytest.fixture
def upload(tmp_path):
    """`upload(content)`: a file as Gradio hands it over."""

    def write(content, name="tickets.csv"):
        file = tmp_path / name
        file.write_bytes(content)
        return file

    return write


def open_file(file, run_id, previous="", request=ENGLISH):
    """The id and the view at the end of an upload."""
    *_, (field, sheet_id, *view) = sheet_part.open_file(str(file), run_id, previous, request)
    assert field is None
    return sheet_id, sheet_part.SheetView(*view)


def test_a_file_becomes_a_sheet_whose_column_is_guessed_and_the_upload_is_gone(finished, upload):
    run = finished("lora", "classify")
    file = upload(b"id,note\n1,my lamp is late again\n2,you charged the desk twice\n")
    sheet_id, view = open_file(file, run.id)
    assert not file.exists()
    assert (view.column["value"], view.column["choices"]) == ("note", ["id", "note"])
    assert (view.start["value"], view.start["visible"]) == (sheet_part.START_NAME.render(), True)
    assert not view.csv["visible"]
    next_id, _ = open_file(upload(b"text\nhello there, where is it?\nbye\n"), run.id, previous=sheet_id)
    assert [path.name for path in sheets.sheets_folder().iterdir()] == [next_id]


def test_a_file_that_is_no_table_says_so_and_the_sheet_before_it_stays(finished, upload):
    run = finished("lora", "classify")
    sheet_id, _ = open_file(upload(b"text\nhello there, where is it?\nbye\n"), run.id)
    *_, (_, unchanged, *view) = sheet_part.open_file(
        str(upload(b"%PDF-1.7 \x00\x01", "a.pdf")), run.id, sheet_id, CHINESE
    )
    assert sheet_part.SheetView(*view).notice["kind"] == "bad"
    assert unchanged != sheet_id
    assert sheets.find(sheet_id)


def test_a_job_that_is_done_offers_both_files_in_the_order_that_is_wanted(finished, monkeypatch):
    run = finished("lora", "classify")
    job = text_job(run, TEXTS)
    work_through(job, monkeypatch)
    view = sheet_part.refresh(run.id, job.sheet.id, "text", True, ENGLISH)
    assert (view.notice["text"], view.notice["kind"]) == (sheet_part.DONE.render(total=3), "good")
    assert job.calibration.render() in view.notice["more"]
    assert not view.start["visible"]
    assert "&lt;b&gt;you" in view.preview
    path = Path(view.csv["value"])
    assert path.is_relative_to(export.downloads_folder())
    assert view.excel["value"].endswith("tickets-labelled.xlsx")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["Predicted label"] == ""
    assert float(rows[0]["Certainty"]) <= float(rows[1]["Certainty"])


def test_a_stopped_job_says_how_far_it_came_and_can_be_resumed(finished, monkeypatch):
    run = finished("lora", "classify")
    job = text_job(run, TEXTS)
    work_through(job, monkeypatch)
    lines = job.results_path.read_bytes().splitlines(keepends=True)
    job.results_path.write_bytes(lines[0])
    view = sheet_part.refresh(run.id, job.sheet.id, "text", False, ENGLISH)
    assert view.notice["text"] == sheet_part.STOPPED.render(done=1, total=3)
    assert (view.start["value"], view.start["visible"]) == (sheet_part.RESUME_NAME.render(), True)
    assert view.csv["visible"]


def test_progress_has_a_bar_and_the_time_left_and_an_error_keeps_the_rows(finished, monkeypatch):
    run = finished("lora", "classify")
    job = text_job(run, TEXTS)

    def fail_after_a_row(_):
        yield jobs.Progress(0, 4)
        yield jobs.Progress(1, 4, 90.0)
        raise StudioError(jobs.APPLYING_STOPPED, jobs.GO_ON, why="killed")

    monkeypatch.setattr(jobs, "apply", fail_after_a_row)
    loading, progress, failed = sheet_part.start(run.id, job.sheet.id, "text", False, ENGLISH)
    assert (loading.stop["visible"], loading.start["interactive"]) == (True, False)
    assert not loading.column["interactive"], "another column is another job"
    assert progress.notice["bar"] == {"share": 25}
    assert "1 min 30 s" in progress.notice["text"]
    assert failed.notice["kind"] == "bad"
    assert failed.start["interactive"]
    assert failed.column["interactive"]


def test_made_up_sheets_runs_and_columns_are_refused_with_a_sentence(finished):
    run = finished("lora", "classify")
    job = text_job(run, TEXTS)
    for run_id, sheet_id, column in (
        (run.id, "../../etc", "text"),
        (run.id, "0" * 32, "text"),
        ("0" * 32, job.sheet.id, "text"),
        (run.id, job.sheet.id, "nothing"),
    ):
        (view,) = sheet_part.start(run_id, sheet_id, column, False, ENGLISH)
        assert view.notice["kind"] == "bad"
    assert sheet_part.change_run(None, "", ENGLISH).notice["text"] == ""


def test_answers_are_in_the_order_of_the_sheet(finished):
    run = finished("lora", "chat")
    view = sheet_part.change_run(run.id, text_job(run, ["where is my lamp"]).sheet.id, ENGLISH)
    assert not view.uncertain_first["visible"]
