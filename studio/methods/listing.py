"""The ten methods as a table for the terminal, or whole as JSON: names, tasks, settings, and what does not go together and why."""

import json
import textwrap
from typing import Any, get_args

from studio import methods, presets
from studio.methods import fits
from studio.methods.base import Knob, Method
from studio.plan import Task
from studio.words import Words

WIDTH = 110
HEADS = ("name", "trains", "numbers that change", "when")
COLUMNS = (9, 18, 22)


def as_table() -> str:
    """Name, tasks, what changes and when, one method after the other; a method that is not built yet says so."""
    rows = [(*HEADS,), *(_row(card) for card in presets.methods().values())]
    return "\n".join(_lines(row) for row in rows)


def as_json() -> str:
    """Every method with its tasks, forms of export, settings and refusals, in both languages."""
    built = {method.name: method for method in methods.METHODS}
    found = [_whole(card, built.get(name)) for name, card in presets.methods().items()]
    return json.dumps(found, ensure_ascii=False, indent=1)


def _row(card: presets.MethodCard) -> tuple[str, ...]:
    built = card.id in {method.name for method in methods.METHODS}
    return (card.id, ", ".join(fits.tasks(card.id)), card.updated.en, card.when.en + ("" if built else " (Not built yet.)"))


def _lines(row: tuple[str, ...]) -> str:
    """One row, each cell wrapped to its column."""
    widths = (*COLUMNS, WIDTH - sum(COLUMNS) - 2 * len(COLUMNS))
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, cells))
    lines = [
        "  ".join((cell[number] if number < len(cell) else "").ljust(width) for cell, width in zip(cells, widths, strict=True))
        for number in range(height)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _whole(card: presets.MethodCard, method: Method | None) -> dict[str, Any]:
    refused = {task: said for task in get_args(Task) if (said := fits.refusal(card.id, task))}
    return {
        "name": card.id,
        "title": _both(card.name),
        "about": _both(card.principle),
        "built": method is not None,
        "tasks": list(method.tasks if method else fits.tasks(card.id)),
        "exports": list(method.exports) if method else [],
        "resumes": method.resumes if method else None,
        "settings": [_setting(knob) for knob in method.knobs] if method else [],
        "not_with": [{"task": task, "why": _both(said.why), "nearest": _both(said.nearest)} for task, said in refused.items()],
        "not_as": [
            {"form": form, "why": _both(said.why), "nearest": _both(said.nearest)}
            for (name, form), said in fits.FORMS.items()
            if name == card.id
        ],
    }


def _setting(knob: Knob) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": knob.name,
        "label": _both(knob.label),
        "help": _both(knob.help),
        "kind": knob.kind,
        "default": knob.default,
    }
    if knob.kind == "choice":
        found["choices"] = [{"name": name, **_both(said)} for name, said in knob.choices]
    elif knob.kind in ("whole", "number"):
        found["range"] = [knob.low, knob.high]
    elif knob.kind == "text":
        found["most_characters"] = int(knob.high)
    only = knob.only
    return found | ({"only": {only[0]: only[1]}} if only else {})


def _both(said: Words) -> dict[str, str]:
    return {"en": said.en, "zh": said.zh or said.en}
