"""What a run does, as a list of phases: which texts go through which model, how often, and whether something is learned from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio.models.shape import ModelShape
from studio.plan import Task, Training

# Different portions that stand for all of a phase; more would change its sum by less than a hundredth.
PORTIONS = 8
# From this size on a card recomputes activations in the backward pass instead of keeping them: they outweigh the weights (numbers).
RECOMPUTE_FROM = 1e9
# From this many trained numbers on, a card keeps the optimiser's two averages in 8 bits: 2 bytes a number instead of 8.
EIGHT_BIT_FROM = 300e6


def recomputed(asked: bool | None, on_card: bool, numbers: int) -> bool:
    """Whether intermediate results are computed again on the way back (gradient checkpointing): as asked, else on a card by the model's size."""
    return on_card and numbers >= RECOMPUTE_FROM if asked is None else asked


@dataclass(frozen=True)
class Row:
    """One example in tokens: what is asked, what is learned after it, and the other answer of a pair. A text to sort is only asked."""

    asked: int
    answer: int = 0
    other: int = 0

    @property
    def tokens(self) -> int:
        """All that is read of it."""
        return self.asked + self.answer


@dataclass(frozen=True)
class Load:
    """What a method is given to do: `rows` stand for `count` usable examples, of which the share `aside` is kept to check on and the share
    `tested` for the last verdict, which is measured on `own` others where there is a test set of its own.

    `training` has its epochs, batch size and length filled in; `known` counts questions whose answers are known, `labels` classes.
    """

    task: Task
    rows: tuple[Row, ...]
    count: int
    aside: float
    training: Training
    shape: ModelShape
    labels: int = 0
    known: int = 0
    tested: float = 0.0
    own: int = 0

    @property
    def judged(self) -> int:
        """Examples for the last verdict."""
        return self.own or round(self.tested * self.count)

    @property
    def learned(self) -> int:
        """Examples to learn from."""
        return max(1, self.count - self.checked - round(self.tested * self.count))

    @property
    def checked(self) -> int:
        """Examples to check on."""
        return max(1, round(self.aside * self.count))

    @property
    def portion(self) -> int:
        """Examples that are computed at once."""
        return max(1, (self.training.batch_size or 1) // self.training.accumulate)

    @property
    def steps(self) -> int:
        """Steps over all rounds."""
        return math.ceil(math.ceil(self.learned / (self.training.batch_size or 1)) * (self.training.epochs or 1))

    @property
    def checks(self) -> int:
        """Validations on the way."""
        every = max(1, -(-self.steps // self.training.evaluations))
        return math.ceil(self.steps / every)


@dataclass(frozen=True)
class Portion:
    """`times` portions of `rows` texts, padded to `tokens` tokens where `padded`, with scores for words at `scored` positions of each."""

    rows: int
    tokens: int
    scored: int
    padded: bool
    times: float


@dataclass(frozen=True)
class Phase:
    """One stretch of a run: portions through a model, `rounds` times.

    `under` names the method that is attached, "" where the base is asked alone; `blocks` is the share of its blocks that is run. `head` is
    "words" or "classes" (or one score). `learn` says that gradients are wanted, and `updates` counts the steps that follow from them.
    `new` tokens are written after each text, one by one, where it is above 0. `held` counts further whole models in memory meanwhile,
    `stored` tokens whose vectors are kept from an earlier phase. `trl` says that a trainer of TRL's runs it:
    without dropout, and scoring words in its own way (studio.estimate.time).
    """

    name: str
    portions: tuple[Portion, ...]
    under: str = ""
    learn: bool = False
    rounds: float = 1.0
    updates: float = 0.0
    head: str = "words"
    blocks: float = 1.0
    new: int = 0
    held: float = 0.0
    stored: float = 0.0
    trl: bool = False


def portions(lengths: Sequence[tuple[int, int]], size: int, count: float) -> tuple[Portion, ...]:
    """Portions of `size` for `count` texts of which `lengths` (tokens, scored positions) are a fair sample, like lengths together.

    The last is the one with the longest texts, which decides how much memory is needed; the others stand for several each.
    """
    if not lengths:
        return ()
    order = sorted(lengths)
    size = max(1, min(size, math.ceil(count)))
    times = math.ceil(count / size)
    longest = _portion(order[-size:], size, 1.0)
    rest = order[: len(order) - max(1, round(size * len(order) / count))] if times > 1 else []
    kinds = max(1, min(PORTIONS, times - 1, len(rest) // size))
    found = []
    for place in range(kinds) if rest else ():
        some = rest[place * len(rest) // kinds : (place + 1) * len(rest) // kinds]
        first = max(0, len(some) // 2 - size // 2)  # the portion in the middle of this stretch stands for all of it
        found.append(_portion(some[first : first + size], size, (times - 1) / kinds))
    return (*found, longest if found else replace(longest, times=float(times)))


def _portion(texts: Sequence[tuple[int, int]], size: int, times: float) -> Portion:
    """Texts side by side: it is scored wherever one of them is, so from where the shortest question ends to the end of the longest text."""
    longest, first = max(tokens for tokens, _ in texts), min(tokens - scored for tokens, scored in texts)
    scored = longest - first if any(scored for _, scored in texts) else 0
    return Portion(size, longest, scored, size > 1 and len({tokens for tokens, _ in texts}) > 1, times)


def cut(rows: Sequence[Row], most: int) -> list[tuple[int, int]]:
    """Tokens and scored positions of rows cut at `most` tokens; one whose question leaves no room is left out."""
    return [(min(row.tokens, most), min(row.tokens, most) - row.asked) for row in rows if row.asked < most or not row.answer]


def texts(load: Load) -> list[tuple[int, int]]:
    """Each example as a supervised training reads it: tokens, and positions with something to learn."""
    most = load.training.max_length
    if load.task == "classify":
        return [(min(row.tokens, most), 0) for row in load.rows]
    if load.task != "complete":
        return cut(load.rows, most)
    pieces = []
    for row in load.rows:  # a long text becomes several pieces
        whole, rest = divmod(row.tokens, most)
        pieces += [(most, most - 1)] * whole + ([(rest, rest - 1)] if rest > 1 else [])
    return pieces


def supervised(load: Load, under: str, name: str = "train") -> tuple[Phase, ...]:
    """Learning from the examples with validations on the way; before and after it the kept-aside part is looked at once each."""
    found, head = texts(load), "classes" if load.task == "classify" else "words"
    share = len(found) / max(len(load.rows), 1)  # pieces of one text count each
    learn = portions(found, load.portion, load.learned * share)
    look = portions(found, load.portion, load.checked * share)
    asked = () if not load.known else (answering(load),)
    judge = portions(found, load.portion, load.judged * share) if load.judged else ()
    return (
        Phase("check", look, under, rounds=(1 if judge else 2) + load.checks, head=head),
        *([Phase("verdict", judge, under, rounds=2, head=head)] if judge else []),
        Phase(name, learn, under, learn=True, rounds=load.training.epochs or 1, updates=load.steps, head=head),
        *asked,
    )


def answering(load: Load) -> Phase:
    """Questions with known answers, asked before and after (studio.evaluate.answers)."""
    asked = (load.judged or load.checked) * load.known / max(load.count, 1)
    rows = portions([(row.asked, 0) for row in load.rows], 16, min(64, asked))
    return Phase("ask", rows, rounds=2, new=160)
