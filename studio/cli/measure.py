"""`studio measure`: how fast this machine is; its rates are kept for the estimates."""

import argparse
import sys

from tqdm import tqdm

from studio.cli import EXIT_OK
from studio.errors import BadPlan
from studio.estimate import all_methods
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates

DEFAULT_MODEL = "smollm2-135m"
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model whose layers are timed."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"the model whose kind is measured (default {DEFAULT_MODEL})",
    )


def run(options: argparse.Namespace) -> int:
    """Measure this machine with a cut of a model and keep its rates; Ctrl-C calls it off.

    Raises:
        BadPlan: The shape of the model is not known here.
    """
    base_model, machine = all_methods.find_base_model(options.model), catalogue.local_machine()
    if not base_model.shape:
        raise BadPlan(
            [
                f"model: the shape of {options.model!r} is not known here; "
                f"name a model of the list, such as {DEFAULT_MODEL}"
            ]
        )
    updates = measure.measure_machine(base_model.config, base_model.shape.encoder, machine)
    with tqdm(
        total=100, desc="measuring", leave=False, file=sys.stderr, bar_format=BAR_FORMAT, disable=None
    ) as progress_bar:
        for share, rates in updates:
            progress_bar.update(round(100 * share) - progress_bar.n)
            if rates:
                tqdm.write(_format_rates(machine, rates), file=sys.stdout)
    return EXIT_OK


def _format_rates(machine: Machine, rates: Rates) -> str:
    speeds = [
        f"{rates.flop_32 / 1e9:,.0f} GFLOP/s in 32 bits",
        f"{rates.bandwidth / 1e9:.1f} GB/s",
        f"{rates.operation * 1e6:.1f} µs an operation",
    ]
    if machine.is_gpu:
        speeds.append(f"{rates.flop_16 / 1e12:.1f} TFLOP/s in 16 bits")
    runtime = f"a worker holds {rates.runtime / 1e9:.2f} GB before its model"
    return f"{machine.name}: {', '.join(speeds)}; {runtime}"
