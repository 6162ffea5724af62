"""`studio estimate` and `studio measure`: the comparison table and the measurement of this machine, in the terminal or as JSON."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from studio import methods, plan, presets
from studio.errors import BadPlan, StudioError
from studio.estimate import all_methods, dataset_lengths
from studio.estimate import limits as plan_limits
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.types import MEMORY_PARTS, Estimate, Range
from studio.methods import compatibility
from studio.plan import Plan

COLUMN_TITLES = ("method", "trains", "of all", "memory GB", "", "minutes", "", "cost", "disk MB", "fits")
COLUMN_WIDTHS = (9, 14, 8, 9, 13, 8, 14, 14, 9, 24)


def run_estimate(
    plan_name: str,
    machine_id: str = "",
    include_all: bool = False,
    as_json: bool = False,
    changes: tuple[str, ...] = (),
) -> int:
    """Estimate the plan in a file, or the recipe of this name: its own method, or `every` one. Returns the exit code.

    Raises BadPlan where the plan or the machine's name is wrong, and what is wrong with the data.
    """
    parsed_plan = plan.load(
        presets.recipes().get(plan_name, Path(plan_name)), changes, (methods.find_plan_problems,)
    )
    target_machine = find_machine(machine_id)
    rows = (
        _estimate_all(parsed_plan, target_machine)
        if include_all
        else {
            parsed_plan.method.name: all_methods.estimate_chosen_method(
                parsed_plan, target_machine, wait=True
            )
        }
    )
    limit_fields = _find_limits(parsed_plan, target_machine, rows.get(parsed_plan.method.name))
    if as_json:
        output = {
            method: {**estimate_fields(result), "machine": target_machine.id}
            for method, result in rows.items()
        }
        if parsed_plan.method.name in output:
            output[parsed_plan.method.name] |= limit_fields
        for method in methods.METHODS:
            if include_all and (
                refusal := compatibility.find_incompatibility(
                    method.name, parsed_plan.task, all_methods.find_base_model(parsed_plan.model).shape
                )
            ):
                output[method.name] = {
                    **estimate_fields(Estimate(method.name)),
                    "machine": target_machine.id,
                    "fits": False,
                    "why_not": refusal.reason.render(),
                }
        print(json.dumps(output, ensure_ascii=False, indent=1))
        return 0
    print(f"{parsed_plan.name} on {target_machine.name}")
    print(_format_line(COLUMN_TITLES))
    for result in rows.values():
        print(_format_line(_format_cells(result)))
    for result in rows.values():
        for message in (result.why_not, *result.missing):
            if message:
                print(
                    f"{result.method}: {message.render() if message is result.why_not else 'missing: ' + message.render()}"
                )
    if limit_fields:
        batch_size, text_length = limit_fields["largest_batch_size"], limit_fields["longest_text_tokens"]
        length_text = f"texts of up to {text_length:,} tokens" + (
            ", as long as any here" if text_length >= limit_fields["longest_example_tokens"] else ""
        )
        batch_text = (
            f"{batch_size} or more" if batch_size == plan_limits.BATCH_SIZES[-1] else f"up to {batch_size}"
        )
        print(f"{parsed_plan.method.name}: memory allows {batch_text} examples per step, or {length_text}")
    return 0


def _find_limits(parsed_plan: Plan, machine: Machine, result: Estimate | None) -> dict[str, int]:
    """How far the plan could go with its own method before memory runs out; empty where nobody knows."""
    if not result or not result.memory_gb:
        return {}
    base_model, method = all_methods.find_base_model(parsed_plan.model), methods.get(parsed_plan.method.name)
    settings, lengths = (
        method.resolve_settings(parsed_plan.method.settings),
        dataset_lengths.measure_lengths(parsed_plan, base_model.folder),
    )
    search_args = (parsed_plan, settings, machine, base_model, lengths, True)
    longest = max(row.tokens for row in lengths.rows)
    return {
        "largest_batch_size": plan_limits.max_batch_size(*search_args),
        "longest_text_tokens": plan_limits.max_text_length(*search_args),
        "longest_example_tokens": longest,
    }


def estimate_fields(estimate: Estimate) -> dict[str, Any]:
    """An estimate under the names that scripts read; None where something is not known."""
    ranges: dict[str, Any] = {
        name: getattr(estimate, name) and asdict(getattr(estimate, name))
        for name in ("memory_gb", "minutes", "money", "watt_hours")
    }
    memory_fields = (
        {**ranges["memory_gb"], "parts": {name: round(size, 4) for name, size in estimate.parts.items()}}
        if ranges["memory_gb"]
        else None
    )
    return {
        "trainable_parameters": estimate.trainable,
        "total_parameters": estimate.total,
        "peak_memory_gb": memory_fields,
        "minutes": ranges["minutes"],
        "dollars": ranges["money"] if estimate.currency == "USD" else None,
        "money": ranges["money"] and {**ranges["money"], "currency": estimate.currency},
        "watt_hours": ranges["watt_hours"],
        "disk_mb": estimate.disk_mb,
        "fits": None if estimate.fits == "unknown" else estimate.fits != "no",
        "tight": estimate.fits == "tight",
        "why_not": estimate.why_not.render() if estimate.why_not else None,
        "missing": [message.render() for message in estimate.missing],
        "from": estimate.level + (", measured rates" if estimate.is_measured else ""),
    }


def run_measure(model_name: str) -> int:
    """Measure this machine with a cut of a model and keep its rates; Ctrl-C calls it off. Returns the exit code."""
    base_model, machine = all_methods.find_base_model(model_name), catalogue.local_machine()
    if not base_model.shape:
        raise BadPlan(
            [
                f"model: the shape of {model_name!r} is not known here; name a model of the list, such as smollm2-135m"
            ]
        )
    with tqdm(
        total=100,
        desc="measuring",
        leave=False,
        file=sys.stderr,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}",
    ) as progress_bar:
        for share, result in measure.measure_machine(base_model.config, base_model.shape.encoder, machine):
            progress_bar.update(round(100 * share) - progress_bar.n)
            if result:
                speeds = f"{result.flop_32 / 1e9:,.0f} GFLOP/s in 32 bits, {result.bandwidth / 1e9:.1f} GB/s, {result.operation * 1e6:.1f} µs an operation"
                bf16_speed = (
                    f", {result.flop_16 / 1e12:.1f} TFLOP/s in 16 bits" if machine.kind == "card" else ""
                )
                tqdm.write(
                    f"{machine.name}: {speeds}{bf16_speed}; a worker holds {result.runtime / 1e9:.2f} GB before its model",
                    file=sys.stdout,
                )
    return 0


def _estimate_all(parsed_plan: Plan, machine: Machine) -> dict[str, Estimate]:
    base_model = all_methods.find_base_model(parsed_plan.model)
    try:
        lengths = dataset_lengths.measure_lengths(parsed_plan, base_model.folder, wait=True)
    except StudioError as error:
        print(error, file=sys.stderr)
        lengths = None
    settings = {
        parsed_plan.method.name: methods.get(parsed_plan.method.name).resolve_settings(
            parsed_plan.method.settings
        )
    }
    compatible_methods = [
        method
        for method in methods.METHODS
        if not compatibility.find_incompatibility(method.name, parsed_plan.task, base_model.shape)
    ]
    if lengths and base_model.shape:
        for method in tqdm(compatible_methods, desc="tracing", leave=False, file=sys.stderr, disable=None):
            all_methods.trace_missing(
                parsed_plan,
                method,
                settings.get(method.name, method.resolve_settings({})),
                machine,
                base_model,
                lengths,
            )
    return all_methods.estimate_all_methods(parsed_plan, machine, settings, base_model, lengths)


def find_machine(machine_id: str) -> Machine:
    """The machine that `--machine` names, this one where it names none; raises BadPlan with those there are."""
    if machine_id in ("", LOCAL_ID):
        return catalogue.local_machine()
    known_machines = catalogue.load_machines()
    if machine_id not in known_machines:
        raise BadPlan(
            [f"--machine: expected {LOCAL_ID} or one of {', '.join(known_machines)}, but got {machine_id!r}"]
        )
    return known_machines[machine_id]


def _format_cells(estimate: Estimate) -> tuple[str, ...]:
    trainable = f"{estimate.trainable:,}" if estimate.trainable is not None else "?"
    share = f"{estimate.trainable / estimate.total:.2%}" if estimate.trainable and estimate.total else "?"
    memory, minutes, money = estimate.memory_gb, estimate.minutes, estimate.money
    main_part = (
        f", mostly {MEMORY_PARTS[estimate.largest_part].render().split(' (')[0]}"
        if estimate.largest_part
        else ""
    )
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
        estimate.fits + main_part,
    )


def _format_range(value: Range | None, digits: int) -> str:
    return f"({value.low:.{digits}f}-{value.high:.{digits}f})" if value else ""


def _format_line(cells: tuple[str, ...]) -> str:
    first, *middle, last = cells
    return (
        first.ljust(COLUMN_WIDTHS[0])
        + "".join(cell.rjust(width) for cell, width in zip(middle, COLUMN_WIDTHS[1:], strict=False))
        + "  "
        + last
    )
