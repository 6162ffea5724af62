"""`studio ask`: the same question to the base and the tuned model of a run."""

import argparse
import sys
from collections import deque
from collections.abc import Mapping

from studio import runs
from studio.cli import EXIT_FAILED, EXIT_OK
from studio.playground.session import SIDES, ModelSession, Question


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the question and how it is answered."""
    parser.add_argument("run", help="a run's id, its beginning, or `last`")
    parser.add_argument("prompt")
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="0 = always the likeliest word (default)"
    )
    parser.add_argument("--length", type=int, default=120, help="longest answer in tokens (default 120)")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    """Print both answers, each with the checksum of the weights that gave it; a refusal goes to stderr."""
    question = Question(options.prompt, options.temperature, options.length, options.seed)
    asked_run = runs.find(options.run)
    with ModelSession(asked_run) as session:
        answer = deque(session.ask(question), maxlen=1).pop()
        problem_type = runs.report(asked_run).get("problem_type")
        for error in answer.errors.values():
            print(error.render(), file=sys.stderr)
            return EXIT_FAILED
        for side in SIDES:
            badge = getattr(session.self_test, side)
            text = getattr(answer, side) or _format_scores(answer.scores.get(side, {}), problem_type)
            print(f"{side} ({badge.name}, weights {badge.checksum})\n{text.strip()}\n")
    return EXIT_OK


def _format_scores(scores: Mapping[str, float], problem_type: str | None) -> str:
    """The labels, the likeliest first; of a model that gives a number, that number."""
    if problem_type == "regression":
        return ", ".join(f"{number:.2f}" for number in scores.values())
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in ranked)
