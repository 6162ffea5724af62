"""Leaving this machine from the terminal: the options that say where to, and the question asked before."""

import argparse
import sys
from collections.abc import Sequence

from studio.errors import BadPlan
from studio.estimate.machines import catalogue
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


def name_machine(on: str) -> str:
    """The machine that `--on` names, as a plan has it (`where`)."""
    return "local" if on == catalogue.LOCAL_ID else on


def require_there(on: str, where: str) -> None:
    """Raise BadPlan where `--on` names another machine than the one at which something goes on."""
    if on and name_machine(on) != where:
        raise BadPlan([f"--resume goes on where it was, at {where}; leave out --on {on}"])


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
