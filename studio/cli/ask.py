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
    with ModelSession(runs.find(options.run)) as session:
        answer = deque(session.ask(question), maxlen=1).pop()
        for error in answer.errors.values():
            print(error.render(), file=sys.stderr)
            return EXIT_FAILED
        for side in SIDES:
            badge = getattr(session.self_test, side)
            text = getattr(answer, side) or _format_probabilities(answer.scores.get(side, {}))
            print(f"{side} ({badge.name}, weights {badge.checksum})\n{text.strip()}\n")
    return EXIT_OK


def _format_probabilities(probabilities: Mapping[str, float]) -> str:
    """The classes, the likeliest first."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in ranked)
