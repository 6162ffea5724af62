"""`studio baselines`: whether training is needed at all: what needs none, on a plan's held-out rows."""

import argparse
import json
import sys
from typing import Any

from tqdm import tqdm

from studio.cli import EXIT_OK, arguments
from studio.evaluate.baselines import MEASURES, Baselines
from studio.i18n import languages
from studio.plan import Plan
from studio.training.baselines import client

# Columns for the score and for the cost behind it.
SCORE_WIDTH = 22


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan, and the form of the output."""
    arguments.add_plan(parser)
    parser.add_argument("--again", action="store_true", help="measure again what was measured before")
    parser.add_argument("--json", action="store_true", help="as JSON, with every figure and the prompt")
    parser.add_argument("--language", choices=languages(), default="en", help="default en")
    arguments.add_set(parser, "model=smollm2-135m")


def run(options: argparse.Namespace) -> int:
    """Measure a plan's baselines, or say what was measured before.

    Raises:
        BadPlan: The plan is wrong.
        StudioError: The data or the model cannot be used, or no right answer is known.
    """
    plan = arguments.load_plan(options.plan, options.set)
    measured = _measure(plan, options.again, options.language)
    if options.json:
        print(json.dumps(_to_output(measured), ensure_ascii=False, indent=2))
    else:
        print(_format(measured, options.language))
    return EXIT_OK


def _measure(plan: Plan, again: bool, lang: str) -> Baselines:
    """What is measured, with its progress on stderr."""
    with tqdm(total=100, leave=False, file=sys.stderr, disable=None, bar_format="{desc} {bar}") as bar:
        for step in client.measure(plan, again):
            if isinstance(step, Baselines):
                return step
            bar.set_description(client.STAGE_LABELS[step.stage].render(lang))
            bar.n = round(100 * step.share)
            bar.refresh()
    raise AssertionError("the measurement ends with a result or an error")


def _to_output(measured: Baselines) -> dict[str, Any]:
    return {**measured.to_json(), "best": measured.best.name, "is_enough": measured.is_enough}


def _format(measured: Baselines, lang: str) -> str:
    titles = [entry.title.render(lang) for entry in measured.entries]
    width = max(map(len, titles)) + 2
    lines = [f"{MEASURES[measured.measure].render(lang)}:"]
    for title, entry in zip(titles, measured.entries, strict=True):
        score = measured.format_score(entry).ljust(SCORE_WIDTH)
        lines.append(f"  {title.ljust(width)}{score}{entry.cost.render(lang)}")
    lines += [message.render(lang) for message in measured.describe()]
    return "\n".join(lines)
