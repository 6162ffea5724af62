"""What a run does, as a list of phases: which texts go through which model, and how often."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Literal

from studio.data import replay
from studio.evaluate.measures import MAX_QUESTIONS
from studio.evaluate.retention import budget
from studio.evaluate.retention.suites import SUITE_NAMES
from studio.models.device import DeviceType
from studio.models.shape import ModelShape
from studio.plan import Task, Training, Value

# As transformers calls them: averages in 32 bits, in 8 bits, and in 8 bits in pages of the machine's memory.
Optimizer = Literal["adamw_torch_fused", "adamw_torch_8bit", "paged_adamw_8bit"]
# Different micro batches that represent all of a phase; more would change its sum by less than a hundredth.
MAX_MICRO_BATCH_KINDS = 8
# From so many parameters on, a GPU recomputes activations in the backward pass instead of keeping them: they
# outweigh the weights.
CHECKPOINTING_MIN_PARAMETERS = 1e9
# Where the optimizer's two averages would take more than this share of a GPU's memory in 32 bits, they are
# kept in 8, in pages of the machine's own memory (docs/estimator.md#max_averages_share): bytes a parameter.
MAX_AVERAGES_SHARE, AVERAGES_BYTES = 0.25, 8
# From so many trained parameters on, a GPU that computes in bfloat16 holds them in it by default: 6 bytes
# each, not 12 (docs/estimator.md#bf16_weights_min_parameters).
BF16_WEIGHTS_MIN_PARAMETERS = 1e9
# Tokens of a batch in which a frozen bottom is run once over all examples
# (studio.methods.training.activation_cache).
CACHE_BATCH_TOKENS = 4096
# The share of main memory that frozen layers' outputs may take; more of them go to the disk.
MAX_CACHE_SHARE = 0.25
# Examples that a classifier's head is first fitted to (studio.methods.training.linear_head), at most.
MAX_LINEAR_ROWS = 20_000
# Steps of its solver (measured on Banking77: docs/methods.md#linear-start).
LINEAR_FIT_STEPS = 50
# Examples that a training is validated on along the way, at most: more would only cost time, up to a third of
# a training of one epoch (docs/methods.md#what-all-share).
MAX_CHECKED_EXAMPLES = 500
# How questions are answered in writing; the same as in studio.evaluate.answers, which loads torch.
ANSWER_BATCH_SIZE = 16
MAX_ANSWER_TOKENS = 160
# The same as in studio.evaluate.retention.scoring, which loads torch.
RETENTION_BATCH_SIZE = 16


# What follows is decided by run and estimate alike, from a plan's settings, a count and the kind of device.


def uses_gradient_checkpointing(requested: bool | None, n_parameters: int, device_type: DeviceType) -> bool:
    """Whether activations are recomputed in the backward pass: as requested, else by the model's size."""
    if requested is not None:
        return requested
    return device_type == "cuda" and n_parameters >= CHECKPOINTING_MIN_PARAMETERS


def holds_weights_in_bf16(settings: Mapping[str, Value], n_trained: int, has_bf16: bool) -> bool:
    """Whether trained weights are held in bfloat16: as the method's setting says, else by size and device.

    Args:
        settings: The method's settings; one without `weights_precision` trains in 32 bits.
        n_trained: The number of trained parameters.
        has_bf16: Whether the device computes in bfloat16 itself.
    """
    precision = settings.get("weights_precision", "float32")
    if precision == "auto":
        return has_bf16 and n_trained >= BF16_WEIGHTS_MIN_PARAMETERS
    return precision == "bfloat16"


def choose_optimizer(in_bf16: bool, n_trained: int, paged_gpu_bytes: float | None) -> Optimizer:
    """How the optimizer of a training whose weights are not spread over GPUs keeps its averages.

    Pages save memory and cost time: bitsandbytes waits for the GPU after every single parameter.

    Args:
        in_bf16: Whether trained weights are held in bfloat16.
        n_trained: The number of trained parameters.
        paged_gpu_bytes: The memory of the GPU that trains them; None elsewhere than on one of NVIDIA's, as
            only those have pages.
    """
    if in_bf16:
        return "adamw_torch_8bit"
    if paged_gpu_bytes is not None and AVERAGES_BYTES * n_trained > MAX_AVERAGES_SHARE * paged_gpu_bytes:
        return "paged_adamw_8bit"
    return "adamw_torch_fused"


def packs_texts(requested: bool | None, device_type: DeviceType, n_gpus: int, is_faster: bool) -> bool:
    """Whether texts that can be packed are: as requested, on a processor, else where one GPU is faster so.

    Args:
        requested: What the plan says (`training.padding_free`).
        device_type: Where they are trained: of GPUs only NVIDIA's pack.
        n_gpus: How many train together.
        is_faster: Whether a GPU is predicted to be faster so.
    """
    if requested is not None:
        return requested
    return device_type == "cpu" or (device_type == "cuda" and n_gpus == 1 and is_faster)


def may_replay(training: Training, device_type: DeviceType, n_gpus: int, computes_in_float16: bool) -> bool:
    """Whether steps on padded texts may be recorded and replayed: asked for, by one GPU of NVIDIA's.

    Args:
        training: The plan's.
        device_type: Where it runs.
        n_gpus: How many train together.
        computes_in_float16: Whether the loss is scaled, which looks at every gradient.
    """
    is_alone = device_type == "cuda" and n_gpus == 1
    return training.cuda_graphs and is_alone and not (training.disk_offload or computes_in_float16)


@dataclass(frozen=True)
class RowTokens:
    """One example in tokens.

    Args:
        prompt_tokens: tokens before the last answer; all of a text to classify.
        completion_tokens: tokens of the last answer, which are learned.
        rejected_tokens: tokens of the worse answer of a pair.
        history_tokens: of the prompt, those from the first answer on that is learned too; 0 where none is.
        earlier_answer_tokens: how many of these are learned: those of earlier answers.
    """

    prompt_tokens: int
    completion_tokens: int = 0
    rejected_tokens: int = 0
    history_tokens: int = 0
    earlier_answer_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def lead_tokens(self) -> int:
        """Tokens before the first that is learned."""
        return self.prompt_tokens - self.history_tokens

    @property
    def learned_share(self) -> float:
        """The share of the tokens from the first learned one on that are: all, but for later questions."""
        learned_tokens = self.completion_tokens + self.earlier_answer_tokens
        return learned_tokens / max(self.tokens - self.lead_tokens, 1)

    @property
    def longest_tokens(self) -> int:
        """Tokens of prompt and the longer of its completions."""
        return self.prompt_tokens + max(self.completion_tokens, self.rejected_tokens)


@dataclass(frozen=True)
class Workload:
    """What a method is given to do.

    Args:
        task: the task.
        rows: examples that represent all of them.
        count: usable examples in all.
        validation_share: the share of them kept for validation.
        training: training settings with epochs, batch size and length filled in.
        shape: the base model's shape.
        num_labels: labels of a classifier; 0 without a head.
        n_asked: examples that are put to the models as questions: those with known answers, or all of a chat.
        max_answer_tokens: the most tokens that such a question is answered with.
        test_share: the share of the examples kept for the test after training.
        n_custom_test: examples of a test set of its own, which is used instead; 0 where there is none.
        train_share: the share of the training examples that is learned from.
        replay_rows: the general examples that are mixed into the training; empty where none are.
        first_step_tokens: tokens of UPFT's request for a first step, in the language of the questions.
        packs_texts: whether the texts of a micro batch are trained on without padding.
        may_replay: whether a GPU may record what it does for a micro batch and replay it.
    """

    task: Task
    rows: tuple[RowTokens, ...]
    count: int
    validation_share: float
    training: Training
    shape: ModelShape
    num_labels: int = 0
    n_asked: int = 0
    max_answer_tokens: int = MAX_ANSWER_TOKENS
    test_share: float = 0.0
    n_custom_test: int = 0
    train_share: float = 1.0
    replay_rows: tuple[RowTokens, ...] = ()
    first_step_tokens: int = 0
    packs_texts: bool = False
    may_replay: bool = False

    def replays(self, phase: "Phase") -> bool:
        """Whether micro batches of a phase are replayed: plain training steps that recompute nothing."""
        is_plain = phase.with_gradients and not (phase.uses_trl or phase.cached_tokens)
        recomputes = self.training.gradient_checkpointing is True
        return self.may_replay and is_plain and not (self.packs_texts or recomputes)

    @property
    def n_test(self) -> int:
        """Examples of the test after training."""
        return self.n_custom_test or round(self.test_share * self.count)

    @property
    def n_train(self) -> int:
        """Training examples, general ones included."""
        n_own = max(1, round(self.train_share * self._n_not_held_out))
        return n_own + replay.count_examples(n_own, self.training.replay_share)

    @property
    def n_read(self) -> int:
        """Own examples of all parts: fewer than `count` where a share of those to train on is left out."""
        return self.count - round((1 - self.train_share) * self._n_not_held_out)

    @property
    def _n_not_held_out(self) -> int:
        return self.count - self.n_validation - round(self.test_share * self.count)

    @property
    def n_validation(self) -> int:
        """Validation examples."""
        return max(1, round(self.validation_share * self.count))

    @property
    def micro_batch_size(self) -> int:
        """Examples that are computed at once."""
        return max(1, (self.training.batch_size or 1) // self.training.accumulation_steps)

    @property
    def steps(self) -> int:
        """Optimizer steps over all epochs."""
        n_texts: float = self.n_train
        if self.task == "complete" and self.rows:  # a long plain text becomes several
            n_texts *= len(supervised_lengths(self)) / len(self.rows)
        steps_per_epoch = math.ceil(n_texts / (self.training.batch_size or 1))
        return math.ceil(steps_per_epoch * (self.training.epochs or 1))

    @property
    def n_evaluations(self) -> int:
        """Validations during training, the one before the first step included."""
        interval = max(1, -(-self.steps // self.training.eval_count))
        return 1 + math.ceil(self.steps / interval)


@dataclass(frozen=True)
class MicroBatch:
    """Micro batches of one kind.

    Args:
        rows: texts in each.
        tokens: tokens of each text, padding included.
        scored_positions: positions of each text with scores over the vocabulary.
        padded: whether some of the texts are padded.
        repeats: how many such micro batches there are.
        packed_longest: tokens of the longest text where they lie behind one another without padding; else 0.
    """

    rows: int
    tokens: int
    scored_positions: int
    padded: bool
    repeats: float
    packed_longest: int = 0


@dataclass(frozen=True)
class Phase:
    """One part of a run: micro batches through a model.

    Args:
        name: what it does.
        micro_batches: what goes through the model in one pass.
        method: the name of the attached method; "" for the base alone.
        with_gradients: whether there is a backward pass.
        passes: how often the micro batches are repeated.
        optimizer_steps: optimizer steps in all.
        head: "words", "classes" (or one score), or "none".
        block_share: the share of the model's blocks that is run.
        new_tokens: tokens generated after each text, one by one.
        extra_models: further models in memory meanwhile, in sizes of the base.
        cached_tokens: tokens whose hidden states are kept from an earlier phase.
        uses_trl: whether a trainer of TRL's runs it: without dropout, and scoring words in its own way
            (studio.estimate.analytic.time).
        extra_flop: arithmetic besides the passes (32 bits).
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
    extra_flop: float = 0.0


def can_pack_texts(task: Task, shape: ModelShape, virtual_tokens: int) -> bool:
    """Whether supervised training can put texts behind one another (studio.data.packed_texts), unpadded."""
    has_other_attention = shape.encoder or not shape.packs
    return not (task == "classify" or virtual_tokens or has_other_attention)


def build_micro_batches(
    lengths: Sequence[tuple[int, int]], batch_size: int, count: float, packed: bool = False
) -> tuple[MicroBatch, ...]:
    """Micro batches for `count` texts, texts of like length together.

    The last holds the longest texts, which decide how much memory is needed; the others represent several
    each.

    Args:
        lengths: tokens and scored positions of texts that are a fair sample of all.
        batch_size: texts in a micro batch.
        count: texts in all.
        packed: whether the texts of a micro batch have no padding.
    """
    build = _build_packed_micro_batch if packed else _build_padded_micro_batch
    if not lengths:
        return ()
    sorted_lengths = sorted(lengths)
    batch_size = max(1, min(batch_size, math.ceil(count)))
    n_batches = math.ceil(count / batch_size)
    longest_batch = build(sorted_lengths[-batch_size:], batch_size, 1.0)
    others: list[tuple[int, int]] = []
    if n_batches > 1:
        n_longest = max(1, round(batch_size * len(sorted_lengths) / count))
        others = sorted_lengths[: len(sorted_lengths) - n_longest]
    if not others:
        return (replace(longest_batch, repeats=float(n_batches)),)
    n_kinds = max(1, min(MAX_MICRO_BATCH_KINDS, n_batches - 1, len(others) // batch_size))
    batches = []
    for index in range(n_kinds):
        stretch = others[index * len(others) // n_kinds : (index + 1) * len(others) // n_kinds]
        # The micro batch in the middle of this stretch represents all of it.
        start = max(0, len(stretch) // 2 - batch_size // 2)
        repeats = (n_batches - 1) / n_kinds
        batches.append(build(stretch[start : start + batch_size], batch_size, repeats))
    return (*batches, longest_batch)


def _build_padded_micro_batch(
    lengths: Sequence[tuple[int, int]], batch_size: int, repeats: float
) -> MicroBatch:
    """A micro batch of padded texts.

    All of its texts are scored where one of them is: from where the shortest prompt ends to the end of the
    longest text.
    """
    longest = max(tokens for tokens, _ in lengths)
    shortest_prompt = min(tokens - scored for tokens, scored in lengths)
    is_scored = any(scored for _, scored in lengths)
    has_different_lengths = len({tokens for tokens, _ in lengths}) > 1
    return MicroBatch(
        rows=batch_size,
        tokens=longest,
        scored_positions=longest - shortest_prompt if is_scored else 0,
        padded=batch_size > 1 and has_different_lengths,
        repeats=repeats,
    )


def _build_packed_micro_batch(
    lengths: Sequence[tuple[int, int]], batch_size: int, repeats: float
) -> MicroBatch:
    """A micro batch of texts without padding, told as texts of their mean length."""
    return MicroBatch(
        rows=batch_size,
        tokens=math.ceil(sum(tokens for tokens, _ in lengths) / len(lengths)),
        scored_positions=math.ceil(sum(scored for _, scored in lengths) / len(lengths)),
        padded=False,
        repeats=repeats,
        packed_longest=max(tokens for tokens, _ in lengths),
    )


def truncate_rows(rows: Sequence[RowTokens], max_tokens: int, packed: bool = False) -> list[tuple[int, int]]:
    """Tokens and scored positions of truncated rows; one whose prompt leaves no space is left out.

    Between texts of other lengths, which pad a micro batch, all from the first learned token on are scored;
    packed ones are scored where they are learned.
    """
    truncated = []
    for row in rows:
        if row.lead_tokens < max_tokens or not row.completion_tokens:
            tokens = min(row.tokens, max_tokens)
            n_scored = tokens - row.lead_tokens
            truncated.append((tokens, math.ceil(n_scored * row.learned_share) if packed else n_scored))
    return truncated


def leaves_room(settings: Mapping[str, Value], load: Workload, row: RowTokens) -> bool:
    """Whether supervised training learns from an example: not where its prompt alone fills the limit."""
    if load.task in ("classify", "complete") or not row.completion_tokens:
        return True
    return row.lead_tokens < load.training.token_limit


def supervised_lengths(workload: Workload, packed: bool = False) -> list[tuple[int, int]]:
    """Tokens and scored positions of each row in supervised training; a long plain text becomes several."""
    max_tokens = workload.training.token_limit
    if workload.task == "classify":
        return [(min(row.tokens, max_tokens), 0) for row in workload.rows]
    if workload.task != "complete":
        return truncate_rows(workload.rows, max_tokens, packed)
    pieces = []
    for row in workload.rows:
        n_full_pieces, remainder = divmod(row.tokens, max_tokens)
        pieces += [(max_tokens, max_tokens - 1)] * n_full_pieces
        if remainder > 1:
            pieces.append((remainder, remainder - 1))
    return pieces


def replay_lengths(workload: Workload, n_own: int) -> list[tuple[int, int]]:
    """Tokens and scored positions of general examples, in their share beside `n_own` rows of the data."""
    n_wanted = replay.count_examples(n_own, workload.training.replay_share)
    rows = list(islice(cycle(workload.replay_rows), n_wanted))
    return truncate_rows(rows, workload.training.token_limit)


def build_supervised_phases(
    workload: Workload, method: str, name: str = "train", linear_passes: int = 1
) -> tuple[Phase, ...]:
    """Supervised training with validations on the way.

    Before and after it the test examples are measured, or the validation examples where there are none.

    Args:
        workload: what is trained on.
        method: the name of the attached method.
        name: the name of the training phase.
        linear_passes: how often a classifier's head is fitted to its embeddings.
    """
    lengths = supervised_lengths(workload)
    head = "classes" if workload.task == "classify" else "words"
    pieces_per_row = len(lengths) / max(len(workload.rows), 1)

    def build_batches(n_rows: int) -> tuple[MicroBatch, ...]:
        return build_micro_batches(lengths, workload.micro_batch_size, n_rows * pieces_per_row)

    own_lengths = supervised_lengths(workload, workload.packs_texts)
    train_lengths = [*own_lengths, *replay_lengths(workload, len(lengths))]
    n_pieces = workload.n_train * pieces_per_row
    test_batches = build_batches(workload.n_test) if workload.n_test else ()
    n_validation = workload.n_validation * pieces_per_row
    n_checked = min(n_validation, MAX_CHECKED_EXAMPLES)
    outer_passes = 0 if test_batches else 2 * n_validation / max(n_checked, 1)
    phases = [
        Phase(
            "check",
            build_micro_batches(lengths, workload.micro_batch_size, n_checked),
            method,
            passes=outer_passes + workload.n_evaluations,
            head=head,
        )
    ]
    if test_batches:
        phases.append(Phase("verdict", test_batches, method, passes=2, head=head))
    if workload.task == "classify":
        phases.append(build_linear_phase(workload, linear_passes))
    phases.append(
        Phase(
            name,
            build_micro_batches(train_lengths, workload.micro_batch_size, n_pieces, workload.packs_texts),
            method,
            with_gradients=True,
            passes=workload.training.epochs or 1,
            optimizer_steps=workload.steps,
            head=head,
        )
    )
    if workload.n_asked:
        phases.append(build_answer_phase(workload))
    return tuple(phases)


def build_linear_phase(workload: Workload, passes: int) -> Phase:
    """A linear model is fitted to the base's embeddings (studio.methods.training.linear_head).

    A step of its solver multiplies the features with the weights, and the residuals with the features.
    """
    lengths = supervised_lengths(workload)
    n_rows = min(workload.n_train, MAX_LINEAR_ROWS)
    batch_size = max(1, CACHE_BATCH_TOKENS // max((tokens for tokens, _ in lengths), default=1))
    flop_per_step = 4.0 * n_rows * workload.shape.hidden * workload.num_labels
    return Phase(
        "linear",
        build_micro_batches(lengths, batch_size, n_rows),
        passes=passes,
        head="classes",
        extra_flop=passes * LINEAR_FIT_STEPS * flop_per_step,
    )


def build_answer_phase(workload: Workload) -> Phase:
    """Held-out questions, answered before and after training (studio.evaluate.answers)."""
    n_held_out = workload.n_test or workload.n_validation
    n_questions = n_held_out * workload.n_asked / max(workload.count, 1)
    prompt_lengths = [(row.prompt_tokens, 0) for row in workload.rows]
    batches = build_micro_batches(prompt_lengths, ANSWER_BATCH_SIZE, min(MAX_QUESTIONS, n_questions))
    return Phase("ask", batches, passes=2, new_tokens=workload.max_answer_tokens)


def build_retention_phases(workload: Workload, method: str) -> tuple[Phase, ...]:
    """General questions before and after training (studio.training.retention); none for a classifier."""
    if workload.task == "classify":
        return ()
    lengths = supervised_lengths(workload)
    tokens_per_row = sum(tokens for tokens, _ in lengths) / max(len(workload.rows), 1)
    trained_tokens = tokens_per_row * workload.n_train * (workload.training.epochs or 1)
    n_items = budget.count_items(workload.training.retention, trained_tokens)
    if not n_items:
        return ()
    n_answers = n_items * len(SUITE_NAMES) * budget.ANSWERS_PER_ITEM
    answer_length = (budget.TOKENS_PER_ANSWER, budget.ANSWER_TOKENS)
    batches = build_micro_batches([answer_length], RETENTION_BATCH_SIZE, n_answers)
    return (Phase("retention", batches, method, passes=budget.RETENTION_PASSES),)
