"""What a run does, as a list of phases: which texts go through which model, how often, and whether something is learned from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio.models.shape import ModelShape
from studio.plan import Task, Training

# Different portions that stand for all of a phase; more would change its sum by less than a hundredth.
MAX_MICRO_BATCH_KINDS = 8
# From this size on a card recomputes activations in the backward pass instead of keeping them: they outweigh the weights (numbers).
CHECKPOINTING_MIN_PARAMETERS = 1e9
# From this many trained numbers on, a card keeps the optimiser's two averages in 8 bits: 2 bytes a number instead of 8.
EIGHT_BIT_OPTIMIZER_MIN_PARAMETERS = 300e6


def uses_gradient_checkpointing(requested: bool | None, on_gpu: bool, n_parameters: int) -> bool:
    """Whether intermediate results are computed again on the way back (gradient checkpointing): as asked, else on a card by the model's size."""
    return on_gpu and n_parameters >= CHECKPOINTING_MIN_PARAMETERS if requested is None else requested


@dataclass(frozen=True)
class RowTokens:
    """One example in tokens: what is asked, what is learned after it, and the other answer of a pair. A text to sort is only asked."""

    prompt_tokens: int
    completion_tokens: int = 0
    rejected_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All that is read of it."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Workload:
    """What a method is given to do: `rows` stand for `count` usable examples, of which the share `aside` is kept to check on and the share
    `tested` for the last verdict, which is measured on `own` others where there is a test set of its own.

    `training` has its epochs, batch size and length filled in; `known` counts questions whose answers are known, `labels` classes.
    """

    task: Task
    rows: tuple[RowTokens, ...]
    count: int
    validation_share: float
    training: Training
    shape: ModelShape
    num_labels: int = 0
    n_known_answers: int = 0
    test_share: float = 0.0
    n_custom_test: int = 0

    @property
    def n_test(self) -> int:
        """Examples for the last verdict."""
        return self.n_custom_test or round(self.test_share * self.count)

    @property
    def n_train(self) -> int:
        """Examples to learn from."""
        return max(1, self.count - self.n_validation - round(self.test_share * self.count))

    @property
    def n_validation(self) -> int:
        """Examples to check on."""
        return max(1, round(self.validation_share * self.count))

    @property
    def micro_batch_size(self) -> int:
        """Examples that are computed at once."""
        return max(1, (self.training.batch_size or 1) // self.training.gradient_accumulation_steps)

    @property
    def steps(self) -> int:
        """Steps over all rounds."""
        return math.ceil(
            math.ceil(self.n_train / (self.training.batch_size or 1)) * (self.training.epochs or 1)
        )

    @property
    def n_evaluations(self) -> int:
        """Validations on the way."""
        interval = max(1, -(-self.steps // self.training.eval_count))
        return math.ceil(self.steps / interval)


@dataclass(frozen=True)
class MicroBatch:
    """`times` portions of `rows` texts, padded to `tokens` tokens where `padded`, with scores for words at `scored` positions of each."""

    rows: int
    tokens: int
    scored_positions: int
    padded: bool
    repeats: float


@dataclass(frozen=True)
class Phase:
    """One stretch of a run: portions through a model, `rounds` times.

    `under` names the method that is attached, "" where the base is asked alone; `blocks` is the share of its blocks that is run. `head` is
    "words" or "classes" (or one score). `learn` says that gradients are wanted, and `updates` counts the steps that follow from them.
    `new` tokens are written after each text, one by one, where it is above 0. `held` counts further whole models in memory meanwhile,
    `stored` tokens whose vectors are kept from an earlier phase. `trl` says that a trainer of TRL's runs it:
    without dropout, and scoring words in its own way (studio.estimate.analytic.time).
    """

    name: str
    micro_batches: tuple[MicroBatch, ...]
    method: str = ""
    with_gradients: bool = False
    passes: float = 1.0
    optimizer_steps: float = 0.0
    head: str = "words"
    block_share: float = 1.0
    new_tokens: int = 0
    extra_models: float = 0.0
    cached_tokens: float = 0.0
    uses_trl: bool = False


def build_micro_batches(
    lengths: Sequence[tuple[int, int]], batch_size: int, count: float
) -> tuple[MicroBatch, ...]:
    """Portions of `size` for `count` texts of which `lengths` (tokens, scored positions) are a fair sample, like lengths together.

    The last is the one with the longest texts, which decides how much memory is needed; the others stand for several each.
    """
    if not lengths:
        return ()
    order = sorted(lengths)
    batch_size = max(1, min(batch_size, math.ceil(count)))
    n_batches = math.ceil(count / batch_size)
    longest_texts_batch = _build_micro_batch(order[-batch_size:], batch_size, 1.0)
    remaining = order[: len(order) - max(1, round(batch_size * len(order) / count))] if n_batches > 1 else []
    n_kinds = max(1, min(MAX_MICRO_BATCH_KINDS, n_batches - 1, len(remaining) // batch_size))
    batches = []
    for index in range(n_kinds) if remaining else ():
        stretch = remaining[index * len(remaining) // n_kinds : (index + 1) * len(remaining) // n_kinds]
        start = max(
            0, len(stretch) // 2 - batch_size // 2
        )  # the portion in the middle of this stretch stands for all of it
        batches.append(
            _build_micro_batch(stretch[start : start + batch_size], batch_size, (n_batches - 1) / n_kinds)
        )
    return (
        *batches,
        longest_texts_batch if batches else replace(longest_texts_batch, repeats=float(n_batches)),
    )


def _build_micro_batch(lengths: Sequence[tuple[int, int]], batch_size: int, repeats: float) -> MicroBatch:
    """Texts side by side: it is scored wherever one of them is, so from where the shortest question ends to the end of the longest text."""
    longest, first_scored = (
        max(tokens for tokens, _ in lengths),
        min(tokens - scored for tokens, scored in lengths),
    )
    scored = longest - first_scored if any(scored for _, scored in lengths) else 0
    return MicroBatch(
        batch_size, longest, scored, batch_size > 1 and len({tokens for tokens, _ in lengths}) > 1, repeats
    )


def truncate_rows(rows: Sequence[RowTokens], max_tokens: int) -> list[tuple[int, int]]:
    """Tokens and scored positions of rows cut at `most` tokens; one whose question leaves no room is left out."""
    return [
        (min(row.tokens, max_tokens), min(row.tokens, max_tokens) - row.prompt_tokens)
        for row in rows
        if row.prompt_tokens < max_tokens or not row.completion_tokens
    ]


def supervised_lengths(workload: Workload) -> list[tuple[int, int]]:
    """Each example as a supervised training reads it: tokens, and positions with something to learn."""
    max_tokens = workload.training.max_length
    if workload.task == "classify":
        return [(min(row.tokens, max_tokens), 0) for row in workload.rows]
    if workload.task != "complete":
        return truncate_rows(workload.rows, max_tokens)
    pieces = []
    for row in workload.rows:  # a long text becomes several pieces
        n_full_pieces, remainder = divmod(row.tokens, max_tokens)
        pieces += [(max_tokens, max_tokens - 1)] * n_full_pieces + (
            [(remainder, remainder - 1)] if remainder > 1 else []
        )
    return pieces


def build_supervised_phases(workload: Workload, method: str, name: str = "train") -> tuple[Phase, ...]:
    """Learning from the examples with validations on the way; before and after it the kept-aside part is looked at once each."""
    lengths, head = supervised_lengths(workload), "classes" if workload.task == "classify" else "words"
    pieces_per_row = len(lengths) / max(len(workload.rows), 1)  # pieces of one text count each
    train_batches = build_micro_batches(lengths, workload.micro_batch_size, workload.n_train * pieces_per_row)
    validation_batches = build_micro_batches(
        lengths, workload.micro_batch_size, workload.n_validation * pieces_per_row
    )
    answer_phases = () if not workload.n_known_answers else (build_answer_phase(workload),)
    test_batches = (
        build_micro_batches(lengths, workload.micro_batch_size, workload.n_test * pieces_per_row)
        if workload.n_test
        else ()
    )
    return (
        Phase(
            "check",
            validation_batches,
            method,
            passes=(1 if test_batches else 2) + workload.n_evaluations,
            head=head,
        ),
        *([Phase("verdict", test_batches, method, passes=2, head=head)] if test_batches else []),
        Phase(
            name,
            train_batches,
            method,
            with_gradients=True,
            passes=workload.training.epochs or 1,
            optimizer_steps=workload.steps,
            head=head,
        ),
        *answer_phases,
    )


def build_answer_phase(workload: Workload) -> Phase:
    """Questions with known answers, asked before and after (studio.evaluate.answers)."""
    n_questions = (
        (workload.n_test or workload.n_validation) * workload.n_known_answers / max(workload.count, 1)
    )
    batches = build_micro_batches([(row.prompt_tokens, 0) for row in workload.rows], 16, min(64, n_questions))
    return Phase("ask", batches, passes=2, new_tokens=160)
