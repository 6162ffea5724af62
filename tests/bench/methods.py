"""Every method on the embedded model.

Tokens a second, peak memory, and both against full fine-tuning in the same run.

    python tests/bench/methods.py [--rows 32] [--epochs 3] [METHOD …]

All ten take more than ten minutes on two cores: `python tests/bench/methods.py lora prefix` takes these two,
after full fine-tuning, which every row is set against. A row is printed as soon as its training has ended.

Each method trains in a worker process of its own, on the same rows of the sample of support replies, with its
own defaults. "Seconds" runs from the measured base to the last step, so it holds what a method does beside
its steps: the frozen part run once over every example, openings sampled, stages of RLHF. Frozen layers are
trained twice, with the frozen part's output reused and without; the biggest difference between their losses
is printed. Quiet machines only: two benches at a time measure each other.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from studio import presets, processes, runs
from studio.methods import METHODS
from studio.plan import Data, MethodChoice, Plan, Training
from studio.storage import home

PLAIN = ("frozen", {"reuse": False})
# What a method is asked beside its defaults: a few steps of practice under a rule; no second training to
# compare with.
SETTINGS = {
    "rlhf": {"steps": 4, "reward": "length", "reward_length": 20, "max_completion_length": 48},
    "qat": {"compare": False},
}


def rows_of(count: int, folder: Path) -> Path:
    """The first rows of the sample, and enough more to check on."""
    card = presets.samples()["support-tone"]
    with card.path.open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file))[: 1 + count + max(8, count // 8)]
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(found)
    return path


def train(name: str, settings: dict, data: Path, epochs: float) -> runs.Run:
    """One training in a worker of its own; raises where it does not end well."""
    card = presets.samples()["support-tone"]
    task = "prompts" if name == "upft" else "chat"
    columns = {"prompt": card.columns["prompt"]} if task == "prompts" else card.columns
    plan = Plan(
        name=name,
        task=task,
        model="smollm2-135m",
        data=Data(source=str(data), columns=columns, validation_share=0.1),
        method=MethodChoice(name=name, settings=settings),
        training=Training(epochs=epochs, batch_size=4, max_length=256, eval_count=1),
    )
    run = runs.create(plan)
    subprocess.run(
        [sys.executable, "-m", "studio.training.worker", run.id],
        env=processes.child_environment(processes.WORKER),
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return run


def measured(run: runs.Run) -> dict[str, float]:
    """Tokens a second (median step, the first left out), the peak of memory (GB) and the seconds from the
    base's measure to the last step.
    """
    points = list(runs.read_points(run))
    steps = [point for point in points if point.get("tokens_per_second")]
    ends = [point for point in points if "loss" in point or "reward" in point]
    return {
        "rate": statistics.median(point["tokens_per_second"] for point in steps[1:]),
        "memory": max(point.get("memory_gb", 0) for point in points),
        "seconds": ends[-1]["time"] - points[0]["time"],
    }


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="*", default=[method.name for method in METHODS])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--epochs", type=float, default=3)
    asked = parser.parse_args()
    if unknown := set(asked.methods) - {method.name for method in METHODS}:
        parser.error(
            f"{', '.join(sorted(unknown))}: expected some of {', '.join(method.name for method in METHODS)}"
        )
    folder = Path(tempfile.mkdtemp())
    data = rows_of(asked.rows, folder)
    print(f"home {home()}; {asked.rows} rows, {asked.epochs:g} epochs")
    names = ["full", *(name for name in asked.methods if name != "full")]
    ways = [(name, SETTINGS.get(name, {})) for name in names] + ([PLAIN] if "frozen" in names else [])
    print(
        f"{'method':<22}{'tokens/s':>10}{'x full':>8}{'peak GB':>9}{'x full':>8}{'seconds':>9}{'x full':>8}   loss"
    )
    first, losses = None, {}
    for name, settings in ways:
        run = train(name, settings, data, asked.epochs)
        found, report = measured(run), runs.report(run)
        first = first or found
        title = name + "".join(
            f" {key}={value}" for key, value in settings.items() if (name, settings) == PLAIN
        )
        losses[title] = [point["loss"] for point in runs.read_points(run) if "loss" in point]
        columns = "".join(
            f"{found[key]:>{width}.{digits}f}{found[key] / first[key]:>8.2f}"
            for key, width, digits in (("rate", 10, 0), ("memory", 9, 2), ("seconds", 9, 0))
        )
        print(
            f"{title:<22}{columns}   {report['before']['loss']:.3f} -> {report['after']['loss']:.3f}",
            flush=True,
        )
    if "frozen reuse=False" in losses:
        apart = max(
            abs(one - other)
            for one, other in zip(losses["frozen"], losses["frozen reuse=False"], strict=True)
        )
        print(
            f"frozen: the losses of all {len(losses['frozen'])} steps with and without reuse differ by at most {apart:.1e}"
        )


if __name__ == "__main__":
    main()
