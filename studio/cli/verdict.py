"""`studio verdict`: whether a run worked, recomputed from its folder, alone or against another run."""

import argparse
import json
import shlex
from pathlib import Path

from studio import run_comparison, runs
from studio.cli import EXIT_OK
from studio.errors import NotPossible
from studio.evaluate import predictions, verdict
from studio.evaluate.next_steps import NextStep
from studio.evaluate.predictions import Answered
from studio.evaluate.verdict import Verdict
from studio.i18n import Message, languages
from studio.runs import Run

COMPARE_ANSWERS = Message("Ask both in the Playground, or let people vote there blindly.")


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
    plan_path = judged.folder / "plan.yaml"
    if options.against:
        other = runs.find(options.against)
        result = verdict.judge_runs(_require_answers(judged), _require_answers(other))
        if run_comparison.counts_other_tokens(result.measure, judged.plan, other.plan):
            names = {"first": judged.plan.name, "second": other.plan.name}
            raise NotPossible(run_comparison.OTHER_TOKENS, COMPARE_ANSWERS, **names)
    else:
        result = verdict.judge(_require_answers(judged), runs.report(judged), judged.plan)
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=2))
    else:
        print(_format(result, plan_path, options.language))
    return EXIT_OK


def _require_answers(asked_run: Run) -> Answered | None:
    """What a run's models answered; None where nothing was. Runs of earlier studios are refused."""
    report = runs.report(asked_run)
    if not report.get("verdict") and not report.get("verdict_fault"):
        raise NotPossible(
            Message("The run “{name}” is from a studio that kept no answers to held-out rows."),
            Message("Run its plan again for a verdict."),
            name=asked_run.plan.name,
        )
    return predictions.read(asked_run.folder)


def _format(result: Verdict, plan_path: Path, language: str) -> str:
    lines = [f"{result.word.render(language)}: {result.headline.render(language)}"]
    lines += [f"  {reason.render(language)}" for reason in result.reasons]
    for step in result.next_steps:
        lines.append(f"→ {step.message.render(language)}")
        if step.plan_changes:
            lines.append(f"    {_command(step, plan_path)}")
    return "\n".join(lines)


def _command(step: NextStep, plan_path: Path) -> str:
    """The command that trains the run's plan with a step's changes."""
    changes = [f"{key}={json.dumps(value)}" for key, value in step.plan_changes.items()]
    options = [option for change in changes for option in ("--set", change)]
    return shlex.join(["studio", "train", str(plan_path), *options])
