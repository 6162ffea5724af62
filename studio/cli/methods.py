"""The ten methods as a table for the terminal, or whole as JSON: names, tasks, settings, and what does not go together and why."""

import json
import textwrap
from typing import Any, get_args

from studio import methods, presets
from studio.i18n import Message, languages
from studio.methods import compatibility
from studio.methods.spec import Method, Setting
from studio.plan import Task

TABLE_WIDTH = 110
HEADERS = ("name", "trains", "numbers that change", "when")
COLUMN_WIDTHS = (9, 18, 22)


def as_table() -> str:
    """Name, tasks, what changes and when, one method after the other; a method that is not built yet says so."""
    rows = [(*HEADERS,), *(_row(card) for card in presets.methods().values())]
    return "\n".join(_wrap_row(row) for row in rows)


def as_json() -> str:
    """Every method with its tasks, forms of export, settings and refusals, in both languages."""
    built_methods = {method.name: method for method in methods.METHODS}
    descriptions = [
        _describe_method(card, built_methods.get(name)) for name, card in presets.methods().items()
    ]
    return json.dumps(descriptions, ensure_ascii=False, indent=1)


def _row(card: presets.MethodCard) -> tuple[str, ...]:
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
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, cells))
    lines = [
        "  ".join(
            (cell[line_index] if line_index < len(cell) else "").ljust(width)
            for cell, width in zip(cells, widths, strict=True)
        )
        for line_index in range(height)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _describe_method(card: presets.MethodCard, method: Method | None) -> dict[str, Any]:
    incompatibilities = {
        task: incompatibility
        for task in get_args(Task)
        if (incompatibility := compatibility.find_incompatibility(card.id, task))
    }
    return {
        "name": card.id,
        "title": _in_both_languages(card.name),
        "about": _in_both_languages(card.principle),
        "built": method is not None,
        "tasks": list(method.tasks if method else compatibility.supported_tasks(card.id)),
        "exports": list(method.exports) if method else [],
        "resumes": method.supports_resume if method else None,
        "settings": [_describe_setting(setting) for setting in method.settings] if method else [],
        "not_with": [
            {
                "task": task,
                "why": _in_both_languages(incompatibility.reason),
                "nearest": _in_both_languages(incompatibility.alternative),
            }
            for task, incompatibility in incompatibilities.items()
        ],
        "not_as": [
            {
                "form": form,
                "why": _in_both_languages(incompatibility.reason),
                "nearest": _in_both_languages(incompatibility.alternative),
            }
            for (name, form), incompatibility in compatibility.INCOMPATIBLE_EXPORTS.items()
            if name == card.id
        ],
    }


def _describe_setting(setting: Setting) -> dict[str, Any]:
    description: dict[str, Any] = {
        "name": setting.name,
        "label": _in_both_languages(setting.label),
        "help": _in_both_languages(setting.help),
        "kind": setting.kind,
        "default": setting.default,
    }
    if setting.kind == "choice":
        description["choices"] = [
            {"name": name, **_in_both_languages(choice_label)} for name, choice_label in setting.choices
        ]
    elif setting.kind in ("int", "float"):
        description["range"] = [setting.low, setting.high]
    elif setting.kind == "str":
        description["most_characters"] = int(setting.high)
    depends_on = setting.depends_on
    return description | ({"only": {depends_on[0]: depends_on[1]}} if depends_on else {})


def _in_both_languages(message: Message) -> dict[str, str]:
    return {language: message.render(language) for language in languages()}
