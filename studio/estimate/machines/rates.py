"""How fast a machine is: from its specification with a wide range, or from what was measured on it."""

from dataclasses import asdict, dataclass, fields, replace

from studio.estimate.machines import disk
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.op_counts import OpCounts
from studio.storage import home, read_json, write_json

# The shares of a GPU's specification that programs achieve: 4 to 60 % of the arithmetic, fitted 0.5 and
# 0.75 for GPUs that were not seen (docs/estimator.md#compute_efficiency).
COMPUTE_EFFICIENCY = 0.5
BANDWIDTH_EFFICIENCY = 0.75
# Seconds an operation costs beside its work: Python and PyTorch before a kernel runs (measured: T4 7.4 µs,
# EPYC 15.7 µs; docs/estimator.md#seconds_per_operation).
SECONDS_PER_OPERATION = {"card": 8e-6, "processor": 16e-6}
# What a worker holds before a model is loaded (bytes): libraries, and on a GPU CUDA's context.
RUNTIME_BYTES = {"card": 0.5e9, "processor": 0.65e9}
# Seconds until the model is loaded: libraries and tokenizer, and what only the first step does.
START_SECONDS = {"card": 7.0, "processor": 5.0}
# On a CPU one thread draws random numbers one by one, and 4-bit numbers are looked up (seconds a number,
# measured on a Xeon). A GPU does both as fast as it moves memory, which is counted already.
SECONDS_PER_RANDOM_NUMBER = {"card": 0.0, "processor": 5e-9}
SECONDS_PER_UNPACKED_NUMBER = {"card": 0.0, "processor": 0.5e-9}
# Bytes per second of weights from files that the system still holds in memory
# (docs/estimator.md#cached_read_rate).
CACHED_READ_RATE = 2e9
# How far a run's time may lie from an estimate: from likely ÷ spread to likely × spread
# (docs/estimator.md#time_spreads).
TIME_SPREADS = {"formula": 2.0, "traced": 1.6, "measured": 1.25}


@dataclass(frozen=True)
class Rates:
    """The speeds of one machine.

    Attributes:
        flop_16: FLOP/s on 16-bit numbers.
        flop_32: FLOP/s on 32-bit numbers.
        bandwidth: Memory traffic (bytes/s).
        operation: Seconds per operation launched.
        runtime: Bytes a worker holds before its model.
        start: Seconds until the model is there.
        draw: Seconds per random number.
        unpack: Seconds per 4-bit number dequantized.
        when: When the rates were measured (epoch, s); 0 for a specification.
        disk_read: Weights read from the disk (bytes/s), while something else is computed.
    """

    flop_16: float
    flop_32: float
    bandwidth: float
    operation: float
    runtime: float
    start: float = 0.0
    draw: float = 0.0
    unpack: float = 0.0
    when: float = 0.0
    disk_read: float = disk.DISK_READ_RATE

    @property
    def is_measured(self) -> bool:
        """Whether these rates were measured on this machine."""
        return self.when > 0

    def estimate_seconds(self, counts: OpCounts) -> float:
        """Return how long work takes: arithmetic, traffic and operations one after the other, reading beside.

        This is a smooth upper bound of a roofline. Fitted so on CPU, T4 and RTX 4080 it had a mean error
        of 6, 11 and 9 % where one utilisation figure had 15, 42 and 29 % (docs/estimator.md#time).
        """
        computing_seconds = (
            counts.flop_16 / self.flop_16
            + counts.flop_32 / self.flop_32
            + counts.moved / self.bandwidth
            + counts.operations * self.operation
            + counts.drawn * self.draw
            + counts.unpacked * self.unpack
        )
        return max(computing_seconds, counts.read / self.disk_read)


def rates_from_spec(machine: Machine) -> Rates:
    """Return the rates that follow from a machine's specification alone.

    The specification of a CPU is itself a measurement, so its efficiencies are 1.
    """
    compute_efficiency = COMPUTE_EFFICIENCY if machine.is_gpu else 1.0
    bandwidth_efficiency = BANDWIDTH_EFFICIENCY if machine.is_gpu else 1.0
    return Rates(
        flop_16=compute_efficiency * 1e12 * machine.tflops_16,
        flop_32=compute_efficiency * 1e12 * machine.tflops_32,
        bandwidth=bandwidth_efficiency * 1e9 * machine.bandwidth_gb_s,
        operation=SECONDS_PER_OPERATION[machine.kind],
        runtime=RUNTIME_BYTES[machine.kind],
        start=START_SECONDS[machine.kind],
        draw=SECONDS_PER_RANDOM_NUMBER[machine.kind],
        unpack=SECONDS_PER_UNPACKED_NUMBER[machine.kind],
    )


def load_rates(machine: Machine) -> Rates:
    """Return the rates that were measured on this very machine; else those of its specification."""
    if machine.id != LOCAL_ID:
        return rates_from_spec(machine)
    return replace(_load_local_rates(machine), disk_read=disk.known_read_rate())


def _load_local_rates(machine: Machine) -> Rates:
    stored = read_json(home() / "rates.json")
    # An earlier studio named no precision: on a CPU it computed in 32 bits.
    measured_in = stored.get("precision", machine.weights_dtype)
    if (stored.get("machine"), measured_in) != (machine.name, machine.autocast_dtype):
        return rates_from_spec(machine)
    try:
        names = [field.name for field in fields(Rates) if field.name != "disk_read"]
        return Rates(**{name: float(stored["rates"][name]) for name in names})
    except (KeyError, TypeError, ValueError, AttributeError):
        # An earlier studio measured fewer rates.
        return rates_from_spec(machine)


def save_rates(machine: Machine, measured_rates: Rates) -> None:
    """Remember what was measured on this machine."""
    write_json(
        home() / "rates.json",
        {
            "machine": machine.name,
            "precision": machine.autocast_dtype,
            "rates": asdict(measured_rates),
        },
    )
