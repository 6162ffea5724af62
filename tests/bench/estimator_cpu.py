"""This CPU's part of the estimator's bench: real runs of every method, estimated before and measured after.

    python tests/bench/estimator_cpu.py [--home DIR] [--again] [METHOD …] [MODEL …]

The machine is measured first, as "Measure this machine" does. Then each method trains each embedded model it
fits with two batch sizes and two lengths, in a worker of its own; estimate and actual are of the entire run:
libraries, reading the model, validation and saving included, fetching excluded. What the runs took stays in
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
from studio.estimate.types import Estimate
from studio.methods import METHODS
from studio.plan import Data, MethodChoice, Plan, Training
from studio.storage import home

CHAT_MODEL, CLASSIFY_MODEL = "smollm2-135m", "minilm-l6"
# Texts at once, tokens of each; and steps of a run.
CHAT_SIZES = ((2, 64), (2, 160), (4, 64), (4, 160))
CLASSIFY_SIZES = ((8, 64), (8, 160), (16, 64), (16, 160))
CHAT_STEPS, CLASSIFY_STEPS, N_VALIDATION = 6, 24, 8
# Settings beside the defaults: a few steps of RLHF with a rule; no second training to compare with.
SETTINGS = {
    "rlhf": {"steps": 4, "reward": "length", "reward_length": 10, "max_completion_length": 16},
    "qat": {"compare": False},
}
# A completion to practise on needs tokens after its prompt and the template's own words.
MIN_TOKENS = {"rlhf": 96, "upft": 128}
MEMORY_LIMIT, WORST_MEMORY_LIMIT, TIME_LIMIT = 0.05, 0.10, 0.10
COLUMNS = (
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
)
MEMORY_ERROR_COLUMN, TIME_ERROR_COLUMN, IN_RANGE_COLUMN = 5, 8, 9


def write_rows(task: str, count: int, folder: Path) -> tuple[Path, dict[str, str]]:
    """A file of texts longer than any length limit here, cut from the sample of support replies.

    Prompts alone are short.
    """
    card = presets.samples()["support-tone"]
    with card.path.open(encoding="utf-8", newline="") as file:
        sample = list(csv.DictReader(file))
    prompts = [row[card.columns["prompt"]] for row in sample]
    words = " ".join(row[card.columns["response"]] for row in sample).split()

    def cut_text(index: int, n_words: int) -> str:
        start = index * 37 % 2000
        return " ".join(words[start : start + n_words])

    def build_row(index: int) -> dict[str, str]:
        prompt = prompts[index % len(prompts)]
        if task == "chat":
            return {"prompt": f"{prompt} {index}", "response": cut_text(index, 400)}
        if task == "prompts":
            return {"prompt": f"{prompt} {index} {cut_text(index, 12)}"}
        return {"text": f"{cut_text(index, 400)} {index}", "label": "abcdef"[index % 6]}

    rows = [build_row(index) for index in range(count)]
    path = folder / f"{task}-{count}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path, {name: name for name in rows[0]}


def build_plans(names: list[str]) -> dict[str, Plan]:
    """The runs of the named methods and models, or all, by their keys: "method model texts x tokens"."""
    plans = {}
    chosen_methods = [method for method in METHODS if method.name in names] or METHODS
    chosen_models = [model for model in (CHAT_MODEL, CLASSIFY_MODEL) if model in names]
    for method in chosen_methods:
        for rows, tokens in CHAT_SIZES:
            task = "prompts" if method.name == "upft" else "chat"
            n_rows = rows * CHAT_STEPS + N_VALIDATION
            tokens = max(tokens, MIN_TOKENS.get(method.name, 0))
            key = f"{method.name} {CHAT_MODEL} {rows}x{tokens}"
            plans[key] = build_plan(method.name, task, n_rows, rows, tokens)
    for method in chosen_methods:
        if "classify" not in method.tasks:
            continue
        for rows, tokens in CLASSIFY_SIZES:
            n_rows = rows * CLASSIFY_STEPS + 3 * N_VALIDATION
            key = f"{method.name} {CLASSIFY_MODEL} {rows}x{tokens}"
            plans[key] = build_plan(method.name, "classify", n_rows, rows, tokens)
    return {key: plan for key, plan in plans.items() if not chosen_models or plan.model in chosen_models}


def build_plan(method_name: str, task: str, n_rows: int, batch_size: int, max_length: int) -> Plan:
    path, columns = write_rows(task, n_rows, home())
    validation_share = N_VALIDATION / (batch_size * CHAT_STEPS + N_VALIDATION)
    return Plan(
        name=f"{method_name} {batch_size}x{max_length}",
        task=task,
        model=CLASSIFY_MODEL if task == "classify" else CHAT_MODEL,
        data=Data(source=str(path), columns=columns, validation_share=validation_share),
        method=MethodChoice(name=method_name, settings=SETTINGS.get(method_name, {})),
        training=Training(epochs=1, batch_size=batch_size, max_length=max_length, eval_count=1),
    )


def train(plan: Plan) -> dict[str, float]:
    """Train for real; GB at the peak, minutes without fetching, and the share of the cores' time it got."""
    run = runs.create(plan)
    environment = processes.child_environment(processes.WORKER)
    command = [sys.executable, "-m", "studio.training.worker", run.id]
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
    report = runs.report(run)
    speeds = [point["tokens_per_second"] for point in runs.read_points(run) if point.get("tokens_per_second")]
    return {
        "gb": report["peak_memory_gb"],
        "minutes": (report["seconds"] - report["fetch_seconds"]) / 60,
        "core_share": report["core_share"],
        "rate": statistics.median(speeds) if speeds else 0.0,
    }


def measure_local_machine() -> None:
    """Measure this machine, unless this home knows it already."""
    machine = catalogue.local_machine()
    if not rates.load_rates(machine).is_measured:
        config = all_methods.find_base_model(CHAT_MODEL).config
        for _ in measure.measure_machine(config, False, machine):
            pass


def compare_runs(names: list[str], again: bool) -> list[list[str]]:
    """One row for each run: estimate and actual of memory and time, and whether they lay in their range."""
    measure_local_machine()
    machine, path = catalogue.local_machine(), home() / "actual.json"
    actual_by_key = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows = []
    for key, plan in build_plans(names).items():
        estimate = all_methods.estimate_chosen_method(plan, machine, wait=True)
        if key not in actual_by_key and not again:
            try:
                actual_by_key[key] = train(plan)
            except subprocess.CalledProcessError:
                status = f"its status.json in {home() / 'runs'} says why"
                print(f"{key}: the run ended without a result; {status}", file=sys.stderr)
                continue
            path.write_text(json.dumps(actual_by_key, indent=1), encoding="utf-8")
        if key in actual_by_key:
            rows.append([*key.split(" "), *format_comparison(estimate, actual_by_key[key])])
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def format_comparison(estimate: Estimate, actual: dict[str, float]) -> list[str]:
    memory, minutes = estimate.memory_gb, estimate.minutes
    is_memory_in_range = "yes" if memory.contains(actual["gb"]) else "NO"
    is_time_in_range = "yes" if minutes.contains(actual["minutes"]) else "NO"
    return [
        f"{memory.likely:.2f}",
        f"{actual['gb']:.2f}",
        f"{memory.likely / actual['gb'] - 1:+.1%}",
        f"{60 * minutes.likely:.0f}",
        f"{60 * actual['minutes']:.0f}",
        f"{minutes.likely / actual['minutes'] - 1:+.1%}",
        f"{is_memory_in_range} / {is_time_in_range}",
    ]


def report(names: list[str], again: bool) -> str:
    """The table, and the figures against the limits, as Markdown."""
    rows = compare_runs(names, again)
    machine_rates = rates.load_rates(catalogue.local_machine())
    memory_errors, time_errors = (
        [abs(float(row[column][:-1]) / 100) for row in rows]
        for column in (MEMORY_ERROR_COLUMN, TIME_ERROR_COLUMN)
    )
    n_memory_in_range, n_time_in_range = (
        sum(row[IN_RANGE_COLUMN].split(" / ")[index] == "yes" for row in rows) for index in (0, 1)
    )
    speeds = (
        f"{machine_rates.flop_32 / 1e9:.0f} GFLOP/s, {machine_rates.bandwidth / 1e9:.1f} GB/s,"
        f" {machine_rates.operation * 1e6:.1f} µs an operation"
    )
    memory = (
        f"median {statistics.median(memory_errors):.1%} (bar {MEMORY_LIMIT:.0%}),"
        f" worst {max(memory_errors):.1%} (bar {WORST_MEMORY_LIMIT:.0%});"
        f" {n_memory_in_range} of {len(rows)} in range"
    )
    time = (
        f"median {statistics.median(time_errors):.1%} (bar {TIME_LIMIT:.0%}),"
        f" worst {max(time_errors):.1%}; {n_time_in_range} of {len(rows)} in range"
    )
    return "\n".join(
        [
            f"Rates measured: {speeds}.",
            "",
            f"Memory: {memory}.",
            f"Time: {time}.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            f"|{'---|' * len(COLUMNS)}",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", default=os.environ.get("STUDIO_HOME", ""))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("names", nargs="*", help="methods and models")
    options = parser.parse_args()
    if options.home:
        os.environ["STUDIO_HOME"] = options.home
    print(report(options.names, options.again))


if __name__ == "__main__":
    main()
