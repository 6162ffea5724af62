"""The most memory a run holds at once, part by part, from what each of its phases keeps."""

from collections.abc import Iterable

from studio.estimate.machines.catalogue import Machine
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.methods.spec import Method, ParameterCount, Settings
from studio.methods.workload import (
    EIGHT_BIT_OPTIMIZER_MIN_PARAMETERS,
    Phase,
    Workload,
    uses_gradient_checkpointing,
)

# What comes and goes takes more room than its bytes, since blocks of all sizes leave gaps. On a processor glibc keeps what was freed: of
# transients 0.43 more (fitted on the runs of tests/bench/estimator.md). On a card, of everything (public rows: 1.04 to 1.10, eager more).
FRAGMENTATION_SHARE = {"processor": 0.43, "card": 0.07}
TRANSIENT_PARTS = ("activations", "scores", "passing", "written")
# NF4: half a byte a number, a scale of one byte for each 64, and 4 bytes for each 256 scales (Dettmers et al. 2023, double quantisation).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
# What a run holds on a processor beside its libraries and its model: the tokenizer, the examples, the buffers of the arithmetic library
# (fitted with SLACK; a tiny model's run holds 0.1 GB over its libraries).
PROCESS_OVERHEAD_BYTES = {"processor": 0.11e9, "card": 0.0}
# AdamW's two averages in 32 bits (bytes a trained number).
OPTIMIZER_STATE_BYTES = 8.0


def bytes_per_parameter(machine: Machine) -> int:
    """Bytes of a number of a base as it is held: 2 on a card that computes in bfloat16, else 4 (studio.models.device.weights_dtype)."""
    return 2 if machine.kind == "card" and machine.bf16 else 4


def is_checkpointing_gradients(method: Method, workload: Workload, machine: Machine) -> bool:
    """Whether activations are computed again on the way back instead of kept (studio.methods.training.supervised)."""
    return method.supports_gradient_checkpointing and uses_gradient_checkpointing(
        workload.training.gradient_checkpointing,
        machine.kind == "card",
        workload.shape.total(workload.num_labels),
    )


def resident_bytes(
    method: Method, workload: Workload, footprint: ParameterCount, machine: Machine
) -> dict[str, float]:
    """Bytes that lie there all the time: the model with what was attached, and the optimiser's averages."""
    bytes_per_value, trainable_params = bytes_per_parameter(machine), footprint.trainable
    model_bytes = 4.0 * trainable_params + (4.0 if method.weights == "trained" else bytes_per_value) * (
        footprint.total - trainable_params
    )
    if method.weights == "nf4":
        quantized_params = workload.shape.layers * sum(
            linear.n_in * linear.n_out for linear in workload.shape.linears
        )
        model_bytes -= (bytes_per_value - NF4_BYTES) * quantized_params
    return {
        "model": model_bytes,
        "optimiser": 0.0
        if uses_paged_optimizer(method, trainable_params, machine)
        else OPTIMIZER_STATE_BYTES * trainable_params,
    }


def uses_paged_optimizer(method: Method, trainable_params: int, machine: Machine) -> bool:
    """Whether the optimiser's averages are 8-bit pages, which lie in the machine's own memory (studio.methods.training.supervised)."""
    return machine.kind == "card" and (
        trainable_params >= EIGHT_BIT_OPTIMIZER_MIN_PARAMETERS or method.weights == "nf4"
    )


def peak_memory(
    method: Method,
    workload: Workload,
    footprint: ParameterCount,
    phases: Iterable[tuple[Phase, OpCounts]],
    machine: Machine,
    rates: Rates,
) -> tuple[dict[str, float], float]:
    """The parts (bytes) of the moment with the most memory, over all phases of a run; and how many of them the allocator gives back when short."""
    resident = resident_bytes(method, workload, footprint, machine)
    peak_parts: dict[str, float] = {}
    releasable_bytes = 0.0
    for phase, counts in phases:
        parts = {
            "runtime": rates.runtime + PROCESS_OVERHEAD_BYTES[machine.kind],
            "model": resident["model"],
            **{name: counts.parts.get(name, 0.0) for name in (*TRANSIENT_PARTS, "gradients")},
        }
        parts["beside"] = phase.extra_models * bytes_per_parameter(machine) * workload.shape.total()
        if phase.with_gradients:
            parts["optimiser"] = resident["optimiser"]
        parts["written"] += bytes_per_parameter(machine) * workload.shape.hidden * phase.cached_tokens
        fragmenting_bytes = (
            sum(parts[name] for name in TRANSIENT_PARTS)
            if machine.kind == "processor"
            else sum(parts.values()) - parts["runtime"]
        )
        parts["slack"] = counts.parts.get("slack", FRAGMENTATION_SHARE[machine.kind] * fragmenting_bytes)
        if sum(parts.values()) > sum(peak_parts.values()):
            peak_parts, releasable_bytes = parts, counts.spare
    return {name: size for name, size in peak_parts.items() if size > 0}, releasable_bytes


def disk_bytes(
    method: Method, settings: Settings, workload: Workload, footprint: ParameterCount, machine: Machine
) -> float:
    """Bytes of the result on disk: what was trained, in 32 bits, where it is kept apart; else the whole model as it is held."""
    if method.result_bytes:
        return method.result_bytes(
            workload.shape, settings, workload.num_labels, bytes_per_parameter(machine)
        )
    if "adapter" in method.exports:
        return 4.0 * footprint.trainable
    return float(bytes_per_parameter(machine) * workload.shape.total(workload.num_labels))
