"""How right the estimator is, and how quick: estimated, actual and error for every row with a ground truth.

    python tests/bench/estimator.py [--home DIR] [--again] [--write]

Four parts: trainable parameters against attached models; runs on this CPU (tests/bench/estimator_cpu.py, half
an hour, or `--again` for what DIR/actual.json holds from before); public runs on a T4 and an L40S
(tests/bench/estimator_gpu.py); and how long the levels take. `--write` writes it all to
tests/bench/estimator.md. Quiet machines only.
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
from studio import plan as plans
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.all_methods import EstimateContext
from studio.estimate.machines import catalogue
from studio.estimate.tracing.client import tracing_client
from studio.methods import compatibility
from studio.storage import home

REPORT_PATH = Path(__file__).with_suffix(".md")
N_REPEATS = 20


def measure_quickness() -> str:
    """Milliseconds of all rows by formula, and seconds of the traces behind them where nothing is cached."""
    recipe = plans.load(presets.recipes()["support-tone-lora"], (), ())
    lines = [
        "| model | ten rows by formula, ms (median of 20) | one row traced, s (median of ten) |",
        "|---|---|---|",
    ]
    for model in ("smollm2-135m", "qwen3-8b"):
        plan = recipe.model_copy(update={"model": model})
        base_model = all_methods.find_base_model(model)
        lengths = dataset_lengths.measure_lengths(plan, base_model.folder)
        local, l40s = catalogue.local_machine(), catalogue.load_machines()["hf-l40sx1"]
        local_context = EstimateContext(plan, local, base_model, lengths, settings={})
        l40s_context = EstimateContext(plan, l40s, base_model, lengths, settings={})
        formula_ms = []
        for _ in range(N_REPEATS):
            started_at = time.perf_counter()
            all_methods.estimate_all_methods(local_context)
            formula_ms.append(1e3 * (time.perf_counter() - started_at))
        trace_seconds = []
        for method in methods.METHODS:
            if compatibility.find_incompatibility(method.name, plan.task, base_model.shape):
                continue
            started_at = time.perf_counter()
            all_methods.trace_missing(l40s_context, method)
            trace_seconds.append(time.perf_counter() - started_at)
        medians = f"{statistics.median(formula_ms):.1f} | {statistics.median(trace_seconds):.1f}"
        lines.append(f"| {model} | {medians} |")
    tracing_client.stop_server()
    return "\n".join(lines) + "\n"


def compare_trainable_parameters() -> str:
    """The table's count against PEFT's and torch's own, on meta tensors, at the defaults of every method."""
    from studio.estimate.tracing.meta_step import MetaStep, ModelSpec

    n_rows, mistakes = 0, []
    for model, card in presets.models().items():
        base_model = all_methods.find_base_model(model)
        task, num_labels = ("chat", 0) if "chat" in card.tasks else ("classify", 3)
        for method in methods.METHODS:
            # RLHF's policy is a LoRA.
            is_compatible = not compatibility.find_incompatibility(method.name, task, base_model.shape)
            if not is_compatible or method.name == "rlhf":
                continue
            settings = dict(method.resolve_settings({}))
            estimated = method.count_parameters(base_model.shape, settings, num_labels).trainable
            if method.name == "frozen":
                # Reused outputs would leave the frozen layers out of the model.
                settings["reuse"] = False
            spec = ModelSpec(card.config, method.name, settings, task, num_labels, "cpu")
            attached = sum(parameter.numel() for parameter in MetaStep(spec).trainable_parameters)
            n_rows += 1
            if attached != estimated:
                mistakes.append(f"{method.name} on {model}: {estimated:,} told, {attached:,} attached")
    n_equal = n_rows - len(mistakes)
    summary = f"{n_equal} of {n_rows} equal (every method x every model of the catalogue, at its defaults)."
    return "\n".join([summary, *mistakes, ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", default=os.environ.get("STUDIO_HOME", ""))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.home:
        os.environ["STUDIO_HOME"] = options.home
    home()
    parts = {
        "Runs on this processor": estimator_cpu.report([], options.again),
        "Public runs on cards": estimator_gpu.report(),
        "Trainable parameters": compare_trainable_parameters(),
        "How long an estimate takes": measure_quickness(),
    }
    command, machine = "python tests/bench/estimator.py --write", catalogue.local_machine().name
    text = f"# The estimator against the truth\n\nMade by `{command}` on {date.today()} ({machine}).\n\n"
    text += "\n".join(f"## {head}\n\n{part}" for head, part in parts.items())
    print(text)
    if options.write:
        REPORT_PATH.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
