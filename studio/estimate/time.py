"""How long a run takes, phase by phase: the work of each, over what the machine gets done, and what happens around them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

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
# Around the phases, in seconds: a byte of the model, read and checked twice by SHA-256; a byte written; a byte of memory that a process
# touches for the first time.
START_BYTE, SAVE_BYTE = 1.5e-9, 0.5e-9
TOUCH_BYTE = {"processor": 0.8e-9, "card": 0.0}


def worked(phase: Phase, load: Load, footprint: Footprint, kind: Kind, passed: Passed) -> Tally:
    """All work of a phase: every portion, every round, what is written, and the steps."""
    found = []
    for portion in phase.portions:
        one = passed(phase, portion)
        if phase.trl:
            one = _by_trl(phase, portion, one, load, kind)
        if phase.new:
            one = together((one, written(phase, portion, load, passed)))
        found.append(one.times(portion.times * phase.rounds))
    if phase.updates:
        found.append(Tally(moved=UPDATE_BYTES[kind] * footprint.trainable * phase.updates))
    return together(found)


def _by_trl(phase: Phase, portion: Portion, one: Tally, load: Load, kind: Kind) -> Tally:
    """A pass in a trainer of TRL's (1.16): no dropout; without Triton it scores every position, and once more on the way back (trl.trainer.utils)."""
    found, positions = replace(one, drawn=0.0), 0.0
    if kind == "processor" and phase.head == "words":
        positions = portion.rows * (portion.tokens - portion.scored)
        positions += portion.rows * (2 * portion.tokens - portion.scored) if phase.learn else 0.0
    found.flop_32 += 2.0 * positions * load.shape.vocabulary * load.shape.hidden
    found.moved += 8.0 * positions * load.shape.vocabulary
    return found


def written(phase: Phase, portion: Portion, load: Load, passed: Passed) -> Tally:
    """Writing after a portion of questions, token by token: every weight is read for each, and the keys and values so far, twice over."""
    one = passed(phase, Portion(portion.rows, 1, 1, False, 1))
    reach = portion.tokens + phase.new
    cache = 4.0 * portion.rows * load.shape.layers * load.shape.kept_to_read
    one = replace(one, moved=one.moved + 3 * cache * (portion.tokens + phase.new / 2), operations=one.operations + WRITING_OPERATIONS)
    found = one.times(phase.new)
    scores = 12.0 * portion.rows * load.shape.vocabulary
    found.parts = {"written": 1.5 * cache * reach, "scores": scores}
    found.peak = sum(found.parts.values())
    return found


def stretches(
    phases: Sequence[tuple[Phase, Tally]], rates: Rates, kind: Kind, model: float, saved: float, touched: float
) -> dict[str, float]:
    """Seconds of each phase by name, "start" and "save" among them; `model`, all that is `saved` and `touched` (memory, all in all) are bytes."""
    found = {"start": rates.start + START_BYTE * model + TOUCH_BYTE[kind] * touched}
    for phase, tally in phases:
        found[phase.name] = found.get(phase.name, 0.0) + rates.seconds(tally)
    found["save"] = SAVE_BYTE * saved
    return found
