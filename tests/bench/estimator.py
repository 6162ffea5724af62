"""How right the estimator is, and how quick.

Estimated, actual, error, for every row there is ground truth for.

    python tests/bench/estimator.py [--home DIR] [--again] [--write]

Four parts: trainable parameters against attached models; runs on this processor
(tests/bench/estimator_cpu.py, half an hour, or `--again` for what DIR/actual.json holds from before); public
runs on a T4 and an L40S (tests/bench/estimator_gpu.py); and how long the levels take. `--write` keeps it all
in tests/bench/estimator.md. Quiet machines only.
"""

import argparse
import os
import statistics
import time
from datetime import date
from pathlib import Path

import estimator_cpu
import estimator_gpu

from studio import methods, presets
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.machines import catalogue
from studio.estimate.tracing import client as tracing_client
from studio.methods import compatibility
from studio.plan import Plan
from studio.storage import home

KEPT = Path(__file__).with_suffix(".md")
TIMES = 20


def quickness() -> str:
    """Milliseconds of all ten rows by formula, and seconds of the traces behind them where nothing is
    remembered yet.
    """
    recipe = presets.recipes()["support-tone-lora"]
    from studio import plan as plans

    found: Plan = plans.load(recipe, (), ())
    place = catalogue.local_machine()
    lines = [
        "| model | ten rows by formula, ms (median of 20) | one row traced, s (median of ten) |",
        "|---|---|---|",
    ]
    for model in ("smollm2-135m", "qwen3-8b"):
        wanted = found.model_copy(update={"model": model})
        base = all_methods.find_base_model(model)
        lengths = dataset_lengths.measure_lengths(wanted, base.folder)
        spent = []
        for _ in range(TIMES):
            began = time.perf_counter()
            all_methods.estimate_all_methods(wanted, place, {}, base, lengths)
            spent.append(1e3 * (time.perf_counter() - began))
        able = [
            method
            for method in methods.METHODS
            if not compatibility.find_incompatibility(method.name, wanted.task, base.shape)
        ]
        traced = []
        for method in able:
            began = time.perf_counter()
            all_methods.trace_missing(
                wanted,
                method,
                method.resolve_settings({}),
                catalogue.load_machines()["hf-l40sx1"],
                base,
                lengths,
            )
            traced.append(time.perf_counter() - began)
        lines.append(f"| {model} | {statistics.median(spent):.1f} | {statistics.median(traced):.1f} |")
    tracing_client.stop_server()
    return "\n".join(lines) + "\n"


def trainables() -> str:
    """Numbers trained by the table's count against PEFT's and torch's own, on meta tensors, at the defaults
    of every method.
    """
    from studio.estimate.tracing.meta_step import MetaStep

    rows, wrong = 0, []
    for model, card in presets.models().items():
        base = all_methods.find_base_model(model)
        task = "chat" if "chat" in card.tasks else "classify"
        for method in methods.METHODS:
            if (
                compatibility.find_incompatibility(method.name, task, base.shape) or method.name == "rlhf"
            ):  # whose policy is a LoRA
                continue
            settings = method.resolve_settings({})
            labels = 3 if task == "classify" else 0
            held = MetaStep(
                card.config,
                method.name,
                {**settings, "reuse": False} if method.name == "frozen" else settings,
                task,
                labels,
                "cpu",
            )
            really, told = (
                sum(value.numel() for value in held.trainable_parameters),
                method.count_parameters(base.shape, settings, labels).trainable,
            )
            rows += 1
            if really != told:
                wrong.append(f"{method.name} on {model}: {told:,} told, {really:,} attached")
    return "\n".join(
        [
            f"{rows - len(wrong)} of {rows} equal (every method x every model of the catalogue, at its defaults).",
            *wrong,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", default=os.environ.get("STUDIO_HOME", ""))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.home:
        os.environ["STUDIO_HOME"] = asked.home
    home()
    parts = {
        "Runs on this processor": estimator_cpu.report([], asked.again),
        "Public runs on cards": estimator_gpu.report(),
        "Trainable parameters": trainables(),
        "How long an estimate takes": quickness(),
    }
    place = catalogue.local_machine()
    text = f"# The estimator against the truth\n\nMade by `python tests/bench/estimator.py --write` on {date.today()} ({place.name}).\n\n"
    text += "\n".join(f"## {head}\n\n{part}" for head, part in parts.items())
    print(text)
    if asked.write:
        KEPT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
