"""`studio methods`: the methods as a table for the terminal, or in full as JSON."""

import argparse
import itertools
import json
import textwrap
from typing import Any, get_args

from studio import methods, presets
from studio.cli import EXIT_OK
from studio.i18n import Message, languages
from studio.methods import compatibility
from studio.methods.compatibility import Incompatibility
from studio.methods.spec import Method, Setting
from studio.plan import Task
from studio.presets import MethodCard

TABLE_WIDTH = 110
HEADERS = ("name", "trains", "numbers that change", "when")
COLUMN_WIDTHS = (9, 18, 22)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add in which form they are listed."""
    parser.add_argument(
        "--json", action="store_true", help="with every setting, its range, default and explanation, as JSON"
    )


def run(options: argparse.Namespace) -> int:
    """Print the methods."""
    print(as_json() if options.json else as_table())
    return EXIT_OK


def as_table() -> str:
    """Name, tasks, what changes and when, one method after the other; one that is not built yet says so."""
    rows = [(*HEADERS,), *(_row(card) for card in presets.methods().values())]
    return "\n".join(_wrap_row(row) for row in rows)


def as_json() -> str:
    """Every method with its tasks, forms of export, settings and refusals, in each language."""
    built_methods = {method.name: method for method in methods.METHODS}
    descriptions = []
    for name, card in presets.methods().items():
        descriptions.append(_describe_method(card, built_methods.get(name)))
    return json.dumps(descriptions, ensure_ascii=False, indent=1)


def _row(card: MethodCard) -> tuple[str, ...]:
    is_built = card.id in {method.name for method in methods.METHODS}
    return (
        card.id,
        ", ".join(compatibility.supported_tasks(card.id)),
        card.updated.render(),
        card.when.render() + ("" if is_built else " (Not built yet.)"),
    )


def _wrap_row(row: tuple[str, ...]) -> str:
    """One row, each cell wrapped to its column."""
    widths = (*COLUMN_WIDTHS, TABLE_WIDTH - sum(COLUMN_WIDTHS) - 2 * len(COLUMN_WIDTHS))
    cells = [textwrap.wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for parts in itertools.zip_longest(*cells, fillvalue=""):
        padded = [part.ljust(width) for part, width in zip(parts, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _describe_method(card: MethodCard, method: Method | None) -> dict[str, Any]:
    return {
        "name": card.id,
        "title": _translations(card.name),
        "about": _translations(card.principle),
        "built": method is not None,
        "tasks": list(method.tasks if method else compatibility.supported_tasks(card.id)),
        "exports": list(method.exports) if method else [],
        "resumes": method.supports_resume if method else None,
        "settings": [_describe_setting(setting) for setting in method.settings] if method else [],
        "not_with": _unsupported_tasks(card),
        "not_as": [{"form": export.form, **_describe(export)} for export in card.not_with.exports],
    }


def _unsupported_tasks(card: MethodCard) -> list[dict[str, Any]]:
    descriptions = []
    for task in get_args(Task):
        incompatibility = compatibility.find_incompatibility(card.id, task)
        if incompatibility:
            descriptions.append({"task": task, **_describe(incompatibility)})
    return descriptions


def _describe(incompatibility: Incompatibility) -> dict[str, Any]:
    return {
        "why": _translations(incompatibility.reason),
        "nearest": _translations(incompatibility.alternative),
    }


def _describe_setting(setting: Setting) -> dict[str, Any]:
    description: dict[str, Any] = {
        "name": setting.name,
        "label": _translations(setting.label),
        "help": _translations(setting.help),
        "kind": setting.kind,
        "default": setting.default,
    }
    if setting.kind == "choice":
        description["choices"] = [
            {"name": name, **_translations(choice_label)} for name, choice_label in setting.choices
        ]
    elif setting.kind in ("int", "float"):
        description["range"] = [setting.low, setting.high]
    elif setting.kind == "str":
        description["most_characters"] = int(setting.high)
    depends_on = setting.depends_on
    return description | ({"only": {depends_on[0]: depends_on[1]}} if depends_on else {})


def _translations(message: Message) -> dict[str, str]:
    return {language: message.render(language) for language in languages()}
