"""What would make a plan fit into memory, for the terminal: each change with the arguments that make it."""

import json
import shlex

from studio.errors import StudioError
from studio.estimate import fitting_changes
from studio.estimate.machines.catalogue import Machine
from studio.plan import Plan


def format_lines(plan: Plan, machine: Machine) -> list[str]:
    """How many changes fit, and each with its estimate and its `--set`; empty where that is not known."""
    try:
        changes = fitting_changes.find_for_plan(plan, machine)
    except StudioError:  # its data are gone, which is said elsewhere
        return []
    if not changes:
        return []
    lines = [changes.summarize().render()]
    for change in changes.offered:
        options = (_format_option(key, value) for key, value in change.plan_changes.items())
        lines += [f"  {change.describe().render()}", f"    {' '.join(options)}"]
    return lines


def _format_option(key: str, value: object) -> str:
    """One change as an argument of `studio train`, as a shell reads it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--set {shlex.quote(f'{key}={text}')}"
