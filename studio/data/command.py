"""`studio data`: what a file holds and how healthy it is, in the terminal or as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from studio.data import check, columns, keep, prepare, read
from studio.data.check import Health
from studio.data.columns import Guess
from studio.data.read import Table
from studio.errors import BadData
from studio.plan import Task

USABLE, USELESS = 0, 2
MARKS = {"stop": "!!", "warn": " !", "hint": "  ", "open": " ?"}
MOST_BAD = 20


def data(source: str, sheet: str, task: Task | None, method: str, as_json: bool) -> int:
    """Print what was understood and the health report; returns 0 where it can be trained on, 2 with a sentence on stderr where not."""
    try:
        table = keep.find(source).table() if source.startswith(("sample:", "dataset:")) else read.read(Path(source), sheet=sheet)
        found = columns.guess(table, task)
        examples, incomplete = prepare.examples(table, found.task, found.columns)
        health = check.health(table, found.task, found.columns, method=method)
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return USELESS
    told = as_values(table, found, len(examples), incomplete, health)
    sys.stdout.write((json.dumps(told, ensure_ascii=False, indent=1) if as_json else in_words(table, found, told, health)) + "\n")
    return USABLE


def as_values(table: Table, found: Guess, examples: int, incomplete: int, health: Health) -> dict[str, Any]:
    """Everything that was understood, as plain values."""
    problems = [
        {
            "kind": one.kind,
            "grade": one.grade,
            "said": one.said.say(),
            "why": one.why.say(),
            "count": one.count,
            "rows": [row + 1 for row in one.rows],
            "fix": one.fix.say() if one.fix else None,
        }
        for one in health.findings
    ]
    skipped = [{"row": line, "why": why.say()} for line, why in table.bad]
    return {
        "name": table.name,
        "task": found.task,
        "roles": found.columns,
        "sure": found.sure,
        "columns": list(table.columns),
        "sheets": list(table.sheets),
        "notes": [said.say() for said in table.notes],
        "rows": len(table.rows),
        "examples": examples,
        "skipped": len(table.bad) + incomplete,
        "damaged": skipped[:MOST_BAD],
        "incomplete": incomplete,
        "score": health.score,
        "problems": problems,
    }


def in_words(table: Table, found: Guess, told: dict[str, Any], health: Health) -> str:
    """The same for the eyes."""
    lines = [
        f"{table.name}: {told['rows']:,} rows, {len(table.columns)} columns; {told['examples']:,} examples, {told['skipped']:,} left out",
        f"task    {found.task}{'' if found.sure else ' (a guess; --task says otherwise)'}",
        *(f"{role:<10}  {column}" for role, column in found.columns.items()),
        *(said.say() for said in table.notes),
        *((f"row {item['row']} " if item["row"] else "") + item["why"] for item in told["damaged"][:3]),
        f"health  {health.score} of 100",
        *(f"{MARKS[one.grade]} {one.said.say()} {one.why.say()}" for one in health.findings),
    ]
    return "\n".join(lines)
