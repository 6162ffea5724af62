"""The most memory that a run holds at once, part by part, from what each of its phases keeps."""

from collections.abc import Iterable

from studio.estimate.analytic import several_cards
from studio.estimate.analytic.formula import AttachedModel
from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates
from studio.estimate.method_run import MethodRun
from studio.estimate.op_counts import OpCounts
from studio.methods.workload import (
    MAX_CACHE_SHARE,
    Optimizer,
    Phase,
    choose_optimizer,
    holds_weights_in_bf16,
    uses_gradient_checkpointing,
)
from studio.models.shape import ModelShape

# What comes and goes takes more memory than its bytes, since blocks of all sizes leave gaps. On a CPU it is
# 0.15 of what is kept for the way back. On a GPU it is a share of everything (public rows: 1.04 to 1.10,
# eager attention more; docs/estimator.md#fragmentation_share).
FRAGMENTATION_SHARE = {"processor": 0.15, "card": 0.07}
FRAGMENTING_PARTS = ("activations", "passing", "written")
# On a CPU gradients that come after the peak find room in what activations have left for a quarter of their
# bytes (docs/estimator.md#displaced_gradient_share).
DISPLACED_GRADIENT_SHARE = 0.75
TRANSIENT_PARTS = (*FRAGMENTING_PARTS, "scores")
# Bytes of a number in NF4: half a byte, a scale of one byte for each 64 numbers, and 4 bytes for each 256
# scales (Dettmers et al. 2023, double quantisation).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
# Blocks whose weights are in memory at once where they are read from the disk: one that is computed and the
# next one (studio.models.disk_offload).
BLOCKS_IN_MEMORY = 2
# What a run holds on a CPU beside its libraries and its model: the tokenizer, the examples, the buffers of
# the arithmetic library (fitted together with FRAGMENTATION_SHARE; a run of a tiny model holds 0.1 GB over
# its libraries).
PROCESS_OVERHEAD_BYTES = {"processor": 0.14e9, "card": 0.0}
# AdamW's two averages in the device's memory: in 32 bits, in 8 bits, and as pages of the machine's memory
# (bytes per trainable parameter; docs/estimator.md#optimizer_state_bytes).
OPTIMIZER_STATE_BYTES: dict[Optimizer, float] = {
    "adamw_torch_fused": 8.0,
    "adamw_torch_8bit": 2 * (1 + 4 / 256),
    "paged_adamw_8bit": 0.0,
}


def bytes_per_parameter(machine: Machine) -> int:
    """Return the bytes of a frozen parameter: 2 on a GPU that computes in 16 bits, else 4.

    This is what studio.models.device.weights_dtype chooses.
    """
    return 2 if machine.weights_dtype else 4


def bytes_per_collected_parameter(machine: Machine) -> int:
    """Return the bytes of a weight that other cards send, in the format that passes compute in."""
    return 2 if machine.autocast_dtype else 4


def trains_in_bf16(run: MethodRun, machine: Machine) -> bool:
    """Return whether what is trained is held in bfloat16.

    This is what studio.methods.training.supervised chooses.
    """
    has_bf16 = machine.weights_dtype == "bfloat16"
    return holds_weights_in_bf16(run.settings, run.parameters.trainable, has_bf16)


def bytes_per_trained_parameter(run: MethodRun, machine: Machine) -> int:
    """Return the bytes of a trained parameter, which are also those of its gradient."""
    return 2 if trains_in_bf16(run, machine) else 4


def sent_bytes(run: MethodRun, machine: Machine) -> float:
    """Return what each of several cards sends for a micro batch (bytes)."""
    gradient_bytes = bytes_per_trained_parameter(run, machine)
    return several_cards.sent_bytes(run, bytes_per_collected_parameter(machine), gradient_bytes)


def attach_model(run: MethodRun, machine: Machine) -> AttachedModel:
    """Return a run's model with its method attached, as the closed form takes it on a machine.

    Args:
        run: The run.
        machine: Where it runs.
    """
    return AttachedModel(
        run.workload.shape,
        run.cost_profile,
        run.parameters.trainable,
        machine.autocast_dtype,
        bytes_per_trained_parameter(run, machine),
        casts_weights(run, machine),
        machine.is_gpu,
        run.cards if run.is_sharded else 1,
    )


def casts_weights(run: MethodRun, machine: Machine) -> bool:
    """Return whether weights are held in 32 bits and cast to 16 in each pass.

    On a CPU that is all of them, on a GPU trained ones. 4-bit weights are dequantized for each product.
    """
    if not machine.autocast_dtype or run.method.weights == "nf4" or trains_in_bf16(run, machine):
        return False
    return not machine.is_gpu or run.method.weights == "trained"


def is_checkpointing_gradients(run: MethodRun, machine: Machine) -> bool:
    """Return whether activations are computed again on the way back instead of kept.

    This is what studio.methods.training.supervised chooses.
    """
    workload = run.workload
    return run.method.supports_gradient_checkpointing and uses_gradient_checkpointing(
        workload.training.gradient_checkpointing,
        workload.shape.total(workload.num_labels),
        machine.device_type,
    )


def resident_bytes(run: MethodRun, machine: Machine) -> dict[str, float]:
    """Return what is in memory all the time (bytes).

    Returns:
        "model", with what was attached to it, and "optimiser", its averages.
    """
    trainable = run.parameters.trainable
    model_bytes = full_model_bytes(run, machine)
    if run.workload.training.disk_offload:
        offloaded_share = max(0.0, 1 - BLOCKS_IN_MEMORY / run.workload.shape.layers)
        model_bytes -= offloaded_share * _block_bytes(run, machine)
    return {"model": model_bytes, "optimiser": OPTIMIZER_STATE_BYTES[_optimizer(run, machine)] * trainable}


def full_model_bytes(run: MethodRun, machine: Machine) -> float:
    """Return the bytes of all weights, with what was attached to them, as they are computed with."""
    trainable, total = run.parameters.trainable, run.parameters.total
    trained_bytes = bytes_per_trained_parameter(run, machine)
    frozen_bytes = trained_bytes if run.method.weights == "trained" else bytes_per_parameter(machine)
    model_bytes = float(trained_bytes * trainable + frozen_bytes * (total - trainable))
    if run.method.weights == "nf4":
        model_bytes -= (bytes_per_parameter(machine) - NF4_BYTES) * _quantized_params(run.workload.shape)
    return model_bytes


def _block_bytes(run: MethodRun, machine: Machine) -> float:
    """Return the bytes of the weights of all blocks as they are computed with."""
    shape = run.workload.shape
    size = float(bytes_per_parameter(machine) * shape.blocks)
    if run.method.weights == "nf4":
        size -= (bytes_per_parameter(machine) - NF4_BYTES) * _quantized_params(shape)
    return size


def offloaded_bytes(run: MethodRun, machine: Machine) -> float:
    """Return the bytes on the disk of which a pass reads each once; 0 where all weights are in memory."""
    if not run.workload.training.disk_offload:
        return 0.0
    if run.method.weights == "nf4":
        return _block_bytes(run, machine)
    return run.stored_bytes * run.workload.shape.blocks


def _quantized_params(shape: ModelShape) -> int:
    return shape.over_blocks(lambda linear: linear.n_in * linear.n_out)


def _optimizer(run: MethodRun, machine: Machine) -> Optimizer:
    if run.is_sharded:
        return "adamw_torch_fused"
    # As the training does, by all that the card has, whatever others hold of it.
    gpu_bytes = (machine.total_bytes or machine.usable_bytes) if machine.device_type == "cuda" else None
    return choose_optimizer(trains_in_bf16(run, machine), run.parameters.trainable, gpu_bytes)


def uses_paged_optimizer(run: MethodRun, machine: Machine) -> bool:
    """Return whether the optimiser's averages are 8-bit pages, which lie in the machine's own memory."""
    return _optimizer(run, machine) == "paged_adamw_8bit"


def peak_memory(
    run: MethodRun,
    phases: Iterable[tuple[Phase, OpCounts]],
    machine: Machine,
    rates: Rates,
) -> tuple[dict[str, float], float]:
    """Return the moment with the most memory of a card, over all phases of a run.

    Args:
        run: The run.
        phases: Its phases, each with what it takes.
        machine: Where it runs.
        rates: The machine's rates, for what a worker holds before its model.

    Returns:
        The parts of the peak (bytes), by the names in MEMORY_PARTS, and how many bytes of them the
        allocator gives back when memory is short.
    """
    resident = resident_bytes(run, machine)
    shape = run.workload.shape
    peak_parts: dict[str, float] = {}
    releasable_bytes = 0.0
    for phase, counts in phases:
        parts = {
            "runtime": rates.runtime + PROCESS_OVERHEAD_BYTES[machine.kind],
            "model": resident["model"],
            **{name: counts.parts.get(name, 0.0) for name in (*TRANSIENT_PARTS, "gradients")},
        }
        parts["beside"] = phase.extra_models * bytes_per_parameter(machine) * shape.total()
        if phase.with_gradients:
            parts["optimiser"] = resident["optimiser"]
        if run.is_sharded and phase.with_gradients:
            parts = several_cards.shard_parts(parts, run, bytes_per_collected_parameter(machine))
        elif run.is_sharded:
            parts["model"] = float(bytes_per_parameter(machine) * run.parameters.total)
        gradient_bytes = bytes_per_trained_parameter(run, machine) * run.parameters.trainable
        # A trace has replayed a card's allocator; else it is a share.
        displaced_bytes = max(0.0, gradient_bytes - parts["gradients"]) if phase.with_gradients else 0.0
        parts["slack"] = counts.parts.get("slack", _fragmentation_bytes(parts, displaced_bytes, machine))
        parts["written"] += _cached_bytes(run, phase, machine)
        if sum(parts.values()) > sum(peak_parts.values()):
            peak_parts, releasable_bytes = parts, counts.spare
    return {name: size for name, size in peak_parts.items() if size > 0}, releasable_bytes


def _cached_bytes(run: MethodRun, phase: Phase, machine: Machine) -> float:
    """Return what hidden states of an earlier phase take: main memory, and of more than that a file."""
    if machine.is_gpu and not machine.has_unified_memory:
        return 0.0
    cached_bytes = bytes_per_parameter(machine) * run.workload.shape.hidden * phase.cached_tokens
    return cached_bytes if cached_bytes < MAX_CACHE_SHARE * machine.usable_bytes else 0.0


def _fragmentation_bytes(parts: dict[str, float], displaced_bytes: float, machine: Machine) -> float:
    """Return what is held and not in use; `displaced_bytes` are the gradients that are not there yet."""
    share = FRAGMENTATION_SHARE[machine.kind]
    if machine.is_gpu:
        return share * (sum(parts.values()) - parts["runtime"])
    kept_bytes = sum(parts[name] for name in FRAGMENTING_PARTS)
    return share * kept_bytes + DISPLACED_GRADIENT_SHARE * displaced_bytes


def disk_bytes(run: MethodRun, machine: Machine) -> float:
    """Return the size of the result on disk (bytes).

    That is what was trained, in 32 bits, where it is saved on its own; else the full model as it is held.
    """
    workload = run.workload
    if run.method.result_bytes:
        return run.method.result_bytes(
            workload.shape, run.settings, workload.num_labels, bytes_per_parameter(machine)
        )
    if "adapter" in run.method.exports:
        return 4.0 * run.parameters.trainable
    return float(bytes_per_parameter(machine) * workload.shape.total(workload.num_labels))
