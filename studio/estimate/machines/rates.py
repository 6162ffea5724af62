"""How fast a machine is: from its specification with a wide range, or from what was measured on it."""

from dataclasses import asdict, dataclass, fields, replace

from studio.estimate.machines import disk, hardware
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.op_counts import OpCounts
from studio.estimate.types import EstimateLevel
from studio.storage import home, read_json, write_json

# The shares of a GPU's specification that products and traffic reach where nothing else holds them up, fitted
# on public runs. A GPU with no more power than a slot gives (75 W) cannot keep its clock and reaches less in
# products (docs/estimator.md#compute_efficiency-low_power_efficiency).
COMPUTE_EFFICIENCY, LOW_POWER_EFFICIENCY = 0.85, 0.38
BANDWIDTH_EFFICIENCY = 0.75
SLOT_WATTS = 75
# The share of a link's bandwidth with which cards send (recalled: NCCL, 230 of 300 GB/s on an A100).
LINK_EFFICIENCY = 0.75
# Seconds an operation costs beside its work: Python and PyTorch before a kernel runs (fitted: 11 to 60 µs on
# the hosts of GPUs, measured: EPYC 15.7 µs; docs/estimator.md#seconds_per_operation).
SECONDS_PER_OPERATION = {"card": 20e-6, "processor": 16e-6}
# What a worker holds before a model is loaded (bytes): libraries, and on a GPU CUDA's context.
RUNTIME_BYTES = {"card": 0.5e9, "processor": 0.65e9}
# Seconds until the model is loaded: libraries and tokenizer, and what only the first step does.
START_SECONDS = {"card": 7.0, "processor": 5.0}
# On a CPU one thread draws random numbers one by one, and 4-bit numbers are looked up (seconds a number,
# measured on a Xeon). A GPU does both as fast as it moves memory, which is counted already.
SECONDS_PER_RANDOM_NUMBER = {"card": 0.0, "processor": 5e-9}
SECONDS_PER_UNPACKED_NUMBER = {"card": 0.0, "processor": 0.5e-9}
# The share of a CPU's bandwidth with which it multiplies a matrix with a few rows: MKL copies the matrix into
# an order of its own first (docs/estimator.md#few_rows_share).
FEW_ROWS_SHARE = 0.55
# Bytes per second of weights from files that the system still holds in memory
# (docs/estimator.md#cached_read_rate).
CACHED_READ_RATE = 2e9
# Of two times that overlap the larger one counts, and where they are alike a fifth more: the 4th root of the
# sum of 4th powers (docs/estimator.md#overlap_power).
OVERLAP_POWER = 4
# How far a run's time may lie from an estimate: from likely ÷ spread to likely × spread
# (docs/estimator.md#time_spreads).
TIME_SPREADS = {"formula": 2.0, "traced": 1.6, "measured": 1.25}
# On a GPU by its specification the GPU itself is known better than its host, and the slower of both counts.
GPU_SPREADS = {"formula": 1.7, "traced": 1.45}
HOST_SPREAD = 3.0


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
        few_rows: Traffic of products with 2 to about 20 rows on a CPU (bytes/s); 0 where it is unknown.
        when: When the rates were measured (epoch, s); 0 for a specification.
        disk_read: Weights read from the disk (bytes/s), while something else is computed.
        overlaps: Whether a GPU computes: it moves what it multiplies while it multiplies, and the host
            launches what comes next meanwhile.
        link: What a GPU sends to others (bytes/s), while it computes; 0 where there are none.
    """

    flop_16: float
    flop_32: float
    bandwidth: float
    operation: float
    runtime: float
    start: float = 0.0
    draw: float = 0.0
    unpack: float = 0.0
    few_rows: float = 0.0
    when: float = 0.0
    disk_read: float = disk.DISK_READ_RATE
    overlaps: bool = False
    link: float = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether these rates were measured on this machine."""
        return self.when > 0

    def estimate_seconds(self, counts: OpCounts) -> float:
        """Return how long a piece of work takes (docs/estimator.md#time).

        On a CPU arithmetic, traffic and operations come one after the other. A GPU is as fast as the slower
        of itself and the host that launches its operations, and products are as fast as the slower of their
        arithmetic and their traffic.
        """
        arithmetic = counts.flop_16 / self.flop_16 + counts.flop_32 / self.flop_32
        launching = counts.operations * self.operation
        one_by_one = counts.drawn * self.draw + counts.unpacked * self.unpack
        if not self.overlaps:
            few_rows_rate = self.few_rows or FEW_ROWS_SHARE * self.bandwidth
            moving = (counts.moved - counts.moved_by_few_rows) / self.bandwidth
            moving += counts.moved_by_few_rows / few_rows_rate
            seconds = arithmetic + moving + launching + one_by_one
            return max(seconds, counts.read / self.disk_read)
        products = smooth_max(arithmetic, counts.moved_by_products / self.bandwidth)
        other_traffic = (counts.moved - counts.moved_by_products) / self.bandwidth
        seconds = smooth_max(products + other_traffic + one_by_one, launching)
        sending = counts.sent / self.link if self.link else 0.0
        return max(smooth_max(seconds, sending), counts.read / self.disk_read)

    def spread(self, level: EstimateLevel) -> tuple["Rates", "Rates"]:
        """Return the rates of a GPU as fast and as slow as they may be, where its specification gave them.

        Args:
            level: How the work was counted.
        """
        spread = GPU_SPREADS[level]
        return self._scaled(spread, HOST_SPREAD), self._scaled(1 / spread, 1 / HOST_SPREAD)

    def _scaled(self, gpu_factor: float, host_factor: float) -> "Rates":
        return replace(
            self,
            flop_16=self.flop_16 * gpu_factor,
            flop_32=self.flop_32 * gpu_factor,
            bandwidth=self.bandwidth * gpu_factor,
            operation=self.operation / host_factor,
            link=self.link * gpu_factor,
        )


def smooth_max(first: float, second: float) -> float:
    """Return the larger of two times that overlap, a little more where they are alike."""
    return float((first**OVERLAP_POWER + second**OVERLAP_POWER) ** (1 / OVERLAP_POWER))


# Not measured with the steps, or unknown to an earlier studio.
OPTIONAL_FIELDS = ("overlaps", "link", "disk_read", "few_rows")
RATE_NAMES = tuple(field.name for field in fields(Rates) if field.name not in OPTIONAL_FIELDS)


def rates_from_spec(machine: Machine) -> Rates:
    """Return the rates that follow from a machine's specification alone.

    The specification of a CPU is itself a measurement, so its efficiencies are 1.
    """
    compute_efficiency = _compute_efficiency(machine)
    bandwidth_efficiency = BANDWIDTH_EFFICIENCY if machine.is_gpu else 1.0
    return Rates(
        flop_16=compute_efficiency * 1e12 * machine.tflops_16,
        flop_32=compute_efficiency * 1e12 * machine.tflops_32,
        bandwidth=bandwidth_efficiency * 1e9 * machine.bandwidth_gb_s,
        operation=_operation_seconds(machine),
        runtime=RUNTIME_BYTES[machine.kind],
        start=START_SECONDS[machine.kind],
        draw=SECONDS_PER_RANDOM_NUMBER[machine.kind],
        unpack=SECONDS_PER_UNPACKED_NUMBER[machine.kind],
        overlaps=machine.is_gpu,
        link=link_rate(machine),
    )


def link_rate(machine: Machine) -> float:
    """Return the bytes per second that a machine's GPUs send each other; 0 where one trains alone."""
    return LINK_EFFICIENCY * 1e9 * machine.link_gb_s if machine.cards > 1 else 0.0


def _compute_efficiency(machine: Machine) -> float:
    if not machine.is_gpu:
        return 1.0
    is_low_power = machine.watts is not None and machine.watts / machine.cards <= SLOT_WATTS
    return LOW_POWER_EFFICIENCY if is_low_power else COMPUTE_EFFICIENCY


def _operation_seconds(machine: Machine) -> float:
    """Return the seconds per operation: on this machine's GPU by how fast its own Python is."""
    is_here = machine.is_gpu and machine.id == LOCAL_ID
    return SECONDS_PER_OPERATION[machine.kind] * (hardware.python_slowness() if is_here else 1.0)


def load_rates(machine: Machine) -> Rates:
    """Return the rates that were measured on this very machine; else those of its specification.

    Args:
        machine: The machine as it computes a plan: what was measured in another precision says nothing of it.
    """
    if machine.id != LOCAL_ID:
        return rates_from_spec(machine)
    local_rates = _load_local_rates(machine)
    return replace(local_rates, disk_read=disk.known_read_rate(), link=link_rate(machine))


def _load_local_rates(machine: Machine) -> Rates:
    stored = read_json(home() / "rates.json")
    # An earlier studio named no precision: on a CPU it computed in 32 bits.
    measured_in = stored.get("precision", machine.weights_dtype)
    if (stored.get("machine"), measured_in) != (machine.name, machine.autocast_dtype):
        return rates_from_spec(machine)
    try:
        figures = {name: float(stored["rates"][name]) for name in RATE_NAMES}
        figures["few_rows"] = float(stored["rates"].get("few_rows", 0.0))
        overlaps = bool(stored["rates"].get("overlaps", False))
    except (KeyError, TypeError, ValueError, AttributeError):
        # An earlier studio measured fewer rates.
        return rates_from_spec(machine)
    # An earlier studio added up what overlaps on a GPU.
    return Rates(**figures, overlaps=overlaps) if overlaps == machine.is_gpu else rates_from_spec(machine)


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
