"""Tables to fill in: for each task a header and two example rows, as CSV and as Excel."""

import csv
from pathlib import Path
from typing import Literal

from studio.plan import ROLES, Task

# Two examples of every task, under the role names as column names.
EXAMPLES: dict[Task, tuple[tuple[str, ...], ...]] = {
    "chat": (
        (
            "Where is my parcel? It was due on Monday.",
            "It left us today and reaches you tomorrow before noon. You will get a message with the tracking number by 6 pm.",
        ),
        (
            "Can I change the colour of the chair I ordered?",
            "Yes, until it is packed on Thursday. Tell me the colour you would like, and I will change the order today.",
        ),
    ),
    "complete": (
        ("The Fernhill garden fork has four forged tines and an ash handle. It turns heavy soil without bending and weighs 1.9 kg.",),
        ("The Fernhill watering can holds seven litres. Its brass rose gives a rain soft enough for seedlings.",),
    ),
    "classify": (("I was charged twice for one order.", "billing"), ("The parcel has not moved for three days.", "delivery")),
    "prefer": (
        (
            "Do you ship to islands?",
            "Yes, in three to five days and at the same price. Enter the island’s postcode at the till to see the day.",
            "Maybe. Look at the website.",
        ),
        (
            "The lid of my kettle is cracked.",
            "A new lid leaves us today and is free. Keep the old one until it has arrived on Friday.",
            "You must have dropped it.",
        ),
    ),
    "prompts": (
        ("A box holds 12 pens. How many pens are in 7 boxes?", "84"),
        ("A train leaves at 9:40 and arrives at 11:05. How many minutes does it take?", "85"),
    ),
}


def header(task: Task) -> tuple[str, ...]:
    """The column names of a task's table."""
    return (*ROLES[task], "answer") if task == "prompts" else ROLES[task]


def write(task: Task, kind: Literal["csv", "xlsx"], folder: Path) -> Path:
    """The table of a task as a file in `folder`; Excel opens the CSV as UTF-8 by its mark."""
    path = folder / f"template-{task}.{kind}"
    rows = [header(task), *EXAMPLES[task]]
    if kind == "csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows(rows)
        return path
    from xlsxwriter import Workbook  # noqa: PLC0415 - only here

    with Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("examples")
        bold, wrapped = book.add_format({"bold": True, "bottom": 1}), book.add_format({"text_wrap": True, "valign": "top"})
        sheet.set_column(0, len(rows[0]) - 1, 50)
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row, wrapped if number else bold)
    return path
