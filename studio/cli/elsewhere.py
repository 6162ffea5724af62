"""Leaving this machine from the terminal: the options that say where to, and the question asked before."""

import argparse
import sys
from collections.abc import Sequence

from studio.i18n import Message

ASK_START = Message("Start it there? [y/N] ")
NOT_STARTED = Message("Nothing was started, and nothing has left this machine.")
YES = ("y", "yes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the machine, and whether to ask and to keep what lies there."""
    parser.add_argument(
        "--on", default="", metavar="NAME", help="train on another machine of machines.yaml; asks first"
    )
    parser.add_argument("--yes", action="store_true", help="on another machine: start without asking first")
    parser.add_argument(
        "--keep-there",
        action="store_true",
        help="on another machine: leave data and result there afterwards",
    )


def is_agreed(lines: Sequence[Message], says_yes: bool) -> bool:
    """Whether a person agrees to what these lines say; where nobody is asked and none has, it is said.

    Args:
        lines: What leaving this machine comes to.
        says_yes: Whether the person has agreed beforehand (`--yes`).
    """
    for line in lines:
        print(line.render(), file=sys.stderr)
    if says_yes or (sys.stdin.isatty() and input(ASK_START.render()).strip().lower() in YES):
        return True
    print(NOT_STARTED.render(), file=sys.stderr)
    return False
