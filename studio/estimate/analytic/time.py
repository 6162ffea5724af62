"""How long a run takes: the work of each phase at the machine's rates, and what happens around the phases."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from studio.estimate.machines.catalogue import MachineKind
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.methods.workload import MicroBatch, Phase, Workload

CountPass = Callable[[Phase, MicroBatch], OpCounts]
# Traffic of AdamW (bytes per trainable parameter and step): it reads weight, gradient and two averages and
# writes all but the gradient, 28 bytes in 32 bits. On a CPU the gradients' memory is allocated anew in each
# step, and touching it costs half as much again and more (measured: 2 to 4 times in all).
UPDATE_BYTES_PER_PARAMETER = {"card": 28.0, "processor": 70.0}
# Operations that `generate` itself needs for each token, beside the pass: stopping criteria, sampling, the
# next mask (about).
GENERATION_OPERATIONS = 150.0
# What an operation of a recorded step costs, of what it costs where Python launches it
# (docs/estimator.md#replayed_operation_share).
REPLAYED_OPERATION_SHARE = 0.1
# Around the phases, in seconds: for a byte of the model, which is read and checked twice, by SHA-256 on a
# processor and where it lies on a card; for a byte written; for a byte of memory that a process touches for
# the first time (fitted on 68 runs, docs/estimator.md#start_seconds_per_byte).
START_SECONDS_PER_BYTE = {"processor": 1.5e-9, "card": 0.5e-9}
SAVE_SECONDS_PER_BYTE = 0.5e-9
TOUCH_SECONDS_PER_BYTE = {"processor": 0.8e-9, "card": 0.0}


def count_pieces(
    phase: Phase,
    workload: Workload,
    trainable_params: int,
    kind: MachineKind,
    count_pass: CountPass,
    offloaded_bytes: float = 0.0,
) -> list[OpCounts]:
    """Count the work of a phase: every micro batch in every pass, the generation, and the optimizer steps.

    Args:
        phase: The phase.
        workload: The run's workload.
        trainable_params: Number of parameters that the optimizer updates.
        kind: Where the phase runs.
        count_pass: Counts one micro batch of a phase.
        offloaded_bytes: Bytes of weights that each pass reads from the disk.

    Returns:
        The work in pieces that are done one after the other, each of which is as fast as its slowest part:
        micro batches of one kind, the tokens that follow them, all optimizer steps.
    """
    # The way back computes each block once more, and reads it for that.
    read_bytes = (2 if phase.with_gradients else 1) * offloaded_bytes
    pieces = []
    for micro_batch in phase.micro_batches:
        counts = count_pass(phase, micro_batch)
        repeats = micro_batch.repeats * phase.passes
        if workload.replays(phase):
            counts = replace(counts, operations=REPLAYED_OPERATION_SHARE * counts.operations)
        if phase.uses_trl:
            counts = _adjust_for_trl(phase, micro_batch, counts, workload, kind)
        if phase.new_tokens:
            answers = count_generation(phase, micro_batch, workload, count_pass)
            answers.read = phase.new_tokens * offloaded_bytes
            pieces.append(answers.scaled(repeats))
        pieces.append(replace(counts, read=read_bytes).scaled(repeats))
    pieces.append(OpCounts(flop_32=phase.extra_flop))
    if phase.optimizer_steps:
        bytes_per_step = UPDATE_BYTES_PER_PARAMETER[kind] * trainable_params
        pieces.append(OpCounts(moved=bytes_per_step * phase.optimizer_steps))
    return pieces


def _adjust_for_trl(
    phase: Phase, micro_batch: MicroBatch, counts: OpCounts, workload: Workload, kind: MachineKind
) -> OpCounts:
    """Return the counts of a pass in one of TRL's trainers (1.16).

    They use no dropout, and keep no scores: positions are scored once more on the way back. Without Triton,
    which a CPU does not have, that is every position (trl.kernels.chunked_logprob).
    """
    n_scored = n_computed = 0.0
    if phase.head == "words":
        n_scored = float(micro_batch.rows * micro_batch.scored_positions)
        n_computed = float(micro_batch.rows * micro_batch.tokens) if kind == "processor" else n_scored
    positions = n_computed - n_scored
    if phase.with_gradients:
        positions += 2 * n_computed - n_scored
    shape = workload.shape
    flop = 2.0 * positions * shape.vocabulary * shape.hidden
    in_16_bits = counts.flop_16 > 0
    return replace(
        counts,
        drawn=0.0,
        flop_16=counts.flop_16 + (flop if in_16_bits else 0.0),
        flop_32=counts.flop_32 + (0.0 if in_16_bits else flop),
        moved=counts.moved + 8.0 * positions * shape.vocabulary,
    )


def count_generation(
    phase: Phase, micro_batch: MicroBatch, workload: Workload, count_pass: CountPass
) -> OpCounts:
    """Count the generation that follows a micro batch of prompts, token by token.

    Every weight is read for each token, and so are the keys and values so far, which are also copied. A
    single row reads a matrix as it lies there; for several a CPU rearranges it.
    """
    shape = workload.shape
    token_counts = count_pass(phase, MicroBatch(micro_batch.rows, 1, 1, padded=False, repeats=1))
    total_tokens = micro_batch.tokens + phase.new_tokens
    mean_tokens = micro_batch.tokens + phase.new_tokens / 2
    cache_bytes_per_token = 4.0 * micro_batch.rows * shape.layers * shape.kv_cache_width
    token_counts = replace(
        token_counts,
        moved=token_counts.moved + 3 * cache_bytes_per_token * mean_tokens,
        moved_by_few_rows=token_counts.moved_by_products if micro_batch.rows > 1 else 0.0,
        operations=token_counts.operations + GENERATION_OPERATIONS,
    )
    counts = token_counts.scaled(phase.new_tokens)
    # A growing cache holds the old and the new table of a layer at once
    # (docs/estimator.md#writing-generation).
    counts.parts = {
        "written": 1.5 * cache_bytes_per_token * total_tokens,
        "scores": 12.0 * micro_batch.rows * shape.vocabulary,
    }
    counts.peak = sum(counts.parts.values())
    return counts


def phase_seconds(
    phases: Sequence[tuple[Phase, Sequence[OpCounts]]],
    rates: Rates,
    kind: MachineKind,
    model_bytes: float,
    saved_bytes: float,
    touched_bytes: float,
) -> dict[str, float]:
    """Return the seconds of each phase by its name, with "start" and "save" around them.

    Args:
        phases: The phases, each with its work in pieces.
        rates: The machine's rates.
        kind: Where the run is.
        model_bytes: Size of the model, which is read at the start.
        saved_bytes: All bytes that the run writes to disk.
        touched_bytes: All bytes of memory that the run ever allocates.
    """
    loading_seconds = START_SECONDS_PER_BYTE[kind] * model_bytes
    touching_seconds = TOUCH_SECONDS_PER_BYTE[kind] * touched_bytes
    seconds = {"start": rates.start + loading_seconds + touching_seconds}
    for phase, pieces in phases:
        seconds[phase.name] = seconds.get(phase.name, 0.0) + sum(map(rates.estimate_seconds, pieces))
    seconds["save"] = SAVE_SECONDS_PER_BYTE * saved_bytes
    return seconds
