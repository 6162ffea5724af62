"""How fast a machine really is: from its specification with a wide range, or from what was measured on it."""

from dataclasses import asdict, dataclass, fields

from studio.estimate.machines import HERE, Place
from studio.estimate.tally import Tally
from studio.home import home, read_json, write_json

# What programs reach of a card's promise (design/estimator.md, 2.7: 4 to 60 % of the arithmetic, fitted 0.5 and 0.75 for unseen cards).
REACHED, REACHED_MEMORY = 0.5, 0.75
# Seconds an operation costs beside its work: Python and PyTorch before a kernel runs (measured: T4 7.4 µs, EPYC 15.7 µs).
PER_OPERATION = {"card": 8e-6, "processor": 16e-6}
# What a worker holds before a model is there (bytes): libraries, and on a card CUDA's context.
RUNTIME = {"card": 0.5e9, "processor": 0.65e9}
# Until it is there (s): libraries and tokenizer, and what a first step does only once.
START = {"card": 7.0, "processor": 5.0}
# On a processor one thread draws numbers by chance, one by one, and 4-bit ones are looked up (s a number, measured on a Xeon). A card does both
# as fast as it moves memory, which is counted.
DRAW, UNPACK = {"card": 0.0, "processor": 5e-9}, {"card": 0.0, "processor": 0.5e-9}
# From likely ÷ this to likely × this: how far a run's time may lie from an estimate.
SPREADS = {"formula": 2.0, "traced": 1.6, "measured": 1.25}


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
    def measured(self) -> bool:
        """Whether these are this machine's own figures."""
        return self.when > 0

    def seconds(self, tally: Tally) -> float:
        """How long work takes: arithmetic, traffic and operations one after the other (a roofline's smooth upper bound).

        Fitted so on CPU, T4 and RTX 4080 with 6, 11 and 9 % mean error where one utilisation figure had 15, 42 and 29 %.
        """
        work = tally.flop_16 / self.flop_16 + tally.flop_32 / self.flop_32 + tally.moved / self.bandwidth
        return work + tally.operations * self.operation + tally.drawn * self.draw + tally.unpacked * self.unpack


def promised(place: Place) -> Rates:
    """From the specification alone."""
    reached, memory = (REACHED, REACHED_MEMORY) if place.kind == "card" else (1.0, 1.0)
    return Rates(
        flop_16=reached * 1e12 * place.tflops_16,
        flop_32=reached * 1e12 * place.tflops_32,
        bandwidth=memory * 1e9 * place.bandwidth_gb_s,
        operation=PER_OPERATION[place.kind],
        runtime=RUNTIME[place.kind],
        start=START[place.kind],
        draw=DRAW[place.kind],
        unpack=UNPACK[place.kind],
    )


def of(place: Place) -> Rates:
    """The measured rates of this machine where they were measured on what it is now; else what its specification promises."""
    kept = read_json(home() / "rates.json") if place.id == HERE else {}
    if kept.get("machine") != place.name:
        return promised(place)
    try:  # what an earlier studio measured lacks what it did not measure
        return Rates(**{one.name: float(kept["rates"][one.name]) for one in fields(Rates)})
    except (KeyError, TypeError, ValueError, AttributeError):
        return promised(place)


def keep(place: Place, found: Rates) -> None:
    """Remember what was measured on this machine."""
    write_json(home() / "rates.json", {"machine": place.name, "rates": asdict(found)})
