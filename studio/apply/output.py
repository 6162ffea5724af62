"""The sheet with its results, as CSV or Excel: all columns as they came, the new ones behind them."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from studio import runs
from studio.apply.job import Job, Result
from studio.errors import NotPossible
from studio.i18n import Message

LABEL, LABELS, VALUE, TEXT = (
    Message("Predicted label"),
    Message("Predicted labels"),
    Message("Predicted number"),
    Message("Answer", context="column"),
)
CERTAINTY = Message("Certainty")
# What Excel holds in one cell (characters).
MAX_EXCEL_CELL = 32_767
CELL_TOO_LONG = Message("A cell has {length:,} characters; Excel holds {most:,}.")
TAKE_CSV = Message("Save the result as CSV instead.")
UNKNOWN_FORM = Message("“{name}” is neither a .csv nor a .xlsx file.")
NAME_A_FORM = Message("Let its name end in .csv or .xlsx.")
NO_CERTAINTY = Message("This run gives no certainty, so its rows cannot be sorted by it.")
LEAVE_ORDER = Message("Leave the rows in their order.")
# A spreadsheet takes what begins so for a formula; a plain number is none.
FORMULA_START = re.compile(r"[=+\-@\t\r]")
PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
Cell = str | float


def write(job: Job, path: Path, uncertain_first: bool = False, lang: str = "en") -> Path:
    """Write the sheet with the results there are so far.

    Args:
        job: The job.
        path: A file that ends in .csv or .xlsx; it is replaced.
        uncertain_first: Whether the rows are sorted by certainty, the least certain first.
        lang: The language of the new columns' names.

    Raises:
        NotPossible: The file has another ending, the run gives no certainty, or Excel cannot hold a cell.
    """
    require_form(path)
    rows = build_rows(job, uncertain_first)
    header = _unique([*job.sheet.columns, *(name.render(lang) for name in new_columns(job))])
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".csv":
        _write_csv(path, [header, *rows])
    else:
        _write_workbook(path, [header, *rows], last_is_share=gives_certainty(job))
    return path


def require_form(path: Path) -> None:
    """Raise NotPossible where a file is to be neither CSV nor Excel."""
    if path.suffix.lower() not in (".csv", ".xlsx"):
        raise NotPossible(UNKNOWN_FORM, NAME_A_FORM, name=path.name)


def gives_certainty(job: Job) -> bool:
    """Whether the run says how sure it is of a row."""
    return CERTAINTY in new_columns(job)


def require_certainty(job: Job) -> None:
    """Raise NotPossible where rows are to be sorted by a certainty that there is not."""
    if not gives_certainty(job):
        raise NotPossible(NO_CERTAINTY, LEAVE_ORDER)


def new_columns(job: Job) -> tuple[Message, ...]:
    """The columns that the run adds."""
    if job.run.plan.task != "classify":
        return (TEXT,)
    columns = {
        "regression": (VALUE,),
        "multi_label_classification": (LABELS, CERTAINTY),
    }
    return columns.get(str(runs.report(job.run).get("problem_type")), (LABEL, CERTAINTY))


def result_cells(result: Result) -> list[Cell]:
    """What the new columns hold of one row; nothing for an empty cell."""
    if "labels" in result:
        return ["; ".join(result["labels"]), result["certainty"]]
    if "label" in result:
        return [result["label"], result["certainty"]]
    if "value" in result:
        return [result["value"]]
    return [result.get("text", "")]


def build_rows(job: Job, uncertain_first: bool) -> list[list[Cell]]:
    """The rows with a result, in the order of the sheet or the least certain first, empty ones last.

    Raises:
        NotPossible: They are to be sorted by a certainty that the run does not give.
    """
    results = job.results()
    n_new = len(new_columns(job))
    rows: list[list[Cell]] = []
    for cells, result in zip(job.sheet.rows(), results, strict=False):
        added = result_cells(result)
        rows.append([*cells, *added, *[""] * (n_new - len(added))])
    if not uncertain_first:
        return rows
    require_certainty(job)
    order = sorted(range(len(rows)), key=lambda index: results[index].get("certainty", 2.0))
    return [rows[index] for index in order]


def _unique(names: Sequence[str]) -> list[str]:
    """Names of columns; one that the sheet has already gets a number."""
    unique: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in unique:
            candidate, number = f"{name} ({number})", number + 1
        unique.append(candidate)
    return unique


def _disarm(cell: Cell) -> Cell:
    """A cell that a spreadsheet does not run: a quotation mark in front makes a formula a text."""
    is_text = isinstance(cell, str) and not PLAIN_NUMBER.fullmatch(cell)
    return f"'{cell}" if is_text and FORMULA_START.match(str(cell)) else cell


def _write_csv(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    # With a byte order mark, by which Excel opens the file as UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([_disarm(cell) for cell in row] for row in rows)


def _write_workbook(path: Path, rows: Sequence[Sequence[Cell]], last_is_share: bool) -> None:
    """Write texts as texts, which Excel neither runs nor follows."""
    from xlsxwriter import Workbook  # noqa: PLC0415 - only here

    longest = max(len(cell) for row in rows for cell in row if isinstance(cell, str))
    if longest > MAX_EXCEL_CELL:
        raise NotPossible(CELL_TOO_LONG, TAKE_CSV, length=longest, most=MAX_EXCEL_CELL)
    with Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet()
        header_format = book.add_format({"bold": True, "bottom": 1})
        sheet.freeze_panes(1, 0)
        if last_is_share:
            last = len(rows[0]) - 1
            sheet.set_column(last, last, None, book.add_format({"num_format": "0%"}))
        for index, row in enumerate(rows):
            sheet.write_row(index, 0, row, None if index else header_format)
