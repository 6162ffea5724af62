"""`studio estimate` and `studio measure`: the comparison table and the measurement of this machine, in the terminal or as JSON."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from studio import methods, plan, presets
from studio.errors import BadPlan, StudioError
from studio.estimate import load, machines, measure, solve, table
from studio.estimate.figures import PARTS, Estimate, Range
from studio.estimate.machines import HERE, Place
from studio.methods import fits
from studio.plan import Plan

HEADS = ("method", "trains", "of all", "memory GB", "", "minutes", "", "cost", "disk MB", "fits")
WIDTHS = (9, 14, 8, 9, 13, 8, 14, 14, 9, 24)


def estimate(name: str, machine: str = "", every: bool = False, as_json: bool = False, changes: tuple[str, ...] = ()) -> int:
    """Estimate the plan in a file, or the recipe of this name: its own method, or `every` one. Returns the exit code.

    Raises BadPlan where the plan or the machine's name is wrong, and what is wrong with the data.
    """
    found = plan.read(presets.recipes().get(name, Path(name)), changes, (methods.problems,))
    place = named(machine)
    rows = _all(found, place) if every else {found.method.name: table.chosen(found, place, wait=True)}
    reach = _reach(found, place, rows.get(found.method.name))
    if as_json:
        told = {method: {**in_fields(one), "machine": place.id} for method, one in rows.items()}
        if found.method.name in told:
            told[found.method.name] |= reach
        for method in methods.METHODS:
            if every and (refused := fits.refusal(method.name, found.task, table.base(found.model).shape)):
                told[method.name] = {**in_fields(Estimate(method.name)), "machine": place.id, "fits": False, "why_not": refused.why.en}
        print(json.dumps(told, ensure_ascii=False, indent=1))  # noqa: T201
        return 0
    print(f"{found.name} on {place.name}")  # noqa: T201
    print(_line(HEADS))  # noqa: T201
    for one in rows.values():
        print(_line(_cells(one)))  # noqa: T201
    for one in rows.values():
        for said in (one.why_not, *one.missing):
            if said:
                print(f"{one.method}: {said.say() if said is one.why_not else 'missing: ' + said.say()}")  # noqa: T201
    if reach:
        batch, length = reach["largest_batch_size"], reach["longest_text_tokens"]
        texts = f"texts of up to {length:,} tokens" + (", as long as any here" if length >= reach["longest_example_tokens"] else "")
        many = f"{batch} or more" if batch == solve.BATCHES[-1] else f"up to {batch}"
        print(f"{found.method.name}: memory allows {many} examples per step, or {texts}")  # noqa: T201
    return 0


def _reach(found: Plan, place: Place, one: Estimate | None) -> dict[str, int]:
    """How far the plan could go with its own method before memory runs out; empty where nobody knows."""
    if not one or not one.memory_gb:
        return {}
    base, method = table.base(found.model), methods.get(found.method.name)
    settings, lengths = method.settle(found.method.settings), load.lengths(found, base.folder)
    given = (found, settings, place, base, lengths, True)
    longest = max(row.tokens for row in lengths.rows)
    return {"largest_batch_size": solve.batch(*given), "longest_text_tokens": solve.length(*given), "longest_example_tokens": longest}


def in_fields(one: Estimate) -> dict[str, Any]:
    """An estimate under the names that scripts read; None where something is not known."""
    span: dict[str, Any] = {
        name: getattr(one, name) and asdict(getattr(one, name)) for name in ("memory_gb", "minutes", "money", "watt_hours")
    }
    memory = {**span["memory_gb"], "parts": {name: round(size, 4) for name, size in one.parts.items()}} if span["memory_gb"] else None
    return {
        "trainable_parameters": one.trainable,
        "total_parameters": one.total,
        "peak_memory_gb": memory,
        "minutes": span["minutes"],
        "dollars": span["money"] if one.currency == "USD" else None,
        "money": span["money"] and {**span["money"], "currency": one.currency},
        "watt_hours": span["watt_hours"],
        "disk_mb": one.disk_mb,
        "fits": None if one.fits == "unknown" else one.fits != "no",
        "tight": one.fits == "tight",
        "why_not": one.why_not.en if one.why_not else None,
        "missing": [said.en for said in one.missing],
        "from": one.level + (", measured rates" if one.measured else ""),
    }


def measured(model: str) -> int:
    """Measure this machine with a cut of a model and keep its rates; Ctrl-C calls it off. Returns the exit code."""
    found, place = table.base(model), machines.here()
    if not found.shape:
        raise BadPlan([f"model: the shape of {model!r} is not known here; name a model of the list, such as smollm2-135m"])
    with tqdm(total=100, desc="measuring", leave=False, file=sys.stderr, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}") as bar:
        for share, result in measure.measure(found.config, found.shape.encoder, place):
            bar.update(round(100 * share) - bar.n)
            if result:
                told = f"{result.flop_32 / 1e9:,.0f} GFLOP/s in 32 bits, {result.bandwidth / 1e9:.1f} GB/s, {result.operation * 1e6:.1f} µs an operation"
                more = f", {result.flop_16 / 1e12:.1f} TFLOP/s in 16 bits" if place.kind == "card" else ""
                tqdm.write(f"{place.name}: {told}{more}; a worker holds {result.runtime / 1e9:.2f} GB before its model", file=sys.stdout)
    return 0


def _all(found: Plan, place: Place) -> dict[str, Estimate]:
    base = table.base(found.model)
    try:
        lengths = load.lengths(found, base.folder, wait=True)
    except StudioError as error:
        print(error, file=sys.stderr)  # noqa: T201
        lengths = None
    settings = {found.method.name: methods.get(found.method.name).settle(found.method.settings)}
    able = [method for method in methods.METHODS if not fits.refusal(method.name, found.task, base.shape)]
    if lengths and base.shape:
        for method in tqdm(able, desc="tracing", leave=False, file=sys.stderr, disable=None):
            table.sharpen(found, method, settings.get(method.name, method.settle({})), place, base, lengths)
    return table.estimates(found, place, settings, base, lengths)


def named(name: str) -> Place:
    """The machine that `--machine` names, this one where it names none; raises BadPlan with those there are."""
    if name in ("", HERE):
        return machines.here()
    known = machines.places()
    if name not in known:
        raise BadPlan([f"--machine: expected {HERE} or one of {', '.join(known)}, but got {name!r}"])
    return known[name]


def _cells(one: Estimate) -> tuple[str, ...]:
    trained = f"{one.trainable:,}" if one.trainable is not None else "?"
    share = f"{one.trainable / one.total:.2%}" if one.trainable and one.total else "?"
    memory, minutes, money = one.memory_gb, one.minutes, one.money
    why = f", mostly {PARTS[one.largest].en.split(' (')[0]}" if one.largest else ""
    return (
        one.method,
        trained,
        share,
        f"{memory.likely:.1f}" if memory else "?",
        _span(memory, 1),
        f"{minutes.likely:.1f}" if minutes else "?",
        _span(minutes, 1),
        f"{money.low:.2f}-{money.high:.2f} {one.currency}" if money else "no price",
        f"{one.disk_mb:,.0f}" if one.disk_mb is not None else "?",
        one.fits + why,
    )


def _span(value: Range | None, digits: int) -> str:
    return f"({value.low:.{digits}f}-{value.high:.{digits}f})" if value else ""


def _line(cells: tuple[str, ...]) -> str:
    first, *rest, last = cells
    return first.ljust(WIDTHS[0]) + "".join(cell.rjust(width) for cell, width in zip(rest, WIDTHS[1:], strict=False)) + "  " + last
