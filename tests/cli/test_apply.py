"""`studio apply` labels the rows of a file, and refuses what would overwrite or cannot be read."""

import csv

import pytest

from studio.apply import job as jobs
from studio.apply import sheet
from studio.cli import apply as apply_command
from studio.cli.main import main


@pytest.fixture
def tickets(tmp_path):
    file = tmp_path / "tickets.csv"
    file.write_text("id,text\n1,my lamp is late again\n2,you charged the desk twice\n", encoding="utf-8")
    return file


@pytest.mark.exhaustive
def test_every_row_of_a_file_is_labelled(finished, tickets, capsys):
    run = finished("lora", "classify")
    assert main(["apply", run.id, str(tickets), "--uncertain-first"]) == 0
    output = capsys.readouterr()
    written = tickets.with_name("tickets-labelled.csv")
    assert apply_command.WRITTEN.render(name=written, count=2) in output.out
    assert apply_command.READING_COLUMN.render(column="text") in output.err
    with written.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["text"]: row["Predicted label"] for row in rows} == {
        "my lamp is late again": "delivery",
        "you charged the desk twice": "billing",
    }
    certainties = [float(row["Certainty"]) for row in rows]
    assert certainties == sorted(certainties)
    assert list(sheet.sheets_folder().iterdir()) == []
    assert main(["apply", run.id, str(tickets)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_ctrl_c_keeps_the_rows_that_are_done(finished, tickets, capsys, monkeypatch):
    def interrupt(job):
        yield jobs.Progress(0, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "apply", interrupt)
    run = finished("lora", "classify")
    assert main(["apply", run.id, str(tickets)]) == 1
    assert apply_command.STOPPED.render(done=0, total=2) in capsys.readouterr().err
    assert len(list(sheet.sheets_folder().iterdir())) == 1


def test_wrong_files_columns_and_orders_end_with_a_sentence(finished, tickets, capsys, tmp_path):
    run, chat = finished("lora", "classify"), finished("lora", "chat")
    calls = [
        [run.id, str(tmp_path / "none.csv")],
        [run.id, str(tickets), "--column", "body"],
        [run.id, str(tickets), "--out", str(tmp_path / "out.pdf")],
        [chat.id, str(tickets), "--uncertain-first"],
        ["0" * 32, str(tickets)],
    ]
    for call in calls:
        assert main(["apply", *call]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()[-1]) > 20
    assert list(tmp_path.glob("out*")) == []
