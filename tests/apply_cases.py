"""Sheets and jobs for the tests of `studio apply`, worked through in this process."""

from studio import processes
from studio.apply import process, sheet
from studio.apply.job import Job
from studio.data.readers.read import Table


def make_sheet(columns, rows, name="tickets.csv"):
    """A sheet of these rows, each a tuple of cells."""
    cells = tuple(dict(zip(columns, row, strict=True)) for row in rows)
    return sheet.save(Table(name, tuple(columns), cells), sheet.new_id())


def work_through(job, monkeypatch):
    """Do a job here instead of in a child process; returns the progress that it told."""
    from studio.training import memory

    replies = []
    monkeypatch.setattr(processes, "send_reply", replies.append)
    monkeypatch.setattr(memory, "limit_memory", lambda: None)  # it would hold for all further tests
    request = {"sheet_id": job.sheet.id, "run_id": job.run.id, "column": job.column}
    process._apply(request)
    return [reply["done"] for reply in replies]


def text_job(run, texts, column="text"):
    """A job on a sheet with a number and a text in each row."""
    rows = [(str(number), text) for number, text in enumerate(texts)]
    return Job(make_sheet(("id", column), rows), run, column)
