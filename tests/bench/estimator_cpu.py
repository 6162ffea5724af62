"""This processor's part of the estimator's bench.

Real runs of every method, estimated before and measured after.

    python tests/bench/estimator_cpu.py [--home DIR] [--again] [METHOD …]

The machine is measured first, as "Measure this machine" does. Then each method trains each embedded model it
fits at two portions and two lengths, in a worker of its own; estimate and actual are of the whole run:
libraries, reading the model, validation and saving included, fetching left out. What the runs took stays in
DIR/actual.json; `--again` estimates anew for what was measured there, which takes a minute instead of half an
hour. Quiet machines only.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from studio import presets, processes, runs
from studio.estimate import all_methods
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue, rates
from studio.methods import METHODS
from studio.plan import Data, MethodChoice, Plan, Training
from studio.storage import home

# Texts at once, tokens each; and steps of a run.
TEXT_SIZES, SORT_SIZES = ((2, 64), (2, 160), (4, 64), (4, 160)), ((8, 64), (8, 160), (16, 64), (16, 160))
STEPS, SORT_STEPS, KEPT_ASIDE = 6, 24, 8
# What is asked beside the defaults: a few steps of practice under a rule; no second training to compare with.
SETTINGS = {
    "rlhf": {"steps": 4, "reward": "length", "reward_length": 10, "max_completion_length": 16},
    "qat": {"compare": False},
}
# An answer to practise on needs room after its question and the template's own words.
SHORTEST = {"rlhf": 96, "upft": 128}
MEMORY_BAR, TIME_BAR, WORST_BAR = 0.10, 0.15, 0.25


def rows_of(task: str, count: int, folder: Path) -> tuple[Path, dict[str, str]]:
    """A file of texts longer than any length limit here, cut from the sample of support replies.

    Questions alone are short.
    """
    card = presets.samples()["support-tone"]
    with card.path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    asked, words = card.columns["prompt"], " ".join(row[card.columns["response"]] for row in found).split()

    def text(number: int, most: int) -> str:
        start = number * 37 % 2000
        return " ".join(words[start : start + most])

    kinds = {
        "chat": lambda i: {"prompt": f"{found[i % len(found)][asked]} {i}", "response": text(i, 400)},
        "prompts": lambda i: {"prompt": f"{found[i % len(found)][asked]} {i} {text(i, 12)}"},
        "classify": lambda i: {"text": f"{text(i, 400)} {i}", "label": "abcdef"[i % 6]},
    }
    rows = [kinds[task](number) for number in range(count)]
    path = folder / f"{task}-{count}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path, {name: name for name in rows[0]}


def plans(names: list[str]) -> dict[str, Plan]:
    """Every run of the bench by its key."""
    found = {}
    for model, sizes, steps in (("smollm2-135m", TEXT_SIZES, STEPS), ("minilm-l6", SORT_SIZES, SORT_STEPS)):
        sorts = model == "minilm-l6"
        for method in METHODS:
            task = "classify" if sorts else "prompts" if method.name == "upft" else "chat"
            if task not in method.tasks or (names and method.name not in names):
                continue
            for rows, tokens in ((rows, max(tokens, SHORTEST.get(method.name, 0))) for rows, tokens in sizes):
                count = rows * steps + (3 if sorts else 1) * KEPT_ASIDE
                path, columns = rows_of(task, count, home())
                found[f"{method.name} {model} {rows}x{tokens}"] = Plan(
                    name=f"{method.name} {rows}x{tokens}",
                    task=task,
                    model=model,
                    data=Data(
                        source=str(path),
                        columns=columns,
                        validation_share=KEPT_ASIDE / (rows * STEPS + KEPT_ASIDE),
                    ),
                    method=MethodChoice(name=method.name, settings=SETTINGS.get(method.name, {})),
                    training=Training(epochs=1, batch_size=rows, max_length=tokens, eval_count=1),
                )
    return found


def run(plan: Plan) -> dict[str, float]:
    """Train for real; GB at the peak, minutes without fetching, and the share of the cores' time it got."""
    made = runs.create(plan)
    command = [sys.executable, "-m", "studio.training.worker", made.id]
    subprocess.run(
        command, env=processes.child_environment(processes.WORKER), check=True, stderr=subprocess.DEVNULL
    )
    told = runs.report(made)
    points = [point for point in runs.read_points(made) if point.get("tokens_per_second")]
    return {
        "gb": told["peak_memory_gb"],
        "minutes": (told["seconds"] - told["fetch_seconds"]) / 60,
        "core_share": told["core_share"],
        "rate": statistics.median(point["tokens_per_second"] for point in points) if points else 0.0,
    }


def measured() -> None:
    """Measure this machine, unless this home knows it already."""
    place = catalogue.local_machine()
    if not rates.load_rates(place).is_measured:
        for _ in measure.measure_machine(all_methods.find_base_model("smollm2-135m").config, False, place):
            pass


def compared(names: list[str], again: bool) -> list[list[str]]:
    """One row for each run: estimate and actual of memory and time, and whether both lay in their range."""
    measured()
    place, path = catalogue.local_machine(), home() / "actual.json"
    actual = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = []
    for key, plan in plans(names).items():
        told = all_methods.estimate_chosen_method(plan, place, wait=True)
        if key not in actual and not again:
            try:
                actual[key] = run(plan)
            except subprocess.CalledProcessError:
                print(
                    f"{key}: the run ended without a result; its status.json in {home() / 'runs'} says why",
                    file=sys.stderr,
                )
                continue
            path.write_text(json.dumps(actual, indent=1), encoding="utf-8")
        if key not in actual:
            continue
        real, memory, minutes = actual[key], told.memory_gb, told.minutes
        inside = f"{'yes' if memory.contains(real['gb']) else 'NO'} / {'yes' if minutes.contains(real['minutes']) else 'NO'}"
        errors = memory.likely / real["gb"] - 1, minutes.likely / real["minutes"] - 1
        texts = (
            f"{memory.likely:.2f}",
            f"{real['gb']:.2f}",
            f"{errors[0]:+.1%}",
            f"{60 * minutes.likely:.0f}",
            f"{60 * real['minutes']:.0f}",
        )
        found.append([*key.split(" "), *texts, f"{errors[1]:+.1%}", inside])
        print("  ".join(found[-1]), file=sys.stderr, flush=True)
    return found


def report(names: list[str], again: bool) -> str:
    """The table, and the figures against the bar, as Markdown."""
    rows, own = compared(names, again), rates.load_rates(catalogue.local_machine())
    memory, time = ([abs(float(row[column][:-1]) / 100) for row in rows] for column in (5, 8))
    heads = [
        "method",
        "model",
        "texts x tokens",
        "GB estimated",
        "GB actual",
        "error",
        "s estimated",
        "s actual",
        "error",
        "in range",
    ]
    inside = [sum(row[9].split(" / ")[place] == "yes" for row in rows) for place in (0, 1)]
    return "\n".join(
        [
            f"Rates measured: {own.flop_32 / 1e9:.0f} GFLOP/s, {own.bandwidth / 1e9:.1f} GB/s, {own.operation * 1e6:.1f} µs an operation.",
            "",
            f"Memory: median {statistics.median(memory):.1%} (bar {MEMORY_BAR:.0%}), worst {max(memory):.1%}; {inside[0]} of {len(rows)} in range.",
            f"Time: median {statistics.median(time):.1%} (bar {TIME_BAR:.0%}), worst {max(time):.1%} (bar {WORST_BAR:.0%}); {inside[1]} of {len(rows)} in range.",
            "",
            f"| {' | '.join(heads)} |",
            f"|{'---|' * len(heads)}",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", default=os.environ.get("STUDIO_HOME", ""))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("methods", nargs="*")
    asked = parser.parse_args()
    if asked.home:
        os.environ["STUDIO_HOME"] = asked.home
    print(report(asked.methods, asked.again))


if __name__ == "__main__":
    main()
