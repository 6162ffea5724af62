"""`studio runs --compare RUN RUN …`: what several runs came to, and what their plans differ in."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from studio import run_comparison, runs
from studio.cli.columns import align
from studio.data.text.text_length import shorten
from studio.i18n import Message
from studio.plan import format_learning_rate
from studio.run_comparison import ComparedRun, RunComparison, Setting

MAX_CELL_CHARACTERS = 40
UNKNOWN = "–"
# What each run came to, by the name of its row.
OUTCOMES: Mapping[str, Callable[[ComparedRun], str]] = {
    "state": lambda compared: compared.summary.state,
    "verdict": lambda compared: compared.verdict.word.render() if compared.verdict else UNKNOWN,
    "score": lambda compared: compared.score.render() if compared.score else UNKNOWN,
    "minutes": lambda compared: _format(compared.summary.seconds, 1 / 60, "{:,.1f}"),
    "size_mb": lambda compared: _format(compared.summary.size_bytes, 1e-6, "{:,.1f}"),
    "cost": lambda compared: _format(compared.summary.money, 1, f"{{:,.2f}} {compared.summary.currency}"),
}
DIFFERENCES = Message("What their plans differ in:")
NO_DIFFERENCES = Message("Their plans differ in nothing.")
OTHER_SETTINGS = Message(
    "{equal} {equal:setting is|settings are} equal, {partial} not in all of the methods; --json lists all."
)


def compare(texts: Sequence[str], as_json: bool) -> None:
    """Print the comparison of the runs that these texts name.

    Raises:
        StudioError: One names no run, or they cannot be compared.
    """
    comparison = run_comparison.compare([runs.find(text) for text in texts])
    if as_json:
        print(json.dumps(_to_json(comparison), ensure_ascii=False, indent=2))
    else:
        print(_describe(comparison))


def _describe(comparison: RunComparison) -> str:
    different = [setting for setting in comparison.settings if setting.kind == "different"]
    kinds = Counter(setting.kind for setting in comparison.settings)
    rows = [
        ["", *(shorten(compared.name, MAX_CELL_CHARACTERS) for compared in comparison.runs)],
        *([name, *map(describe, comparison.runs)] for name, describe in OUTCOMES.items()),
        *map(_describe_setting, different),
    ]
    lines = align(rows)
    n_outcomes = 1 + len(OUTCOMES)
    heading = DIFFERENCES if different else NO_DIFFERENCES
    findings = [finding.render() for finding in comparison.findings]
    return "\n".join(
        [
            *lines[:n_outcomes],
            "",
            heading.render(),
            *lines[n_outcomes:],
            OTHER_SETTINGS.render(equal=kinds["equal"], partial=kinds["partial"]),
            *(["", *findings] if findings else []),
        ]
    )


def _describe_setting(setting: Setting) -> list[str]:
    return [setting.key, *(shorten(_format_value(value), MAX_CELL_CHARACTERS) for value in setting.values)]


def _format_value(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return format_learning_rate(value) if isinstance(value, float) else str(value)


def _format(amount: float | None, scale: float, form: str) -> str:
    return UNKNOWN if amount is None else form.format(amount * scale)


def _to_json(comparison: RunComparison) -> dict[str, Any]:
    return {
        "runs": [
            {
                "id": compared.run.id,
                "name": compared.name,
                "state": compared.summary.state,
                "verdict": compared.verdict.to_json() if compared.verdict else None,
                "seconds": compared.summary.seconds,
                "size_bytes": compared.summary.size_bytes,
                "money": compared.summary.money,
                "currency": compared.summary.currency,
            }
            for compared in comparison.runs
        ],
        "settings": [
            {"key": setting.key, "values": setting.values, "kind": setting.kind}
            for setting in comparison.settings
        ],
        "findings": [finding.render() for finding in comparison.findings],
    }
