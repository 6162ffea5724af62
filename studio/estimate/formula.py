"""The closed form: what one portion of texts takes on its way through a model, in microseconds and without torch.

Counting follows Kaplan et al. 2020 for arithmetic (2 FLOP a weight and token forward, twice that back where weights learn) and Korthikanti
et al. 2022 for what is kept, with the figures of today's model code in the place of theirs: FAMILIES was read off traces (torch 2.13,
transformers 5.23; studio.estimate.rehearse), per unit of the widths of a block's matrices. tests/test_formula.py holds both together.
"""

from dataclasses import dataclass

from studio.estimate.tally import Tally
from studio.methods.touch import Touch
from studio.methods.work import Phase, Portion
from studio.models.shape import ModelShape


@dataclass(frozen=True)
class Family:
    """Per token, in units of the summed widths (in and out) of a block's matrices: numbers kept where a block learns, or where gradients
    only pass, and numbers moved; per block and pass the operations. `squared` numbers are
    kept, and moved there and back, per head and pair of tokens where attention has dropout, which no fast kernel knows; then one number of
    chance is drawn for each, and `drawn` per token in units of the widths.
    """

    kept: float
    kept_passing: float
    moved: float
    back: float
    back_passing: float
    operations: float
    operations_back: float
    squared: float = 0.0
    squared_moved: float = 0.0
    squared_back: float = 0.0
    drawn: float = 0.0


GATED = Family(kept=1.23, kept_passing=0.86, moved=4.3, back=8.9, back_passing=7.3, operations=41, operations_back=73)
NORMED_HEADS = Family(kept=1.56, kept_passing=1.10, moved=5.9, back=12.7, back_passing=10.6, operations=53, operations_back=101)
FAMILIES = {
    "qwen3": NORMED_HEADS,
    "gemma3_text": NORMED_HEADS,
    "bert": Family(1.04, 0.80, 4.1, 5.7, 4.9, 42, 42, squared=2.8, squared_moved=15.2, squared_back=9.5, drawn=0.11),
    "modernbert": Family(1.31, 1.00, 4.4, 7.9, 6.0, 26, 33),
}
# Around the blocks: embedding, masks, positions, final norm, loss.
OUTSIDE_OPERATIONS = 60.0
# Where nothing learns a block's intermediate results come and go: in units of the widths too (0.6 to 0.9 of seven models' traces).
PASSING = 0.75
# Under bfloat16 autocast about a third of what is kept stays in 32 bits (norms, PEFT's inputs): bytes a number.
MIXED_BYTES = 2.6


def passed(shape: ModelShape, phase: Phase, portion: Portion, touch: Touch, device: str, recompute: bool, trained: int) -> Tally:
    """One portion through the model, back again where the phase learns; `trained` counts the numbers that get gradients.

    `recompute` says that what is kept is only each block's input, and the rest is computed once more on the way back.
    """
    family = FAMILIES.get(shape.family, GATED)
    size = 4.0 if device == "cpu" else MIXED_BYTES
    tokens = float(portion.rows * portion.tokens)
    widths = sum(linear.n_in + linear.n_out for linear in shape.linears)
    block = float(sum(linear.n_in * linear.n_out for linear in shape.linears))
    run = phase.blocks * shape.layers - (touch.skipped if phase.under else 0)
    learning = min(touch.learns, run) if phase.learn else 0
    passing = run - learning if phase.learn and not _stops(touch) else 0
    beside = touch.beside if phase.under else 0.0
    pairs = portion.rows * portion.tokens * (portion.tokens + touch.virtual)
    forward = run * (2 * tokens * (block + beside) + 4 * pairs * shape.mixed)
    back = (learning + passing) * (2 * tokens * (block + 2 * beside) + 10 * pairs * shape.mixed) + learning * 2 * tokens * block
    found = Tally(operations=run * family.operations + OUTSIDE_OPERATIONS)
    squares = size * shape.heads * pairs if phase.learn else 0.0
    found.moved = run * (size * tokens * family.moved * widths + squares * family.squared_moved + 4 * block)
    if phase.under:
        found.moved += run * (size * tokens * touch.moved + 4 * touch.remade)
        found.operations += run * touch.operations
        found.unpacked += (run + learning + passing) * touch.unpacked
    head = _head(shape, phase, portion, found, touch.learns >= shape.layers)
    kept = 0.0
    if phase.learn:
        back += head
        found.moved += (learning + passing) * (size * tokens * touch.moved_back + 4 * touch.remade_back + 4 * block)
        found.moved += size * tokens * widths * (learning * family.back + passing * family.back_passing) + learning * 8 * block
        found.operations += (learning + passing) * (family.operations_back + touch.operations_back)
        found.moved += (learning + passing) * squares * family.squared_back + 16.0 * trained  # the length of the gradient, and its cut
        learned, past = (
            size * tokens * (widths * each + touch.kept) + squares * family.squared for each in (family.kept, family.kept_passing)
        )
        kept = learning * learned + passing * past + (learning + passing) * size * touch.copies
        found.drawn = run * (tokens * (touch.drawn + family.drawn * widths) + (squares / size if family.squared else 0.0))
        if recompute:
            found.drawn, found.unpacked = 2 * found.drawn, found.unpacked + run * touch.unpacked
            again = 0.96 * forward  # the last product of a block is not needed again
            forward, found.operations, found.moved = forward + again, found.operations * 1.35, found.moved * 1.3
            kept = run * size * tokens * shape.hidden + max(learned, past)
    _divide(found, forward + head + back, device)
    passing = size * tokens * (PASSING * widths + (shape.layers * shape.kept_to_read if phase.new else 0))
    _peak(found, shape, portion, kept, passing, 4.0 * trained if phase.learn else 0.0, touch)
    return found


def _stops(touch: Touch) -> bool:
    """Whether gradients end at the lowest block that learns: nothing below or beside it wants any."""
    return touch.learns > 0 and not touch.beside and not touch.virtual


def _head(shape: ModelShape, phase: Phase, portion: Portion, found: Tally, learns: bool) -> float:
    """Arithmetic of the head forward; adds its traffic. Words are scored where something is learned."""
    if phase.head != "words" or not portion.scored:
        return 2.0 * portion.rows * shape.hidden * shape.hidden
    scored = float(portion.rows * portion.scored)
    found.moved += 4 * (shape.vocabulary * shape.hidden + 4 * scored * shape.vocabulary)
    if phase.learn:
        found.moved += 4 * (shape.vocabulary * shape.hidden * (4 if learns else 1) + 6 * scored * shape.vocabulary)
    return 2.0 * scored * shape.vocabulary * shape.hidden * (1.5 if phase.learn and learns else 1.0)


def _divide(found: Tally, work: float, device: str) -> None:
    if device == "cpu":
        found.flop_32 = work
    else:
        found.flop_16 = work


def _peak(found: Tally, shape: ModelShape, portion: Portion, kept: float, passing: float, gradients: float, touch: Touch) -> None:
    """The moment of most memory: at the loss, when everything is kept and scores lie there three times, or at the end of the way back."""
    scores = 12.0 * portion.rows * portion.scored * shape.vocabulary
    if not gradients:
        found.parts = {"passing": passing, "scores": scores * 2 / 3}
    else:
        twice = 8.0 * shape.vocabulary * shape.hidden if touch.learns >= shape.layers and shape.tied and not shape.encoder else 0.0
        at_loss, at_end = kept + scores, gradients + twice
        found.parts = {"activations": kept, "scores": scores} if at_loss > at_end else {"gradients": gradients, "passing": twice}
    found.peak = sum(found.parts.values())
