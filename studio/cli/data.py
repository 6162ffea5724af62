"""`studio data`: what a file holds and how healthy it is, in the terminal or as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from studio.data import examples, store
from studio.data.quality import health
from studio.data.quality.health import Health
from studio.data.readers import read as readers
from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import BadData
from studio.plan import Task

EXIT_OK, EXIT_BAD_DATA = 0, 2
GRADE_MARKS = {"stop": "!!", "warn": " !", "hint": "  ", "open": " ?"}
MAX_DAMAGED_ROWS = 20


def report_data(source: str, sheet: str, task: Task | None, method: str, as_json: bool) -> int:
    """Print what was understood and the health report; returns 0 where it can be trained on, 2 with a sentence on stderr where not."""
    try:
        table = (
            store.find(source).table()
            if source.startswith(("sample:", "dataset:"))
            else readers.read_table(Path(source), sheet=sheet)
        )
        guess = infer_roles.guess_roles(table, task)
        usable_examples, incomplete = examples.build_examples(table, guess.task, guess.columns)
        health_report = health.check_health(table, guess.task, guess.columns, method=method)
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return EXIT_BAD_DATA
    report = build_report(table, guess, len(usable_examples), incomplete, health_report)
    sys.stdout.write(
        (
            json.dumps(report, ensure_ascii=False, indent=1)
            if as_json
            else format_report(table, guess, report, health_report)
        )
        + "\n"
    )
    return EXIT_OK


def build_report(
    table: Table, guess: RoleGuess, n_examples: int, incomplete: int, health_report: Health
) -> dict[str, Any]:
    """Everything that was understood, as plain values."""
    problems = [
        {
            "kind": finding.kind,
            "grade": finding.grade,
            "said": finding.said.render(),
            "why": finding.why.render(),
            "count": finding.count,
            "rows": [row + 1 for row in finding.rows],
            "fix": finding.fix.render() if finding.fix else None,
        }
        for finding in health_report.findings
    ]
    damaged_rows = [{"row": line, "why": why.render()} for line, why in table.bad_lines]
    return {
        "name": table.name,
        "task": guess.task,
        "roles": guess.columns,
        "sure": guess.is_confident,
        "columns": list(table.columns),
        "sheets": list(table.sheets),
        "notes": [note.render() for note in table.notes],
        "rows": len(table.rows),
        "examples": n_examples,
        "skipped": len(table.bad_lines) + incomplete,
        "damaged": damaged_rows[:MAX_DAMAGED_ROWS],
        "incomplete": incomplete,
        "score": health_report.score,
        "problems": problems,
    }


def format_report(table: Table, guess: RoleGuess, report: dict[str, Any], health_report: Health) -> str:
    """The same for the eyes."""
    lines = [
        f"{table.name}: {report['rows']:,} rows, {len(table.columns)} columns; {report['examples']:,} examples, {report['skipped']:,} left out",
        f"task    {guess.task}{'' if guess.is_confident else ' (a guess; --task says otherwise)'}",
        *(f"{role:<10}  {column}" for role, column in guess.columns.items()),
        *(note.render() for note in table.notes),
        *((f"row {item['row']} " if item["row"] else "") + item["why"] for item in report["damaged"][:3]),
        f"health  {health_report.score} of 100",
        *(
            f"{GRADE_MARKS[finding.grade]} {finding.said.render()} {finding.why.render()}"
            for finding in health_report.findings
        ),
    ]
    return "\n".join(lines)
