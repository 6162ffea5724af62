"""`studio estimate`: what a plan needs in memory, time and money, as a table in the terminal or as JSON."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from studio import methods, presets
from studio.cli import EXIT_OK, arguments, fitting_changes
from studio.errors import BadPlan, StudioError
from studio.estimate import all_methods, dataset_lengths
from studio.estimate import limits as plan_limits
from studio.estimate.all_methods import EstimateContext
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.types import MEMORY_PARTS, Estimate, Range
from studio.i18n import format_value
from studio.methods import compatibility, no_regret
from studio.plan import Plan

COLUMN_TITLES = ("method", "trains", "of all", "memory GB", "", "minutes", "", "cost", "disk MB", "fits")
COLUMN_WIDTHS = (9, 14, 8, 9, 13, 8, 14, 14, 9, 24)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan, the machine and what is printed."""
    n_methods = format_value(presets.spelled_method_count(), "en")
    arguments.add_plan(parser)
    arguments.add_machine(parser)
    parser.add_argument(
        "--all", action="store_true", help=f"all {n_methods} methods instead of the plan's own"
    )
    parser.add_argument("--json", action="store_true", help="every figure with its range, as JSON")
    arguments.add_set(parser, "training.batch_size=4")


def run(options: argparse.Namespace) -> int:
    """Estimate a plan with its own method, or with each.

    Raises:
        BadPlan: The plan or the machine's name is wrong.
        StudioError: What is wrong with the data.
    """
    plan = arguments.load_plan(options.plan, options.set)
    machine = find_machine(options.machine)
    if options.all:
        estimates = _estimate_all(plan, machine)
    else:
        estimates = {plan.method.name: all_methods.estimate_chosen_method(plan, machine, wait=True)}
    limits = _find_limits(plan, machine, estimates.get(plan.method.name))
    if options.json:
        output = _build_output(plan, machine, estimates, limits, options.all)
        print(json.dumps(output, ensure_ascii=False, indent=1))
    else:
        for line in _format_table(plan, machine, estimates, limits):
            print(line)
        if plan.method.name in estimates and estimates[plan.method.name].fits == "no":
            print(*fitting_changes.format_lines(plan, machine), sep="\n")
    return EXIT_OK


def _estimate_all(plan: Plan, machine: Machine) -> dict[str, Estimate]:
    """The estimate of each method that goes with the plan's task and model.

    What is wrong with the data goes to stderr; what needs the data is missing then.
    """
    base_model = all_methods.find_base_model(plan.model)
    try:
        lengths = dataset_lengths.measure_lengths(plan, base_model.folder, wait=True)
    except StudioError as error:
        print(error, file=sys.stderr)
        lengths = None
    own_method = methods.get(plan.method.name)
    settings = {own_method.name: own_method.resolve_settings(plan.method.settings)}
    compatible_methods = [
        method
        for method in methods.METHODS
        if not compatibility.find_incompatibility(method.name, plan.task, base_model.shape)
    ]
    context = EstimateContext(plan, machine, base_model, lengths, settings)
    if lengths and base_model.shape:
        for method in tqdm(compatible_methods, desc="tracing", leave=False, file=sys.stderr, disable=None):
            all_methods.trace_missing(context, method)
    return all_methods.estimate_all_methods(context)


def _find_limits(plan: Plan, machine: Machine, estimate: Estimate | None) -> dict[str, int]:
    """How far the plan could go with its own method before memory runs out; empty where nobody knows."""
    if not estimate or not estimate.memory_gb:
        return {}
    context = _build_context(plan, machine)
    run, lengths = context.run_of(methods.get(plan.method.name)), context.lengths
    if not lengths:
        return {}
    limits = {
        "max_length": run.workload.training.token_limit if run else 0,
        "largest_batch_size": plan_limits.max_batch_size(context),
        "longest_text_tokens": plan_limits.max_text_length(context),
        "longest_example_tokens": max(row.tokens for row in lengths.rows),
    }
    if estimate.fits == "no":
        limits["gpus_that_hold_it"] = plan_limits.min_cards(context)
    return limits


def _build_context(plan: Plan, machine: Machine) -> EstimateContext:
    """The plan with its own method's settings, and its examples as far as they were counted."""
    base_model, method = all_methods.find_base_model(plan.model), methods.get(plan.method.name)
    settings = {method.name: method.resolve_settings(plan.method.settings)}
    lengths = dataset_lengths.measure_lengths(plan, base_model.folder)
    return EstimateContext(plan, machine, base_model, lengths, settings)


def find_machine(machine_id: str) -> Machine:
    """The machine that `--machine` names, this one by default; raises BadPlan with those there are."""
    if machine_id in ("", LOCAL_ID):
        return catalogue.local_machine()
    machines = catalogue.load_machines()
    if machine_id not in machines:
        raise BadPlan(
            [f"--machine: expected {LOCAL_ID} or one of {', '.join(machines)}, but got {machine_id!r}"]
        )
    return machines[machine_id]


# As JSON.


def _build_output(
    plan: Plan,
    machine: Machine,
    estimates: Mapping[str, Estimate],
    limits: Mapping[str, int],
    include_all: bool,
) -> dict[str, dict[str, Any]]:
    """The estimates by method; with `include_all` also the methods that cannot work, with the reason."""
    output = {
        name: {**estimate_fields(estimate), "machine": machine.id} for name, estimate in estimates.items()
    }
    if plan.method.name in output:
        output[plan.method.name] |= limits
    if not include_all:
        return output
    shape = all_methods.find_base_model(plan.model).shape
    for method in methods.METHODS:
        refusal = compatibility.find_incompatibility(method.name, plan.task, shape)
        if refusal:
            output[method.name] = {
                **estimate_fields(Estimate(method.name)),
                "machine": machine.id,
                "fits": False,
                "why_not": refusal.reason.render(),
            }
    return output


def estimate_fields(estimate: Estimate) -> dict[str, Any]:
    """An estimate under the names that scripts read; None where something is not known."""
    memory, money = _range_fields(estimate.memory_gb), _range_fields(estimate.money)
    if memory:
        memory["parts"] = {name: round(size_gb, 4) for name, size_gb in estimate.parts.items()}
    return {
        "trainable_parameters": estimate.trainable,
        "total_parameters": estimate.total,
        "peak_memory_gb": memory,
        "minutes": _range_fields(estimate.minutes),
        "dollars": money if estimate.currency == "USD" else None,
        "money": {**money, "currency": estimate.currency} if money else None,
        "watt_hours": _range_fields(estimate.watt_hours),
        "disk_mb": estimate.disk_mb,
        "fits": None if estimate.fits == "unknown" else estimate.fits != "no",
        "tight": estimate.fits == "tight",
        "why_not": estimate.why_not.render() if estimate.why_not else None,
        "missing": [message.render() for message in estimate.missing],
        "from": estimate.level + (", measured rates" if estimate.is_measured else ""),
    }


def _range_fields(value: Range | None) -> dict[str, Any] | None:
    return asdict(value) if value else None


# As a table.


def _format_table(
    plan: Plan, machine: Machine, estimates: Mapping[str, Estimate], limits: Mapping[str, int]
) -> list[str]:
    lines = [f"{plan.name} on {machine.name}", _format_line(COLUMN_TITLES)]
    lines += [_format_line(_format_cells(estimate)) for estimate in estimates.values()]
    for estimate in estimates.values():
        if estimate.why_not:
            lines.append(f"{estimate.method}: {estimate.why_not.render()}")
        for message in estimate.missing:
            lines.append(f"{estimate.method}: missing: {message.render()}")
    lines += _describe_machine(plan, machine, estimates.get(plan.method.name), limits)
    if limits:
        lines.append(f"{plan.method.name}: memory allows about {_describe_limits(limits)}")
        origin = "automatic" if plan.training.max_length is None else "as set"
        lines.append(f"{plan.method.name}: an example has at most {limits['max_length']:,} tokens ({origin})")
    hints = no_regret.find_hints(plan, all_methods.find_base_model(plan.model).shape)
    return [*lines, *(f"{plan.method.name}: {hint.render()}" for hint in hints)]


def _describe_machine(
    plan: Plan, machine: Machine, estimate: Estimate | None, limits: Mapping[str, int]
) -> list[str]:
    """What several GPUs share, how many would hold what does not fit, and what comes before the training."""
    if not estimate or not estimate.memory_gb:
        return []
    lines = []
    if estimate.cards > 1:
        spread = "each holds the whole run (DDP)"
        if estimate.is_sharded:
            spread = "each holds its share of the weights (FSDP)"
        can_start = machine.can_train or machine.id == LOCAL_ID
        start = "" if can_start else "; an estimate only, the studio does not start it there"
        lines.append(f"{plan.method.name}: memory is that of each of {estimate.cards} GPUs; {spread}{start}")
    if (cards := limits.get("gpus_that_hold_it", 0)) > 1:
        lines.append(f"{plan.method.name}: {cards} of these GPUs would hold it")
    if estimate.startup_minutes:
        lines.append(
            f"{plan.method.name}: the cost includes about {estimate.startup_minutes:.0f} minutes to start the"
            f" machine and fetch {estimate.fetched_gb:.1f} GB"
        )
    return lines


def _describe_limits(limits: Mapping[str, int]) -> str:
    batch_size, max_tokens = limits["largest_batch_size"], limits["longest_text_tokens"]
    is_largest = batch_size == plan_limits.BATCH_SIZES[-1]
    batch_text = f"{batch_size} or more" if is_largest else str(batch_size)
    length_text = f"texts of up to {max_tokens:,} tokens"
    if max_tokens >= limits["longest_example_tokens"]:
        length_text += ", as long as any here"
    return f"{batch_text} examples per step, or {length_text}"


def _format_cells(estimate: Estimate) -> tuple[str, ...]:
    memory, minutes, money = estimate.memory_gb, estimate.minutes, estimate.money
    trainable, share = "?", "?"
    fits: str = estimate.fits
    if estimate.trainable is not None:
        trainable = f"{estimate.trainable:,}"
    if estimate.trainable and estimate.total:
        share = f"{estimate.trainable / estimate.total:.2%}"
    if estimate.largest_part:
        part_name = MEMORY_PARTS[estimate.largest_part].render().split(" (")[0]
        fits += f", mostly {part_name}"
    return (
        estimate.method,
        trainable,
        share,
        f"{memory.likely:.1f}" if memory else "?",
        _format_range(memory, 1),
        f"{minutes.likely:.1f}" if minutes else "?",
        _format_range(minutes, 1),
        f"{money.low:.2f}-{money.high:.2f} {estimate.currency}" if money else "no price",
        f"{estimate.disk_mb:,.0f}" if estimate.disk_mb is not None else "?",
        fits,
    )


def _format_range(value: Range | None, digits: int) -> str:
    return f"({value.low:.{digits}f}-{value.high:.{digits}f})" if value else ""


def _format_line(cells: Sequence[str]) -> str:
    """The first and the last cell to the left, those between to the right, each in its column."""
    first, *middle, last = cells
    aligned = [cell.rjust(width) for cell, width in zip(middle, COLUMN_WIDTHS[1:], strict=False)]
    return first.ljust(COLUMN_WIDTHS[0]) + "".join(aligned) + "  " + last
