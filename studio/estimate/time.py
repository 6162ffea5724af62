"""How long a run takes, phase by phase: the work of each, over what the machine gets done, and what happens around them."""

from collections.abc import Callable, Sequence

from studio.estimate.machines import Kind
from studio.estimate.rates import Rates
from studio.estimate.tally import Tally, together
from studio.methods.base import Footprint
from studio.methods.work import Load, Phase, Portion

Passed = Callable[[Phase, Portion], Tally]
# AdamW reads weight, gradient and two averages and writes all but the gradient: 28 bytes a trained number in 32 bits. On a processor the
# gradients' memory is handed out anew in each step, and touching it costs half as much again and more (measured: 2 to 4 times in all).
UPDATE_BYTES = {"card": 28.0, "processor": 70.0}
# Writing one token costs generate's own bookkeeping beside the pass: stopping rules, sampling, the next mask (operations, about).
WRITING_OPERATIONS = 150.0
# Around the phases, in seconds. Libraries and tokenizer (on a card its context too: not measured); a byte of the model, read and checked
# twice by SHA-256; a byte of memory that a process touches for the first time; a byte of the result. Fitted on 68 runs of 8 to 110 s.
START = {"processor": 3.4, "card": 7.0}
START_BYTE, SAVE_BYTE = 1.5e-9, 0.5e-9
TOUCH_BYTE = {"processor": 0.8e-9, "card": 0.0}


def worked(phase: Phase, load: Load, footprint: Footprint, kind: Kind, passed: Passed) -> Tally:
    """All work of a phase: every portion, every round, what is written, and the steps."""
    found = []
    for portion in phase.portions:
        one = passed(phase, portion)
        if phase.new:
            one = together((one, written(phase, portion, load, passed)))
        found.append(one.times(portion.times * phase.rounds))
    if phase.updates:
        found.append(Tally(moved=UPDATE_BYTES[kind] * footprint.trainable * phase.updates))
    return together(found)


def written(phase: Phase, portion: Portion, load: Load, passed: Passed) -> Tally:
    """Writing after a portion of questions, token by token: every weight is read for each, and the keys and values so far, twice over."""
    one = passed(phase, Portion(portion.rows, 1, 1, False, 1))
    reach = portion.tokens + phase.new
    cache = 4.0 * portion.rows * load.shape.layers * load.shape.kept_to_read
    one = Tally(one.flop_16, one.flop_32, one.moved + 3 * cache * (portion.tokens + phase.new / 2), one.operations + WRITING_OPERATIONS)
    found = one.times(phase.new)
    scores = 12.0 * portion.rows * load.shape.vocabulary
    found.parts = {"written": 1.5 * cache * reach, "scores": scores}
    found.peak = sum(found.parts.values())
    return found


def stretches(
    phases: Sequence[tuple[Phase, Tally]], rates: Rates, kind: Kind, model: float, result: float, touched: float
) -> dict[str, float]:
    """Seconds of each phase by name, "start" and "save" among them; `model`, `result` and `touched` (memory, all in all) are bytes."""
    found = {"start": START[kind] + START_BYTE * model + TOUCH_BYTE[kind] * touched}
    for phase, tally in phases:
        found[phase.name] = found.get(phase.name, 0.0) + rates.seconds(tally)
    found["save"] = SAVE_BYTE * result
    return found
