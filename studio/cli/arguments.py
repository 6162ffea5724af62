"""Arguments that several commands share."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.plan import Plan


def add_plan(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add the plan; where it is optional it may be missing, and is empty then."""
    help_text = "a plan file (YAML), or the name of a recipe"
    if optional:
        parser.add_argument("plan", nargs="?", default="", help=help_text)
    else:
        parser.add_argument("plan", help=help_text)


def add_set(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--set KEY=VALUE`, which may be repeated."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change one key, such as {example}",
    )


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add `--machine`."""
    parser.add_argument(
        "--machine", default="", help="a machine of presets/machines.yaml (default: this one)"
    )


def plan_path(name: str) -> Path:
    """The file of a recipe of this name, else the file of this name."""
    from studio import presets

    return presets.recipes().get(name, Path(name))


def load_plan(name: str, changes: Iterable[str] = ()) -> "Plan":
    """The plan in a file, or the recipe of this name, with `KEY=VALUE` changes applied.

    Raises:
        BadPlan: With every problem of the plan, also of its method's settings.
    """
    from studio import methods, plan

    return plan.load(plan_path(name), tuple(changes), (methods.find_plan_problems,))


def list_names(names: Sequence[str]) -> str:
    """Names as a person lists them: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
