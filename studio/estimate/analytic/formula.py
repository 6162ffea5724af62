"""The closed form: what one portion of texts takes on its way through a model, in microseconds and without torch.

Counting follows Kaplan et al. 2020 for arithmetic (2 FLOP a weight and token forward, twice that back where weights learn) and Korthikanti
et al. 2022 for what is kept, with the figures of today's model code in the place of theirs: FAMILIES was read off traces (torch 2.13,
transformers 5.23; studio.estimate.tracing.meta_step), per unit of the widths of a block's matrices. tests/test_formula.py holds both together.
"""

from dataclasses import dataclass

from studio.estimate.op_counts import OpCounts
from studio.methods.cost_profile import CostProfile
from studio.methods.workload import MicroBatch, Phase
from studio.models.shape import ModelShape


@dataclass(frozen=True)
class FamilyProfile:
    """Per token, in units of the summed widths (in and out) of a block's matrices: numbers kept where a block learns, or where gradients
    only pass, and numbers moved; per block and pass the operations. `squared` numbers are
    kept, and moved there and back, per head and pair of tokens where attention has dropout, which no fast kernel knows; then one number of
    chance is drawn for each, and `drawn` per token in units of the widths.
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
FAMILY_PROFILES = {
    "qwen3": NORMED_HEADS_PROFILE,
    "gemma3_text": NORMED_HEADS_PROFILE,
    "bert": FamilyProfile(
        1.04,
        0.80,
        4.1,
        5.7,
        4.9,
        42,
        42,
        attention_saved=2.8,
        attention_traffic=15.2,
        attention_backward_traffic=9.5,
        random_numbers=0.11,
    ),
    "modernbert": FamilyProfile(1.31, 1.00, 4.4, 7.9, 6.0, 26, 33),
}
# Around the blocks: embedding, masks, positions, final norm, loss.
NON_BLOCK_OPERATIONS = 60.0
# Where nothing learns a block's intermediate results come and go: in units of the widths too (0.6 to 0.9 of seven models' traces).
TRANSIENT_WIDTHS = 0.75
# Under bfloat16 autocast about a third of what is kept stays in 32 bits (norms, PEFT's inputs): bytes a number.
MIXED_PRECISION_BYTES = 2.6


def count_pass(
    shape: ModelShape,
    phase: Phase,
    micro_batch: MicroBatch,
    profile: CostProfile,
    device: str,
    gradient_checkpointing: bool,
    trainable_params: int,
) -> OpCounts:
    """One portion through the model, back again where the phase learns; `trained` counts the numbers that get gradients.

    `recompute` says that what is kept is only each block's input, and the rest is computed once more on the way back.
    """
    family = FAMILY_PROFILES.get(shape.family, GATED_PROFILE)
    bytes_per_value = 4.0 if device == "cpu" else MIXED_PRECISION_BYTES
    tokens = float(micro_batch.rows * micro_batch.tokens)
    widths = sum(linear.n_in + linear.n_out for linear in shape.linears)
    block_params = float(sum(linear.n_in * linear.n_out for linear in shape.linears))
    n_blocks = phase.block_share * shape.layers - (profile.cached_blocks if phase.method else 0)
    n_trainable_blocks = min(profile.trainable_blocks, n_blocks) if phase.with_gradients else 0
    passing = n_blocks - n_trainable_blocks if phase.with_gradients and not _stops_backward(profile) else 0
    adapter_params = profile.adapter_params if phase.method else 0.0
    pairs = micro_batch.rows * micro_batch.tokens * (micro_batch.tokens + profile.virtual_tokens)
    forward_flop = n_blocks * (
        2 * tokens * (block_params + adapter_params) + 4 * pairs * shape.attention_width
    )
    backward_flop = (n_trainable_blocks + passing) * (
        2 * tokens * (block_params + 2 * adapter_params) + 10 * pairs * shape.attention_width
    ) + n_trainable_blocks * 2 * tokens * block_params
    counts = OpCounts(operations=n_blocks * family.operations + NON_BLOCK_OPERATIONS)
    attention_bytes = bytes_per_value * shape.heads * pairs if phase.with_gradients else 0.0
    counts.moved = n_blocks * (
        bytes_per_value * tokens * family.memory_traffic * widths
        + attention_bytes * family.attention_traffic
        + 4 * block_params
    )
    if phase.method:
        counts.moved += n_blocks * (
            bytes_per_value * tokens * profile.memory_traffic + 4 * profile.weight_traffic
        )
        counts.operations += n_blocks * profile.operations
        counts.unpacked += (n_blocks + n_trainable_blocks + passing) * profile.dequantized_params
    head_flop = _count_head(shape, phase, micro_batch, counts, profile.trainable_blocks >= shape.layers)
    saved_bytes = 0.0
    if phase.with_gradients:
        backward_flop += head_flop
        counts.moved += (n_trainable_blocks + passing) * (
            bytes_per_value * tokens * profile.memory_traffic_backward
            + 4 * profile.weight_traffic_backward
            + 4 * block_params
        )
        counts.moved += (
            bytes_per_value
            * tokens
            * widths
            * (n_trainable_blocks * family.backward_traffic + passing * family.backward_traffic_frozen)
            + n_trainable_blocks * 8 * block_params
        )
        counts.operations += (n_trainable_blocks + passing) * (
            family.backward_operations + profile.operations_backward
        )
        counts.moved += (
            (n_trainable_blocks + passing) * attention_bytes * family.attention_backward_traffic
            + 16.0 * trainable_params
        )  # the length of the gradient, and its cut
        saved_per_trainable, saved_per_frozen = (
            bytes_per_value * tokens * (widths * saved_activations + profile.saved_activations)
            + attention_bytes * family.attention_saved
            for saved_activations in (family.saved_activations, family.saved_activations_frozen)
        )
        saved_bytes = (
            n_trainable_blocks * saved_per_trainable
            + passing * saved_per_frozen
            + (n_trainable_blocks + passing) * bytes_per_value * profile.weight_copies
        )
        counts.drawn = n_blocks * (
            tokens * (profile.random_numbers + family.random_numbers * widths)
            + (attention_bytes / bytes_per_value if family.attention_saved else 0.0)
        )
        if gradient_checkpointing:
            counts.drawn, counts.unpacked = (
                2 * counts.drawn,
                counts.unpacked + n_blocks * profile.dequantized_params,
            )
            recomputed_flop = 0.96 * forward_flop  # the last product of a block is not needed again
            forward_flop, counts.operations, counts.moved = (
                forward_flop + recomputed_flop,
                counts.operations * 1.35,
                counts.moved * 1.3,
            )
            saved_bytes = n_blocks * bytes_per_value * tokens * shape.hidden + max(
                saved_per_trainable, saved_per_frozen
            )
    _set_flop(counts, forward_flop + head_flop + backward_flop, device)
    passing = (
        bytes_per_value
        * tokens
        * (TRANSIENT_WIDTHS * widths + (shape.layers * shape.kv_cache_width if phase.new_tokens else 0))
    )
    _set_peak(
        counts,
        shape,
        micro_batch,
        saved_bytes,
        passing,
        4.0 * trainable_params if phase.with_gradients else 0.0,
        profile,
    )
    return counts


def _stops_backward(profile: CostProfile) -> bool:
    """Whether gradients end at the lowest block that learns: nothing below or beside it wants any."""
    return profile.trainable_blocks > 0 and not profile.adapter_params and not profile.virtual_tokens


def _count_head(
    shape: ModelShape, phase: Phase, micro_batch: MicroBatch, counts: OpCounts, is_trainable: bool
) -> float:
    """Arithmetic of the head forward; adds its traffic. Words are scored where something is learned."""
    if phase.head != "words" or not micro_batch.scored_positions:
        return 2.0 * micro_batch.rows * shape.hidden * shape.hidden
    scored = float(micro_batch.rows * micro_batch.scored_positions)
    counts.moved += 4 * (shape.vocabulary * shape.hidden + 4 * scored * shape.vocabulary)
    if phase.with_gradients:
        counts.moved += 4 * (
            shape.vocabulary * shape.hidden * (4 if is_trainable else 1) + 6 * scored * shape.vocabulary
        )
    return (
        2.0
        * scored
        * shape.vocabulary
        * shape.hidden
        * (1.5 if phase.with_gradients and is_trainable else 1.0)
    )


def _set_flop(counts: OpCounts, flop: float, device: str) -> None:
    if device == "cpu":
        counts.flop_32 = flop
    else:
        counts.flop_16 = flop


def _set_peak(
    counts: OpCounts,
    shape: ModelShape,
    micro_batch: MicroBatch,
    saved_bytes: float,
    transient_bytes: float,
    gradient_bytes: float,
    profile: CostProfile,
) -> None:
    """The moment of most memory: at the loss, when everything is kept and scores lie there three times, or at the end of the way back."""
    scores = 12.0 * micro_batch.rows * micro_batch.scored_positions * shape.vocabulary
    if not gradient_bytes:
        counts.parts = {"passing": transient_bytes, "scores": scores * 2 / 3}
    else:
        tied_gradient_bytes = (
            8.0 * shape.vocabulary * shape.hidden
            if profile.trainable_blocks >= shape.layers and shape.tied and not shape.encoder
            else 0.0
        )
        at_loss, at_end = saved_bytes + scores, gradient_bytes + tied_gradient_bytes
        counts.parts = (
            {"activations": saved_bytes, "scores": scores}
            if at_loss > at_end
            else {"gradients": gradient_bytes, "passing": tied_gradient_bytes}
        )
    counts.peak = sum(counts.parts.values())
