"""`studio verdict`: whether a run worked, recomputed from its folder, alone or against another run."""

import argparse
import json

from studio import runs
from studio.cli import EXIT_OK
from studio.errors import NotPossible
from studio.evaluate import predictions, verdict
from studio.evaluate.predictions import Answered
from studio.evaluate.verdict import Verdict
from studio.i18n import Message, languages
from studio.runs import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the run to compare it with, and the form of the output."""
    parser.add_argument("run", help="a run's id, its beginning, or `last`")
    parser.add_argument("--against", metavar="RUN", help="another run that answered the same rows")
    parser.add_argument("--json", action="store_true", help="as JSON, with every figure")
    parser.add_argument("--language", choices=languages(), default="en", help="default en")


def run(options: argparse.Namespace) -> int:
    """Print the verdict, why it is so, and what to do next."""
    judged = runs.find(options.run)
    runs.require_usable(judged)
    if options.against:
        result = verdict.judge_runs(_require_answers(judged), _require_answers(runs.find(options.against)))
    else:
        result = verdict.judge(_require_answers(judged), runs.report(judged))
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=2))
    else:
        print(_format(result, options.language))
    return EXIT_OK


def _require_answers(asked_run: Run) -> Answered | None:
    """What a run's models answered; None where nothing was. Runs of earlier studios are refused."""
    if not runs.report(asked_run).get("verdict"):
        raise NotPossible(
            Message("The run “{name}” is from a studio that kept no answers to held-out rows."),
            Message("Run its plan again for a verdict."),
            name=asked_run.plan.name,
        )
    return predictions.read(asked_run.folder)


def _format(result: Verdict, language: str) -> str:
    lines = [f"{result.word.render(language)}: {result.headline.render(language)}"]
    lines += [f"  {reason.render(language)}" for reason in result.reasons]
    lines += [f"→ {step.render(language)}" for step in result.next_steps]
    return "\n".join(lines)
