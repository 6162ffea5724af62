"""What each method reaches on Banking77 with its defaults, beside a linear model on the same embeddings.

    python tests/bench/classes.py [METHOD …] [--per-class 10] [--seeds 3] [--learning-rates 1e-4 3e-4 …]

Each seed keeps its own test texts aside. With `--per-class 0` a method trains on all the others. A training
runs in a worker process of its own, as from the page; both figures are of the same test texts. Without
learning rates each method takes its default. Without `../shared/data` it says so and ends.
"""

import argparse
import csv
import math
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path

from studio import processes, runs
from studio.plan import Data, MethodChoice, Plan, Training

SOURCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "banking77_train.csv"
METHODS = ("full", "frozen", "lora", "prefix", "adapter", "qlora", "qat", "peft")
N_TEST = 1_500
HEADER = f"{'method':<9}{'seed':>5}{'rate':>9}{'trained':>9}{'linear':>9}{'method':>9}{'95 %':>8}{'seconds':>9}{'GB':>6}"


def write_split(folder: Path, seed: int, per_class: int) -> tuple[Path, Path]:
    """Write training and test texts of a seed; 0 per class takes all that are not kept aside."""
    with SOURCE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(seed).shuffle(rows)
    test_rows, train_rows = rows[:N_TEST], rows[N_TEST:]
    if per_class:
        train_rows = take_per_class(train_rows, per_class)
    paths = folder / f"train-{seed}-{per_class}.csv", folder / f"test-{seed}.csv"
    for path, part in zip(paths, (train_rows, test_rows), strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ("text", "category"))
            writer.writeheader()
            writer.writerows(part)
    return paths


def take_per_class(rows: list[dict[str, str]], per_class: int) -> list[dict[str, str]]:
    """The first so many rows of each class."""
    taken: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if len(taken[row["category"]]) < per_class:
            taken[row["category"]].append(row)
    return [row for rows_of_class in taken.values() for row in rows_of_class]


def train(method: str, seed: int, paths: tuple[Path, Path], learning_rate: float | None = None) -> str:
    """Train one method; a line with its accuracy beside the linear model's."""
    train_path, test_path = paths
    plan = Plan(
        name=f"{method}-{seed}",
        task="classify",
        model="minilm-l6",
        data=Data(source=str(train_path), test=str(test_path), columns={"text": "text", "label": "category"}),
        method=MethodChoice(name=method),
        training=Training(seed=seed, learning_rate=learning_rate),
    )
    run = runs.create(plan)
    subprocess.run(
        [sys.executable, "-m", "studio.training.worker", run.id],
        env=processes.child_environment(processes.WORKER),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    report = runs.report(run)
    accuracy, linear = report["after"]["accuracy"], report["linear_baseline"]["accuracy"]
    half_width = 1.96 * math.sqrt(accuracy * (1 - accuracy) / N_TEST)
    return (
        f"{method:<9}{seed:>5}{report['learning_rate']:>9.0e}{report['data']['train']:>9}"
        f"{linear:>9.1%}{accuracy:>9.1%}{half_width:>8.1%}"
        f"{report['seconds']:>9.0f}{report['peak_memory_gb']:>6.1f}"
    )


def main() -> int:
    """Print a line for each method and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="*", default=METHODS, help=f"some of {', '.join(METHODS)}")
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[None])
    options = parser.parse_args()
    if not SOURCE.is_file():
        print(f"needs {SOURCE}")
        return 0
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            paths = write_split(Path(folder), seed, options.per_class)
            for method, learning_rate in product(options.methods, options.learning_rates):
                print(train(method, seed, paths, learning_rate), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
