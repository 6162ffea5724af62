"""Starts the measurement of this machine, from the page or the terminal, and keeps its rates.

A child process takes under a minute, reports its progress, and can be cancelled.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

from studio import processes, runs
from studio.errors import NotPossible, StudioError
from studio.estimate.machines import hardware, rates
from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates
from studio.i18n import Message

CALIBRATE_MODULE = "studio.estimate.benchmark.calibrate"
# With the device, threads, precision and heap that a run has.
AS_RUNS_COMPUTE = processes.ChildOptions(gpus="first", is_worker=True)
# Micro batches that differ as much as micro batches do: few short texts, more long ones (texts, tokens).
SHORT_BATCH, LONG_BATCH = (2, 48), (4, 192)
# From this share of its core on, a measurement is kept; on a quiet machine it has nearly all of it.
MIN_CORE_SHARE = 0.7
# What is measured: a method with its default settings, and a micro batch.
MEASUREMENT_POINTS = (
    ("lora", SHORT_BATCH),
    ("lora", LONG_BATCH),
    ("peft", SHORT_BATCH),
    ("peft", LONG_BATCH),
    ("full", SHORT_BATCH),
    ("full", LONG_BATCH),
)
NO_RESULT = Message("The measurement ended without a result: {why}")
RUN_IN_PROGRESS = Message("“{name}” is training, and beside it the speeds would come out too low.")
RUN_STARTED_MEANWHILE = Message(
    "“{name}” began to train meanwhile, so the speeds came out too low; they were not kept."
)
MACHINE_IS_BUSY = Message(
    "Other programs took {taken:.0%} of a core meanwhile, so the speeds came out too low; they were not kept."
)
GPU_IS_BUSY = Message(
    "Other programs keep the GPU busy for {share:.0%} of the time, and beside them the speeds would come out"
    " too low."
)
MEASURE_AFTER_RUN = Message("Measure again when it has ended.")
CLOSE_OTHER_PROGRAMS = Message("Close other programs and measure again.")


def measure_machine(
    config: Mapping[str, Any], is_encoder: bool, machine: Machine
) -> Iterator[tuple[float, Rates | None]]:
    """Measure this machine with a cut of a model. Closing the iterator cancels the measurement.

    Args:
        config: The model's config.json, as transformers has it.
        is_encoder: Whether the model is an encoder.
        machine: This machine, whose specification the rates start from.

    Yields:
        The share done (0 to 1), and at the end the rates, which are kept; None before.

    Raises:
        NotPossible: While a run is training, where one began meanwhile, or where other programs took much of
            the core: the rates would be wrong.
        StudioError: If the measurement ends without a result.
    """
    _raise_if_training(RUN_IN_PROGRESS)
    busy_share = hardware.gpu_busy_share() if machine.device_type == "cuda" else 0.0
    if busy_share > 1 - MIN_CORE_SHARE:
        raise NotPossible(GPU_IS_BUSY, CLOSE_OTHER_PROGRAMS, share=busy_share)
    request = {
        "config": dict(config),
        "encoder": is_encoder,
        "start": asdict(rates.rates_from_spec(machine)),
        "points": MEASUREMENT_POINTS,
    }
    yield 0.0, None
    with closing(
        processes.stream_replies(
            CALIBRATE_MODULE,
            request,
            NO_RESULT,
            CLOSE_OTHER_PROGRAMS,
            AS_RUNS_COMPUTE,
        )
    ) as replies:
        for reply in replies:
            if "rates" in reply:
                _raise_if_training(RUN_STARTED_MEANWHILE)
                if reply["core_share"] < MIN_CORE_SHARE:
                    raise NotPossible(MACHINE_IS_BUSY, CLOSE_OTHER_PROGRAMS, taken=1 - reply["core_share"])
                measured_rates = Rates(**reply["rates"])
                rates.save_rates(machine, measured_rates)
                yield 1.0, measured_rates
                return
            yield reply["done"] / (reply["of"] + 1), None
    # The process ended well and sent no rates.
    raise StudioError(NO_RESULT, CLOSE_OTHER_PROGRAMS, why="?")


def _raise_if_training(message: Message) -> None:
    for run in runs.all_runs():
        if not runs.is_alive(run):
            continue
        status = runs.status(run)
        if status.stage != "queue" and status.state not in runs.ENDED_STATES:
            raise NotPossible(message, MEASURE_AFTER_RUN, name=run.plan.name)
