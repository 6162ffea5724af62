"""The closed form: what one pass of a micro batch takes, in microseconds and without torch.

Arithmetic is counted as Kaplan et al. 2020 do: 2 FLOP per weight and token forward, and twice that backward
where weights are trained. What is kept for the backward pass follows Korthikanti et al. 2022, with figures
of today's model code instead of theirs: FAMILY_PROFILES was read off traces (torch 2.13, transformers 5.23;
studio.estimate.tracing.meta_step), in units of the widths of a block's matrices. Formulas and sources:
docs/estimator.md#memory and docs/estimator.md#time. tests/estimate/test_meta_step.py holds the closed form
against the trace.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from studio.data.loss_chunks import positions_at_once
from studio.estimate.op_counts import OpCounts
from studio.methods.cost_profile import CostProfile
from studio.methods.workload import MicroBatch, Phase
from studio.models.shape import ModelShape


@dataclass(frozen=True)
class FamilyProfile:
    """What a block of a family of models takes (docs/estimator.md#family_profiles).

    Figures "per token" are numbers in units of the summed widths (in and out) of a block's matrices. Figures
    "per pair" are numbers per head and pair of tokens; they are not 0 only where attention has dropout,
    which no fast kernel supports.

    Attributes:
        saved_activations: Kept for the backward pass, per token, where the block is trained.
        saved_activations_frozen: The same where gradients only pass through the block.
        memory_traffic: Moved forward, per token.
        backward_traffic: Moved backward, per token, where the block is trained.
        backward_traffic_frozen: The same where gradients only pass through the block.
        operations: Operations forward, per block.
        backward_operations: Operations backward, per block.
        attention_saved: Kept for the backward pass, per pair; as many random numbers are drawn as there
            are pairs.
        attention_traffic: Moved forward, per pair.
        attention_backward_traffic: Moved backward, per pair.
        random_numbers: Random numbers drawn, per token.
    """

    saved_activations: float
    saved_activations_frozen: float
    memory_traffic: float
    backward_traffic: float
    backward_traffic_frozen: float
    operations: float
    backward_operations: float
    attention_saved: float = 0.0
    attention_traffic: float = 0.0
    attention_backward_traffic: float = 0.0
    random_numbers: float = 0.0


GATED_PROFILE = FamilyProfile(
    saved_activations=1.23,
    saved_activations_frozen=0.86,
    memory_traffic=4.3,
    backward_traffic=8.9,
    backward_traffic_frozen=7.3,
    operations=41,
    backward_operations=73,
)
NORMED_HEADS_PROFILE = FamilyProfile(
    saved_activations=1.56,
    saved_activations_frozen=1.10,
    memory_traffic=5.9,
    backward_traffic=12.7,
    backward_traffic_frozen=10.6,
    operations=53,
    backward_operations=101,
)
BERT_PROFILE = FamilyProfile(
    saved_activations=1.04,
    saved_activations_frozen=0.80,
    memory_traffic=4.1,
    backward_traffic=5.7,
    backward_traffic_frozen=4.9,
    operations=42,
    backward_operations=42,
    attention_saved=2.8,
    attention_traffic=15.2,
    attention_backward_traffic=9.5,
    random_numbers=0.11,
)
# GPT-2's own activation function (gelu_new) is computed in several steps, each of which keeps its input.
GPT2_PROFILE = replace(
    BERT_PROFILE,
    saved_activations=1.50,
    saved_activations_frozen=1.25,
    memory_traffic=5.9,
    backward_traffic=9.3,
    backward_traffic_frozen=8.2,
)
# Phi-3 has the same values in fewer matrices, so there are fewer widths to count in.
PHI3_PROFILE = replace(
    GATED_PROFILE,
    saved_activations_frozen=1.18,
    memory_traffic=5.4,
    backward_traffic=9.2,
    backward_traffic_frozen=9.9,
)
# What experts take; what is kept is in units of their activations, as not all widths of their matrices are
# kept. They multiply in the format of their weights, whatever autocast says.
EXPERTS_PROFILE = FamilyProfile(
    saved_activations=1.6,
    saved_activations_frozen=0.9,
    memory_traffic=3.7,
    backward_traffic=8.2,
    backward_traffic_frozen=7.0,
    operations=25,
    backward_operations=22,
)
# Families whose blocks were not read off are counted as their nearest relative; traces refine them all alike.
FAMILY_PROFILES = {
    **dict.fromkeys(("qwen3", "qwen3_moe", "olmoe", "gemma2", "gemma3_text"), NORMED_HEADS_PROFILE),
    **dict.fromkeys(("bert", "distilbert", "roberta", "xlm-roberta", "mpnet", "electra"), BERT_PROFILE),
    "gpt2": GPT2_PROFILE,
    "phi3": PHI3_PROFILE,
    "modernbert": FamilyProfile(
        saved_activations=1.31,
        saved_activations_frozen=1.00,
        memory_traffic=4.4,
        backward_traffic=7.9,
        backward_traffic_frozen=6.0,
        operations=26,
        backward_operations=33,
    ),
}
# On a GPU the texts of a packed micro batch are moved into padded rows for the attention, and back
# (studio.data.packed_texts): operations of a block on the way forward and backward, and how often each moved
# number is read or written.
MOVING_OPERATIONS, MOVING_OPERATIONS_BACKWARD = 7.0, 5.0
MOVING_TRAFFIC = 1.5
# Operations around the blocks: embedding, masks, positions, final norm, loss.
NON_BLOCK_OPERATIONS = 60.0
# Where nothing is trained a block's intermediate results come and go: this many numbers per token, in units
# of the widths too (0.6 to 0.9 in traces of seven models).
TRANSIENT_WIDTHS = 0.75
# Bytes of a number under autocast: about a third of them are in 32 bits (norms, what trained weights need).
# On a GPU, which computes a norm at once, none are where gradients only pass through the blocks.
MIXED_PRECISION_BYTES, HALF_PRECISION_BYTES = 2.6, 2.0
# Gradient checkpointing computes the forward pass again but for the last product of a block; launches and
# traffic grow by less (docs/estimator.md#arithmetic-closed-form).
RECOMPUTED_FLOP_SHARE = 0.96
RECOMPUTED_OPERATIONS_FACTOR = 1.35
RECOMPUTED_TRAFFIC_FACTOR = 1.3


# Bytes of a position's score for a token while the loss and its gradient are computed, without autocast's
# copy; and in TRL's trainers.
BYTES_PER_SCORE, BYTES_PER_SCORE_IN_TRL = 8.0, 12.0


@dataclass(frozen=True)
class AttachedModel:
    """A model with a method attached, on the device that it computes on.

    Attributes:
        shape: The model's shape.
        profile: What the method adds to a pass.
        trainable_params: Number of parameters that get gradients.
        autocast_dtype: The 16-bit format in which its passes compute; empty for 32 bits.
        trained_bytes: Bytes of a trained parameter, and of its gradient.
        casts_weights: Whether weights are held in 32 bits and cast to that format in each pass.
        on_gpu: Whether a GPU computes.
        shards: Over how many GPUs gradients are spread.
    """

    shape: ModelShape
    profile: CostProfile
    trainable_params: int
    autocast_dtype: str
    trained_bytes: int = 4
    casts_weights: bool = False
    on_gpu: bool = False
    shards: int = 1

    @property
    def bytes_per_value(self) -> float:
        """Bytes of an activation."""
        if not self.autocast_dtype:
            return 4.0
        only_passes = self.on_gpu and not self.profile.trainable_blocks
        return HALF_PRECISION_BYTES if only_passes else MIXED_PRECISION_BYTES

    @cached_property
    def widths(self) -> float:
        """Summed widths (in and out) of a block's matrices, those of a shared expert among them."""
        experts = self.shape.experts
        shared_widths = 3 * (experts.hidden + experts.shared_inner) if experts.shared_inner else 0
        return experts.share * shared_widths + self.shape.per_block(lambda linear: linear.n_in + linear.n_out)

    @cached_property
    def block_params(self) -> float:
        """Parameters of a block's matrices, those of a shared expert among them."""
        experts = self.shape.experts
        in_matrices = self.shape.per_block(lambda linear: linear.n_in * linear.n_out)
        return experts.share * experts.shared_size + in_matrices

    @cached_property
    def is_head_trained(self) -> bool:
        """Whether the head that scores the vocabulary gets gradients.

        Where it is a matrix of its own it is trained with the top blocks, else with the embedding.
        """
        needed_blocks = self.shape.layers if self.shape.tied else 1
        return self.profile.trainable_blocks >= needed_blocks and not self.shape.encoder

    @cached_property
    def positions_at_once(self) -> int:
        """Positions whose scores exist at once."""
        return positions_at_once(self.shape.vocabulary, self.on_gpu, self.is_head_trained)


def count_pass(
    model: AttachedModel, phase: Phase, micro_batch: MicroBatch, gradient_checkpointing: bool = False
) -> OpCounts:
    """Count one micro batch through the model, and back again where the phase has gradients.

    Args:
        model: The model with its method.
        phase: The phase that the pass belongs to.
        micro_batch: The texts.
        gradient_checkpointing: Whether only each block's input is kept for the backward pass and
            everything else is computed once more on the way back.

    Returns:
        Work and peak memory, without what is resident all the time.
    """
    single_pass = _Pass(model, phase, micro_batch)
    counts = OpCounts()
    forward_flop = single_pass.add_forward(counts)
    head_flop = single_pass.add_head(counts)
    backward_flop = 0.0
    saved_bytes = 0.0
    if phase.with_gradients:
        backward_flop = single_pass.add_backward(counts) + head_flop
        saved_bytes = single_pass.saved_bytes()
        if gradient_checkpointing:
            forward_flop += single_pass.add_recomputation(counts, forward_flop)
            saved_bytes = single_pass.checkpointed_bytes()
    flop = forward_flop + head_flop + backward_flop
    # Answers are written in the format of the weights.
    if not model.autocast_dtype or (model.casts_weights and phase.new_tokens > 0):
        counts.flop_32 = flop
    else:
        counts.flop_32 = single_pass.expert_flop if model.casts_weights else 0.0
        counts.flop_16 = flop - counts.flop_32
    counts.parts = single_pass.peak_parts(saved_bytes)
    counts.peak = sum(counts.parts.values())
    return counts


def held_gradient_parts(
    model: AttachedModel, phase: Phase, micro_batch: MicroBatch, gradient_checkpointing: bool, copies: int
) -> dict[str, float]:
    """Return what a micro batch needs more (bytes) where gradients are there all the while, by part.

    Args:
        model: The model with its method.
        phase: The phase, which has gradients.
        micro_batch: The texts.
        gradient_checkpointing: As for `count_pass`.
        copies: How often all gradients are held before the way back begins.
    """
    single_pass = _Pass(model, phase, micro_batch)
    saved_bytes = single_pass.checkpointed_bytes() if gradient_checkpointing else single_pass.saved_bytes()
    at_end, at_loss = single_pass.moments_with_gradients(saved_bytes)
    if not copies or sum(at_loss.values()) > sum(at_end.values()):
        return {"gradients": copies * at_end["gradients"]}
    # The end has one of them already; with it the loss may need the most.
    kept_more = max(0.0, sum(at_loss.values()) - at_end["passing"])
    return {"gradients": (copies - 1) * at_end["gradients"], "activations": kept_more}


class _Pass:
    """One pass of a micro batch, with the quantities that the formulas share."""

    def __init__(self, model: AttachedModel, phase: Phase, micro_batch: MicroBatch) -> None:
        shape, profile = model.shape, model.profile
        self.model, self.phase, self.micro_batch = model, phase, micro_batch
        self.family = FAMILY_PROFILES.get(shape.family, GATED_PROFILE)
        self.has_method = bool(phase.method)
        self.tokens = float(micro_batch.rows * micro_batch.tokens)
        # A GPU attends in padded rows even where all else has no padding.
        self.moved_into_rows = model.on_gpu and micro_batch.packed_longest > 0
        row_tokens = micro_batch.packed_longest if self.moved_into_rows else micro_batch.tokens
        self.padded_tokens = float(micro_batch.rows * row_tokens)
        self.pairs = micro_batch.rows * row_tokens * (row_tokens + profile.virtual_tokens)
        # A GPU's kernels skip what a token may not see, unless a mask says so.
        has_mask = profile.virtual_tokens > 0 or (micro_batch.padded and phase.uses_trl)
        skips_half = model.on_gpu and not shape.encoder and not has_mask
        self.seen_pairs = self.pairs / 2 if skips_half else self.pairs
        self.widths, self.block_params = model.widths, model.block_params
        experts = shape.experts
        self.expert_widths = experts.share * experts.widths
        self.expert_activations = experts.share * experts.activations
        self.expert_params = experts.share * experts.active * experts.size
        self.all_expert_params = experts.share * experts.count * experts.size
        self.expert_flop = 0.0
        self.adapter_params = profile.adapter_params if self.has_method else 0.0
        # Blocks that run; of these, blocks that are trained and blocks that gradients only pass through.
        self.n_blocks = phase.block_share * shape.layers - (profile.cached_blocks if self.has_method else 0)
        self.n_trainable_blocks: float = 0
        self.n_passed_blocks: float = 0
        if phase.with_gradients:
            self.n_trainable_blocks = min(profile.trainable_blocks, self.n_blocks)
            if not _stops_backward(profile):
                self.n_passed_blocks = self.n_blocks - self.n_trainable_blocks
        self.n_backward_blocks = self.n_trainable_blocks + self.n_passed_blocks
        # Bytes of one number per head and pair of tokens.
        self.attention_bytes = (
            model.bytes_per_value * shape.heads * self.pairs if phase.with_gradients else 0.0
        )

    def add_forward(self, counts: OpCounts) -> float:
        """Add the forward pass through the blocks, but for its arithmetic, which is returned (FLOP)."""
        profile, family = self.model.profile, self.family
        bytes_per_value = self.model.bytes_per_value
        counts.operations = self.n_blocks * self._per_block("operations") + NON_BLOCK_OPERATIONS
        counts.moved = self.n_blocks * (
            bytes_per_value * self.tokens * self._per_token("memory_traffic")
            + self.attention_bytes * family.attention_traffic
            + self._weight_bytes(is_first=True)
        )
        counts.moved_by_products = self.n_blocks * self._product_bytes()
        if self.moved_into_rows:
            counts.operations += MOVING_OPERATIONS * self.n_blocks
            counts.moved += self.n_blocks * self._bytes_moved_into_rows()
        if self.has_method:
            counts.moved += self.n_blocks * (
                bytes_per_value * self.tokens * profile.memory_traffic + 4 * profile.weight_traffic
            )
            counts.operations += self.n_blocks * profile.operations
        # A base in 4 bits is unpacked also where it answers alone.
        counts.unpacked += (self.n_blocks + self.n_backward_blocks) * profile.dequantized_params
        matrix_flop = 2 * self.tokens * (self.block_params + self.expert_params + self.adapter_params)
        self.expert_flop += self.n_blocks * 2 * self.tokens * self.expert_params
        attention_flop = 4 * self.seen_pairs * self.model.shape.attention_width
        return self.n_blocks * (matrix_flop + attention_flop)

    def _per_token(self, figure: str) -> float:
        """Return a figure of the profiles' traffic as numbers per token and block."""
        in_matrices = float(getattr(self.family, figure)) * self.widths
        return in_matrices + float(getattr(EXPERTS_PROFILE, figure)) * self.expert_widths

    def _per_block(self, figure: str) -> float:
        """Return a figure of the profiles that no width changes."""
        in_experts = float(getattr(EXPERTS_PROFILE, figure)) if self.expert_widths else 0.0
        return float(getattr(self.family, figure)) + in_experts

    @property
    def _attended_width(self) -> int:
        """Values of a token that go into the attention and come out of it."""
        return 2 * self.model.shape.attention_width + self.model.shape.kv_cache_width

    def _bytes_moved_into_rows(self) -> float:
        """Return what a block moves in one direction where texts go into padded rows and back (bytes)."""
        n_elements = (2 * self.tokens + self.padded_tokens) * self._attended_width
        return MOVING_TRAFFIC * self._bytes_in_products * n_elements

    def _kept_bytes_of_rows(self) -> float:
        """Return what padded rows keep more of a block (bytes): padding, and what comes out once more."""
        if not self.moved_into_rows:
            return 0.0
        padding = (self.padded_tokens - self.tokens) * self._attended_width
        return self._bytes_in_products * (padding + self.tokens * self.model.shape.attention_width)

    @property
    def _bytes_in_products(self) -> int:
        return 2 if self.model.autocast_dtype else 4

    @property
    def _bytes_in_experts(self) -> int:
        return 4 if self.model.casts_weights else self._bytes_in_products

    @property
    def _read_expert_params(self) -> float:
        """Parameters of the experts to which any token of the micro batch goes, at most all of them."""
        return min(self.tokens * self.expert_params, self.all_expert_params)

    def _product_bytes(self) -> float:
        """Return what the products of a block read and write in one direction (bytes)."""
        in_experts = self.tokens * self.expert_widths + self._read_expert_params
        in_matrices = self.tokens * self.widths + self.block_params
        return self._bytes_in_products * in_matrices + self._bytes_in_experts * in_experts

    def _weight_bytes(self, is_first: bool) -> float:
        """Return what is read of a block's weights (bytes); on the way forward they are cast first."""
        if not self.model.on_gpu:
            return 4 * (self.block_params + self._read_expert_params)
        cast_bytes = 6 if self.model.casts_weights and is_first else 0
        matrix_bytes = (self._bytes_in_products + cast_bytes) * self.block_params
        return matrix_bytes + self._bytes_in_experts * self._read_expert_params

    def add_head(self, counts: OpCounts) -> float:
        """Add the head's traffic; return its arithmetic in one direction (FLOP).

        The vocabulary is scored only at positions from which something is learned.
        """
        shape, phase = self.model.shape, self.phase
        rows = self.micro_batch.rows
        if phase.head != "words" or not self.micro_batch.scored_positions:
            return 2.0 * rows * shape.hidden * shape.hidden
        scored = float(rows * self.micro_batch.scored_positions)
        head_params = shape.vocabulary * shape.hidden
        is_trainable = self.model.is_head_trained
        n_chunks = 1 if phase.uses_trl else math.ceil(scored / self.model.positions_at_once)
        counts.moved += 4 * (head_params * n_chunks + 4 * scored * shape.vocabulary)
        n_products = 1
        if phase.with_gradients:
            n_products = 3 if is_trainable else 2
        head_bytes = self._bytes_in_products * (head_params * n_chunks + scored * shape.vocabulary)
        counts.moved_by_products += n_products * head_bytes
        flop = 2.0 * scored * shape.vocabulary * shape.hidden
        if phase.with_gradients:
            # The gradient of a trained head is written for each chunk, and added to the sum.
            weight_reads = 4 * n_chunks if is_trainable else n_chunks
            counts.moved += 4 * (head_params * weight_reads + 6 * scored * shape.vocabulary)
            if is_trainable:
                # The backward pass of a trained head is twice its forward pass: half of it on either side.
                flop *= 1.5
        return flop

    def add_backward(self, counts: OpCounts) -> float:
        """Add the backward pass through the blocks; return its arithmetic without the head's (FLOP)."""
        profile, family = self.model.profile, self.family
        bytes_per_value = self.model.bytes_per_value
        counts.moved += self.n_backward_blocks * (
            bytes_per_value * self.tokens * profile.memory_traffic_backward
            + 4 * profile.weight_traffic_backward
            + self._weight_bytes(is_first=False)
        )
        counts.moved_by_products += self._product_bytes() * (self.n_backward_blocks + self.n_trainable_blocks)
        moved_per_token = self.n_trainable_blocks * self._per_token(
            "backward_traffic"
        ) + self.n_passed_blocks * self._per_token("backward_traffic_frozen")
        counts.moved += bytes_per_value * self.tokens * moved_per_token
        # The gradients of the weights; those of experts are written once, and nothing is added to them.
        counts.moved += self.n_trainable_blocks * 8 * self.block_params
        counts.moved += self.n_backward_blocks * self.attention_bytes * family.attention_backward_traffic
        # The norm of the gradient, and its clipping.
        counts.moved += 16.0 * self.model.trainable_params
        counts.operations += self.n_backward_blocks * (
            self._per_block("backward_operations") + profile.operations_backward
        )
        if self.moved_into_rows:
            counts.operations += MOVING_OPERATIONS_BACKWARD * self.n_backward_blocks
            counts.moved += self.n_backward_blocks * self._bytes_moved_into_rows()
        counts.drawn = self.n_blocks * self._random_numbers_per_block()
        block_params = self.block_params + self.expert_params
        matrix_flop = 2 * self.tokens * (block_params + 2 * self.adapter_params)
        attention_flop = 10 * self.seen_pairs * self.model.shape.attention_width
        weight_gradient_flop = self.n_trainable_blocks * 2 * self.tokens * block_params
        n_products = self.n_backward_blocks + self.n_trainable_blocks
        self.expert_flop += n_products * 2 * self.tokens * self.expert_params
        return self.n_backward_blocks * (matrix_flop + attention_flop) + weight_gradient_flop

    def _random_numbers_per_block(self) -> float:
        n_attention = (
            self.attention_bytes / self.model.bytes_per_value if self.family.attention_saved else 0.0
        )
        per_token = self.model.profile.random_numbers + self.family.random_numbers * self.widths
        return self.tokens * per_token + n_attention

    def add_recomputation(self, counts: OpCounts, forward_flop: float) -> float:
        """Add the second forward pass of gradient checkpointing; return its arithmetic (FLOP)."""
        counts.drawn *= 2
        counts.unpacked += self.n_blocks * self.model.profile.dequantized_params
        counts.operations *= RECOMPUTED_OPERATIONS_FACTOR
        counts.moved *= RECOMPUTED_TRAFFIC_FACTOR
        counts.moved_by_products *= RECOMPUTED_TRAFFIC_FACTOR
        self.expert_flop += RECOMPUTED_FLOP_SHARE * self.n_blocks * 2 * self.tokens * self.expert_params
        return RECOMPUTED_FLOP_SHARE * forward_flop

    def saved_bytes(self) -> float:
        """Return what all blocks keep for the backward pass (bytes)."""
        weight_copies = self.model.bytes_per_value * self.model.profile.weight_copies
        if self.model.casts_weights:
            weight_copies += 2 * self.block_params
        return (
            self.n_trainable_blocks * self._saved_bytes_per_block("saved_activations")
            + self.n_passed_blocks * self._saved_bytes_per_block("saved_activations_frozen")
            + self.n_backward_blocks * weight_copies
        )

    def checkpointed_bytes(self) -> float:
        """Return what gradient checkpointing keeps: each block's input, and one block in full (bytes)."""
        block_inputs = self.n_blocks * self.model.bytes_per_value * self.tokens * self.model.shape.hidden
        one_block = max(
            self._saved_bytes_per_block("saved_activations"),
            self._saved_bytes_per_block("saved_activations_frozen"),
        )
        return block_inputs + one_block

    def _saved_bytes_per_block(self, figure: str) -> float:
        in_experts = float(getattr(EXPERTS_PROFILE, figure)) * self.expert_activations
        in_matrices = float(getattr(self.family, figure)) * self.widths
        numbers_per_token = in_matrices + in_experts + self.model.profile.saved_activations
        token_bytes = self.model.bytes_per_value * self.tokens * numbers_per_token
        return token_bytes + self._kept_bytes_of_rows() + self.attention_bytes * self.family.attention_saved

    def _loss_bytes(self) -> tuple[float, float]:
        """Return the bytes of the loss: the scores that exist at once, and the gradients of a trained head.

        Scores are those of a chunk of positions, logits and probabilities in 32 bits each, under autocast
        logits in 16 bits too. The gradient of a second chunk exists beside that of the first.
        """
        shape = self.model.shape
        scored = self.micro_batch.rows * self.micro_batch.scored_positions
        if self.phase.uses_trl:
            return BYTES_PER_SCORE_IN_TRL * scored * shape.vocabulary, 0.0
        bytes_per_score = BYTES_PER_SCORE + (2.0 if self.model.autocast_dtype else 0.0)
        bytes_per_position = bytes_per_score * shape.vocabulary
        first_chunk = min(scored, self.model.positions_at_once)
        second_chunk = min(scored - first_chunk, self.model.positions_at_once)
        if not (self.phase.with_gradients and self.model.is_head_trained):
            return bytes_per_position * first_chunk, 0.0
        table_bytes = float(self.model.trained_bytes * shape.vocabulary * shape.hidden)
        moments = [(bytes_per_position * first_chunk, table_bytes)]
        if second_chunk:
            moments.append((bytes_per_position * second_chunk, 2 * table_bytes))
        return max(moments, key=sum)

    def peak_parts(self, saved_bytes: float) -> dict[str, float]:
        """Return the parts (bytes) of the moment with the most memory."""
        shape = self.model.shape
        if not (self.phase.with_gradients and self.model.trainable_params):
            scores, _ = self._loss_bytes()
            cache_width = shape.layers * shape.kv_cache_width if self.phase.new_tokens else 0
            numbers_per_token = TRANSIENT_WIDTHS * (self.widths + self.expert_widths) + cache_width
            transient_bytes = self.model.bytes_per_value * self.tokens * numbers_per_token
            return {"passing": transient_bytes, "scores": scores}
        return max(self.moments_with_gradients(saved_bytes), key=lambda parts: sum(parts.values()))

    def moments_with_gradients(self, saved_bytes: float) -> tuple[dict[str, float], dict[str, float]]:
        """Return the parts (bytes) of the two moments one of which needs the most memory.

        That is the end of the backward pass, when all gradients are there; or the loss, when everything is
        kept, scores of a chunk of positions exist, and the gradient of a trained head is added up.
        """
        shape, trained_bytes = self.model.shape, self.model.trained_bytes
        scores, head_gradient_bytes = self._loss_bytes()
        # A tied embedding that is trained gets gradients as a table and as a head.
        tied_gradient_bytes = 0.0
        if self.model.is_head_trained and shape.tied:
            tied_gradient_bytes = 2.0 * trained_bytes * shape.vocabulary * shape.hidden
        gradient_bytes = trained_bytes * self.model.trainable_params / self.model.shards
        at_end = {"gradients": gradient_bytes, "passing": tied_gradient_bytes}
        return at_end, {"activations": saved_bytes + head_gradient_bytes, "scores": scores}


def _stops_backward(profile: CostProfile) -> bool:
    """Return whether gradients end at the lowest trained block: nothing below or beside it needs them."""
    return profile.trainable_blocks > 0 and not profile.adapter_params and not profile.virtual_tokens
