"""`studio data`: what a file holds and how healthy it is, in the terminal or as JSON."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args

from studio.cli import EXIT_INVALID, EXIT_OK
from studio.cli.arguments import list_names
from studio.cli.label import show_progress
from studio.data import examples, store
from studio.data.quality import health
from studio.data.quality.health import CheckOptions, Finding, Health
from studio.data.readers import format_labels
from studio.data.readers import read as readers
from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import BadData
from studio.i18n import format_value
from studio.meaning import client
from studio.meaning import report as meaning
from studio.meaning.report import MeaningReport
from studio.plan import Task

TASKS = get_args(Task)
GRADE_MARKS = {"stop": "!!", "warn": " !", "hint": "  ", "open": " ?"}
MAX_DAMAGED_ROWS = 20
MAX_DAMAGED_ROWS_IN_TEXT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and what it is checked for."""
    formats = format_value(format_labels(), "en")
    parser.add_argument("file", help=f"a file ({formats}), or sample:NAME")
    parser.add_argument(
        "--sheet", default="", help="the sheet of a workbook (default: the one with the most usable rows)"
    )
    parser.add_argument(
        "--task",
        default="",
        choices=["", *TASKS],
        metavar="TASK",
        help=f"{list_names(TASKS)} (default: as it looks)",
    )
    parser.add_argument("--method", default="", help="say whether it is enough for this method")
    parser.add_argument(
        "--test",
        default="",
        metavar="FILE",
        help="a test set with the same columns, which must share no rows",
    )
    parser.add_argument(
        "--meaning",
        action="store_true",
        help="look for wrong labels and test rows in other words, by the embedded encoder (minutes)",
    )
    parser.add_argument("--json", action="store_true", help="task, roles, rows, skipped and problems as JSON")


def run(options: argparse.Namespace) -> int:
    """Print what was understood and the health report; 2 and a sentence on stderr where it cannot be used."""
    try:
        table = _read_table(options.file, options.sheet)
        guess = infer_roles.guess_roles(table, options.task or None)
        usable_examples, n_incomplete = examples.build_examples(table, guess.task, guess.columns)
        test_examples = _read_test(options.test, guess)
        health_report = health.check_health(
            table, guess.task, guess.columns, CheckOptions(method=options.method, test=test_examples)
        )
        meaning_report = _check_meaning(options, guess) if options.meaning else None
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return EXIT_INVALID
    report = build_report(table, guess, len(usable_examples), n_incomplete, health_report)
    if meaning_report:
        report["by_meaning"] = _describe_meaning(meaning_report)
    if options.json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        print(format_report(table, guess, report, health_report))
        if meaning_report:
            print(format_meaning(meaning_report))
    return EXIT_OK


def _read_test(source: str, guess: RoleGuess) -> list[examples.Example]:
    """The examples of a test set; none where there is none."""
    if not source:
        return []
    rows = examples.build_row_examples(_read_table(source, ""), guess.task, guess.columns)
    return [example for example in rows if example]


def _check_meaning(options: argparse.Namespace, guess: RoleGuess) -> MeaningReport | None:
    """What is found by meaning, with its progress on stderr; None where there is nothing to look for."""
    if not meaning.can_check(guess.task, guess.columns, options.test):
        return None
    steps = client.run_check(options.file, guess.task, guess.columns, options.test, options.sheet)
    return show_progress(steps, MeaningReport)


def _describe_meaning(report: MeaningReport) -> dict[str, Any]:
    """What was found by meaning, under the names that scripts read; rows count from 1."""
    doubts = [{**vars(doubt), "row": doubt.row + 1} for doubt in report.doubts]
    return {
        "looked_at": report.looked_at.render() if report.looked_at else "",
        "problems": [describe_finding(finding) for finding in report.findings],
        "wrong_labels": doubts,
        "leaking_rows": [row + 1 for row in report.leaking_rows],
    }


def format_meaning(report: MeaningReport) -> str:
    """What was found by meaning, in lines for the terminal."""
    lines = [report.looked_at.render()] if report.looked_at else []
    for finding in report.findings:
        lines.append(f"{GRADE_MARKS[finding.grade]} {finding.message.render()} {finding.why.render()}")
        lines += [f"     {example}" for example in finding.examples]
    return "\n".join(lines)


def _read_table(source: str, sheet: str) -> Table:
    if source.startswith(("sample:", "dataset:")):
        return store.find(source).table()
    return readers.read_table(Path(source), sheet=sheet)


def build_report(
    table: Table, guess: RoleGuess, n_examples: int, n_incomplete: int, health_report: Health
) -> dict[str, Any]:
    """Everything that was understood, under the names that scripts read; rows count from 1."""
    problems = [describe_finding(finding) for finding in health_report.findings]
    damaged_rows = [{"row": line, "why": why.render()} for line, why in table.bad_lines]
    return {
        "name": table.name,
        "task": guess.task,
        "roles": guess.columns,
        "sure": guess.is_confident,
        "columns": list(table.columns),
        "sheet": table.sheet,
        "sheets": list(table.sheets),
        "notes": [note.render() for note in table.notes],
        "rows": len(table.rows),
        "examples": n_examples,
        "skipped": len(table.bad_lines) + n_incomplete,
        "damaged": damaged_rows[:MAX_DAMAGED_ROWS],
        "incomplete": n_incomplete,
        "score": health_report.score,
        "problems": problems,
    }


def describe_finding(finding: Finding) -> dict[str, Any]:
    """A finding under the names that scripts read; rows count from 1."""
    return {
        "kind": finding.kind,
        "grade": finding.grade,
        "said": finding.message.render(),
        "why": finding.why.render(),
        "count": finding.count,
        "rows": [row + 1 for row in finding.rows],
        "fix": finding.fix.render() if finding.fix else None,
    }


def format_report(table: Table, guess: RoleGuess, report: dict[str, Any], health_report: Health) -> str:
    """The same in lines for the terminal."""
    table_size = f"{report['rows']:,} rows, {len(table.columns)} columns"
    lines = [
        f"{table.name}: {table_size}; {report['examples']:,} examples, {report['skipped']:,} left out",
        f"task    {guess.task}" + ("" if guess.is_confident else " (a guess; --task says otherwise)"),
    ]
    for role, column in guess.columns.items():
        lines.append(f"{role:<10}  {column}")
    if len(table.sheets) > 1:
        lines.append(f"sheet   {table.sheet} (of {', '.join(table.sheets)}; --sheet takes another)")
    for note in table.notes:
        lines.append(note.render())
    for damaged_row in report["damaged"][:MAX_DAMAGED_ROWS_IN_TEXT]:
        row_label = f"row {damaged_row['row']} " if damaged_row["row"] else ""
        lines.append(row_label + damaged_row["why"])
    lines.append(f"health  {health_report.score} of 100")
    for finding in health_report.findings:
        lines.append(f"{GRADE_MARKS[finding.grade]} {finding.message.render()} {finding.why.render()}")
    return "\n".join(lines)
