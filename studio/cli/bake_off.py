"""`studio bake-off`: methods or settings train in turns on the same split, and the best one goes on.

On another machine (`--on`) all of them train to their end, as many at once as it has room for.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import yaml

from studio import launchers, methods, presets, runs
from studio.cli import EXIT_FAILED, EXIT_OK, arguments, elsewhere
from studio.cli.columns import align
from studio.errors import BadPlan
from studio.launchers import bake_off as elsewhere_bake_off
from studio.launchers import consent
from studio.plan import Plan
from studio.training import variations
from studio.training.bake_off import conductor, record, summary
from studio.training.bake_off.record import BakeOff, Contender
from studio.training.bake_off.summary import OUTCOMES, Row, Summary

DEFAULT_MINUTES = 30.0
HEADERS = ("contender", "outcome", "validation rows", "trained", "minutes", "GB", "MB", "cost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan, its contenders, and how long all of it may take."""
    arguments.add_plan(parser, optional=True)
    parser.add_argument(
        "--try",
        dest="contenders",
        action="append",
        default=[],
        metavar="METHOD[,KEY=VALUE…]",
        help="a method, and what its plan changes, such as lora,method.settings.rank=4; two to five of them",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=DEFAULT_MINUTES,
        help=f"the most all of it takes ({DEFAULT_MINUTES:g})",
    )
    parser.add_argument("--resume", default="", metavar="ID", help="go on with one that was stopped")
    elsewhere.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    arguments.add_set(parser, "training.epochs=2")


def run(options: argparse.Namespace) -> int:
    """Conduct a bake-off in the foreground; Ctrl-C stops it, and --resume goes on.

    Raises:
        BadPlan: The plan or a contender is wrong, or one that goes on is to go on elsewhere.
        NotPossible: These plans cannot be compared, or one of them cannot train here.
        StudioError: The machine of `--on` cannot be reached, or refuses this person.
    """
    if bool(options.plan) == bool(options.resume):
        raise BadPlan(["name either a plan (with --try METHOD) or --resume ID"])
    bake_off = _resume(options) if options.resume else _create(options)
    if not bake_off:
        return EXIT_FAILED
    conductor.require_startable(bake_off)
    print(f"bake-off {bake_off.id}", file=sys.stderr)
    bake_off.stop_file.unlink(missing_ok=True)
    try:
        bake_off = conductor.conduct(bake_off, on_progress=_print_turn)
    except KeyboardInterrupt:
        bake_off = conductor.stop(record.get(bake_off.id))
    result = summary.summarize(bake_off)
    print(json.dumps(result.to_json(), indent=1, ensure_ascii=False) if options.json else _format(result))
    return EXIT_OK if bake_off.state == "done" else EXIT_FAILED


def _create(options: argparse.Namespace) -> BakeOff | None:
    """The bake-off that was asked for; None where nobody agrees that it leaves this machine."""
    changes = tuple(options.set)
    if options.on:
        changes += (f"where={elsewhere.name_machine(options.on)}",)
    plan = arguments.load_plan(options.plan, changes)
    named_plans = [_read_contender(plan, text) for text in options.contenders]
    if not plan.is_local:
        return _agree(named_plans, plan.where, options)
    return conductor.create(named_plans, options.minutes)


def _resume(options: argparse.Namespace) -> BakeOff | None:
    """The bake-off that goes on; None where nobody agrees that its runs leave this machine again."""
    bake_off = record.find(options.resume)
    elsewhere.require_there(options.on, bake_off.where)
    if bake_off.is_local:
        return bake_off
    machine = consent.current_machine(launchers.find_machine(bake_off.where))
    agreement = elsewhere_bake_off.describe_again(bake_off, machine, options.keep_there)
    if agreement:
        if not elsewhere.is_agreed(agreement.lines, options.yes):
            return None
        elsewhere_bake_off.record_agreement(agreement, options.keep_there)
    return bake_off


def _agree(
    named_plans: Sequence[tuple[str, Plan]], machine_id: str, options: argparse.Namespace
) -> BakeOff | None:
    machine = consent.current_machine(launchers.find_machine(machine_id))
    agreement = elsewhere_bake_off.describe(named_plans, options.minutes, machine, options.keep_there)
    if not elsewhere.is_agreed(agreement.lines, options.yes):
        return None
    return elsewhere_bake_off.create(agreement, options.keep_there)


def _read_contender(plan: Plan, text: str) -> tuple[str, Plan]:
    """The name and the plan of a contender as it was typed: METHOD[,KEY=VALUE…]."""
    method, *changes = text.split(",")
    values = dict(_read_change(change) for change in changes)
    title = presets.methods()[methods.get(method).name].name.render()
    name = " · ".join((title, *changes))
    if method != plan.method.name:
        values = {"method": {"name": method, "settings": {}}, "training.learning_rate": None, **values}
    return name, variations.vary(plan, {"name": f"{plan.name[:60]} · {name}"[:120], **values})


def _read_change(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator:
        raise BadPlan([f"--try: expected KEY=VALUE behind the method, but got {text}"])
    return key, yaml.safe_load(value)


def _print_turn(bake_off: BakeOff, contender: Contender) -> None:
    minutes = f"{bake_off.minutes:.1f} of {bake_off.cap_minutes:g} min"
    what = f"trains on from {contender.share:.0%}"
    if not bake_off.is_local and contender.run:
        what = runs.status(contender.run).state
    print(f"{minutes}: {contender.name} {what}", file=sys.stderr, flush=True)


def _format(result: Summary) -> str:
    rows = [HEADERS, *(_format_row(result, row) for row in result.rows)]
    return "\n".join([*align(rows), *(message.render() for message in result.recommend())])


def _format_row(result: Summary, row: Row) -> tuple[str, ...]:
    contender, score = row.contender, result.format_score(row)
    reason = contender.reason or OUTCOMES[contender.outcome]
    return (
        contender.name,
        reason.render(),
        score.render() if score else "",
        f"{contender.share:.0%}",
        f"{contender.minutes:.1f}",
        f"{row.memory_gb:.1f}",
        f"{row.size_mb:.0f}",
        "" if row.cost is None else f"{row.cost:.2f}",
    )
