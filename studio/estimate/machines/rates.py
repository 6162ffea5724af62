"""How fast a machine really is: from its specification with a wide range, or from what was measured on it."""

from dataclasses import asdict, dataclass, fields

from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.op_counts import OpCounts
from studio.storage import home, read_json, write_json

# What programs reach of a card's promise (docs/estimator.md#compute_efficiency: 4 to 60 % of the arithmetic, fitted 0.5 and 0.75 for unseen cards).
COMPUTE_EFFICIENCY, BANDWIDTH_EFFICIENCY = 0.5, 0.75
# Seconds an operation costs beside its work: Python and PyTorch before a kernel runs (measured: T4 7.4 µs, EPYC 15.7 µs).
SECONDS_PER_OPERATION = {"card": 8e-6, "processor": 16e-6}
# What a worker holds before a model is there (bytes): libraries, and on a card CUDA's context.
RUNTIME_BYTES = {"card": 0.5e9, "processor": 0.65e9}
# Until it is there (s): libraries and tokenizer, and what a first step does only once.
START_SECONDS = {"card": 7.0, "processor": 5.0}
# On a processor one thread draws numbers by chance, one by one, and 4-bit ones are looked up (s a number, measured on a Xeon). A card does both
# as fast as it moves memory, which is counted.
SECONDS_PER_RANDOM_NUMBER, SECONDS_PER_UNPACKED_NUMBER = (
    {"card": 0.0, "processor": 5e-9},
    {"card": 0.0, "processor": 0.5e-9},
)
# From likely ÷ this to likely × this: how far a run's time may lie from an estimate.
TIME_SPREADS = {"formula": 2.0, "traced": 1.6, "measured": 1.25}


@dataclass(frozen=True)
class Rates:
    """FLOP/s in 16 and in 32 bits, bytes/s, seconds per operation; bytes a worker holds before its model and seconds until it is there;
    seconds for a number drawn by chance and for a 4-bit number multiplied out; `when` it was measured (epoch, s)."""

    flop_16: float
    flop_32: float
    bandwidth: float
    operation: float
    runtime: float
    start: float = 0.0
    draw: float = 0.0
    unpack: float = 0.0
    when: float = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether these are this machine's own figures."""
        return self.when > 0

    def estimate_seconds(self, counts: OpCounts) -> float:
        """How long work takes: arithmetic, traffic and operations one after the other (a roofline's smooth upper bound).

        Fitted so on CPU, T4 and RTX 4080 with 6, 11 and 9 % mean error where one utilisation figure had 15, 42 and 29 %.
        """
        seconds = (
            counts.flop_16 / self.flop_16 + counts.flop_32 / self.flop_32 + counts.moved / self.bandwidth
        )
        return (
            seconds
            + counts.operations * self.operation
            + counts.drawn * self.draw
            + counts.unpacked * self.unpack
        )


def rates_from_spec(machine: Machine) -> Rates:
    """From the specification alone."""
    compute_efficiency, bandwidth_efficiency = (
        (COMPUTE_EFFICIENCY, BANDWIDTH_EFFICIENCY) if machine.kind == "card" else (1.0, 1.0)
    )
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
    """The measured rates of this machine where they were measured on what it is now; else what its specification promises."""
    stored = read_json(home() / "rates.json") if machine.id == LOCAL_ID else {}
    if stored.get("machine") != machine.name:
        return rates_from_spec(machine)
    try:  # what an earlier studio measured lacks what it did not measure
        return Rates(**{field.name: float(stored["rates"][field.name]) for field in fields(Rates)})
    except (KeyError, TypeError, ValueError, AttributeError):
        return rates_from_spec(machine)


def save_rates(machine: Machine, measured_rates: Rates) -> None:
    """Remember what was measured on this machine."""
    write_json(home() / "rates.json", {"machine": machine.name, "rates": asdict(measured_rates)})
