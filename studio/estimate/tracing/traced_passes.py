"""What passes take by their traces; between traced lengths, the closed form corrected by the traces."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from studio import methods
from studio.estimate.analytic import formula
from studio.estimate.analytic import memory as memory_model
from studio.estimate.machines.catalogue import Machine
from studio.estimate.method_run import MethodRun
from studio.estimate.op_counts import ADDITIVE_FIELDS, OpCounts
from studio.estimate.tracing.client import tracing_client
from studio.i18n import Message
from studio.methods.workload import MicroBatch, Phase


class TracedPasses:
    """Looks up what passes of one model take on one machine, each at most once.

    Args:
        config: The model's config.json, as transformers has it.
        machine: The machine.
    """

    def __init__(self, config: dict[str, Any], machine: Machine) -> None:
        self.config = config
        self.machine = machine
        self._attached_runs: dict[tuple[object, ...], MethodRun] = {}
        self._responses: dict[tuple[object, ...], dict[str, Any] | None] = {}
        # By the identity of a phase, which is kept beside what is known of it.
        self._anchors: dict[int, tuple[Phase, _Anchors | None]] = {}
        self._closed_forms: dict[int, tuple[Phase, Callable[[MicroBatch], OpCounts]]] = {}

    def pending_requests(self, run: MethodRun) -> list[dict[str, Any]]:
        """Return the requests that an estimate of this run still needs, but for those that lately failed."""
        return [
            request
            for request in self._requests(run)
            if tracing_client.cached_response(request) is None
            and tracing_client.failure_reason(request) is None
        ]

    def failure_reason(self, run: MethodRun) -> Message | None:
        """Return why a request of this run failed; None where none did."""
        if not tracing_client.has_failures():
            return None
        for request in self._requests(run):
            if reason := tracing_client.failure_reason(request):
                return reason
        return None

    def _requests(self, run: MethodRun) -> list[dict[str, Any]]:
        """Return every request that an estimate of this run needs, each once."""
        requests = [
            self._build_request(run, phase, micro_batch)
            for phase in run.phases
            for micro_batch in _find_anchors(phase.micro_batches)
        ]
        return list({str(request): request for request in requests}.values())

    def __call__(self, run: MethodRun, phase: Phase, micro_batch: MicroBatch) -> OpCounts | None:
        """Return what a micro batch takes.

        Where it was traced, that is the trace. Else it is the closed form times the ratios of trace to
        closed form at the shortest and the longest micro batch of the phase, interpolated by length.

        Returns:
            The counts; None where one of the traces is missing.
        """
        if micro_batch not in phase.micro_batches:  # a token of a generation, which is never traced
            return None
        anchors = self._anchors_of(run, phase)
        if not anchors:
            return None
        if micro_batch in anchors.traced:
            return _scale_to_blocks(anchors.traced[micro_batch], phase)
        counts = self._closed_form(run, phase)(micro_batch)
        anchors.correct(counts, micro_batch.tokens)
        if anchors.hold_more_than(micro_batch):
            counts.peak, counts.spare, counts.parts = 0.0, 0.0, {}
        return _scale_to_blocks(counts, phase)

    def _anchors_of(self, run: MethodRun, phase: Phase) -> "_Anchors | None":
        """Return what is traced of a phase, worked out once; None where a trace is missing."""
        if id(phase) not in self._anchors:
            anchors = self._trace_anchors(run, phase, _find_anchors(phase.micro_batches))
            self._anchors[id(phase)] = phase, anchors
        return self._anchors[id(phase)][1]

    def _trace_anchors(
        self, run: MethodRun, phase: Phase, micro_batches: tuple[MicroBatch, ...]
    ) -> "_Anchors | None":
        """Return the traces of micro batches and their closed form; None where a trace is missing."""
        traced = {}
        for micro_batch in micro_batches:
            response = self._cached_response(run, phase, micro_batch)
            if response is None:
                return None
            traced[micro_batch] = OpCounts(**response["counts"])
        if len(phase.micro_batches) <= len(traced):
            return _Anchors(traced)
        ends = (micro_batches[0], micro_batches[-1])
        ratios = [_ratios(traced[end], self._closed_form(run, phase)(end)) for end in ends]
        return _Anchors(traced, *ratios)

    def _closed_form(self, run: MethodRun, phase: Phase) -> Callable[[MicroBatch], OpCounts]:
        """Return what counts a phase's micro batches by the closed form, through all blocks, as traces do."""
        if id(phase) not in self._closed_forms:
            self._closed_forms[id(phase)] = phase, self._build_closed_form(run, phase)
        return self._closed_forms[id(phase)][1]

    def _build_closed_form(self, run: MethodRun, phase: Phase) -> Callable[[MicroBatch], OpCounts]:
        attached = self._attach(run, phase)
        model = memory_model.attach_model(attached, self.machine)
        full_phase = Phase(
            phase.name, (), phase.method, phase.with_gradients, head=phase.head, new_tokens=phase.new_tokens
        )
        gradient_checkpointing = self._uses_gradient_checkpointing(attached, phase)
        return partial(formula.count_pass, model, full_phase, gradient_checkpointing=gradient_checkpointing)

    def _attach(self, run: MethodRun, phase: Phase) -> MethodRun:
        """Return the run with the method that is attached in a phase, worked out once.

        A base that answers alone counts as the full model, of which nothing is trained, or stays in 4 bits.
        """
        base = run.method.name if run.method.weights == "nf4" else "full"
        key = (run.method.name, phase.method, run.workload.num_labels, *run.settings.items())
        if key not in self._attached_runs:
            self._attached_runs[key] = run.attach(methods.get(phase.method or base))
        return self._attached_runs[key]

    def _uses_gradient_checkpointing(self, attached: MethodRun, phase: Phase) -> bool:
        return phase.with_gradients and memory_model.is_checkpointing_gradients(attached, self.machine)

    def _cached_response(
        self, run: MethodRun, phase: Phase, micro_batch: MicroBatch
    ) -> dict[str, Any] | None:
        attached = self._attach(run, phase)
        key = (
            attached.method.name,
            id(attached.settings),  # which live as long as this object, in `_attached_runs`
            phase.head,
            phase.with_gradients,
            phase.new_tokens > 0,
            run.workload.num_labels,
            self._uses_gradient_checkpointing(attached, phase),
            micro_batch,
        )
        if key not in self._responses:
            request = self._build_request(run, phase, micro_batch)
            self._responses[key] = tracing_client.cached_response(request)
        return self._responses[key]

    def _build_request(self, run: MethodRun, phase: Phase, micro_batch: MicroBatch) -> dict[str, Any]:
        """Return the request to trace a micro batch (studio.estimate.tracing.server.trace_pass).

        "model" has the fields of ModelSpec and "pass" those of PassSpec in studio.estimate.tracing.meta_step,
        which this process cannot import, since it loads torch.
        """
        attached = self._attach(run, phase)
        has_labels = phase.head == "classes"
        model_spec = {
            "config": self.config,
            "method_name": attached.method.name,
            "settings": dict(attached.settings),
            "task": "classify" if has_labels else "chat",
            "num_labels": (run.workload.num_labels or 1) if has_labels else 0,
            "device": self.machine.torch_device,
            "autocast_dtype": self.machine.autocast_dtype,
            "gradient_checkpointing": self._uses_gradient_checkpointing(attached, phase),
        }
        pass_spec = {
            "rows": micro_batch.rows,
            "tokens": micro_batch.tokens,
            "scored": max(micro_batch.scored_positions, 1),
            "padded": micro_batch.padded and _reads_padding_mask(attached, phase),
            "with_gradients": phase.with_gradients,
            "with_cache": phase.new_tokens > 0,
            "packed_longest": micro_batch.packed_longest if self.machine.torch_device == "cuda" else 0,
        }
        has_states = not memory_model.uses_paged_optimizer(attached, self.machine)
        return {"what": "trace", "model": model_spec, "pass": pass_spec, "states": has_states}


def _reads_padding_mask(attached: MethodRun, phase: Phase) -> bool:
    """Return whether a model gets a mask of its padding (studio.data.collate.without_padding_mask)."""
    has_prompt = attached.cost_profile.virtual_tokens > 0
    return phase.head != "words" or phase.uses_trl or phase.new_tokens > 0 or has_prompt


def _find_anchors(micro_batches: Iterable[MicroBatch]) -> tuple[MicroBatch, ...]:
    """Return the shortest and the longest micro batch of a phase, which are traced; each once."""
    by_length = sorted(
        micro_batches, key=lambda micro_batch: (micro_batch.tokens, micro_batch.scored_positions)
    )
    return tuple(dict.fromkeys((by_length[0], by_length[-1]))) if by_length else ()


@dataclass(frozen=True)
class _Anchors:
    """What was traced of a phase, and how far the closed form is from it.

    Attributes:
        traced: The counts by the traced micro batches, the shortest first.
        shortest_ratios: Trace over closed form at the shortest, for each of ADDITIVE_FIELDS; empty where all
            micro batches of the phase are traced.
        longest_ratios: The same at the longest.
    """

    traced: dict[MicroBatch, OpCounts]
    shortest_ratios: tuple[float, ...] = ()
    longest_ratios: tuple[float, ...] = ()

    def hold_more_than(self, micro_batch: MicroBatch) -> bool:
        """Return whether one that was traced has as many texts and tokens: the peak of the phase is there."""
        return any(
            traced.rows >= micro_batch.rows and traced.tokens >= micro_batch.tokens for traced in self.traced
        )

    def correct(self, counts: OpCounts, tokens: int) -> None:
        """Bring the closed form of a micro batch between the traced ones to where a trace would be."""
        lengths = [micro_batch.tokens for micro_batch in self.traced]
        shortest, longest = lengths[0], lengths[-1]
        share = (tokens - shortest) / max(longest - shortest, 1)
        ratios = zip(ADDITIVE_FIELDS, self.shortest_ratios, self.longest_ratios, strict=True)
        for name, at_shortest, at_longest in ratios:
            ratio = (1 - share) * at_shortest + share * at_longest
            setattr(counts, name, max(getattr(counts, name), 1.0) * ratio)


def _ratios(traced: OpCounts, analytic: OpCounts) -> tuple[float, ...]:
    """Return the trace over its closed form, for each of ADDITIVE_FIELDS."""
    return tuple(getattr(traced, name) / max(getattr(analytic, name), 1.0) for name in ADDITIVE_FIELDS)


def _scale_to_blocks(counts: OpCounts, phase: Phase) -> OpCounts:
    """Return a pass through some of the blocks only, where a phase runs no more."""
    return counts.scaled(phase.block_share)
