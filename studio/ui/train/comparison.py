"""Two to five runs side by side below the table of all runs: their losses, their scores, their settings."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from studio import methods, presets, run_comparison
from studio.errors import StudioError, explain
from studio.i18n import Message
from studio.plan import format_learning_rate
from studio.run_comparison import ComparedRun, RunComparison, Setting
from studio.training.stage_titles import STAGE_TITLES
from studio.ui import units
from studio.ui.components import notices
from studio.ui.components.events import read_event
from studio.ui.form import plan_form
from studio.ui.form.training_fields import CHOICES
from studio.ui.language import request_language
from studio.ui.train import curves, live_view, runs_table

# The parts of the component's script, which share one scope.
SCRIPTS = ("plots.js", "run_comparison.js")
# Settings that are always said, in this order.
MAIN_SETTINGS: dict[str, Message] = {
    "data.source": Message("Data", context="run list"),
    "method.name": Message("Method"),
    "model": Message("Base model"),
}
# Labels of the settings that no field of the page shows.
OTHER_LABELS: dict[str, Message] = {
    "task": Message("Task"),
    "data.train_share": Message("Share of the training examples that is learned from"),
    "data.test": Message("Test set of its own"),
    "training.gradient_accumulation_steps": Message("Micro batches in a step"),
}
COLUMN_LABEL = Message("Column: {role}")
# Words of assets/run_comparison.js, by the names it reads them under.
WORDS: dict[str, Message] = {
    "close": Message("Close the comparison"),
    "loss": Message(
        "Loss (lower is better). Lines: training loss; dots: validation loss. Click a name to hide its run."
    ),
    "training": Message("training loss"),
    "validation": Message("validation loss"),
    "epochs": Message("Epochs"),
    "table": Message("What they came to, and what their plans differ in"),
    "differs": Message("differs"),
}
TITLE = Message("{count} runs compared")
EQUAL_SETTINGS = Message("Equal settings ({count})")
PARTIAL_SETTINGS = Message("Settings that not all of the methods have ({count})")
LOSSES_DIFFER = Message(
    "The losses of different base models or tasks count different things: compare their shapes, not their "
    "heights."
)
RESULT, SCORE = Message("Result", context="comparison"), Message("Score (95 % interval)")
TIME, SIZE, MEMORY = Message("Time"), Message("Size"), Message("Memory, at most")
COST = Message("Cost", context="run list")
YES, NO = Message("yes", context="setting"), Message("no", context="setting")


def build() -> gr.HTML:
    """The comparison; it shows nothing until `compare_runs` has sent it runs."""
    script = "\n".join((presets.ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return gr.HTML(
        {},
        html_template='<div class="comparison-anchor"></div>',
        js_on_load=script,
        elem_id="run-comparison",
        apply_default_css=False,
    )


def compare_runs(browser_runs: object, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Compare the runs whose rows were chosen; returns the notice and the comparison."""
    lang = request_language(request)
    ids = read_event(event, "ids")
    try:
        chosen_ids = ids if isinstance(ids, list) else []
        chosen = [
            runs_table.find_own_run(run_id, browser_runs)
            for run_id in chosen_ids[: run_comparison.MAX_RUNS + 1]
        ]
        value = _describe(run_comparison.compare(chosen), lang)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), gr.skip()
    return notices.notice(""), value


def _describe(comparison: RunComparison, lang: str) -> dict[str, Any]:
    """What assets/run_comparison.js draws."""
    settings = {setting.key: setting for setting in comparison.settings}
    others = [setting for key, setting in settings.items() if key not in MAIN_SETTINGS]
    rows = [
        *_list_outcomes(comparison, lang),
        *(_describe_setting(settings[key], comparison, lang) for key in MAIN_SETTINGS),
        *(_describe_setting(setting, comparison, lang) for setting in others if setting.kind == "different"),
    ]
    words = {name: message.render(lang) for name, message in WORDS.items()}
    return {
        "names": [compared.name for compared in comparison.runs],
        "words": {**words, "title": TITLE.render(lang, count=len(comparison.runs))},
        "plotly": live_view.PLOTLY_ADDRESS,
        "charts": list(_list_charts(comparison, lang)),
        "caution": "" if comparison.has_comparable_losses else LOSSES_DIFFER.render(lang),
        "findings": [finding.render(lang) for finding in comparison.findings],
        "rows": rows,
        "folded": list(_fold(others, comparison, lang)),
    }


def _list_outcomes(comparison: RunComparison, lang: str) -> Iterator[dict[str, Any]]:
    """What the runs came to, a row for each figure that at least one of them has."""
    figures: dict[Message, Callable[[ComparedRun], str]] = {
        RESULT: lambda compared: runs_table.describe_state(compared.summary, lang),
        SCORE: lambda compared: compared.score.render(lang) if compared.score else "",
        TIME: lambda compared: runs_table.format_seconds(compared.summary.seconds, lang),
        MEMORY: _format_memory,
        SIZE: lambda compared: units.format_mb(compared.summary.size_bytes / 1e6),
        COST: lambda compared: runs_table.format_cost(compared.summary),
    }
    for label, describe in figures.items():
        cells = [describe(compared) for compared in comparison.runs]
        if any(cells):
            yield {"label": label.render(lang), "cells": cells, "differs": False}


def _format_memory(compared: ComparedRun) -> str:
    memory_gb = compared.report.get("peak_memory_gb")
    return units.format_gb(memory_gb) if memory_gb else ""


def _fold(others: list[Setting], comparison: RunComparison, lang: str) -> Iterator[dict[str, Any]]:
    """The settings that are closed by default, in groups."""
    for kind, title in (("partial", PARTIAL_SETTINGS), ("equal", EQUAL_SETTINGS)):
        settings = [setting for setting in others if setting.kind == kind]
        if settings:
            rows = [_describe_setting(setting, comparison, lang) for setting in settings]
            yield {"title": title.render(lang, count=len(settings)), "rows": rows}


def _describe_setting(setting: Setting, comparison: RunComparison, lang: str) -> dict[str, Any]:
    return {
        "label": _find_label(setting.key, comparison, lang),
        "cells": [_format_value(setting.key, value, lang) for value in setting.values],
        "differs": setting.kind == "different",
    }


def _find_label(key: str, comparison: RunComparison, lang: str) -> str:
    """What the page calls a setting; its name in a plan where no field shows it."""
    name = key.rpartition(".")[2]
    known_methods = {method.name for method in methods.METHODS}
    labels: dict[str, Message] = {}
    for compared in comparison.runs:
        if compared.plan.method.name in known_methods:
            labels |= plan_form.field_labels(compared.plan.method.name)
    if key.startswith("data.columns.") and key in labels:
        return COLUMN_LABEL.render(lang, role=labels[key])
    label = MAIN_SETTINGS.get(key) or OTHER_LABELS.get(key) or labels.get(key) or labels.get(name)
    return label.render(lang) if label else name


def _format_value(key: str, value: Any, lang: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return (YES if value else NO).render(lang)
    if isinstance(value, float):
        return format_learning_rate(value)
    return _format_text(key, str(value), lang)


def _format_text(key: str, text: str, lang: str) -> str:
    """A text value as the page shows it: by the name of what it stands for."""
    if key == "method.name":
        card = presets.methods().get(text)
        return card.name.render(lang) if card else text
    if key == "model":
        model = presets.models().get(text)
        return model.name if model else text
    if key in run_comparison.DATA_REPORTS:
        return runs_table.data_name(text)
    choices: Mapping[str, Message] = CHOICES.get(key.removeprefix("training."), {})
    return choices[text].render(lang) if text in choices else text


def _list_charts(comparison: RunComparison, lang: str) -> Iterator[dict[str, Any]]:
    """A chart of the losses for each stage that a run goes through; of a single stage without a title."""
    points_of_runs = [curves.thin(run_comparison.read_losses(compared.run)) for compared in comparison.runs]
    measured_stages = {stage for points in points_of_runs for stage, _, _ in points}
    stages = [stage for stage in STAGE_TITLES if stage in measured_stages]
    for stage in stages:
        lines = [
            _build_curve(run, name, [point for point in points if point[0] == stage])
            for run, points in enumerate(points_of_runs)
            for name in run_comparison.LOSSES
        ]
        title = STAGE_TITLES[stage].render(lang) if len(stages) > 1 else ""
        yield {"title": title, "curves": [line for line in lines if line["x"]]}


def _build_curve(run: int, name: str, points: list[list[Any]]) -> dict[str, Any]:
    """One line of a chart: which run's, whether of validation, and its points."""
    measured = [(epoch, losses[name]) for _, epoch, losses in points if name in losses]
    return {
        "run": run,
        "check": name == "eval_loss",
        "x": [epoch for epoch, _ in measured],
        "y": [loss for _, loss in measured],
    }
