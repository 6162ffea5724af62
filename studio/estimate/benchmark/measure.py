"""Measure this machine from the page or the terminal: a child process takes under a minute, tells how far it is, and can be called off."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from studio import processes, runs
from studio.errors import NotPossible, StudioError
from studio.estimate.machines import rates
from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates
from studio.i18n import Message

NO_RESULT = Message("The measurement ended without a result: {why}")
RUN_IN_PROGRESS = Message("“{name}” is training, and beside it the speeds would come out too low.")
RUN_STARTED_MEANWHILE = Message(
    "“{name}” began to train meanwhile, so the speeds came out too low; they were not kept."
)
MEASURE_AFTER_RUN = Message("Measure again when it has ended.")
CLOSE_OTHER_PROGRAMS = Message("Close other programs and measure again.")


def measure_machine(
    config: Mapping[str, Any], is_encoder: bool, machine: Machine
) -> Iterator[tuple[float, Rates | None]]:
    """Measure with a cut of this model: yields the share done (0 to 1), with the rates at the end, which are then kept.

    Closing the iterator calls the measurement off. Raises StudioError where it ends without a result, NotPossible while a run is going:
    both would share the processor, and the figures would be wrong.
    """
    _raise_if_training(RUN_IN_PROGRESS)
    request = {"config": dict(config), "encoder": is_encoder, "start": asdict(rates.rates_from_spec(machine))}
    yield 0.0, None
    for reply in processes.stream_replies(
        "studio.estimate.benchmark.calibrate",
        request,
        NO_RESULT,
        CLOSE_OTHER_PROGRAMS,
        processes.ChildOptions(gpus="first"),
    ):
        if "rates" in reply:
            _raise_if_training(RUN_STARTED_MEANWHILE)
            measured_rates = Rates(**reply["rates"])
            rates.save_rates(machine, measured_rates)
            yield 1.0, measured_rates
            return
        yield reply["done"] / (reply["of"] + 1), None
    raise StudioError(NO_RESULT, CLOSE_OTHER_PROGRAMS, why="?")


def _raise_if_training(message: Message) -> None:
    for run in runs.all_runs():
        if runs.is_alive(run) and runs.status(run).stage != "queue":
            raise NotPossible(message, MEASURE_AFTER_RUN, name=run.plan.name)
