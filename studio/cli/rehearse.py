"""`studio rehearse`: whether a plan's reward can teach, before anything is trained with it."""

import argparse
import json
import sys

from tqdm import tqdm

from studio.cli import EXIT_FAILED, EXIT_OK, arguments
from studio.methods.rlhf_stages.rehearsal import N_ANSWERS, Rehearsal
from studio.plan import Plan
from studio.training import rehearsal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan, its changes, and the form of the output."""
    arguments.add_plan(parser)
    arguments.add_set(parser, "method.settings.reward=json")
    parser.add_argument("--json", action="store_true", help="every figure, as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the verdict and the evidence. Returns 1 where the reward cannot teach or can be tricked.

    Raises:
        BadPlan: The plan is wrong.
        StudioError: It has no reward, or the base model could not answer.
    """
    plan = arguments.load_plan(options.plan, options.set)
    result = _rehearse(plan)
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    else:
        print("\n".join(sentence.render() for sentence in result.describe()))
    return EXIT_OK if result.verdict == "can" else EXIT_FAILED


def _rehearse(plan: Plan) -> Rehearsal:
    """The rehearsal, with a bar of the answers written so far on stderr."""
    with tqdm(total=N_ANSWERS, file=sys.stderr, unit="answer", leave=False) as bar:
        for step in rehearsal.rehearse(plan):
            if isinstance(step, Rehearsal):
                return step
            bar.total, bar.n = step.total or N_ANSWERS, step.done
            bar.refresh()
    raise AssertionError("the rehearsal ended without a result")
