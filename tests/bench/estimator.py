"""How right the estimator is, and how quick: estimated, actual, error, for every row there is ground truth for.

    python tests/bench/estimator.py [--home DIR] [--again] [--write]

Four parts: trainable parameters against attached models; runs on this processor (tests/bench/estimator_cpu.py, half an hour, or `--again`
for what DIR/actual.json holds from before); public runs on a T4 and an L40S (tests/bench/estimator_gpu.py); and how long the levels take.
`--write` keeps it all in tests/bench/estimator.md. Quiet machines only.
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
from studio.estimate import desk, load, machines, table
from studio.home import home
from studio.methods import fits
from studio.plan import Plan

KEPT = Path(__file__).with_suffix(".md")
TIMES = 20


def quickness() -> str:
    """Milliseconds of all ten rows by formula, and seconds of the traces behind them where nothing is remembered yet."""
    recipe = presets.recipes()["support-tone-lora"]
    from studio import plan as plans

    found: Plan = plans.read(recipe, (), ())
    place = machines.here()
    lines = ["| model | ten rows by formula, ms (median of 20) | one row traced, s (median of ten) |", "|---|---|---|"]
    for model in ("smollm2-135m", "qwen3-8b"):
        wanted = found.model_copy(update={"model": model})
        base = table.base(model)
        lengths = load.lengths(wanted, base.folder)
        spent = []
        for _ in range(TIMES):
            began = time.perf_counter()
            table.estimates(wanted, place, {}, base, lengths)
            spent.append(1e3 * (time.perf_counter() - began))
        able = [method for method in methods.METHODS if not fits.refusal(method.name, wanted.task, base.shape)]
        traced = []
        for method in able:
            began = time.perf_counter()
            table.sharpen(wanted, method, method.settle({}), machines.places()["hf-l40sx1"], base, lengths)
            traced.append(time.perf_counter() - began)
        lines.append(f"| {model} | {statistics.median(spent):.1f} | {statistics.median(traced):.1f} |")
    desk.close()
    return "\n".join(lines) + "\n"


def trainables() -> str:
    """Numbers trained by the table's count against PEFT's and torch's own, on meta tensors, at the defaults of every method."""
    from studio.estimate.rehearse import Rehearsal

    rows, wrong = 0, []
    for model, card in presets.models().items():
        base = table.base(model)
        task = "chat" if "chat" in card.tasks else "classify"
        for method in methods.METHODS:
            if fits.refusal(method.name, task, base.shape) or method.name == "rlhf":  # whose policy is a LoRA
                continue
            settings = method.settle({})
            labels = 3 if task == "classify" else 0
            held = Rehearsal(
                card.config, method.name, {**settings, "reuse": False} if method.name == "frozen" else settings, task, labels, "cpu"
            )
            really, told = sum(value.numel() for value in held.learned), method.footprint(base.shape, settings, labels).trainable
            rows += 1
            if really != told:
                wrong.append(f"{method.name} on {model}: {told:,} told, {really:,} attached")
    return "\n".join([f"{rows - len(wrong)} of {rows} equal (every method x every model of the catalogue, at its defaults).", *wrong, ""])


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
    place = machines.here()
    text = f"# The estimator against the truth\n\nMade by `python tests/bench/estimator.py --write` on {date.today()} ({place.name}).\n\n"
    text += "\n".join(f"## {head}\n\n{part}" for head, part in parts.items())
    print(text)
    if asked.write:
        KEPT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
