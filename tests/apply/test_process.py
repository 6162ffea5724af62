"""Rows are labelled and answered by real tiny models, and a job goes on behind its last complete row."""

import pytest
from apply_cases import make_sheet, text_job, work_through
from filelock import FileLock
from toys import write_problem_table

from studio import runs
from studio.apply import calibration, job, process, summary
from studio.apply.job import Job
from studio.data import targets
from studio.errors import NotPossible
from studio.evaluate import predictions

TEXTS = ("my lamp is late again", "", "you charged the desk twice", "please take the rug back")
LABELS = ["delivery", None, "billing", "returns"]


@pytest.fixture
def problem_run(finished_plan, make_plan, build_once):
    """`problem_run(role)`: a run on texts with several labels (`labels`), or with a number (`rating`)."""

    def get(role):
        table = (
            build_once(f"{role}-apply", lambda folder: write_problem_table(folder / "t.csv", role)) / "t.csv"
        )
        plan = make_plan("lora", "classify", epochs=8)
        data = plan.data.model_copy(
            update={"source": str(table), "columns": {"text": "text", role: role}, "validation_share": 0.4}
        )
        return finished_plan(f"apply-{role}", plan.model_copy(update={"data": data}))

    return get


@pytest.mark.thorough
def test_texts_get_their_labels_and_empty_cells_stay_empty(finished, monkeypatch):
    current = text_job(finished("lora", "classify"), TEXTS)
    assert work_through(current, monkeypatch) == [0, 4]
    results = current.results()
    assert [result.get("label") for result in results] == LABELS
    assert results[1] == {}
    assert all(1 / 3 < result["certainty"] <= 1 for result in results if result)
    assert current.is_done()
    # Of 60 texts a fifth is held out.
    assert current.calibration.text == calibration.TOO_FEW.text
    assert current.calibration.values["count"] == 12
    assert summary.describe(current)[1:] == [summary.EMPTY.format(count=1, length=64)]


@pytest.mark.thorough
def test_several_labels_and_their_calibration(problem_run, monkeypatch):
    run = problem_run("labels")
    rows = predictions.read_lines(run.folder / "data" / "validation.jsonl")
    assert len(rows) >= calibration.MIN_TEXTS
    current = text_job(run, [row["text"] for row in rows])
    work_through(current, monkeypatch)
    right = [
        result["labels"] == targets.labels_of(row)
        for result, row in zip(current.results(), rows, strict=True)
    ]
    assert sum(right) / len(rows) == pytest.approx(runs.report(run)["after"]["exact_match"])
    assert current.calibration.text in (calibration.CALIBRATED.text, calibration.ALL_RIGHT.text)
    assert all(0.5 <= result["certainty"] <= 1 for result in current.results())


def test_numbers_come_in_their_unit_with_the_mean_error(problem_run, monkeypatch):
    run = problem_run("rating")
    rows = predictions.read_lines(run.folder / "data" / "validation.jsonl")
    current = text_job(run, [row["text"] for row in rows])
    work_through(current, monkeypatch)
    errors = [
        abs(result["value"] - float(row["rating"]))
        for result, row in zip(current.results(), rows, strict=True)
    ]
    assert current.calibration.text == process.TYPICAL_ERROR.text
    assert current.calibration.values["error"] == pytest.approx(sum(errors) / len(errors), abs=0.01)
    assert sum(errors) / len(errors) < 15  # they lie between 10 and 60


@pytest.mark.thorough
def test_questions_get_answers_and_a_question_too_long_gets_none(finished, monkeypatch):
    run = finished("lora", "chat")
    current = text_job(run, ["where is my lamp", "lamp " * 300])
    work_through(current, monkeypatch)
    answer, too_long = current.results()
    assert answer["text"].startswith("Thanks for asking about the")
    assert too_long == {"text": "", "too_long": True}
    assert summary.TOO_LONG.format(count=1, length=64) in summary.describe(current)


def test_texts_are_continued(finished, monkeypatch):
    current = text_job(finished("lora", "complete"), ["Thanks for asking about the lamp."])
    work_through(current, monkeypatch)
    assert current.results()[0]["text"]


def test_a_job_goes_on_behind_its_last_complete_row(finished, monkeypatch):
    run = finished("lora", "classify")
    texts = [TEXTS[index % 4] for index in range(40)]
    complete = text_job(run, texts)
    assert work_through(complete, monkeypatch) == [0, 32, 40]
    lines = complete.results_path.read_bytes().splitlines(keepends=True)
    complete.results_path.write_bytes(b"".join(lines[:4]) + lines[4][:9])  # it was killed in row 5
    assert len(complete.results()) == 4
    assert work_through(complete, monkeypatch) == [4, 36, 40]
    assert complete.results_path.read_bytes() == b"".join(lines)


def test_another_column_and_a_run_that_went_on_begin_anew(finished, tmp_path):
    run = finished("lora", "classify")
    sheet = make_sheet(("first", "second"), [("a", "b")])
    folders = {Job(sheet, run, "first").folder, Job(sheet, run, "second").folder}
    (run.folder / "report.json").touch()
    folders.add(Job(sheet, run, "first").folder)
    assert len(folders) == 3


def test_a_job_is_done_by_one_process_at_a_time(finished, monkeypatch):
    current = text_job(finished("lora", "classify"), TEXTS)
    current.folder.mkdir()
    with FileLock(current.folder / ".lock"), pytest.raises(NotPossible, match="already"):
        work_through(current, monkeypatch)


def test_context_and_system_prompt_of_the_training_are_read_too(make_plan, monkeypatch):
    columns = {"prompt": "question", "response": "reply", "context": "order", "system": "role"}
    run = runs.create(make_plan())
    monkeypatch.setattr(runs, "report", lambda _: {"data": {"columns": columns}})
    sheet = make_sheet(("order", "asked", "role"), [("two lamps", "where?", "Be kind."), ("", "when?", "")])
    first, second = process.build_conversations(Job(sheet, run, "asked"))
    assert first == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "where?\n\ntwo lamps"},
    ]
    assert second == [{"role": "user", "content": "when?"}]


@pytest.mark.exhaustive
def test_a_child_process_that_is_killed_costs_a_batch_and_the_job_goes_on(finished, monkeypatch):
    run = finished("lora", "classify")
    current = text_job(run, [TEXTS[index % 4] for index in range(100)])
    steps = job.apply(current)
    for step in steps:
        if step.done >= 32:
            break
    steps.close()  # ends the process
    n_done = len(current.results())
    assert 32 <= n_done < 100
    resumed = work_through(current, monkeypatch)
    assert (resumed[0], resumed[-1]) == (n_done, 100)
    assert [result.get("label") for result in current.results()] == LABELS * 25


def test_what_another_run_has_done_of_a_sheet_stays_until_that_is_over_too(make_plan):
    sheet = make_sheet(("text",), [(text,) for text in TEXTS])
    ended, interrupted = (Job(sheet, runs.create(make_plan()), "text") for _ in range(2))
    for current in (ended, interrupted):
        current.folder.mkdir()
        current.results_path.write_text("{}\n")
    job.forget(ended)
    assert (ended.results(), interrupted.results()) == ([], [{}])
    job.forget(interrupted)
    assert not sheet.folder.exists()
