"""How long a run takes, phase by phase: the work of each, over what the machine gets done, and what happens around them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from studio.estimate.machines.catalogue import MachineKind
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts, total
from studio.methods.spec import ParameterCount
from studio.methods.workload import MicroBatch, Phase, Workload

CountPass = Callable[[Phase, MicroBatch], OpCounts]
# AdamW reads weight, gradient and two averages and writes all but the gradient: 28 bytes a trained number in 32 bits. On a processor the
# gradients' memory is handed out anew in each step, and touching it costs half as much again and more (measured: 2 to 4 times in all).
UPDATE_BYTES_PER_PARAMETER = {"card": 28.0, "processor": 70.0}
# Writing one token costs generate's own bookkeeping beside the pass: stopping rules, sampling, the next mask (operations, about).
GENERATION_OPERATIONS = 150.0
# Around the phases, in seconds: a byte of the model, read and checked twice by SHA-256; a byte written; a byte of memory that a process
# touches for the first time.
START_SECONDS_PER_BYTE, SAVE_SECONDS_PER_BYTE = 1.5e-9, 0.5e-9
TOUCH_SECONDS_PER_BYTE = {"processor": 0.8e-9, "card": 0.0}


def count_phase(
    phase: Phase, workload: Workload, footprint: ParameterCount, kind: MachineKind, count_pass: CountPass
) -> OpCounts:
    """All work of a phase: every portion, every round, what is written, and the steps."""
    all_counts = []
    for micro_batch in phase.micro_batches:
        counts = count_pass(phase, micro_batch)
        if phase.uses_trl:
            counts = _adjust_for_trl(phase, micro_batch, counts, workload, kind)
        if phase.new_tokens:
            counts = total((counts, count_generation(phase, micro_batch, workload, count_pass)))
        all_counts.append(counts.scaled(micro_batch.repeats * phase.passes))
    if phase.optimizer_steps:
        all_counts.append(
            OpCounts(moved=UPDATE_BYTES_PER_PARAMETER[kind] * footprint.trainable * phase.optimizer_steps)
        )
    return total(all_counts)


def _adjust_for_trl(
    phase: Phase, micro_batch: MicroBatch, counts: OpCounts, workload: Workload, kind: MachineKind
) -> OpCounts:
    """A pass in a trainer of TRL's (1.16): no dropout; without Triton it scores every position, and once more on the way back (trl.trainer.utils)."""
    adjusted, positions = replace(counts, drawn=0.0), 0.0
    if kind == "processor" and phase.head == "words":
        positions = micro_batch.rows * (micro_batch.tokens - micro_batch.scored_positions)
        positions += (
            micro_batch.rows * (2 * micro_batch.tokens - micro_batch.scored_positions)
            if phase.with_gradients
            else 0.0
        )
    adjusted.flop_32 += 2.0 * positions * workload.shape.vocabulary * workload.shape.hidden
    adjusted.moved += 8.0 * positions * workload.shape.vocabulary
    return adjusted


def count_generation(
    phase: Phase, micro_batch: MicroBatch, workload: Workload, count_pass: CountPass
) -> OpCounts:
    """Writing after a portion of questions, token by token: every weight is read for each, and the keys and values so far, twice over."""
    token_counts = count_pass(phase, MicroBatch(micro_batch.rows, 1, 1, False, 1))
    total_tokens = micro_batch.tokens + phase.new_tokens
    cache_bytes_per_token = 4.0 * micro_batch.rows * workload.shape.layers * workload.shape.kv_cache_width
    token_counts = replace(
        token_counts,
        moved=token_counts.moved + 3 * cache_bytes_per_token * (micro_batch.tokens + phase.new_tokens / 2),
        operations=token_counts.operations + GENERATION_OPERATIONS,
    )
    counts = token_counts.scaled(phase.new_tokens)
    scores = 12.0 * micro_batch.rows * workload.shape.vocabulary
    counts.parts = {"written": 1.5 * cache_bytes_per_token * total_tokens, "scores": scores}
    counts.peak = sum(counts.parts.values())
    return counts


def phase_seconds(
    phases: Sequence[tuple[Phase, OpCounts]],
    rates: Rates,
    kind: MachineKind,
    model_bytes: float,
    saved_bytes: float,
    touched_bytes: float,
) -> dict[str, float]:
    """Seconds of each phase by name, "start" and "save" among them; `model`, all that is `saved` and `touched` (memory, all in all) are bytes."""
    seconds = {
        "start": rates.start
        + START_SECONDS_PER_BYTE * model_bytes
        + TOUCH_SECONDS_PER_BYTE[kind] * touched_bytes
    }
    for phase, counts in phases:
        seconds[phase.name] = seconds.get(phase.name, 0.0) + rates.estimate_seconds(counts)
    seconds["save"] = SAVE_SECONDS_PER_BYTE * saved_bytes
    return seconds
