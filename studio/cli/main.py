"""The command line: `studio` opens the page, and its commands do the same jobs without one."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from studio import __version__, processes
from studio.cli import EXIT_FAILED, EXIT_INVALID, serve
from studio.errors import BadPlan, explain
from studio.i18n import format_value, spell_number


class Command(NamedTuple):
    """One command: its name, and what it does, in a line."""

    name: str
    help: str

    @property
    def module(self) -> str:
        """The module that does it."""
        return f"studio.cli.{self.name.replace('-', '_')}"


COMMANDS = (
    Command("data", "say what a file holds, and how healthy it is"),
    Command("label", "choose the texts to label next, or go through likely wrong labels"),
    Command("choose", "ask {n_questions} questions and say which method suits, or not to train"),
    Command("train", "train a plan in the foreground"),
    Command("rehearse", "say whether the reward of an RLHF plan can teach, before it is trained"),
    Command("rate-range", "test learning rates in a few steps, before anything is trained"),
    Command("estimate", "say what a plan needs in memory, time and money, before it starts"),
    Command("baselines", "say whether training is needed at all: what needs none, measured in a minute"),
    Command("measure", "measure how fast this machine is, in under a minute"),
    Command("methods", "list the {n_methods} methods"),
    Command("bake-off", "train methods or settings in turns, drop the losers, and go on with the best"),
    Command("runs", "list all runs"),
    Command("queue", "say which runs wait and for what; move or cancel one"),
    Command("verdict", "say whether a run worked: ship, do not ship, or cannot tell yet"),
    Command("learning-curve", "say whether more data would help a run"),
    Command("report", "write the page for the meeting: one printable file"),
    Command("ask", "ask the base and the tuned model the same"),
    Command("apply", "label or answer every row of a file"),
    Command("export", "write what a run learned, with a model card"),
    Command("push", "upload a run to a private repository of the hub, with your token"),
    Command("publish", "put a run's result on the web as a Space"),
    Command("cluster", "start or stop a Ray cluster here, on which other machines' studios can train"),
    Command("space", "write the studio as a Hugging Face Space, and create it"),
    Command("doctor", "say what this machine can do"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What was typed behind `studio`; None takes it from the command line.

    Returns:
        The exit code: 0 done, 1 failed (one sentence on stderr), 2 the plan or the call is wrong.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        if "train" in arguments:
            processes.restart_with_one_heap()
    options = build_parser(arguments).parse_args(arguments)
    if options.home:
        os.environ["STUDIO_HOME"] = str(Path(options.home).expanduser().resolve())
    try:
        return int(options.run_command(options))
    except BadPlan as error:
        print(error, file=sys.stderr)
        return EXIT_INVALID
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:
        in_one_line = " ".join(explain(error).render().split())
        print(in_one_line, file=sys.stderr)
        return EXIT_FAILED


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for these arguments; only the command they name is imported, so the others cost no time."""
    parser = argparse.ArgumentParser(
        prog="studio",
        description="Fine-tune a language model without writing code. Without a command, the page opens.",
    )
    parser.add_argument("--version", action="version", version=f"studio {__version__}")
    parser.add_argument("--home", default="", help=argparse.SUPPRESS)
    serve.add_arguments(parser)
    parser.set_defaults(run_command=serve.run)

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--home",
        default=argparse.SUPPRESS,  # so that one in front of the command is not overwritten
        help="where runs, data sets and models are kept (default: STUDIO_HOME, else ~/.studio)",
    )
    asks_for_help = "-h" in arguments or "--help" in arguments
    counts = _count_words() if asks_for_help else {}
    subparsers = parser.add_subparsers(title="the same jobs without a browser", metavar="COMMAND")
    for command in COMMANDS:
        help_text = command.help.format(**counts) if asks_for_help else command.help
        subparser = subparsers.add_parser(command.name, parents=[shared], help=help_text)
        if command.name in arguments:
            module = importlib.import_module(command.module)
            module.add_arguments(subparser)
            subparser.set_defaults(run_command=module.run)
    return parser


def _count_words() -> dict[str, str]:
    """The counts in the commands' help, as words."""
    from studio import chooser, presets

    counts = {
        "n_methods": presets.spelled_method_count(),
        "n_questions": spell_number(len(chooser.QUESTIONS)),
    }
    return {name: str(format_value(count, "en")) for name, count in counts.items()}
