"""Several cards: what each of them gets to do, what it holds, and what they send each other.

Where one card holds the run, each holds all of it and takes its share of every batch; gradients are summed
over the cards (DDP). Else, in full fine-tuning, each card holds its share of weights, gradients and averages
and collects a block when it needs it (FSDP); base and result are evaluated whole on the first card, in the
format of frozen weights. See docs/estimator.md#several-cards.
"""

from dataclasses import replace

from studio.estimate.machines.catalogue import Machine
from studio.estimate.method_run import MethodRun
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods.several_cards import SHARDED_METHODS

# Blocks that are collected at once under FSDP: the one that runs, and the next one meanwhile.
COLLECTED_BLOCKS = 2
# What is spread evenly over the cards under FSDP.
SHARDED_PARTS = ("model", "optimiser", "gradients", "beside")
EVALUATED_WHOLE = Message(
    "Shared out over {count} GPUs (FSDP) it does not fit either: the first one evaluates the whole model, "
    "which takes {need:.1f} of {room:.1f} GB. Up to about {most:.1f} billion parameters work there."
)
SHARE_TOO_LARGE = Message(
    "Shared out over {count} GPUs (FSDP) it does not fit either: each would hold {need:.1f} of {room:.1f} "
    "GB. Up to about {most:.1f} billion parameters work there."
)
NOT_IN_BF16 = Message(
    "One GPU would hold {need:.1f} of {room:.1f} GB, and weights in bfloat16 cannot be shared out over "
    "several (FSDP). In 32 bits they can, and it fits: set weights_precision to float32."
)
NOT_IN_FLOAT16 = Message(
    "One GPU would hold {need:.1f} of {room:.1f} GB, and GPUs that compute in float16 cannot share out the "
    "weights (FSDP). Choose GPUs with bfloat16, or LoRA."
)


def may_shard(run: MethodRun) -> bool:
    """Return whether a run's method can train with a share of the weights on each of several cards."""
    return run.cards > 1 and run.method.name in SHARDED_METHODS


def can_shard(run: MethodRun, machine: Machine) -> bool:
    """Return whether the cards of a machine can train a run with a share of the weights each.

    What is spread is trained in 32 bits, on cards that compute in bfloat16 or in 32 bits.
    """
    is_in_bf16 = run.settings.get("weights_precision") == "bfloat16"
    return may_shard(run) and not is_in_bf16 and machine.autocast_dtype != "float16"


def shard(run: MethodRun) -> MethodRun:
    """Return a run as it trains with a share of the weights on each card, in 32 bits."""
    return replace(run, is_sharded=True, settings={**run.settings, "weights_precision": "float32"})


def explain_no_fit(run: MethodRun, machine: Machine, whole: Estimate, shared: Estimate) -> Message | None:
    """Return why cards cannot train a run with a share of the weights each, and what would work there.

    Args:
        run: The run.
        machine: Where it would run.
        whole: Its estimate with all weights on each card, which does not fit.
        shared: That with a share on each.
    """
    room_gb = machine.usable_bytes / 1e9
    values = {"count": whole.cards, "room": room_gb}
    if not can_shard(run, machine):
        values["need"] = sum(whole.parts.values())
        if machine.autocast_dtype == "float16":
            return NOT_IN_FLOAT16.format(**values)
        return NOT_IN_BF16.format(**values) if shared.fits != "no" else whole.why_not
    held_gb = sum(shared.parts.values())
    # What else is held grows less and is taken to stay, so that the size that is named does fit.
    growing_gb = sum(shared.parts.get(name, 0.0) for name in SHARDED_PARTS)
    most = run.parameters.total * (growing_gb + room_gb - held_gb) / growing_gb
    if most <= 0:  # what stays takes all the room, such as long texts
        return whole.why_not
    message = SHARE_TOO_LARGE if "collected" in shared.parts else EVALUATED_WHOLE
    return message.format(need=held_gb, most=most / 1e9, **values)


def shard_parts(parts: dict[str, float], run: MethodRun, weight_bytes: float) -> dict[str, float]:
    """Return what one card holds under FSDP.

    Args:
        parts: What it would hold alone (bytes), by the names in MEMORY_PARTS; of gradients its share, with
            which a pass is counted.
        run: The run, with its number of cards.
        weight_bytes: Bytes of a weight as it is collected.
    """
    sharded = {
        name: size / run.cards if name in SHARDED_PARTS and name != "gradients" else size
        for name, size in parts.items()
    }
    sharded["collected"] = collected_bytes(run, weight_bytes)
    return sharded


def collected_bytes(run: MethodRun, weight_bytes: float) -> float:
    """Return what a card has collected at once: two blocks, embeddings and head, and a block's gradients."""
    shape = run.workload.shape
    block_params = shape.blocks / shape.layers
    table_params = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    gradient_bytes = weight_bytes * block_params if run.method.weights == "trained" else 0.0
    return weight_bytes * (COLLECTED_BLOCKS * block_params + table_params) + gradient_bytes


def count_held_gradients(run: MethodRun) -> int:
    """Return how often a card holds all of its gradients before a micro batch's way back begins.

    Once where micro batches before it have added up; and once more in the buckets that DDP sends, in which
    gradients lie where nothing has added up (gradient_as_bucket_view).
    """
    adds_up = run.card_workload.training.accumulation_steps > 1
    return int(adds_up) + int(run.cards > 1 and not run.is_sharded)


def sent_bytes(run: MethodRun, weight_bytes: float, gradient_bytes: float) -> float:
    """Return what a card sends for each micro batch (bytes), by the ring that NCCL uses.

    A sum over n cards sends 2 (n - 1) / n of it, collecting what is spread out (n - 1) / n. DDP sums
    gradients once a step. FSDP collects all weights on the way forward and again on the way back, and spreads
    gradients.

    Args:
        run: The run, with its number of cards.
        weight_bytes: Bytes of a weight as it is collected.
        gradient_bytes: Bytes of a gradient.
    """
    share = (run.cards - 1) / run.cards
    all_gradients = gradient_bytes * run.parameters.trainable
    if run.is_sharded:
        return share * (2 * weight_bytes * run.parameters.total + all_gradients)
    return 2 * share * all_gradients / run.card_workload.training.accumulation_steps
