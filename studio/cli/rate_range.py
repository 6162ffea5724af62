"""`studio rate-range`: a short test of learning rates, before anything is trained."""

import argparse
import json
import sys

from tqdm import tqdm

from studio.cli import EXIT_OK, arguments
from studio.evaluate.rate_range import RateRange
from studio.plan import Plan, format_learning_rate
from studio.training import rate_range


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan, its changes, and what is done."""
    arguments.add_plan(parser)
    arguments.add_set(parser, "training.batch_size=8")
    parser.add_argument("--dry-run", action="store_true", help="say what it takes, and train nothing")
    parser.add_argument("--json", action="store_true", help="every figure, as JSON")


def run(options: argparse.Namespace) -> int:
    """Say what the test takes, then print the loss at each learning rate and what it advises.

    Raises:
        BadPlan: The plan is wrong.
        StudioError: The method has no single learning rate, or data or model cannot be used.
    """
    plan = arguments.load_plan(options.plan, options.set)
    rate_range.require_possible(plan)
    minutes = rate_range.estimate_minutes(plan)
    time = f"estimated {minutes[0]:.1f} to {minutes[1]:.1f} min" if minutes else "time unknown"
    print(f"{rate_range.N_STEPS} steps; {time}", file=sys.stderr)
    if options.dry_run:
        return EXIT_OK
    tested = _measure(plan)
    if options.json:
        print(json.dumps(tested.to_json(), indent=1))
        return EXIT_OK
    for rate, loss in zip(tested.rates, tested.losses, strict=True):
        print(f"{format_learning_rate(rate):>10}  {loss:.4f}")
    print("\n".join(sentence.render() for sentence in tested.describe()))
    return EXIT_OK


def _measure(plan: Plan) -> RateRange:
    """The test, with a bar of its steps on stderr."""
    with tqdm(total=rate_range.N_STEPS, file=sys.stderr, unit="step", leave=False) as bar:
        for progress in rate_range.measure(plan):
            if isinstance(progress, RateRange):
                return progress
            bar.n = progress.done
            bar.refresh()
    raise AssertionError("the range test ended without a result")
